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
    BAD_FOR_GROUPS,
    UNREADABLE_LINES,
    assert_no_secret,
    dropped,
    grouped_dump,
    grouped_records,
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
    assert by_site["unknown"] == pytest.approx(4 * 100 * 10)
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


def test_a_name_that_is_no_known_site_becomes_unknown_and_is_counted(tmp_path):
    raw = raw_table(REAL.head(40))
    raw["computingsite"] = ["BNL", "ANALY_CERN_LONG", "MWT2_SHORT", "zzuser"] * 10
    cascade = ingest_raw(raw, tmp_path)
    found = read(tmp_path / "out/records.parquet")["computingsite"].value_counts().to_dict()
    assert found == dict.fromkeys(("BNL-ATLAS", "CERN-PROD", "MWT2_SHORT", "unknown"), 10)
    assert cascade.unnamed == {"names": 1, "records": 10}
    assert "10 records of 1 names that are not in the catalogue" in str(cascade)


def test_sites_of_a_table_of_ones_own_leave_with_their_power(tmp_path):
    (tmp_path / "sites.csv").write_text("name,site,power\nQ1,T3,\nT3,T3,12.5\nbnl2,BNL,\n")
    raw = raw_table(REAL.head(4)).assign(computingsite=["q1", "T3", "BNL2", "elsewhere"])
    raw["cpuconsumptiontime"], raw["actualcorecount"] = "100", "2"
    with pytest.raises(ValueError, match="got 'BNL' in the row of 'bnl2'"):
        ingest_raw(raw, tmp_path, sites=tmp_path / "sites.csv")
    text = (tmp_path / "sites.csv").read_text().replace(",BNL,", ",BNL-ATLAS,")
    (tmp_path / "sites.csv").write_text(text)
    cascade = ingest_raw(raw, tmp_path, sites=tmp_path / "sites.csv")
    table = read(tmp_path / "out/records.parquet")
    assert sorted(table["computingsite"]) == ["BNL-ATLAS", "T3", "T3", "unknown"]
    assert table.set_index("computingsite")["workload"].loc["T3"].tolist() == [2 * 100 * 12.5] * 2
    assert cascade.default_power["records"] == 1


def test_levels_of_a_handful_of_rows_become_unknown(tmp_path):
    raw = raw_table(REAL)
    raw["proddblock"] = "mc20_13TeV.1.x.deriv.DAOD_PHYS.p1"
    raw.loc[:3, "proddblock"] = "mc20_13TeV.1.x.deriv.DAOD_EXOT5.p1"
    assert ingest_raw(raw, tmp_path, rare=4).rare["datatype"] == 0
    cascade = ingest_raw(raw, tmp_path, rare=5)
    assert cascade.rare == {"fewer_than": 5, "datatype": 4, "computingsite": 0} | dict.fromkeys(
        ("project", "prodstep"), 0
    )
    counts = read(tmp_path / "out/records.parquet")["datatype"].value_counts().to_dict()
    assert counts == {"DAOD_PHYS": len(REAL) - 4, "unknown": 4}


# --- dumps as users export them ------------------------------------------------------------------


def users_dump(n: int = 60) -> pd.DataFrame:
    """A dump without label, data set and task, its integers written as floats."""
    real = random_records(n)
    raw = raw_table(real)
    words = raw["inputfileproject"] + ".00345.main.deriv." + raw["inputfiletype"] + ".p1"
    raw["jobname"] = "user.zzuser." + words
    for name in ("ninputdatafiles", "corecount", "inputfilebytes"):
        raw[name] += ".0"
    raw.loc[0, "ninputdatafiles"] = ""
    raw["computingsite"] = "BNL"
    needless = ["prodsourcelabel", "proddblock", "jeditaskid", "produsername", "actualcorecount"]
    return raw.drop(columns=[*needless, "inputfileproject", "inputfiletype", "destinationdblock"])


