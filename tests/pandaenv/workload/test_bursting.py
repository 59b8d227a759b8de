"""Rows moved into bursts keep the profile of the week."""

import numpy as np
import pandas as pd

from foundations.units import DAY_S, WEEK_S
from pandaenv.workload.bursting import move_into_bursts
from pandaenv.workload.gathering import gather


def dispersion(time, hours):
    """(F - 1) / mean of counts, written out."""
    count = np.bincount(((time - time.min()) // (hours * 3600)).astype(int))[:-1]
    return (count.var(ddof=1) / count.mean() - 1) / count.mean()


def test_jobs_of_a_task_come_in_a_burst(rows, arrived):
    time, own = arrived
    length = pd.Series(time).groupby(own.task).agg(np.ptp)[np.bincount(own.task) >= 30]
    before = (rows["creationtime"] * DAY_S).groupby(own.task).agg(np.ptp)
    assert length.median() < 12 * 3600 < DAY_S < before[length.index].median()


def test_moving_clumps_hours_and_days_and_keeps_the_profile_of_the_week(rows, arrived):
    time, own = arrived
    recorded = rows["creationtime"].to_numpy() * DAY_S
    assert len(time) == len(recorded)
    assert recorded.min() - 3600 <= time.min() and time.max() <= recorded.max() + 3600
    for hours in (1, 6):
        assert dispersion(time, hours) > 2 * dispersion(recorded, hours)
    size = np.bincount(own.task)
    for part, n in ((DAY_S, 24), (WEEK_S, 7)):
        share = [np.bincount((t % part * n / part).astype(int)) / len(t) for t in (time, recorded)]
        noise = np.sqrt((size**2).sum() / n) / size.sum()  # whole tasks fall here or there
        assert np.abs(share[0] - share[1]).max() < 4 * noise


def test_the_profile_is_kept_without_bias_over_many_draws(rows):
    """Averaged over draws the hour profile comes back, not a smeared one."""
    recorded = rows["creationtime"].to_numpy() * DAY_S
    task = gather(rows, np.zeros(len(rows), int), np.random.default_rng(0)).task
    hour = np.zeros(24)
    for seed in range(12):
        time = move_into_bursts(recorded, task, np.random.default_rng(seed))
        hour += np.bincount((time % DAY_S // 3600).astype(int), minlength=24) / len(time) / 12
    before = np.bincount((recorded % DAY_S // 3600).astype(int), minlength=24) / len(recorded)
    strength = [np.abs(np.exp(2j * np.pi * np.arange(24) / 24) @ p) for p in (hour, before)]
    assert 0.85 < strength[0] / strength[1] < 1.15
