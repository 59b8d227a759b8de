"""benchmarks.fidelity: Table I from one command, restartable, and clear where input is bad."""

import contextlib
import io
import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from benchmarks import fidelity
from benchmarks.inputs import splits
from benchmarks.report import claims
from benchmarks.table1 import profile
from foundations import tables
from metrics import plots
from metrics.registry import TABLE_1, all_numbers

SCRIPT = "<script>alert('x')</script>"


def table(n=400, seed=0):
    rng = np.random.default_rng(seed)
    site = rng.choice(["BNL", "CERN", SCRIPT], n)
    size = rng.lognormal(20, 1, n)
    return pd.DataFrame(
        {
            "creationtime": rng.uniform(0, 20, n),
            "bytes $x$": size.round(),
            "work": size**0.5 * (1 + (site == "BNL")),
            "site": site,
            SCRIPT: rng.random(n) < 0.5,
        }
    )


class Resampler:
    """A generator from outside: rows of train drawn again with noise; counts its fits."""

    fits, interrupted = 0, False

    def fit(self, table, *, seed=0, **_):
        Resampler.fits += 1
        self.table_, self.n_steps_ = table, 7
        self.losses_ = pd.DataFrame({"step": [1, 2], "loss": [2.0, 1.0]})
        return self

    def sample(self, n, *, seed=0):
        if Resampler.interrupted:
            raise KeyboardInterrupt
        rows = self.table_.sample(n, replace=True, random_state=seed).reset_index(drop=True)
        return rows.assign(work=rows["work"] * 1.01)

    def __repr__(self):
        return "Resampler()"


TINY = """n_train = 200
n_holdout = 60
n_mlef = 100
budget = 1.0
metrics = ["WD", "JSD", "diff-CORR", "DCR", "temporal"{}]
"""


MINE = f"{__name__}:Resampler"
FILES = MINE.replace(":", ".")


def prepare(folder):
    """The command with two small profiles of one's own, and the count of fits at zero."""
    (folder / "tiny.toml").write_text(TINY.format(""))
    (folder / "full.toml").write_text(TINY.format(', "diff-MLEF"'))
    Resampler.fits, Resampler.interrupted = 0, False
    return lambda *words, profile="tiny": fidelity.main(
        ["--profile", str(folder / f"{profile}.toml"), "--quiet", *map(str, words)]
    )


@pytest.fixture
def command(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("configs"))


@pytest.fixture
def file(tmp_path):
    return write_table(tmp_path)


def write_table(folder):
    path = folder / f"table{SCRIPT.replace('/', '')}.csv"
    table().to_csv(path, index=False)
    return path


def arguments(file, out, *models):
    return ["--data", file, "--target", "work", "--out", out, "--generators", *models]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of one finished run, and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run = prepare(tmp_path_factory.mktemp("configs"))
        models = arguments(write_table(folder), folder / "out", MINE, "smote")
        assert run(*models, profile="full") == 0
    return folder / "out", printed.getvalue()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_train = ", "own.toml: no profile: Invalid value"),
        ("n_trian = 5", "own.toml: no profile: got an unexpected keyword argument 'n_trian'"),
        ("n_train = 5", "own.toml: no profile: missing 2 required"),
    ],
)
def test_a_profile_that_is_none_is_refused_in_one_sentence(text, message, tmp_path, capsys):
    (tmp_path / "own.toml").write_text(text)
    assert fidelity.main(["--profile", str(tmp_path / "own.toml"), "--dry-run"]) == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_a_table_of_dates_and_gaps_is_learned_scored_and_drawn(command, tmp_path):
    rows = table()
    start = pd.Timestamp("2024-03-01", tz="America/Chicago")
    rows["start"] = start + pd.to_timedelta(rows.pop("creationtime"), unit="D")
    rows["site"] = rows["site"].mask(np.arange(400) % 9 == 0)
    rows.drop(columns=SCRIPT).to_parquet(tmp_path / "dated.parquet")
    out = tmp_path / "out"
    assert command(*arguments(tmp_path / "dated.parquet", out, "smote"), profile="full") == 0
    (row,) = json.loads((out / "table1.json").read_text())["rows"]
    assert all(np.isfinite(row[name]) for name in TABLE_1)
    assert "start" in (out / "report.html").read_text()


