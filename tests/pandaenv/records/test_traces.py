"""Traces of other grids as records."""

import gzip

import gymnasium as gym
import pandas as pd
import pytest

import pandaenv
from pandaenv import policies, records, schema
from pandaenv.records import import_trace, read_trace

assert pandaenv
HEADER = """; Version: 2.2
; Computer: a small one
; UnixStartTime: 1709510400
; MaxProcs: 64
; Partition: 1 BIG (48 cores)
"""


def swf(job, submit, run, cores, status=1, site=1, wait=10, asked=None) -> str:
    asked = cores if asked is None else asked
    return f"{job} {submit} {wait} {run} {cores} -1 -1 {asked} -1 -1 {status} 1 1 1 1 {site} -1 -1"


JOBS = [
    swf(2, 7_200, 3_600, 4, status=0),
    swf(1, 0, 1_800, 2),
    swf(3, 86_400, 60, -1, asked=8, site=2, status=5),
    swf(4, 90_000, -1, 1),
    swf(5, -1, 60, 1),
    swf(6, 90_001, 60, -1),
    swf(1, 0, 900, 2, status=2),
]


def trace_file(tmp_path, jobs=JOBS, header=HEADER):
    (tmp_path / "trace.swf").write_text(header + "\n".join(jobs) + "\n")
    return tmp_path / "trace.swf"


def test_swf_fields_become_the_columns_of_records(tmp_path):
    trace = read_trace(trace_file(tmp_path))
    table = trace.records
    assert trace.origin == "2024-03-04T00:00:00Z" and trace.n_read == 7
    assert table["creationtime"].tolist() == pytest.approx([0, 7_200 / 86_400, 1])
    assert table["workload"].tolist() == [2 * 1_800 * 10, 4 * 3_600 * 10, 8 * 60 * 10]
    assert table["corecount"].tolist() == [2, 4, 8]
    assert table["computingsite"].tolist() == ["BIG", "BIG", "2"]
    assert table["jobstatus"].tolist() == ["finished", "failed", "cancelled"]
    reasons = ("part of a job", "submit time missing", "run time missing", "cores missing")
    assert trace.dropped == dict.fromkeys(reasons, 1)


def test_the_sites_of_a_trace_have_the_cores_that_ran_at_once(tmp_path):
    jobs = [swf(i, 0, 100, 4, site=1) for i in range(1, 4)] + [swf(9, 100, 5, 12, site=1)]
    sites = read_trace(trace_file(tmp_path, [*jobs, swf(10, 0, 9, 5, site=7)])).sites
    assert sites.set_index("name")["cores"].to_dict() == {"7": 5, "BIG": 12}
    alone = read_trace(trace_file(tmp_path, jobs)).sites
    assert alone["cores"].tolist() == [64]  # as the header says


def test_zipped_gwf_is_read_too(tmp_path):
    row = ["1", "100", "5", "60", "2", *["-1"] * 5, "1", *["-1"] * 5, "SITE", *["-1"] * 12]
    other = ["2", "200", *row[2:]]
    text = "# Grid Workload Format\n" + "\n".join("\t".join(r) for r in (row, other))
    (tmp_path / "trace.gwf").write_bytes(gzip.compress(text.encode()))
    trace = read_trace(tmp_path / "trace.gwf")
    assert trace.records["computingsite"].tolist() == ["SITE", "SITE"]
    assert trace.records["workload"].tolist() == [1_200, 1_200]


def test_a_csv_is_read_by_a_map_of_its_columns(tmp_path):
    text = "sub;secs;n;ce;end\n2024-03-05 00:00:00;100;2;A;failed\n1709596800.0;50;;A;x\n"
    (tmp_path / "jobs.csv").write_text(text)
    columns = {"time": "sub", "run": "secs", "site": "ce", "status": "end"}
    trace = read_trace(tmp_path / "jobs.csv", columns=columns)
    assert trace.records["creationtime"].tolist() == [1.0, 1.0]
    assert trace.records["jobstatus"].tolist() == ["failed", "finished"]
    with pytest.raises(ValueError, match="there is no column 'when'; it has sub, secs, n, ce, end"):
        read_trace(tmp_path / "jobs.csv", columns=columns | {"time": "when"})
    with pytest.raises(ValueError, match="of which time and run are needed; got site"):
        read_trace(tmp_path / "jobs.csv", columns={"site": "ce"})


@pytest.mark.parametrize(
    ("jobs", "header", "message"),
    [
        (["1 2 3"], "", "18 fields a line .SWF. or 29 .GWF., got 3"),
        ([JOBS[0], "1 2 3"], "", "job 2 must have 18 fields, got 3"),
        ([JOBS[1], JOBS[1]], "", "a job number occurs twice, so these are two traces"),
        (JOBS, "; UnixStartTime: 1\n; UnixStartTime: 2\n", "UnixStartTime occurs twice"),
        ([JOBS[3]], "", "no usable job .1 run time missing."),
        ([], HEADER, "got 0"),
    ],
)
def test_what_is_no_trace_is_refused_and_nothing_is_written(jobs, header, message, tmp_path):
    path = trace_file(tmp_path, jobs, header)
    with pytest.raises(ValueError, match=message):
        import_trace(path, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["trace.swf"]


def test_a_trace_of_no_known_date_begins_on_a_monday(tmp_path):
    trace = read_trace(trace_file(tmp_path, header=""))
    assert trace.origin == "1970-01-05T00:00:00Z"
    assert trace.records["computingsite"].tolist()[0] == "1"


def test_an_imported_trace_is_played_with_its_core_counts_on_its_sites(tmp_path):
    jobs = [swf(i, i * 300, 3_000, 1 + i % 3, site=1 + i % 2) for i in range(1, 3_000)]
    trace = import_trace(trace_file(tmp_path, jobs), tmp_path / "out")
    assert set(records.OUTPUTS) < {p.name for p in (tmp_path / "out").iterdir()}
    table = records.read(tmp_path / "out/records.parquet")
    pd.testing.assert_frame_equal(table, trace.records[list(schema.COLUMNS)])
    env = gym.make(
        "PandaSiteAllocationTier1-v0",
        workload=str(tmp_path / "out"),
        sites=str(tmp_path / "out/sites.csv"),
        rate=100,
        episode_jobs=20,
        warmup_days=0.1,
    )
    n_steps = sum(1 for _ in policies.steps(env, policies.make("greedy"), 0))
    assert n_steps == 20
