"""Ingest of raw dumps in every format and with every kind of bad row; read, write and split."""

import gzip
import io
import json
import re
import subprocess
import sys
import traceback

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandaenv import nomenclature, records, schema, sites
from pandaenv.records import ingest, read, split, write
from pandaenv.schema import SchemaError
from tests.raw_dump import (
    SECRETS,
    UNREADABLE_LINES,
    random_records,
    raw_table,
    with_bad_rows,
    write_dump,
)

pytest.importorskip("duckdb")
FORMATS = ["dump.csv", "dump.csv.gz", "dump.parquet", "dump.json", "dump.json.gz"]
REAL = random_records(300)
RAW, DROPPED = with_bad_rows(raw_table(REAL))


def dropped(cascade) -> dict[str, int]:
    return {r: n for stage in cascade.stages for r, n in stage.dropped.items() if n}


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(list(schema.COLUMNS), ignore_index=True)


def assert_no_secret(*texts: str) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in text


def ingest_raw(raw: pd.DataFrame, folder, **options):
    return ingest(write_dump(raw, folder / "dump.parquet"), folder / "out", **options)


# --- the whole way, by format --------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_good_rows_come_back_and_bad_ones_are_counted_by_reason(name, tmp_path, capfd):
    cascade = ingest(write_dump(RAW, tmp_path / name, garbage=True), tmp_path / "out")
    pd.testing.assert_frame_equal(
        read(tmp_path / "out/records.parquet"), in_order(REAL), rtol=1e-12
    )
    n_unreadable = {"csv": len(UNREADABLE_LINES), "json": 2, "parquet": 0}[name.split(".")[1]]
    expected = DROPPED | ({"unreadable line": n_unreadable} if n_unreadable else {})
    assert dropped(cascade) == expected
    assert [s.stage for s in cascade.stages] == list(records.STAGES)
    assert cascade.stages[0].kept == len(RAW) and cascade.stages[-1].kept == len(REAL)
    assert json.loads((tmp_path / "out/cascade.json").read_text()) == json.loads(cascade.to_json())
    assert_no_secret(str(cascade), cascade.to_json(), *capfd.readouterr())


def test_every_format_and_row_order_gives_the_same_bytes(tmp_path):
    for name in FORMATS:
        raw = RAW.sample(frac=1, random_state=len(name))
        ingest(write_dump(raw, tmp_path / name), tmp_path / name.replace(".", "_"))
    for output in records.OUTPUTS:
        files = [tmp_path / name.replace(".", "_") / output for name in FORMATS]
        assert len({file.read_bytes() for file in files}) == 1


def test_column_order_and_letter_case_do_not_matter(tmp_path):
    raw = RAW.sample(frac=1, axis=1, random_state=0).rename(columns=lambda c: f" {c.title()} ")
    raw['we"ird, "na"me'] = "zzuser"
    for name in ("dump.csv", "dump.parquet", "dump.json"):
        assert dropped(ingest(write_dump(raw, tmp_path / name), tmp_path / "out")) == DROPPED


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_line_ends_and_a_byte_order_mark_are_read(delimiter, tmp_path):
    text = RAW.to_csv(index=False, sep=delimiter, lineterminator="\r\n")
    (tmp_path / "dump.txt").write_text("\ufeff" + text, encoding="utf-8", newline="")
    assert dropped(ingest(tmp_path / "dump.txt", tmp_path / "out")) == DROPPED


@pytest.mark.parametrize("name", ["x'; drop table.csv", 'a "b".csv', "[a]*?.csv", "k=v.csv"])
def test_no_file_name_is_read_as_sql_or_as_a_pattern(name, tmp_path):
    folder = tmp_path / "year=2024; --"
    folder.mkdir()
    assert dropped(ingest(write_dump(RAW, folder / name), folder / "out")) == DROPPED


def test_dumps_of_several_formats_add_up_and_repeated_jobs_count_once(tmp_path):
    half = len(RAW) // 2
    parts = [RAW[:half], RAW[half:], RAW[:half]]
    dumps = [write_dump(p, tmp_path / n) for p, n in zip(parts, FORMATS[1:], strict=False)]
    cascade = ingest(dumps, tmp_path / "out")
    assert cascade.stages[0].kept == len(RAW) + half
    pd.testing.assert_frame_equal(
        read(tmp_path / "out/records.parquet"), in_order(REAL), rtol=1e-12
    )