def test_the_command_writes_table_1_in_the_agreed_shape(finished):
    out, printed = finished
    result = json.loads((out / "table1.json").read_text())
    row_keys = {"model", *TABLE_1, "fit_seconds", "steps", "sample_rows_per_s", "under_trained"}
    assert [row["model"] for row in result["rows"]] == [MINE, "smote"]
    assert all(row_keys <= set(row) for row in result["rows"])
    assert set(TABLE_1) <= set(result["floor"])
    assert all({"claim", "holds"} <= set(claim) for claim in result["claims"])
    assert result["published"] == claims.PUBLISHED
    assert {"config", "versions", "command", "seed"} <= set(result)
    assert (result["n_train"], result["n_holdout"], result["n_synthetic"]) == (200, 60, 30)
    assert result["n_mlef"] == 100
    assert f"| {MINE} |" in printed and "real rows" in printed and "tabddpm (published)" in printed
    assert (out / "table1.md").read_text() in printed


def test_a_learner_of_few_steps_is_called_under_trained(finished):
    out, printed = finished
    result = json.loads((out / "table1.json").read_text())
    mine, smote = result["rows"]
    assert mine["under_trained"] and mine["steps"] == 7
    assert not smote["under_trained"] and smote["steps"] is None
    assert f"{MINE} is under-trained: 7 steps, published 30,000" in printed


def test_everything_is_kept_beside_the_table(finished):
    out, _ = finished
    found = {str(p.relative_to(out)) for p in out.rglob("*.*")}
    assert {
        "table1.json",
        "table1.md",
        "report.html",
        f"losses/{FILES}.csv",
        f"samples/{FILES}.parquet",
        "figures/fig4a-numericals.svg",
        "figures/fig4b-categories.svg",
        "figures/fig5-associations.svg",
        "models/smote/generator.json",
    } <= found
    assert not [name for name in found if name.endswith((".part", ".checkpoint"))]


def test_finished_rows_are_kept_and_changed_ones_made_again(command, file, tmp_path):
    out = tmp_path / "out"
    command(*arguments(file, out, MINE))
    first = json.loads((out / "table1.json").read_text())
    command(*arguments(file, out, MINE))
    assert Resampler.fits == 1
    assert json.loads((out / "table1.json").read_text())["rows"] == first["rows"]
    (out / "samples" / f"{FILES}.parquet").unlink()
    command(*arguments(file, out, MINE))
    assert Resampler.fits == 2
    kept = out / "rows" / f"{FILES}.json"
    edited = kept.read_text().replace('"WD": ', '"WD": 1')
    kept.write_text(edited)
    command(*arguments(file, out, MINE))
    assert Resampler.fits == 3 and kept.read_text() != edited
    assert json.loads((out / "table1.json").read_text())["rows"][0]["WD"] == first["rows"][0]["WD"]
    assert command(*arguments(file, out, MINE, "smote")) == 0  # one more is still the same run
    assert Resampler.fits == 3