def test_user_jobs_are_told_by_their_name_where_there_is_no_label(tmp_path):
    raw = users_dump()
    raw.loc[1:10, "jobname"] = raw.loc[1:10, "jobname"].str.removeprefix("user.zzuser.")
    for name in ("dump.csv", "dump.json"):
        cascade = ingest(write_dump(raw, tmp_path / name), tmp_path / "out")
        assert dropped(cascade) == {"prodsourcelabel missing": 10, "ninputdatafiles missing": 1}
        table = read(tmp_path / "out/records.parquet")
        assert len(table) == 49 and set(table["computingsite"]) == {"BNL-ATLAS"}
    cascade = ingest(tmp_path / "dump.csv", tmp_path / "out", all_analysis=True)
    assert dropped(cascade) == {"ninputdatafiles missing": 1}


def test_without_label_and_job_name_the_missing_columns_are_named(tmp_path):
    dump = write_dump(users_dump().drop(columns="jobname"), tmp_path / "dump.csv")
    with pytest.raises(ValueError, match="lacks prodsourcelabel or jobname, proddblock or"):
        ingest(dump, tmp_path / "out")


def test_derived_data_of_no_named_format_are_kept_where_that_is_asked_for(tmp_path):
    raw = users_dump()
    raw["jobname"] = raw["jobname"].str.replace(r"\.DAOD_\w+", "", regex=True)
    with pytest.raises(ValueError, match="nothing is kept of 60 rows"):
        ingest_raw(raw, tmp_path)
    cascade = ingest_raw(raw, tmp_path, allow_unknown=True)
    assert cascade.stages[-1].kept == 59
    assert set(read(tmp_path / "out/records.parquet")["datatype"]) == {"unknown"}


def test_a_check_says_in_few_lines_what_is_kept_and_why_not_the_rest(tmp_path, capfd):
    dump = write_dump(RAW, tmp_path / "dump.csv", garbage=True)
    text = records.check(dump)
    cascade = ingest(dump, tmp_path / "out")
    n_lines = len(RAW) + len(UNREADABLE_LINES)
    assert f"{n_lines:,} lines in 1 file, {cascade.stages[-1].kept} would be kept" in text
    assert "created from 2024-01-01" in text and 3 < len(text.splitlines()) <= 10
    assert_no_secret(text, *capfd.readouterr())
    assert "0 would be kept" in records.check(
        write_dump(RAW.assign(jobstatus="running"), tmp_path / "none.csv")
    )


# --- groups ---------------------------------------------------------------------------------------

GROUPED = grouped_records(300)
GROUPED_RAW = grouped_dump(GROUPED)


def alike(numbers: pd.Series) -> list[int]:
    """Numbers from 0 in the order first met: the partition, whatever the names of its parts."""
    return pd.factorize(numbers)[0].tolist()


def name_of(table: pd.DataFrame) -> pd.Series:
    """The data set of a grouped record: its number and the format it has in the dump."""
    columns = ["dataset", "project", "prodstep", "datatype"]
    return table[columns].astype(str).agg(".".join, axis=1)


@pytest.mark.parametrize("name", FORMATS)
def test_groups_say_which_rows_share_a_task_and_a_data_set(name, tmp_path):
    ingest(write_dump(GROUPED_RAW, tmp_path / name), tmp_path / "out", groups=True)
    found = read(tmp_path / "out/records.parquet", groups=True)
    assert list(found) == [*schema.COLUMNS, *schema.GROUPS]
    expected = in_order(GROUPED)
    pd.testing.assert_frame_equal(
        found[list(schema.COLUMNS)], expected[list(schema.COLUMNS)], rtol=1e-12
    )
    assert alike(found["task"]) == alike(expected["task"])
    assert alike(found["dataset"]) == alike(name_of(expected))
    for group in schema.GROUPS:
        assert sorted(found[group].unique()) == list(range(found[group].nunique()))