def test_native_parquet_types_and_time_zones_are_understood(tmp_path):
    raw = raw_table(REAL)
    moment = pd.to_datetime(raw["creationtime"]).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    whole = ["pandaid", "corecount", "ninputdatafiles", "inputfilebytes"]
    typed = raw.assign(creationtime=moment, cpuconsumptiontime=raw["cpuconsumptiontime"].map(float))
    ingest_raw(typed.astype(dict.fromkeys(whole, "int64")), tmp_path)
    pd.testing.assert_frame_equal(
        read(tmp_path / "out/records.parquet"), in_order(REAL), rtol=1e-12
    )


def test_workload_is_cores_times_power_times_cpu_seconds(tmp_path):
    raw = raw_table(REAL.head(2))
    raw["computingsite"] = ["BNL-ATLAS", "SOMEWHERE_ELSE"]
    raw["actualcorecount"], raw["corecount"] = ["8", ""], ["1", "4"]
    raw["cpuconsumptiontime"] = "100"
    cascade = ingest_raw(raw, tmp_path)
    catalogue = sites.catalogue("all")
    power = dict(zip(catalogue.names, catalogue.power, strict=True))
    by_site = read(tmp_path / "out/records.parquet").set_index("computingsite")["workload"]
    assert by_site["BNL-ATLAS"] == pytest.approx(8 * 100 * power["BNL-ATLAS"])
    assert by_site["SOMEWHERE_ELSE"] == pytest.approx(4 * 100 * 10)
    assert cascade.default_power == {"gflops_per_core": 10.0, "sites": 1, "records": 1}


def test_time_counts_from_the_monday_before_the_first_record(tmp_path):
    raw = raw_table(REAL.head(2)).assign(
        creationtime=["2024-03-06 12:00:00", "2024-03-11T00:00:00Z"]
    )
    cascade = ingest_raw(raw, tmp_path)
    assert cascade.origin == "2024-03-04T00:00:00Z"
    assert read(tmp_path / "out/records.parquet")["creationtime"].tolist() == [2.5, 7.0]


# --- where the data set comes from ---------------------------------------------------------------

PLACES = [
    # proddblock, inputfileproject, inputfiletype, jobname, destinationdblock -> fields, source
    (("mc20_13TeV:mc20_13TeV.1.x.deriv.DAOD_PHYS.p1/", "", "", "", ""),
     ("mc20_13TeV", "deriv", "DAOD_PHYS"), 0),
    (("", "mc20_13TeV", "DAOD_PHYS", "zz.deriv.DAOD_PHYS.x", ""),
     ("mc20_13TeV", "deriv", "DAOD_PHYS"), 1),
    (("", "", "", "user.zz.mc16_13TeV.3.y", "user.zz.merge.DAOD_TOPQ1.v2"),
     ("mc16_13TeV", "merge", "DAOD_TOPQ1"), 2),
    (("unreadable", "mc20_13TeV", "DAOD_PHYS", "", "zz_PhysCont_v1"),
     ("mc20_13TeV", "PhysCont", "DAOD_PHYS"), 1),
    (("zzproject.1.x.deriv.DAOD_PHYS.p1", "data18_13TeV", "AOD", "", ""),
     ("data18_13TeV", "deriv", "DAOD_PHYS"), 0),
]  # fmt: skip
FIELDS = ["proddblock", "inputfileproject", "inputfiletype", "jobname", "destinationdblock"]


@pytest.mark.parametrize(("values", "fields", "source"), PLACES)
def test_the_data_set_is_taken_from_the_first_place_that_has_it(values, fields, source, tmp_path):
    raw = raw_table(REAL.head(3)).assign(**dict(zip(FIELDS, values, strict=True)))
    cascade = ingest_raw(raw, tmp_path)
    kept = read(tmp_path / "out/records.parquet")[["project", "prodstep", "datatype"]]
    assert set(kept.itertuples(index=False, name=None)) == {fields}
    assert list(cascade.sources.values()) == [3 * (i == source) for i in range(3)]