def test_a_folder_is_that_of_one_run(command, file, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(*arguments(file, out, MINE)) == 0
    before = contents(out)
    capsys.readouterr()
    other = file.with_name("other.csv")
    table(seed=9).to_csv(other, index=False)
    for words, options, differs in (
        (arguments(file, out, MINE, "--seed", 5), {}, "seed 0 instead of 5"),
        (arguments(file, out, MINE, "--repeats", 2), {}, "seed 0 instead of [0, 1]"),
        (arguments(file, out, MINE, "--budget", 2), {}, "budget 1.0 instead of 2.0"),
        (arguments(other, out, MINE), {}, "other data"),
        (
            arguments(file, out, MINE),
            {"profile": "full"},
            "profile 'tiny' instead of 'full', other met",
        ),
    ):
        assert command(*words, **options) == 1
        said = capsys.readouterr().err
        assert f"error: {out} holds another run, with {differs}" in said and said.count("\n") == 1
        assert contents(out) == before
    (out / "run.json").unlink()
    assert command(*arguments(file, out, MINE)) == 1
    assert "holds a run that does not say its options" in capsys.readouterr().err


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_a_killed_run_left_hidden_is_swept_by_the_next(command, file, tmp_path):
    out = tmp_path / "out"
    assert command(*arguments(file, out, MINE)) == 0
    draft = out / "models" / ".smote.checkpoint.abcdefgh.draft"
    draft.mkdir()
    (draft / "smote.checkpoint").write_bytes(b"half")
    assert command(*arguments(file, out, MINE)) == 0
    assert not draft.exists()


def test_a_stopped_run_goes_on_where_it_was(command, file, tmp_path, capsys):
    out = tmp_path / "out"
    Resampler.interrupted = True
    assert command(*arguments(file, out, "smote", MINE)) == 130
    Resampler.interrupted = False
    assert "resumes where this one was interrupted" in capsys.readouterr().err
    assert not (out / "table1.json").exists()
    before = (out / "rows" / "smote.json").stat().st_mtime_ns
    assert command(*arguments(file, out, "smote", MINE)) == 0
    assert (out / "rows" / "smote.json").stat().st_mtime_ns == before
    assert len(json.loads((out / "table1.json").read_text())["rows"]) == 2


def test_data_never_becomes_markup(finished):
    out, _ = finished
    page = (out / "report.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page
    for figure in (out / "figures").iterdir():
        assert "<script" not in figure.read_text()


def test_logarithmic_axes_have_labels_one_can_read():
    long_tail = pd.DataFrame({"bytes": np.random.default_rng(0).lognormal(20, 3, 2_000)})
    drawn = plots.svg(plots.numericals(long_tail, {"mine": long_tail}))
    assert "<!-- 1e8 -->" in drawn and "math" not in drawn


def test_the_page_needs_no_other_file(finished):
    out, _ = finished
    page = (out / "report.html").read_text()
    assert page.count("data:image/svg+xml;base64,") >= 4
    assert 'src="http' not in page and "<link" not in page
    assert 'name="viewport"' in page


@pytest.mark.slow
@pytest.mark.parametrize("width", [500, 1200])
def test_the_page_opens_in_a_browser_without_complaint(finished, tmp_path, width):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium on this machine")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--disable-quic",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path}",
        "--dump-dom",
        f"--window-size={width},900",
    ]
    page = (finished[0] / "report.html").as_uri()
    run = subprocess.run([browser, *flags, page], capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in run.stderr
    assert "Verdict" in run.stdout and "<script" not in run.stdout


def test_the_page_says_what_its_claims_stand_on(finished):
    page = (finished[0] / "report.html").read_text()
    assert "rows are scored: the order of the models may be due to chance" in page


def test_a_folder_of_ingest_brings_its_split_and_its_cascade(command, tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    table(300, 1).to_parquet(folder / "train.parquet")
    table(80, 2).to_parquet(folder / "test.parquet")
    stages = [
        {"stage": "raw", "kept": 900, "dropped": {}},
        {"stage": f"valid {SCRIPT}", "kept": 380, "dropped": {f"no {SCRIPT}": 520}},
    ]
    (folder / "cascade.json").write_text(json.dumps({"stages": stages}))
    assert command(*arguments(folder, tmp_path / "out", MINE)) == 0
    figure = (tmp_path / "out" / "figures" / "fig3b-cascade.svg").read_text()
    assert "<svg" in figure and "<script" not in figure


def test_without_a_target_diff_mlef_is_left_out(command, file, tmp_path, capsys):
    assert command("--data", file, "--out", tmp_path / "out", "--generators", MINE) == 0
    result = json.loads((tmp_path / "out" / "table1.json").read_text())
    assert result["rows"][0]["diff-MLEF"] is None and result["n_mlef"] is None
    assert "No --target was given" in capsys.readouterr().out


def spoiled(change):
    def write(path):
        change(table()).to_csv(path, index=False)

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "error: table.csv: no such file"),
        (lambda path: path.write_text(""), "table.csv: no readable CSV or Parquet table"),
        (lambda path: path.write_text("a,b\n"), "table.csv must have at least one row"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00\x9c" * 9), "table.csv: no readable"),
        (lambda path: path.write_text("a,b,a\n1,2,3\n"), "must differ, got 'a' more than once"),
        (lambda path: path.write_text("a,work\n1,2\n3,4\n"), "too few rows"),
        (spoiled(lambda t: t.assign(work=np.inf)), "'work': 400 of 400 values are infinite"),
        (spoiled(lambda t: t.drop(columns="work")), "--target must be a column, got 'work'"),
        (spoiled(lambda t: t.assign(work="a")), "--target must be a numerical column, got 'work'"),
    ],
)
def test_bad_data_ends_with_one_sentence_and_writes_nothing(
    write, message, command, tmp_path, capsys
):
    path, out = tmp_path / "table.csv", tmp_path / "out"
    write(path)
    assert command(*arguments(path, out, "smote")) == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--generators", "nope"], "unknown generator 'nope'; known: smote"),
        (["--profile", "huge"], "unknown profile 'huge'; known: converged, large"),
        (["--profile", "nowhere.toml"], "unknown profile 'nowhere.toml'; known: converged"),
        (["--budget", "-1"], "--budget must be positive seconds, got -1"),
        (["--seed", "-1"], "--seed must not be negative"),
    ],
)
def test_bad_options_end_with_one_sentence(words, message, command, file, tmp_path, capsys):
    assert command("--data", file, "--out", tmp_path / "out", *words) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_parquet_with_two_columns_of_one_name_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="must differ, got 'a' more than once"):
        splits.read_table(tmp_path / "t.parquet")