def test_numbers_of_groups_are_drawn_anew_in_every_run_and_all_else_is_the_same(tmp_path):
    dump = write_dump(GROUPED_RAW, tmp_path / "dump.parquet")
    for out in ("a", "b"):
        ingest(dump, tmp_path / out, groups=True, split="task", seed=3)
    for name in TABLES:
        a, b = (read(tmp_path / out / name, groups=True) for out in ("a", "b"))
        pd.testing.assert_frame_equal(a[list(schema.COLUMNS)], b[list(schema.COLUMNS)])
        for group in schema.GROUPS:
            assert alike(a[group]) == alike(b[group])
            assert a[group].tolist() != b[group].tolist()
    assert (tmp_path / "a/cascade.json").read_bytes() == (tmp_path / "b/cascade.json").read_bytes()


def test_numbers_of_tasks_follow_neither_ids_nor_time(tmp_path):
    n = 2_000
    table = random_records(n).assign(task=range(n), dataset=range(n))
    ingest_raw(grouped_dump(table), tmp_path, groups=True)
    found = read(tmp_path / "out/records.parquet", groups=True)
    # Rows are in order of time, and ids rise with it. Six standard errors of no correlation.
    for group in schema.GROUPS:
        assert abs(found[group].corr(pd.Series(range(n)), method="spearman")) < 6 / n**0.5
    assert abs(found["task"].corr(found["dataset"], method="spearman")) < 6 / n**0.5


def test_no_id_and_no_name_of_a_data_set_is_in_a_grouped_output(tmp_path, capfd):
    bad, _ = with_bad_rows(GROUPED_RAW)
    path = write_dump(bad, tmp_path / "dump.csv", garbage=True)
    cascade = ingest(path, tmp_path / "out", groups=True, split="task")
    for name in records.OUTPUTS:
        assert_no_secret((tmp_path / "out" / name).read_bytes().decode("latin-1"))
    for name in TABLES:
        frame = pd.read_parquet(tmp_path / "out" / name)
        assert list(frame) == [*schema.COLUMNS, *schema.GROUPS]
        assert_no_secret(frame.to_csv())
    assert_no_secret(str(cascade), *capfd.readouterr())


def test_rows_without_a_group_are_dropped_and_counted_and_without_groups_nothing_is_kept(tmp_path):
    good = GROUPED_RAW.iloc[0].to_dict()
    bad = pd.DataFrame([{**good, **changes} for changes, _ in BAD_FOR_GROUPS])
    raw = pd.concat([GROUPED_RAW, bad], ignore_index=True)
    cascade = ingest_raw(raw, tmp_path, groups=True)
    assert dropped(cascade) == {"jeditaskid missing": 2, "proddblock missing": 1}
    ingest_raw(raw, tmp_path)
    assert list(pd.read_parquet(tmp_path / "out/records.parquet")) == list(schema.COLUMNS)


@pytest.mark.parametrize("name", ["dump.csv", "dump.parquet", "dump.json"])
@pytest.mark.parametrize("column", ["jeditaskid", "proddblock"])
def test_a_dump_without_groups_is_told_so(name, column, tmp_path):
    dump = write_dump(GROUPED_RAW.drop(columns=column), tmp_path / name)
    with pytest.raises(ValueError, match=f"groups need jeditaskid and proddblock, .*{column}$"):
        ingest(dump, tmp_path / "out", groups=True)
    assert not (tmp_path / "out").exists()


def test_a_split_by_task_keeps_tasks_whole_in_the_files(tmp_path):
    cascade = ingest_raw(GROUPED_RAW, tmp_path, groups=True, split="task", seed=1)
    whole, train, test = (read(tmp_path / "out" / name, groups=True) for name in TABLES)
    assert not set(train["task"]) & set(test["task"])
    assert len(train) + len(test) == len(whole) and abs(len(test) - 60) < 20
    for part, saved in zip(records.split(whole, by="task", seed=1), (train, test), strict=True):
        pd.testing.assert_frame_equal(schema.check(part.reset_index(drop=True), groups=True), saved)
    assert cascade.split == {"by": "task", "seed": 1, "train": len(train), "test": len(test)}
    with pytest.raises(ValueError, match="a split by task needs groups, got groups=False"):
        ingest_raw(GROUPED_RAW, tmp_path, split="task")


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
    with pytest.raises(ValueError, match="unknown split 'weekly'; known: random, time, task"):
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
