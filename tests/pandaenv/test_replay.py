import numpy as np
import pytest

import metrics
from pandaenv import reference, schema
from pandaenv.replay import STAGES, replay
from pandaenv.scenarios import SCENARIOS, Scenario
from tests.pandaenv.simulator.grids import records

ROUGH = Scenario(outage_every_s=86_400.0, outage_length_s=7_200.0)


@pytest.fixture(scope="module")
def table():
    return schema.check(records(n=4000))


@pytest.fixture(scope="module")
def log(table):
    return replay(table, "tier1", scenario=ROUGH)


def test_every_record_comes_back_with_its_stages(table, log):
    assert list(log.columns) == [*schema.COLUMNS, *STAGES] and len(log) == len(table)
    sorted_ = table.sort_values("creationtime", kind="stable", ignore_index=True)
    own = [name for name in schema.COLUMNS if name not in ("computingsite", "jobstatus")]
    assert log[own].equals(sorted_[own])
    np.testing.assert_allclose(log["submit"], log["creationtime"] * 86_400, rtol=1e-12)
    times = log[["submit", "ready", "first_start", "start", "end"]].to_numpy()
    assert (np.diff(times, axis=1) >= 0).all()


def test_jobs_are_placed_where_they_were_recorded(table, log):
    sorted_ = table.sort_values("creationtime", kind="stable", ignore_index=True)
    recorded = sorted_["computingsite"].astype(str)
    known = recorded.isin(["BNL-ATLAS", "CERN-PROD"])
    assert known.any() and (log["computingsite"].astype(str)[known] == recorded[known]).all()
    assert not log["computingsite"].isin(["MWT2", "nowhere"]).any()


def test_the_status_is_the_simulated_one(table, log):
    sorted_ = table.sort_values("creationtime", kind="stable", ignore_index=True)
    recorded = sorted_["jobstatus"].astype(str)
    assert set(log["state"]) == {"finished", "failed", "lost"}
    assert (log["jobstatus"].astype(str)[log["state"] == "finished"] == "finished").all()
    assert (log["jobstatus"].astype(str)[log["state"] == "lost"] == "failed").all()
    failed = log["state"] == "failed"
    assert (log["jobstatus"].astype(str)[failed] == recorded[failed]).all()


def test_pandas_rule_finds_the_data_more_often_than_chance(table, log):
    ruled = replay(table, "tier1", placed_by="panda_analysis")
    assert log["source"].isna().all()  # a recorded site holds its job's data
    assert 0.6 < ruled["source"].isna().mean() < 1  # a third of the sites hold a data set
    assert (ruled["attempts"] >= 1).all()
    again = replay(table, "tier1", placed_by="panda_analysis")
    assert again.equals(ruled)
    assert not replay(table, "tier1", placed_by="panda_analysis", seed=1).equals(ruled)


def test_the_log_is_scored_like_any_records(table, log):
    half = len(table) // 2
    report = metrics.evaluate(
        table.iloc[:half], schema.check(log), table.iloc[half:], only=["WD", "JSD"]
    )
    assert np.isfinite(report.table1()[["WD", "JSD"]].to_numpy()).all()
    as_it_is = metrics.evaluate(table.iloc[:half], log, table.iloc[half:], only=["WD", "JSD"])
    assert as_it_is.table1().equals(report.table1())


def test_what_goes_wrong_may_be_named(table):
    few = table[:500]
    named, given = (replay(few, "tier1", scenario=s) for s in ("outage", SCENARIOS["outage"]))
    assert named.equals(given) and not named.equals(replay(few, "tier1"))
    with pytest.raises(ValueError, match="unknown scenario 'rain'; known: normal, outage"):
        replay(few, "tier1", scenario="rain")


def test_an_unknown_rule_is_refused(table):
    with pytest.raises(ValueError, match="unknown rule 'best'; known: recorded, panda_analysis"):
        replay(table, placed_by="best")


@pytest.mark.slow
@pytest.mark.parametrize("placed_by", ["recorded", "panda_analysis"])
def test_a_hundred_and_fifty_days_are_replayed_and_scored(placed_by):
    table = reference.records(days=150)
    log = replay(table, placed_by=placed_by)
    assert len(log) == len(table) == 1_650_000
    assert log["end"].notna().all() and (log["state"] != "rejected").all()
    real, simulated = schema.check(table), schema.check(log)
    report = metrics.evaluate(
        real.iloc[::10], simulated.iloc[::10], real.iloc[5::10], only=["WD", "JSD"]
    )
    assert np.isfinite(report.table1()[["WD", "JSD"]].to_numpy()).all()
