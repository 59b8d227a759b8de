"""What other activities do at a site: the cores they hold, and their jobs that are served first.

In: `Others`, drawn by `pandaenv.background` or made by hand. Out: how many cores are left at a
time, and when a job that queues may start at the earliest.

Nothing of this is simulated job by job: both are steps in time that all worlds share and a search
finds, so what others do costs an event only where a job of the agent waits for it.

Others take cores as they are freed, before the jobs of the agent, but stop none that runs; so for a
while a site may owe them some. A job that queues at time t lets the jobs of others pass that
queued before, then waits for a pilot: it may start at max(t, until(t)) + latency, where until(t) is
when the others' backlog at t would have been served. Since no step takes until(t) back, the order
of the queue is that of these times. With `until` from Lindley's recursion the agent's jobs are
customers of M/G/1 who bring no work.
"""

from typing import NamedTuple

import numpy as np

from pandaenv.kernels import kernel, part

HELD = np.dtype([("time", "f8"), ("cores", "i8")])
AHEAD = np.dtype([("time", "f8"), ("until", "f8")])


class Others(NamedTuple):
    """What others do at S sites; steps in order of time, those that are none at infinity."""

    held: np.ndarray  # (S, M) HELD, cores that they hold from then on; the first before all jobs
    ahead: np.ndarray  # (S, K) AHEAD, until when they come first, from then on; not falling
    latency: np.ndarray  # (S,) float64 s, of pilots


def no_others(n_sites: int) -> Others:
    """Nobody else at n sites."""
    return Others(np.zeros((n_sites, 0), HELD), np.zeros((n_sites, 0), AHEAD), np.zeros(n_sites))


def check_others(others: Others, cores: np.ndarray, most_cores: int) -> None:
    """Raise a ValueError unless others fit sites of `cores` (S,) and leave room for every job."""
    held, ahead, latency = others
    shapes = {len(held), len(ahead), len(latency), len(cores)}
    if len(shapes) > 1 or bool(held.shape[1]) != bool(ahead.shape[1]):
        raise ValueError(
            f"others must hold cores and come first at each of {len(cores)} sites, got steps of "
            f"{held.shape} and {ahead.shape} and {len(latency)} latencies"
        )
    for name, steps in (("held", held), ("ahead", ahead)):
        time = steps["time"]
        if np.isnan(time).any() or not (time[:, 1:] >= time[:, :-1]).all():
            raise ValueError(f"steps of {name} must be in order of time")
    if (np.diff(ahead["until"]) < 0).any() or np.isnan(ahead["until"]).any():
        raise ValueError("others must come first until a time that no step takes back")
    if not ((latency >= 0) & np.isfinite(latency)).all():
        raise ValueError(f"latency must be 0 s or more at each site, got {latency.min():g}")
    if held.shape[1]:
        _check_room(held["cores"], np.asarray(cores), most_cores)


def _check_room(held: np.ndarray, cores: np.ndarray, most_cores: int) -> None:
    least, left = np.minimum(cores, most_cores), cores - held.max(axis=1)
    wrong = np.flatnonzero((left < least) | (held.min(axis=1) < 0))
    if len(wrong):
        s = wrong[0]
        raise ValueError(
            f"others must leave room for the largest job ({least[s]} cores), got {left[s]} of "
            f"{cores[s]} cores left at site {s}"
        )


def held_range(held: np.ndarray, begin: float, end: float) -> tuple[np.ndarray, ...]:
    """Cores that others hold at each site on average from begin to end, at most and at least."""
    if held.shape[1] == 0:
        return (np.zeros(len(held), np.int64),) * 3
    edges = np.clip(held["time"], begin, max(end, begin + 1.0))
    last = np.full((len(held), 1), max(end, begin + 1.0))
    seconds = np.diff(np.concatenate([edges, last], axis=1))
    mean = (seconds * held["cores"]).sum(axis=1) / seconds.sum(axis=1)
    return np.rint(mean).astype(np.int64), held["cores"].max(axis=1), held["cores"].min(axis=1)


# --- questions of kernels -------------------------------------------------------------------------


@part
def has_others(grid):
    """Whether sites have others."""
    return grid.held.shape[1] > 0


@kernel
def last_step(steps, time):
    """Row of the last step at or before `time`, s; -1 before the first."""
    low, high = 0, len(steps)
    while low < high:
        middle = (low + high) // 2
        if steps[middle].time <= time:
            low = middle + 1
        else:
            high = middle
    return low - 1


@part
def held_cores(grid, s, time):
    """Cores that others hold at site s at a time, s."""
    return grid.held[s, max(last_step(grid.held[s], time), 0)].cores


@part
def next_change(grid, s, time):
    """When others next hold more or fewer cores, s; infinity: they do not."""
    k = last_step(grid.held[s], time) + 1
    return grid.held[s, k].time if k < grid.held.shape[1] else np.inf


@part
def turn_time(grid, s, time):
    """When a job that queues at a time, s, may start at the earliest."""
    k = last_step(grid.ahead[s], time)
    until = grid.ahead[s, k].until if k >= 0 else -np.inf
    return max(time, until) + grid.sites[s].latency
