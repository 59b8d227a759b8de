import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pandaenv import cli, sites
from pandaenv.schema import STATUSES
from pandaenv.workload import Trace, exports
from pandaenv.workload.jobs import JobArrays
from tests.pandaenv.simulator.grids import records

KINDS = ("swf", "cgsim")


@pytest.fixture(scope="module")
def stream():
    return Trace(records(n=3000)).stream(sites.catalogue("tier1"), rate=200, load=0.6)


@pytest.fixture(scope="module")
def written(stream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    return {kind: exports.write(stream, folder / f"jobs.{kind}", kind)[0] for kind in KINDS}


def assert_same(one, other):
    for field in fields(JobArrays):
        ours, theirs = (getattr(s.jobs, field.name) for s in (one, other))
        assert ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes(), field.name
    for field in fields(type(one.catalogue)):
        ours, theirs = (np.asarray(getattr(s.catalogue, field.name)) for s in (one, other))
        assert ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes(), field.name
    for name in ("duration", "scale", "formats"):
        assert getattr(one, name) == getattr(other, name)
    pd.testing.assert_frame_equal(one.labels, other.labels)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_comes_back_bit_for_bit(stream, written, kind):
    assert_same(exports.read(written[kind]), stream)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_odd_job_comes_back_bit_for_bit(stream, tmp_path, kind):
    whole = stream.jobs.take(slice(0, 1))
    parts = {f.name: getattr(whole, f.name) for f in fields(JobArrays)}
    for time in (1 / 3, 1e5 + 1 / 3, 2.0**40 + 2.0**-12):
        odd = {"time": [time], "work": [1e-300], "nbytes": [0.1], "nfiles": [2**53]}
        jobs = JobArrays(**parts | odd)
        names = ('a "b", c', *stream.formats[1:])
        one = type(stream)(jobs, stream.catalogue, 1.0, 0.5, names, stream.labels[:1])
        assert_same(exports.read(exports.write(one, tmp_path / "one", kind)[0]), one)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("letter", ["\n", "\r", "\x85", "\u2028", "\0", "\ud800"])
def test_names_that_would_break_a_line_are_refused_and_nothing_is_written(
    stream, tmp_path, kind, letter
):
    name = f"a{letter}b"
    odd_site = replace(stream.catalogue, names=(name, *stream.catalogue.names[1:]))
    for what, odd in (
        ("site", replace(stream, catalogue=odd_site)),
        ("data format", replace(stream, formats=(name, *stream.formats[1:]))),
    ):
        with pytest.raises(ValueError, match=f"a {what} must have a name without control"):
            exports.write(odd, tmp_path / "jobs", kind)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_any_language_and_with_spaces_come_back(stream, tmp_path, kind):
    names = ("Zürich ; é", " Łódź\u00a0", '"日本"', *stream.catalogue.names[3:])
    odd = replace(stream, catalogue=replace(stream.catalogue, names=names))
    assert_same(exports.read(exports.write(odd, tmp_path / "jobs", kind)[0]), odd)


def test_swf_is_read_by_the_letter_of_the_standard(stream, written):
    lines = written["swf"].read_text().splitlines()
    header = [line for line in lines if line.startswith(";")]
    rows = [line.split() for line in lines[len(header) :]]
    jobs = stream.jobs
    assert all(len(row) == 18 for row in rows) and len(rows) == len(jobs)
    assert [int(row[0]) for row in rows] == list(range(1, len(jobs) + 1))
    submit = np.array([float(row[1]) for row in rows])
    assert 0 <= submit[0] < 1 and (np.diff(submit) >= 0).all()
    assert all(row[k] == "-1" for row in rows for k in (2, 5, 6, 8, 9, 11, 12, 14, 16, 17))
    assert [int(row[4]) for row in rows] == jobs.cores.tolist() == [int(row[7]) for row in rows]
    assert {int(row[10]) for row in rows} == {0, 1, 5}
    named = dict(line.removeprefix("; ").split(": ", 1) for line in header if "Note" not in line)
    assert int(named["MaxProcs"]) == stream.catalogue.cores.sum()
    assert int(named["MaxJobs"]) == int(named["MaxRecords"]) == len(jobs)
    began = pd.Timestamp(int(named["UnixStartTime"]), unit="s")
    assert began.weekday() == int(jobs.time[0] // 86_400) % 7
    places = [line.split()[2:4] for line in header if line.startswith("; Partition:")]
    assert {int(i): name for i, name in places} == dict(enumerate(stream.catalogue.names, 1))
    work = np.array([float(row[3]) * int(row[4]) for row in rows])
    np.testing.assert_allclose(work / work.sum(), jobs.work / jobs.work.sum(), rtol=1e-9)


def test_cgsim_would_compute_the_work_of_each_job(stream, written):
    table = pd.read_csv(written["cgsim"])
    sites = json.loads(written["cgsim"].with_name("jobs.sites.json").read_text())
    power = {name: int(site["SITE_PROPERTIES"]["GFLOPS"]) for name, site in sites.items()}
    operations = table["computingsite"].map(power) * table["cpuconsumptiontime"]
    np.testing.assert_allclose(operations * table["corecount"], stream.jobs.work, rtol=1e-12)
    assert table["pandaid"].is_unique and table["creationtime"].is_monotonic_increasing
    assert set(table["jobstatus"]) <= set(STATUSES)
    assert (table["inputfilebytes"] == stream.jobs.nbytes).all()


def test_cgsim_finds_all_that_a_run_needs_under_the_names_it_reads(stream, tmp_path):
    jobs, _ = exports.write(stream, tmp_path / "jobs.csv", "cgsim")
    run = json.loads((tmp_path / "jobs.run.json").read_text())
    assert set(run) == {
        "Grid_Name",
        "Sites_Information",
        "Sites_Connection_Information",
        "Plugin",
        "Limited_Sites",
        "Custom_Parameters",
    }
    told = run["Custom_Parameters"]
    assert told == {"jobs_file": str(jobs), "Num_of_Jobs": str(len(stream.jobs))}
    sites = json.loads(Path(run["Sites_Information"]).read_text())
    links = json.loads(Path(run["Sites_Connection_Information"]).read_text())
    assert list(sites) == list(stream.catalogue.names)
    for i, site in enumerate(sites.values()):
        properties, hosts = site["SITE_PROPERTIES"], site["CPUInfo"]
        assert all(isinstance(value, str) for value in properties.values())
        assert int(properties["storage_capacity_bytes"]) == int(stream.catalogue.disk[i])
        assert sum(h["units"] * h["cores"] for h in hosts) == stream.catalogue.cores[i]
        assert {h["speed"] for h in hosts} == {int(properties["GFLOPS"])}
        for host in hosts:
            assert all(isinstance(host[key], str) for key in ("BW_CPU", "LAT_CPU"))
            assert set(host["disks"][0]) == {"name", "read_bw", "write_bw"}
        held = {f"dataset_{d}" for d in np.flatnonzero(stream.jobs.replicas[:, i])}
        assert {name for name, _ in site["files"]} == held
    n = len(sites)
    assert len(links) == n * (n - 1) // 2
    for pair, link in links.items():
        assert set(pair.split(":")) <= set(sites) and set(link) == {"bandwidth", "latency"}
    table = pd.read_csv(jobs, dtype=str)
    needed = "pandaid creationtime cpuconsumptiontime computingsite corecount inputfilebytes"
    assert {*needed.split(), "outputfilebytes", "creationtime_sec"} <= set(table.columns)
    assert set(table["computingsite"]) <= set(sites)
    assert table["pandaid"].astype(int).is_unique


def test_a_colon_in_the_name_of_a_site_is_refused_for_cgsim(stream, tmp_path):
    names = ("a:b", *stream.catalogue.names[1:])
    odd = replace(stream, catalogue=replace(stream.catalogue, names=names))
    with pytest.raises(ValueError, match="no colon in their names, got 'a:b'"):
        exports.write(odd, tmp_path / "jobs.csv", "cgsim")
    assert list(tmp_path.iterdir()) == []


def test_a_trace_of_another_grid_is_played_as_recorded_on_its_own_sites(tmp_path):
    jobs = [
        f"{i} {i * 600} 5 3600 {1 + i % 4} -1 -1 -1 -1 -1 1 1 1 1 1 {1 + i % 2} -1 -1"
        for i in range(1, 300)
    ]
    text = "; UnixStartTime: 1072911600\n; Partition: 1 BIG\n" + "\n".join(jobs)
    (tmp_path / "trace.swf").write_text(text)
    played = exports.read(tmp_path / "trace.swf")
    assert len(played.jobs) == 299 and set(played.catalogue.names) == {"BIG", "2"}
    assert played.jobs.cores.tolist() == [1 + i % 4 for i in range(1, 300)]
    assert np.diff(played.jobs.time) == pytest.approx(600.0)


def test_the_file_beside_lists_sites_and_replicas_by_name(stream, written):
    beside = json.loads(written["swf"].with_name("jobs.swf.json").read_text())
    held = stream.jobs.replicas[7]
    assert beside["replicas"][7] == np.flatnonzero(held).tolist()
    assert beside["sites"]["names"] == list(stream.catalogue.names)


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_read_is_refused_in_one_sentence(stream, tmp_path, kind):
    path, beside = exports.write(stream, tmp_path / "jobs", kind)
    with pytest.raises(ValueError, match="jobs.txt must be a readable file"):
        exports.read(tmp_path / "jobs.txt")
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ValueError, match="must have been written with .* got another's"):
        exports.read(path)
    beside.write_text("[1]")
    with pytest.raises(ValueError, match="must be the JSON file written with"):
        exports.read(path)
    beside.unlink()
    if kind == "cgsim":
        with pytest.raises(ValueError, match="needs the JSON file written with it"):
            exports.read(path)


def test_swf_has_no_time_before_its_start(stream, tmp_path):
    parts = {f.name: getattr(stream.jobs, f.name) for f in fields(JobArrays)}
    early = replace(stream, jobs=JobArrays(**parts | {"time": stream.jobs.time - 1e9}))
    with pytest.raises(ValueError, match="SWF needs times of at least 0 s, got -9"):
        exports.write(early, tmp_path / "jobs", "swf")
    assert_same(exports.read(exports.write(early, tmp_path / "jobs", "cgsim")[0]), early)


def test_an_unknown_format_and_a_folder_are_refused(stream, tmp_path):
    with pytest.raises(ValueError, match="unknown format 'gwf'; known: swf, cgsim"):
        exports.write(stream, tmp_path / "jobs", "gwf")
    with pytest.raises(ValueError, match="the output must be a file; .* is a folder"):
        exports.write(stream, tmp_path, "swf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_writes_both_files(tmp_path, kind):
    records(n=3000).to_parquet(tmp_path / "records.parquet")
    words = ["export", tmp_path / "records.parquet", "--format", kind, "--out", tmp_path / "out"]
    words += ["--sites", "tier1", "--rate", 200]
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    assert "out.json" in result.stdout
    assert len(exports.read(tmp_path / "out").jobs) == 2800
    whole = CliRunner().invoke(cli.app, [str(word) for word in [*words, "--as-recorded"]])
    assert whole.exit_code == 0 and len(exports.read(tmp_path / "out").jobs) == 3000


def test_the_command_refuses_in_one_sentence(tmp_path):
    words = ["export", "nowhere", "--format", "swf", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 1 and "unknown workload 'nowhere'" in result.stderr
    assert list(tmp_path.iterdir()) == []
