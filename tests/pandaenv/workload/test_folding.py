"""Weeks folded onto each other and whole tasks left out keep the profile and the bursts."""

import numpy as np
import pandas as pd
import pytest

from foundations.units import DAY_S, WEEK_S
from pandaenv.workload import Trace
from tests.pandaenv.workload.burst_records import CATALOGUE


def test_a_slow_drift_over_the_records_does_not_become_one_over_the_stream(records):
    """Work falls by two thirds from the first week to the last: weeks are folded there and back."""
    week = np.floor(records["creationtime"] / 7)
    drifting = records.assign(workload=np.exp(-1.1 * week / 14) * 1e4)
    stream = Trace(drifting).stream(CATALOGUE, rate=3_100, load=0.6)
    n_weeks = round(stream.duration / WEEK_S)
    work = np.bincount((stream.jobs.time // WEEK_S).astype(int), stream.jobs.work)
    assert n_weeks == 7 and work.max() / work.min() < 1.25


def test_every_week_gets_the_same_rate_where_weeks_do_not_divide(records):
    stream = Trace(records).stream(CATALOGUE, rate=3_500, load=0.6)
    assert stream.duration == 6 * WEEK_S  # 15 weeks of 10,500 into weeks of 24,500
    per_week = np.bincount((stream.jobs.time // WEEK_S).astype(int))
    assert len(per_week) == 6
    assert per_week.max() / per_week.min() < 1.15


@pytest.mark.parametrize("rate", [400, 1_400, 4_000])
def test_weekday_and_hour_profile_survive_folding_and_thinning(records, rate):
    stream = Trace(records).stream(CATALOGUE, rate=rate, load=0.6)
    recorded = records["creationtime"].to_numpy() * DAY_S

    def share(time, n):
        return np.bincount((time % WEEK_S * n / WEEK_S).astype(int), minlength=n) / len(time)

    hours = [share(t % DAY_S * 7, 24) for t in (stream.jobs.time, recorded)]
    days = [share(t, 7) for t in (stream.jobs.time, recorded)]
    size = np.bincount(stream.jobs.task)
    for (after, before), n in ((hours, 24), (days, 7)):
        noise = np.sqrt((size**2).sum() / n) / size.sum()  # whole tasks come and go
        assert np.abs(after - before).max() < 4 * noise < 0.12


def test_each_day_is_thinned_by_the_same_share_but_for_one_task(records):
    stream = Trace(records).stream(CATALOGUE, rate=500, load=0.6)
    day = np.floor(records["creationtime"].to_numpy()).astype(int)
    task = Trace(records).arrivals(CATALOGUE, np.random.default_rng(0).spawn(6)[0])[1].task
    largest = pd.Series(day).groupby([day, task]).size().groupby(level=0).max().to_numpy()
    kept = np.bincount((stream.jobs.time // DAY_S).astype(int), minlength=105)
    expected = np.bincount(day) * len(stream.jobs) / len(records)
    assert (np.abs(kept - expected) <= largest + 1).all()


def test_bursts_survive_thinning(records):
    """Counts an hour are as clumped as before: jobs leave in bursts, not one by one."""

    def clumping(time, duration):
        count = np.bincount((time // 3600).astype(int), minlength=int(duration // 3600))
        return (count.var() / count.mean() - 1) / count.mean()

    stream = Trace(records).stream(CATALOGUE, rate=500, load=0.6)
    recorded = records["creationtime"].to_numpy() * DAY_S
    before, after = clumping(recorded, 15 * WEEK_S), clumping(stream.jobs.time, stream.duration)
    assert after > before
    assert np.bincount(stream.jobs.task).mean() > 10


def test_a_rate_beyond_the_records_is_refused(records):
    with pytest.raises(ValueError, match="rate must be at most .* got rate=1e"):
        Trace(records).stream(CATALOGUE, rate=1e9, load=0.6)


def test_folding_needs_a_whole_week(records):
    short = records[records["creationtime"] < 3]
    with pytest.raises(ValueError, match="must cover a whole week .* got 3.0 days; rate=None"):
        Trace(short).stream(CATALOGUE, rate=700, load=0.6)
    assert len(Trace(short).stream(CATALOGUE, rate=None, load=0.6).jobs) == len(short)


def test_one_moment_is_no_stream(records):
    with pytest.raises(ValueError, match="a stream must last, got 1 jobs"):
        Trace(records.iloc[:1]).stream(CATALOGUE, rate=None, load=0.6)