def test_a_damaged_parquet_file_is_refused(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match=r"t\.parquet: no readable CSV or Parquet table"):
        splits.read_table(tmp_path / "t.parquet")


def test_csv_and_parquet_give_one_table(tmp_path):
    table().to_csv(tmp_path / "t.csv.gz", index=False)
    table().to_parquet(tmp_path / "t.parquet")
    csv, parquet = (splits.read_table(tmp_path / name) for name in ("t.csv.gz", "t.parquet"))
    assert list(csv.dtypes.astype(str)) == list(parquet.dtypes.astype(str))
    assert tables.digest(csv.assign(site=csv["site"].astype(str))) == tables.digest(
        parquet.assign(site=parquet["site"].astype(str))
    )


def test_drawn_rows_never_overlap():
    whole = pd.DataFrame({"x": np.arange(1000.0)})
    data = splits.Split("t", *splits._at_random(whole, 0))
    cut, extra = splits.subsample(data, 300, 100, 450, 0)
    parts = [set(t["x"]) for t in (cut.train, cut.test, extra)]
    assert [len(p) for p in parts] == [300, 100, 450]
    assert len(set.union(*parts)) == 850


def rows(**columns):
    names = ("tvae", "ctabganplus", "smote", "tabddpm")
    return [{"model": n} | {c: v[i] for c, v in columns.items()} for i, n in enumerate(names)]


def test_all_claims_hold_on_the_published_rows():
    assert [c["holds"] for c in claims.check(claims.PUBLISHED)] == [True] * len(claims.CLAIMS)


def test_claims_about_models_not_run_hold_null():
    found = claims.check([r for r in claims.PUBLISHED if r["model"] in ("smote", "tabddpm")])
    judged = [c["claim"] for c in found if c["holds"] is not None]
    assert judged == ["SMOTE has the lowest DCR", "SMOTE has the lowest diff-MLEF"]
    assert all(c["not_run"] == ["TVAE", "CTABGAN+"] for c in found)


