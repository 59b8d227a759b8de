"""metrics.streaming: tables on disk score as in memory; and what was finished is not done again."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from foundations.seals import is_sealed, sealed
from metrics import Evaluator, evaluate
from metrics.association import association
from metrics.checkpoints import digest
from metrics.registry import MEASURES
from metrics.scores import Score
from metrics.settings import IN_MEMORY
from metrics.streaming import Stored
from tests.metrics.toy import MEAN_GAP

EXACT = tuple(
    name for name, measure in MEASURES.items() if measure.exact and measure.needs != "groups"
)


def table(n, seed):
    rng = np.random.default_rng(seed)
    site = rng.choice(["BNL", "CERN", "RAL", "pic"], n, p=[0.5, 0.3, 0.15, 0.05])
    size = rng.lognormal(20, 1, n) * (1 + (site == "BNL"))
    return pd.DataFrame(
        {
            "creationtime": rng.uniform(0, 40, n),
            "files": rng.integers(1, 60, n),
            "workload": size**0.7 * rng.lognormal(0, 0.3, n),
            "computingsite": pd.Categorical(site),
            "jobstatus": rng.choice(["finished", "failed"], n, p=[0.9, 0.1]),
        }
    )


TABLES = table(3_000, 0), table(1_100, 1), table(2_000, 2)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    out = []
    for name, frame in zip(("train", "synthetic", "holdout"), TABLES, strict=True):
        frame.to_parquet(folder / f"{name}.parquet", row_group_size=170, index=False)
        out.append(folder / f"{name}.parquet")
    return out


def test_exact_groups_are_the_same_from_disk_as_in_memory(paths):
    here = evaluate(*TABLES, only=EXACT, target=None)
    there = evaluate(*paths, only=EXACT, target=None, in_memory=100)
    for side in ("synthetic", "floor"):
        a, b = (getattr(report, side) for report in (here, there))
        assert list(a.values) == list(b.values)
        np.testing.assert_allclose(list(b.values.values()), list(a.values.values()), atol=1e-12)
        for name in a.columns:
            assert b.columns[name] == pytest.approx(a.columns[name], abs=1e-12)
        np.testing.assert_allclose(a.association, b.association, atol=1e-12)
    assert there.sizes == {group: 1_000 for group in EXACT} | {"train held": 100}


def test_a_path_to_a_small_file_is_read_whole_and_gives_the_same_report(paths):
    only = [*EXACT, "DCR", "NNDR"]
    here = evaluate(*TABLES, only=only, target=None)
    there = evaluate(str(paths[0]), paths[1], TABLES[2], only=only, target=None)
    assert there.to_json() == here.to_json()


def test_all_other_groups_take_the_stated_number_of_rows(paths):
    only = ["DCR", "NNDR", "C2ST", "density", "membership"]
    found = evaluate(*paths, only=only, target=None, in_memory=400, n_seeds=1)
    assert found.sizes == dict.fromkeys(only, 400) | {"train held": 400}
    assert all(np.isfinite(v) for v in found.synthetic.values.values())
    assert abs(found.floor.values["C2ST"] - 0.5) < 0.1


def test_an_unsorted_selection_comes_back_in_its_order(paths):
    stored = Stored(paths[0])
    at = np.random.default_rng(0).permutation(3_000)[:700]
    frame = stored.take(at).frame(10_000, 0)
    expected = TABLES[0].iloc[at].reset_index(drop=True)
    pd.testing.assert_frame_equal(frame.astype(expected.dtypes), expected, check_categorical=False)
    twice = stored.take(at).take(np.array([5, 3])).frame(10, 0)
    assert twice["files"].tolist() == TABLES[0]["files"].iloc[at[[5, 3]]].tolist()
    assert sum(len(part) for part in stored.take(at).batches()) == 700


def test_columns_and_dtypes_are_those_of_the_frame(paths):
    stored = Stored(paths[0])
    assert list(stored.columns) == list(TABLES[0]) and len(stored) == 3_000
    assert stored.dtypes["files"] == np.int64 and stored.dtypes["creationtime"] == np.float64
    for name in stored.columns:
        assert stored[name].tolist() == TABLES[0][name].tolist()


def test_the_index_a_frame_was_written_with_is_no_column(tmp_path):
    TABLES[0].iloc[5:50].to_parquet(tmp_path / "t.parquet")
    assert list(Stored(tmp_path / "t.parquet").columns) == list(TABLES[0])


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for times in (1, 12):
        path = tmp_path / f"{times}.parquet"
        part = pa.Table.from_pandas(table(20_000, 3), preserve_index=False)
        with pq.ParquetWriter(path, part.schema) as writer:
            for _ in range(times):
                writer.write_table(part)
        stored = Stored(path)
        association(stored)  # kernels compile, dictionaries are seen
        tracemalloc.start()
        association(stored)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.6 * peaks[0]


def test_a_table_written_twice_over_has_the_association_of_one(tmp_path):
    doubled = pd.concat([TABLES[0]] * 2, ignore_index=True)
    doubled.to_parquet(tmp_path / "t.parquet", row_group_size=997)
    stored = Stored(tmp_path / "t.parquet")
    np.testing.assert_allclose(association(stored), association(TABLES[0]), atol=1e-9)


def test_bad_files_are_refused_in_one_sentence(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match=r"t\.parquet: no readable Parquet table"):
        evaluate(tmp_path / "t.parquet", *TABLES[1:])
    with pytest.raises(FileNotFoundError, match=r"gone\.parquet is no file"):
        evaluate(tmp_path / "gone.parquet", *TABLES[1:])
    bad = TABLES[0].assign(files=TABLES[0]["files"].where(TABLES[0].index != 444))
    bad.to_parquet(tmp_path / "bad.parquet", row_group_size=100)
    message = "train: column 'files': 1 of 100 values are missing, e.g. row 444"
    with pytest.raises(ValueError, match=message):
        evaluate(tmp_path / "bad.parquet", *TABLES[1:], in_memory=100)


@pytest.fixture
def killed_once():
    """A measure in the registry that is interrupted the first time it is taken."""
    calls = []

    def measure(comparison):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return Score({"mean gap": float(comparison.rows["files"].mean())})

    MEASURES["mean gap"] = replace(MEAN_GAP, function=measure)
    yield calls
    del MEASURES["mean gap"]


def test_a_killed_evaluation_goes_on_with_what_it_had_finished(tmp_path, killed_once):
    settings = {"only": ["WD", "JSD", "NNDR", "mean gap"], "target": None, "n_seeds": 2}
    with pytest.raises(KeyboardInterrupt):
        evaluate(*TABLES, resume=tmp_path, **settings)
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert len(finished) == 3
    resumed = evaluate(*TABLES, resume=tmp_path, **settings)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    calls = len(killed_once)
    assert resumed.to_json() == evaluate(*TABLES, **settings).to_json()
    assert len(killed_once) > calls  # of an evaluation that keeps nothing
    assert all(path.suffix == ".json" for path in tmp_path.iterdir())


def test_what_is_kept_is_what_a_later_run_reads(tmp_path):
    evaluate(*TABLES, only="WD", target=None, resume=tmp_path)
    for path in tmp_path.glob("*.json"):
        kept = json.loads(path.read_text())
        kept["values"]["WD"] = 0.25
        path.write_text(json.dumps(sealed(kept)))
    again = evaluate(*TABLES, only="WD", target=None, resume=tmp_path)
    assert again.synthetic.values["WD"] == again.floor.values["WD"] == 0.25


def test_an_edited_score_is_measured_again(tmp_path):
    options = {"only": ["WD"], "target": None, "resume": tmp_path}
    first = evaluate(*TABLES, **options)
    for path in tmp_path.glob("*.json"):
        kept = json.loads(path.read_text())
        kept["values"]["WD"] = 0.25
        path.write_text(json.dumps(kept))
    assert evaluate(*TABLES, **options).to_json() == first.to_json()
    assert all(is_sealed(json.loads(path.read_text())) for path in tmp_path.glob("*.json"))


def test_other_tables_seeds_and_settings_are_not_taken_for_finished_ones(tmp_path):
    def run(synthetic, **options):
        options = {"only": ["WD"], "target": None, "resume": tmp_path} | options
        evaluate(TABLES[0], synthetic, TABLES[2], **options)
        return len(list(tmp_path.glob("*.json")))

    assert run(TABLES[1]) == 2 == run(TABLES[1])
    changed = TABLES[1].copy()
    changed.loc[7, "files"] += 1
    assert run(changed) == 3
    assert run(TABLES[1], seed=1) == 5
    assert run(TABLES[1], n_seeds=2) == 7


def test_a_damaged_finished_file_is_measured_again(tmp_path):
    options = {"only": ["WD"], "target": None, "resume": tmp_path}
    first = evaluate(*TABLES, **options)
    for path in tmp_path.glob("*.json"):
        path.write_text(path.read_text()[:20])
    assert evaluate(*TABLES, **options).to_json() == first.to_json()
    assert all(json.loads(path.read_text()) for path in tmp_path.glob("*.json"))


def test_content_and_not_place_makes_the_digest(paths, tmp_path):
    copy = tmp_path / "other.parquet"
    copy.write_bytes(paths[0].read_bytes())
    assert digest(Stored(copy)) == digest(Stored(paths[0])) != digest(Stored(paths[1]))
    assert digest(TABLES[0]) == digest(TABLES[0].copy()) != digest(TABLES[0].iloc[::-1])


def test_progress_says_what_is_measured_and_how_long_it_still_takes(capsys):
    evaluate(*TABLES, only=["WD", "NNDR"], target=None, progress=True)
    said = capsys.readouterr().err
    assert "synthetic: NNDR" in said and "real rows: WD" in said and "left" in said
    evaluate(*TABLES, only=["WD"], target=None)
    assert capsys.readouterr().err == ""


def test_every_group_has_an_expected_time():
    assert all(measure.seconds > 0 for measure in MEASURES.values()) and IN_MEMORY > 1_319_007


@pytest.mark.parametrize("at", [4, 100, 2_000, 9_000])
def test_a_damaged_file_is_refused_or_read_and_a_cut_one_is_refused(tmp_path, at):
    whole = tmp_path / "t.parquet"
    TABLES[0].to_parquet(whole, row_group_size=500, index=False)
    content = whole.read_bytes()
    whole.write_bytes(content[:at] + bytes(64) + content[at + 64 :])
    for most in (10_000, 100):  # pages carry no check sum: other numbers may be read
        try:
            evaluate(whole, *TABLES[1:], only=["WD", "JSD"], in_memory=most, target=None)
        except ValueError as error:
            assert "\n" not in str(error)
    whole.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"t\.parquet: no readable Parquet table"):
        evaluate(whole, *TABLES[1:], only=["WD"])


def test_a_file_that_changes_between_calls_is_refused(tmp_path):
    path = tmp_path / "train.parquet"
    TABLES[0].to_parquet(path, row_group_size=500)
    asked = Evaluator(path, TABLES[2], only=["WD"], target=None, in_memory=100)
    asked.report(TABLES[1])
    TABLES[0][:2_500].to_parquet(path, row_group_size=500)
    with pytest.raises(ValueError, match=r"train\.parquet must not change while it is scored"):
        asked.report(TABLES[1])
    path.unlink()
    with pytest.raises(ValueError, match=r"train\.parquet must not change while it is scored"):
        asked.report(TABLES[1])


def test_a_file_without_a_column_or_with_lists_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    TABLES[0].to_parquet(path)
    with pytest.raises(ValueError, match=r"t\.parquet must have the columns .* missing \['x'\]"):
        Stored(path, ["files", "x"])
    TABLES[0].assign(jobstatus=[[1]] * 3_000).to_parquet(path)
    for most in (10, 10_000):
        with pytest.raises(ValueError, match="train: column 'jobstatus' must hold single values"):
            evaluate(path, *TABLES[1:], only=["JSD"], in_memory=most)


def test_a_resume_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "f").touch()
    for path in (tmp_path / "f", tmp_path / "f" / "g", "/proc/nowhere"):
        with pytest.raises(ValueError, match="resume must be a folder that can be written, got"):
            evaluate(*TABLES, only=["WD"], target=None, resume=path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"values": []}', '{"values": {}, "spread": 1}'])
def test_a_strange_finished_file_is_measured_again(tmp_path, text):
    options = {"only": ["WD"], "target": None, "resume": tmp_path}
    first = evaluate(*TABLES, **options)
    for path in tmp_path.glob("*.json"):
        path.write_text(text)
    assert evaluate(*TABLES, **options).to_json() == first.to_json()


def test_a_folder_of_files_is_scored_as_the_one_file(paths, tmp_path):
    for i, rows in enumerate(np.array_split(np.arange(len(TABLES[0])), 3)):
        TABLES[0].iloc[rows].to_parquet(tmp_path / f"{i}.parquet", row_group_size=170, index=False)
    options = {"only": EXACT, "target": None, "in_memory": 100}
    whole, parts = (evaluate(train, *paths[1:], **options) for train in (paths[0], tmp_path))
    for side in ("synthetic", "floor"):  # sums are taken in other groups of rows
        a, b = (list(getattr(report, side).values.values()) for report in (whole, parts))
        np.testing.assert_allclose(a, b, atol=1e-12)
    at = np.array([5, 2_999, 1_200, 0])
    frame = Stored(tmp_path, rows=at).frame(10, 0)
    assert frame.astype(object).equals(Stored(paths[0], rows=at).frame(10, 0).astype(object))