def test_a_missing_field_drops_the_row_or_becomes_unknown(tmp_path):
    raw = raw_table(REAL)
    first = raw.index < 10
    raw.loc[first, ["proddblock", "jobname", "destinationdblock"]] = ""
    strict = ingest_raw(raw, tmp_path)
    assert dropped(strict) == {"prodstep missing": 10} and strict.unknown == 0
    lenient = ingest_raw(raw, tmp_path, allow_unknown=True)
    assert dropped(lenient) == {} and lenient.unknown == 10
    assert (read(tmp_path / "out/records.parquet")["prodstep"] == "unknown").sum() == 10


def test_no_format_is_invented_where_the_input_is_not_known(tmp_path):
    raw = raw_table(REAL.head(5)).assign(**dict.fromkeys(FIELDS, ""))
    with pytest.raises(ValueError, match="nothing is kept of 5 rows.*5 input data set missing"):
        ingest_raw(raw, tmp_path, allow_unknown=True)


def test_the_engine_reads_names_as_the_python_rules_do(tmp_path):
    rng = np.random.default_rng(0)
    parts = [
        "mc20_13TeV",
        "alice",
        "deriv",
        "DAOD_PHYS",
        "AOD",
        "user",
        "x-1",
        "",
        "410470",
        "merge",
    ]
    names = [".".join(rng.choice(parts, rng.integers(4, 8))) for _ in range(400)]
    names += [f"mc20_13TeV:{n}/" for n in names[:100]]
    raw = raw_table(random_records(len(names))).assign(
        proddblock=names, inputfileproject="", inputfiletype="", jobname="", destinationdblock=names
    )
    raw["inputfilebytes"] = [str(i + 1) for i in range(len(names))]
    ingest_raw(raw, tmp_path)
    kept = read(tmp_path / "out/records.parquet").sort_values("inputfilebytes")
    expected = [(i + 1, *fields) for i, n in enumerate(names) if (fields := fields_of(n))]
    columns = ["inputfilebytes", "project", "prodstep", "datatype"]
    assert list(kept[columns].itertuples(index=False, name=None)) == expected


def fields_of(name: str) -> tuple[str, str, str] | None:
    """Fields by `nomenclature` of a row that has `name` for input and for output."""
    if nomenclature.is_private(name):
        return None
    words = nomenclature.find(name)
    project, prodstep, datatype = words.project, words.prodstep, words.datatype
    if re.match(nomenclature.NAME, name):
        parsed = nomenclature.parse(name)
        datatype = parsed.datatype
        project = _if_word(parsed.project, nomenclature.PROJECT) or project
        prodstep = _if_word(parsed.prodstep, nomenclature.PRODSTEP) or prodstep
    datatype = _if_word(datatype, nomenclature.DAOD)
    return (project, prodstep, datatype) if project and prodstep and datatype else None


def _if_word(text: str, pattern: str) -> str:
    return text if re.fullmatch(pattern, text) else ""


# --- nothing personal gets out -------------------------------------------------------------------


@pytest.mark.parametrize("allow_unknown", [False, True])
def test_no_user_job_or_id_is_in_any_output(allow_unknown, tmp_path, capfd):
    path = write_dump(RAW, tmp_path / "dump.csv", garbage=True)
    ingest(path, tmp_path / "out", allow_unknown=allow_unknown)
    for name in records.OUTPUTS:
        content = (tmp_path / "out" / name).read_bytes().decode("latin-1")
        assert_no_secret(content)
    for name in records.OUTPUTS[:3]:
        frame = pd.read_parquet(tmp_path / "out" / name)
        assert list(frame) == list(schema.COLUMNS)
        assert_no_secret(frame.to_csv(), str(frame.columns))
        assert_no_secret(*(str(list(frame[c].cat.categories)) for c in schema.CATEGORICAL))
    assert_no_secret(*capfd.readouterr())


