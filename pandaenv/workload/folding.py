"""A stream at a rate: whole weeks folded onto each other, whole tasks left out.

In: the arrival and the task of each record, and a rate in jobs a day. Out: the records kept, their
new arrivals, and the length of the stream. The profile over the week and the clumping by task
survive, whatever the rate.

Units: seconds since Monday 00:00 UTC; N records.
"""

from __future__ import annotations

import numpy as np

from foundations.units import DAY_S, WEEK_S

RATE_SLACK = 0.01
"""Shortfall of the rate for which a further week is kept; the rate is promised within 2 %."""


def fold(
    time: np.ndarray,
    task: np.ndarray,
    rate: float,
    thinning: np.random.Generator,
    folding: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Fold whole weeks and keep whole tasks: rows kept, their new times, seconds in all.

    As many weeks result as the records can fill at `rate`. Weeks are laid onto each other in turn,
    there and back (0 1 2 2 1 0 0 1 ...), so that two layers take the slow drift of the records out
    of the stream (a single one keeps it); where their number does not divide, the tasks of the last
    weeks are spread over all, so that every week gets the same. A task moves as one, by the weeks
    of its first job; what it has beyond the end of the stream comes at the beginning.

    Args:
        time: (N,) s. task: (N,) int64 from 0, a number for each task.
        thinning, folding: random generators, of the tasks kept and of the weeks they go to.

    Raises:
        ValueError: less than a whole week, fewer records than one week takes at this rate, or a
            rate that leaves no job.
    """
    start = _starts(time, task)
    week = np.floor(start / WEEK_S).astype(np.int64)
    first, n_weeks = _whole_weeks(time)
    inside = np.flatnonzero(((week >= first) & (week < first + n_weeks))[task])
    n_folded = min(n_weeks, int(len(inside) / (7 * rate * (1 - RATE_SLACK))))
    if n_folded < 1:
        raise ValueError(
            f"rate must be at most {len(inside) / 7:.0f} jobs a day, all records folded into one "
            f"week, got rate={rate:g}"
        )
    n_jobs = min(len(inside), round(7 * rate * n_folded))
    if n_jobs < 1:
        raise ValueError(f"rate must leave a job in {n_folded} weeks, got rate={rate:g} a day")
    day = start // DAY_S
    rows = np.sort(inside[choose_whole_tasks(task[inside], day, n_jobs, thinning)])
    spread = (_position(task, day, folding) * n_folded).astype(np.int64)
    n_layered = n_weeks - n_weeks % n_folded
    target = np.where(week - first < n_layered, _there_and_back(week - first, n_folded), spread)
    moved = time + ((target - week) * WEEK_S)[task]
    return rows, moved[rows] % (n_folded * WEEK_S), n_folded * WEEK_S


def choose_whole_tasks(
    task: np.ndarray, day: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Choose n rows as whole tasks, about the same share of every day; the last one may be cut.

    Args:
        task: (N,) task of each row. day: (T,) day of each task.
    """
    return np.argsort(_position(task, day, rng)[task], kind="stable")[:n]


def span(time: np.ndarray) -> float:
    """Seconds from the first to the last arrival."""
    length = float(time.max() - time.min())
    if not length > 0:
        raise ValueError(f"a stream must last, got {len(time)} jobs that arrive at one time")
    return length


def _starts(time: np.ndarray, task: np.ndarray) -> np.ndarray:
    """First arrival of each task. Shape: (T,)."""
    start = np.full(task.max() + 1, np.inf)
    np.minimum.at(start, task, time)
    return start


def _there_and_back(week: np.ndarray, n: int) -> np.ndarray:
    """0 ... n-1, then n-1 ... 0, and so on."""
    place = week % n
    return np.where(week // n % 2 == 0, place, n - 1 - place)


def _whole_weeks(time: np.ndarray) -> tuple[int, int]:
    """First whole week of the records and the number of whole weeks, within half a day."""
    tolerance_s = 0.5 * DAY_S
    first = int(np.ceil((time.min() - tolerance_s) / WEEK_S))
    n_weeks = int(np.floor((time.max() + tolerance_s) / WEEK_S)) - first
    if n_weeks < 1:
        raise ValueError(
            f"records must cover a whole week from Monday to Sunday to be folded to a rate, got "
            f"{span(time) / DAY_S:.1f} days; rate=None replays them as they are"
        )
    return first, n_weeks


def _position(task: np.ndarray, day: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A number in [0, 1) for each task, uniform, and as even as can be over the jobs of a day.

    The tasks of a day are laid around a circle in random order, each as long as it has jobs; the
    number is where a task begins, seen from a random point (systematic sampling). Shape: (T,).
    """
    size = np.bincount(task, minlength=len(day))
    number = np.unique(day, return_inverse=True)[1]
    order = np.lexsort((rng.random(len(size)), number))
    end, total = np.cumsum(size[order]), np.bincount(number, weights=size)
    begin = (end - size[order]) - (np.cumsum(total) - total)[number[order]]
    turn = begin / np.maximum(total, 1)[number[order]] + rng.random(len(total))[number[order]]
    position = np.empty(len(size))
    position[order] = turn % 1.0
    return position
