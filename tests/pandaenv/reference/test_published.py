"""The comparison with published figures, and the benchmark that writes it."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import calibration as benchmark
from pandaenv import reference
from pandaenv.reference import published


@pytest.fixture(scope="module")
def records() -> pd.DataFrame:
    return reference.records(days=7, seed=0, rate=2_000)


def test_quantiles_of_the_published_histogram_lie_in_their_bins():
    level = np.cumsum(published.CPU_COUNTS) / published.CPU_COUNTS.sum()
    np.testing.assert_allclose(published.cpu_quantile(level), published.CPU_EDGES[1:])
    assert published.cpu_quantile(np.array([0.5]))[0] == pytest.approx(3.59, abs=0.01)


def test_every_target_is_a_number_with_a_known_kind_and_source():
    table = published.targets()
    assert np.isfinite(table[["published", "tolerance"]].to_numpy()).all()
    assert set(table["kind"]) == {"dex", "units"}
    assert all(f"- {s}:" in published.__doc__ for s in set(table["source"]))
    assert not table.duplicated(["quantity", "statistic"]).any()


def test_truth_adds_tasks_and_data_sets_to_the_comparison(records):
    truth = reference.tasks(days=7, seed=0, rate=2_000)
    bare, whole = reference.calibration(records), reference.calibration(records, truth)
    key = ["quantity", "statistic"]
    assert len(whole) == len(published.targets())
    added = set(map(tuple, whole[key].to_numpy())) - set(map(tuple, bare[key].to_numpy()))
    assert ("jobs a task", "mean") in added and ("replicas", "mean") in added


def test_what_is_measured_agrees_with_the_records(records):
    measured = reference.calibration(records).set_index(["quantity", "statistic"])["measured"]
    assert measured["jobs a day", "mean"] == 2_000
    assert measured["input bytes", "50%"] == np.median(records["inputfilebytes"])
    assert measured["input bytes", "max"] == records["inputfilebytes"].max()
    ended = records[records["jobstatus"].isin(["finished", "failed"])]
    assert measured["failed of all ended", "share"] == (ended["jobstatus"] == "failed").mean()
    day = np.floor(records["creationtime"]).value_counts()
    assert measured["Sunday over mean day", "ratio"] == pytest.approx(day[6] / day.mean())


def test_a_difference_is_judged_in_decades_or_in_units(records):
    table = reference.calibration(records).set_index(["quantity", "statistic"])
    row = table.loc[("input bytes", "50%")]
    assert row["difference"] == pytest.approx(np.log10(row["measured"] / row["published"]))
    row = table.loc[("log bytes, log CPU", "corr")]
    assert row["difference"] == pytest.approx(row["measured"] - row["published"])
    assert (table["fits"] == (table["difference"].abs() <= table["tolerance"] + 1e-9)).all()


def test_a_table_of_one_status_and_no_lite_format_is_still_compared(records):
    part = records[(records["jobstatus"] == "finished") & (records["datatype"] == "DAOD_PHYS")]
    table = reference.calibration(part.head(50)).set_index(["quantity", "statistic"])
    assert table.loc[("failed of all ended", "share"), "measured"] == 0
    assert "DAOD_PHYSLITE file" not in table.index


def test_the_benchmark_writes_what_it_prints(tmp_path, capsys):
    benchmark.main(["--days", "7", "--rate", "1000", "--seeds", "2", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "calibration.json").read_text())
    assert result["n_records"] == 7_000 and len(result["n_fits"]) == 2
    assert result["seed"] == [0, 1] and str(tmp_path) not in result["command"]
    assert all(row["low"] <= row["measured"] <= row["high"] for row in result["rows"])
    assert (tmp_path / "calibration.md").read_text() in capsys.readouterr().out
    with pytest.raises(ValueError, match="at least one seed is needed, got 0"):
        benchmark.measure(1, 100, range(0))