def damaged_dumps() -> dict[str, bytes]:
    """Files that are no dump or broken ones, full of secrets."""
    csv = RAW.to_csv(index=False).encode()
    parquet = io.BytesIO()
    RAW.to_parquet(parquet, index=False)
    text = json.dumps({"jobs": RAW.to_dict("records")}).encode()
    return {
        "empty": b"",
        "blank": b" \n\n",
        "binary": b"\x7fELF\0zzuser" * 50,
        "headerless.csv": b"\n".join(csv.splitlines()[1:]),
        "prose.txt": b"zzuser wrote to zzjob about 9876543\n" * 3,
        "quote.csv": b'"zzuser' * 100_000,
        "twice.csv": csv.replace(b"starttime", b"JobStatus", 1),
        "lacking.csv": RAW.drop(columns="jobstatus").to_csv(index=False).encode(),
        "cut.parquet": parquet.getvalue()[: len(parquet.getvalue()) // 2],
        "garbled.parquet": parquet.getvalue().replace(b"zzuser", b"\xff\xfe\xff\xff\xff\xff"),
        "cut.csv.gz": gzip.compress(csv)[:-2000],
        "cut.json": text[: len(text) // 2],
        "text.json": b'{"zzuser": "9876543"}',
        "list.json": b'[{"produsername": "zzuser"}]',
        "numbers.json": b"[1, 2, 3]",
        "after.json": text + b" zzuser",
        "twice.json": text.replace(b'"starttime"', b'"JobStatus"', 1),
        "comma.json": b'{"jobs": [{"a": 1} zzuser {"a": 2}]}',
        "deep.json": b"[" * 100_000,
        "header.csv": csv.splitlines()[0] + b"\n",
        "managed.csv": csv.replace(b",user,", b",zzuser,"),
    }


@pytest.mark.parametrize("name", damaged_dumps())
def test_a_file_that_is_no_dump_ends_in_one_clear_sentence(name, tmp_path, capfd):
    path = tmp_path / name
    path.write_bytes(damaged_dumps()[name])
    with pytest.raises(ValueError) as error:
        ingest(path, tmp_path / "new/out")
    message = str(error.value)
    assert len(message) < 400 and "\n" not in message
    shown = "".join(traceback.format_exception(error.value))
    assert_no_secret(message, shown.replace(str(path), ""), *capfd.readouterr())
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_what_was_there_stays_when_ingest_fails(tmp_path):
    ingest_raw(RAW, tmp_path)
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    (tmp_path / "bad.csv").write_bytes(damaged_dumps()["managed.csv"])
    with pytest.raises(ValueError, match=f"nothing is kept of {len(RAW)} rows"):
        ingest(tmp_path / "bad.csv", tmp_path / "out")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_ingest_refuses_wrong_arguments(tmp_path):
    dump = write_dump(RAW, tmp_path / "records.parquet")
    with pytest.raises(FileNotFoundError, match="missing.csv does not exist"):
        ingest(tmp_path / "missing.csv", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        ingest(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="at least one dump, got none"):
        ingest([], tmp_path / "out")
    with pytest.raises(ValueError, match="split must be 'random' or 'time', got 'weekly'"):
        ingest(dump, tmp_path / "out", split="weekly")
    with pytest.raises(ValueError, match="must be a folder; .* is a file"):
        ingest(dump, dump)
    with pytest.raises(ValueError, match="would overwrite the dump"):
        ingest(dump, tmp_path)


def test_a_missing_extra_names_the_line_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ImportError, match=r"pip install 'pandaenv\[ingest\]'"):
        ingest(tmp_path / "dump.csv", tmp_path / "out")


# --- the JSON stream -----------------------------------------------------------------------------

value = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers())
job = st.dictionaries(st.sampled_from([*records.RAW, "other", "é"]), value, max_size=6)


@given(st.lists(job | st.integers(), max_size=8), st.integers(1, 40), st.booleans(), st.booleans())
def test_jobs_are_the_same_however_the_stream_is_cut(jobs, chunk, bare, indented):
    document = jobs if bare else {"note": {"jobs": [1]}, "jobs": jobs, "rest": [3.5, "]"]}
    text = json.dumps(document, indent=1 if indented else None)
    stream = records._Jobs(io.StringIO(text), "dump.json")
    stream.CHUNK, stream.ROWS = chunk, 3
    rows = [row for batch in stream.batches() for row in batch.to_pylist()]
    good = [j for j in jobs if isinstance(j, dict)]
    assert stream.n_unreadable == len(jobs) - len(good)
    assert [[r[n] is None for n in records.RAW] for r in rows] == [
        [j.get(n) is None for n in records.RAW] for j in good
    ]
    texts = [(n, v) for j in good for n in records.RAW if isinstance(v := j.get(n), str)]
    assert [v for _, v in texts] == [
        r[n]
        for r, j in zip(rows, good, strict=True)
        for n in records.RAW
        if isinstance(j.get(n), str)
    ]


def test_half_a_surrogate_pair_does_not_stop_the_stream():
    stream = records._Jobs(io.StringIO('[{"jobname": "\\ud800x", "jobstatus": true}]'), "x")
    (batch,) = stream.batches()
    assert batch["jobname"].to_pylist() == ["?x"] and batch["jobstatus"].to_pylist() == ["True"]


# --- split, read, write --------------------------------------------------------------------------


def test_the_files_split_is_the_functions_split(tmp_path):
    for by in ("random", "time"):
        cascade = ingest_raw(RAW, tmp_path, split=by, seed=7)
        whole = read(tmp_path / "out/records.parquet")
        for part, name in zip(split(whole, by=by, seed=7), ("train", "test"), strict=True):
            saved = read(tmp_path / f"out/{name}.parquet")
            pd.testing.assert_frame_equal(saved, schema.check(part.reset_index(drop=True)))
        assert (cascade.split["train"], cascade.split["test"]) == (240, 60)


@given(st.integers(1, 200), st.integers(0, 5), st.sampled_from(["random", "time"]))
def test_a_split_parts_the_rows_four_to_one(n, seed, by):
    train, test = split(REAL.head(n), by=by, seed=seed)
    assert len(test) == round(0.2 * n)
    assert sorted([*train.index, *test.index]) == list(range(n))
    again, _ = split(REAL.head(n), by=by, seed=seed)
    assert again.index.equals(train.index)


def test_a_time_split_tests_on_the_last_days():
    train, test = split(REAL.sample(frac=1, random_state=1), by="time")
    assert test["creationtime"].min() >= train["creationtime"].max()


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz"])
def test_written_records_are_read_back_exactly(name, tmp_path):
    odd = schema.check(REAL.assign(computingsite=["NA", *["None"] * (len(REAL) - 1)]))
    pd.testing.assert_frame_equal(read(write(odd, tmp_path / "deep" / name)), odd)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == [name]


def test_read_says_what_is_wrong_and_where(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.csv does not exist"):
        read(tmp_path / "nothing.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="empty.csv.*empty"):
        read(tmp_path / "empty.csv")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(ValueError, match="cut.parquet: the Parquet file is damaged"):
        read(tmp_path / "cut.parquet")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(ValueError, match="ragged.csv: no readable CSV table"):
        read(tmp_path / "ragged.csv")
    write(REAL.assign(workload=-1.0), tmp_path / "negative.csv")
    with pytest.raises(SchemaError, match="negative.csv: workload: 300 of 300 rows are below 0"):
        read(tmp_path / "negative.csv")


# --- a million rows ------------------------------------------------------------------------------

_MEASURE = """
import resource, sys
from pandaenv import records
records.MAX_THREADS = int(sys.argv[3])
cascade = records.ingest(sys.argv[1], sys.argv[2])
print(cascade.stages[-1].kept, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_a_million_rows_stay_below_two_gigabytes_whatever_the_threads(tmp_path):
    from pandaenv import reference

    real = reference.records(days=92, seed=0).head(1_000_000 - 35_000)
    raw, expected = with_bad_rows(raw_table(real), each=1000)
    dump = write_dump(raw, tmp_path / "dump.csv", garbage=True)
    for threads in ("1", "2"):
        out = tmp_path / threads
        command = [sys.executable, "-c", _MEASURE, str(dump), str(out), threads]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        n_kept, megabytes = map(int, answer.stdout.split())
        assert n_kept == len(real) and megabytes < 2048
    for output in records.OUTPUTS:
        assert (tmp_path / "1" / output).read_bytes() == (tmp_path / "2" / output).read_bytes()
    cascade = json.loads((tmp_path / "1/cascade.json").read_text())
    found = {r: n for s in cascade["stages"] for r, n in s["dropped"].items() if n}
    assert found == expected | {"unreadable line": len(UNREADABLE_LINES)}