def test_a_claim_fails_where_one_pair_fails():
    found = {c["claim"]: c["holds"] for c in claims.check(rows(DCR=[0.1, 0.2, 0.3, 0.4]))}
    assert found["SMOTE has the lowest DCR"] is False
    assert found["SMOTE has the lowest diff-MLEF"] is None


def test_a_dry_run_prints_the_configuration_and_writes_nothing(command, file, tmp_path, capsys):
    assert command(*arguments(file, tmp_path / "out", "smote"), "--dry-run", "--budget", 9) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["budget"], shown["n_train"]) == (9.0, 200)
    assert shown["generators"] == {"smote": {"k": 5, "rare": 0.01}}
    assert not (tmp_path / "out").exists()


def test_the_shipped_profiles_are_read():
    names = ("smoke", "standard", "paper")
    smoke, standard, paper = (profile.Profile.read(name) for name in names)
    assert smoke.n_train < standard.n_train == 50_000 and standard.n_holdout == 12_500
    assert (paper.n_train, paper.steps) == (1_319_007, 30_000)
    assert paper.rows() == (*standard.rows(), "tabddpm-paper")
    assert paper.options("tabddpm-paper") == ("tabddpm", {"preset": "paper"})


def test_a_row_of_a_profile_may_have_a_generator_and_a_number_of_steps_of_its_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        "n_train = 9\nn_holdout = 4\nn_mlef = 4\nsteps = 30\n"
        '[generators.small]\ngenerator = "tvae"\nd_hidden = [8]\nsteps = 5\n'
    )
    mine = profile.Profile.read(str(path))
    assert mine.options("small") == ("tvae", {"d_hidden": [8]})
    assert (mine.steps_of("small"), mine.steps_of("tvae")) == (5, 30)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("WD", 0.02, "good"),
        ("WD", 0.05, "fair"),
        ("WD", 0.2, "bad"),
        ("DCR", 0.001, "bad"),
        ("DCR", 0.11, "good"),
        ("C2ST", 0.99, "bad"),
        ("diff-MLEF", 0.01, "good"),
        ("diff-MLEF", 3.0, "bad"),
        ("closer to train", 0.6, "bad"),
        ("JSD root", 0.5, ""),
    ],
)
def test_numbers_are_graded_by_their_distance_from_the_floor(key, value, expected):
    floor = {
        "WD": 0.01,
        "DCR": 0.1,
        "C2ST": 0.5,
        "diff-MLEF": 0.01,
        "MLEF": 0.5,
        "closer to train": 0.5,
        "JSD root": 0.1,
    }
    assert all_numbers()[key].grade({key: value}, floor) == expected


def test_several_seeds_give_one_table_of_means(command, file, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(*arguments(file, out, MINE, "smote"), "--repeats", 2) == 0
    result = json.loads((out / "table1.json").read_text())
    singles = [
        json.loads(path.read_text())["row"]["WD"]
        for path in sorted(out.glob(f"seed-*/rows/{FILES}.json"))
    ]
    assert len(set(singles)) == 2
    assert result["rows"][0]["WD"] == pytest.approx(np.mean(singles))
    assert result["seed"] == [0, 1] and "±" in capsys.readouterr().out
    assert (out / "report.html").is_file()


def test_repeats_must_be_positive(command, file, tmp_path, capsys):
    assert command(*arguments(file, tmp_path / "out", MINE), "--repeats", 0) == 1
    assert capsys.readouterr().err == "error: --repeats must be at least 1, got 0\n"


def test_a_table_without_a_creation_time_is_scored_without_rhythms(command, file, tmp_path):
    timeless = tmp_path / "timeless.csv"
    pd.read_csv(file).rename(columns={"creationtime": "when"}).to_csv(timeless, index=False)
    for path in (file, timeless):
        assert command(*arguments(path, tmp_path / path.stem, MINE)) == 0
    scored = [
        json.loads((tmp_path / path.stem / "table1.json").read_text())["floor"]
        for path in (file, timeless)
    ]
    assert ["hour JSD" in floor for floor in scored] == [True, False]
