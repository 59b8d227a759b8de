"""Rows of a task moved into a burst, as the jobs of a task are submitted.

In: the second and the task of each row. Out: new seconds. Same seed, same bytes.

A task begins at a random place of the week in which one of its rows, drawn at random, was created,
on a clock that runs as fast as jobs come by hour and weekday; its jobs follow by
`pandaenv.reference.bursts`. So the profile over the week is kept in expectation, and the totals of
the weeks, but rows move far: half of those of the bundled pool by more than 24 days, one in twenty
by more than 100, since one format at one site takes that long to bring a task together.

Units: seconds since Monday 00:00 UTC; N rows.
"""

from __future__ import annotations

import numpy as np

from foundations.units import DAY_S, HOUR_S, WEEK_S
from pandaenv.reference import bursts


def move_into_bursts(time: np.ndarray, task: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move the rows of each task into a burst; see the top of this file. Shape: (N,) s.

    Hours and weekdays keep their shares in expectation, nothing leaves the span of the records.
    Times are whole seconds, as PanDA writes them.
    """
    order = np.lexsort((time, task))  # within a task the first stay first
    jobs = np.bincount(task)
    first = np.cumsum(jobs) - jobs
    drawn = order[first + (rng.random(len(jobs)) * jobs).astype(np.int64)]
    clock = _weekly_clock(time)
    low, high = _to_weeks(
        np.array([time.min() // HOUR_S, time.max() // HOUR_S + 1]) * HOUR_S, clock
    )
    week = np.floor(_to_weeks(time[drawn], clock))
    begin, end = np.maximum(week, low), np.minimum(week + 1, high)
    start = begin + rng.random(len(jobs)) * (end - begin)
    offset = bursts.submit(rng, np.zeros(len(jobs)), jobs, bursts.pace(rng, len(jobs)))["second"]
    place = np.empty(len(time))
    place[order] = np.repeat(start, jobs) + offset / WEEK_S
    return np.floor(_to_seconds(low + (place - low) % (high - low), clock))


def _weekly_clock(time: np.ndarray) -> np.ndarray:
    """Share of a week's jobs that came before each hour of the week, (169,), from 0 to 1.

    The product of the shares by weekday and by hour, each weekday by the days it was seen.
    """
    day = np.floor(time / DAY_S).astype(np.int64)
    seen = np.bincount(np.arange(day.min(), day.max() + 1) % 7, minlength=7)
    by_day = np.bincount(day % 7, minlength=7) / np.maximum(seen, 1)
    by_hour = np.bincount((time % DAY_S // HOUR_S).astype(np.int64), minlength=24)
    share = np.cumsum(np.outer(by_day, by_hour).ravel())
    return np.r_[0.0, share] / share[-1]


def _to_weeks(time: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """Seconds as weeks on the clock that runs as fast as jobs come."""
    week = np.floor(time / WEEK_S)
    return week + np.interp((time - week * WEEK_S) / HOUR_S, np.arange(169), clock)


def _to_seconds(weeks: np.ndarray, clock: np.ndarray) -> np.ndarray:
    week = np.floor(weeks)
    return week * WEEK_S + np.interp(weeks - week, clock, np.arange(169)) * HOUR_S
