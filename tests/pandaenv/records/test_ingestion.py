"""Ingest of raw dumps in every format and with every kind of bad row."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from pandaenv import records, schema, sites
from pandaenv.records import ingest, read
from pandaenv.records.classification import STAGES
from pandaenv.records.folder import TABLES
from tests.pandaenv.records.raw_dump import (
    UNREADABLE_LINES,
    assert_no_secret,
    dropped,
    in_order,
    ingest_raw,
    random_records,
    raw_table,
    with_bad_rows,
    write_dump,
)

pytest.importorskip("duckdb")
FORMATS = ["dump.csv", "dump.csv.gz", "dump.parquet", "dump.json", "dump.json.gz"]
REAL = random_records(300)
RAW, DROPPED = with_bad_rows(raw_table(REAL))


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
    assert [s.stage for s in cascade.stages] == list(STAGES)
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


def test_dumps_of_several_formats_add_up_and_repeated_jobs_count_once(tmp_path):
    half = len(RAW) // 2
    parts = [RAW[:half], RAW[half:], RAW[:half]]
    dumps = [write_dump(p, tmp_path / n) for p, n in zip(parts, FORMATS[1:], strict=False)]
    cascade = ingest(dumps, tmp_path / "out")
    assert cascade.stages[0].kept == len(RAW) + half
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


# --- nothing personal gets out -------------------------------------------------------------------


@pytest.mark.parametrize("allow_unknown", [False, True])
def test_no_user_job_or_id_is_in_any_output(allow_unknown, tmp_path, capfd):
    path = write_dump(RAW, tmp_path / "dump.csv", garbage=True)
    ingest(path, tmp_path / "out", allow_unknown=allow_unknown)
    for name in records.OUTPUTS:
        content = (tmp_path / "out" / name).read_bytes().decode("latin-1")
        assert_no_secret(content)
    for name in TABLES:
        frame = pd.read_parquet(tmp_path / "out" / name)
        assert list(frame) == list(schema.COLUMNS)
        assert_no_secret(frame.to_csv(), str(frame.columns))
        assert_no_secret(*(str(list(frame[c].cat.categories)) for c in schema.CATEGORICAL))
    assert_no_secret(*capfd.readouterr())


def test_what_was_there_stays_when_ingest_fails(tmp_path):
    ingest_raw(RAW, tmp_path)
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    write_dump(RAW.assign(prodsourcelabel="managed"), tmp_path / "bad.csv")
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
    with pytest.raises(ValueError, match="unknown split 'weekly'; known: random, time"):
        ingest(dump, tmp_path / "out", split="weekly")
    with pytest.raises(ValueError, match="must be a folder; .* is a file"):
        ingest(dump, dump)
    with pytest.raises(ValueError, match="would overwrite the dump"):
        ingest(dump, tmp_path)
    (tmp_path / "out/test.parquet").mkdir(parents=True)
    with pytest.raises(ValueError, match="test.parquet is a folder"):
        ingest(write_dump(RAW, tmp_path / "dump.parquet"), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["test.parquet"]


def test_a_kill_between_the_files_leaves_no_cascade_to_vouch_for_them(tmp_path, monkeypatch):
    ingest_raw(RAW, tmp_path)
    replace = os.replace

    def stop(source, target):
        if target.name == "test.parquet":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        ingest_raw(RAW.iloc[:200], tmp_path)
    assert not (tmp_path / "out/cascade.json").exists()


def test_a_missing_extra_names_the_line_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ImportError, match=r"pip install 'pandaenv\[ingest\]'"):
        ingest(tmp_path / "dump.csv", tmp_path / "out")


# --- a million rows ------------------------------------------------------------------------------

# Peak memory of the process alone: `ru_maxrss` would count the test's own before the fork.
_MEASURE = """
import re, sys
from pathlib import Path
from pandaenv import records
from pandaenv.records import engine
engine.MAX_THREADS = int(sys.argv[3])
cascade = records.ingest(sys.argv[1], sys.argv[2])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(cascade.stages[-1].kept, int(peak.group(1)) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
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
