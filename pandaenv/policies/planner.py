"""A policy that looks ahead: where would the waiting job leave the most to the jobs after it?

In: a world with a waiting job, and what a broker knows. Out: a site.

A rolling horizon with the rule `greedy` as its base (rollout: Bertsekas, Tsitsiklis and Wu, Journal
of Heuristics 3, 1997). The planner believes when each core of each site will be free. For each site
that is allowed it puts the waiting job there, lets the jobs that came last come again at the same
intervals, each to where it would end first, and adds up their flow times; it takes the site with
the least sum. Jobs to come are thereby a guess: none is seen before it arrives.

What it knows is what `greedy` knows: expected work, which jobs run since when, queues, moving
input, replicas and recent failures. Beside that it knows how much longer jobs of the past ran that
had run for so long, by their work over what was expected of it, in the weeks in which agents learn;
`greedy` takes a job that runs longer than expected to end at once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from foundations import checks
from pandaenv.kernel_cache import cached_njit
from pandaenv.kernels import kernel, part
from pandaenv.simulator.arrivals import surged
from pandaenv.simulator.state import MOVING, NONE, RUNNING, is_up, recent_failure_share

from .estimates import transfer_time

FIRST_RATIO, RATIO_STEP, N_RATIOS = 1e-3, 0.1, 120
"""Times that jobs have run, over those expected, for which it is known how much longer they run:
the smallest, the step of the logarithm, and how many."""
FEW, LEAST_LEFT = 20, 0.01
"""So many jobs at least tell how much is left, and no job is believed to have less left, over what
was expected of it."""


class Planner:
    """A policy; see the top of this file. It never chooses a masked site.

    The defaults are among the best of 80 to 500 jobs and weights of 0.3 to 1 on the training
    windows of the Tier-1 task, where they take less time than `greedy`. Each job is believed to
    take exactly the time expected of it: where queues are long at many small sites, as in the task
    of 40 sites, this errs, and nothing is gained (`python -m benchmarks.bound`).

    Args:
        horizon: jobs that come again, at least 0; with 0 the waiting job alone counts.
        weight: what the flow time of one of them counts, that of the waiting job being 1.

    Raises:
        ValueError: a value out of its range.
    """

    def __init__(self, horizon: int = 200, weight: float = 0.6):
        self.horizon = checks.whole("horizon", horizon)
        self.weight = checks.number("weight", weight, least=0)
        self._prepared: Any = None

    def __repr__(self) -> str:
        return f"Planner(horizon={self.horizon}, weight={self.weight})"

    def reset(self, seed: int | Sequence[int]) -> None:
        """Nothing is drawn."""

    def act(self, env: Any) -> int:
        """The site for the job that waits in `env`."""
        return int(self.act_all(env)[0])

    def act_all(self, envs: Any) -> np.ndarray:
        """A site for the waiting job of each world, int64 (n,); 0 where none waits."""
        episodes = envs.unwrapped.episodes
        if episodes.config.information_delay > 0:
            lag = f"{episodes.config.information_delay:g}"
            raise ValueError(f"a planner needs information_delay=0, got an environment of {lag} s")
        if self._prepared is not episodes.prepared:
            self._prepared, self._left = episodes.prepared, left_of(episodes)
        chosen = np.zeros(episodes.n, np.int64)
        plan_all(episodes.bound, self._left, self.horizon, float(self.weight), chosen)
        return chosen


def left_of(episodes: Any) -> np.ndarray:
    """How long jobs of the past ran on, by how long they had run, both over what was expected.

    Shape: (N_RATIOS,).
    """
    prepared, config = episodes.prepared, episodes.config
    lengths = {"episode_jobs": config.episode_jobs, "warmup_days": config.warmup_days}
    past = max(window.stop for window in prepared.stream.windows("train", **lengths))
    known = prepared.grid.stream[:past]
    ratio = np.sort(known["work"] / np.maximum(known["estimate"] * 1e-3, 1e-9))
    above = np.cumsum(ratio[::-1])[::-1]
    run = FIRST_RATIO * np.exp(RATIO_STEP * np.arange(N_RATIOS))
    first = np.clip(np.searchsorted(ratio, run), 0, max(len(ratio) - FEW, 0))
    return np.maximum(above[first] / (len(ratio) - first) - run, LEAST_LEFT)


# --- kernels --------------------------------------------------------------------------------------


class Coming(NamedTuple):
    """Jobs that are believed to come, for S sites."""

    time: np.ndarray  # (K,) float64 s
    cores: np.ndarray  # (K,) int64
    work: np.ndarray  # (K,) float64 GFLOP
    moved: np.ndarray  # (K, S) float64 s, how long their input moves


@cached_njit
def plan_all(bound, left, horizon, weight, chosen):
    """Choose a site for the waiting job of each world, into int64 (n,)."""
    grid, worlds = bound.grid, bound.worlds
    n_sites, n_cores = len(grid.sites), grid.sites.cores.max()
    coming = Coming(
        np.empty(horizon), np.empty(horizon, np.int64), np.empty(horizon),
        np.empty((horizon, n_sites)),
    )  # fmt: skip
    free, copy = np.empty((n_sites, n_cores)), np.empty((n_sites, n_cores))
    for w in range(len(chosen)):
        if worlds.world[w].next < worlds.world[w].n_rows:
            n = recall(grid, worlds, w, horizon, coming)
            for s in range(n_sites):
                believe(grid, worlds, w, s, left, free[s])
                free[s, : grid.sites[s].cores].sort()
                believe_waiting(grid, worlds, w, s, free[s])
            mask = bound.views.mask[w]
            chosen[w] = best_site(grid, worlds, w, mask, coming, n, weight, free, copy)


@kernel
def recall(grid, worlds, w, horizon, coming):
    """Let the jobs that came last, the waiting one included, come again; returns how many."""
    world = worlds.world[w]
    last = worlds.job[w, world.next].index
    n = min(horizon, np.int64(last))
    before = surged(world, grid.stream[last - n].time)
    for i in range(n):
        job = grid.stream[last - n + 1 + i]
        coming.time[i] = world.now + surged(world, job.time) - before
        coming.cores[i], coming.work[i] = job.cores, job.estimate * 1e-3
        for s in range(len(grid.sites)):
            coming.moved[i, s] = seconds_moved(grid, job, s)
    return n


@part
def seconds_moved(grid, job, s):
    """How long the input of a job of the stream moves to site s from its nearest replica, s."""
    held = grid.replicas[job.dataset]
    if job.nbytes == 0 or held[s]:
        return 0.0
    for source in grid.nearest[s]:
        if held[source]:
            return job.nbytes / min(grid.link[s, source], grid.sites[s].channel)
    return 0.0


@kernel
def believe(grid, worlds, w, s, left, free):
    """Fill in when the cores of site s are believed to be free of running jobs, s, in no order."""
    now, n = worlds.world[w].now, 0
    row = worlds.site[w, s].first
    while row != NONE:
        job = worlds.job[w, row]
        if job.state == RUNNING:
            expected = expected_length(grid, s, job)
            run = max((now - job.start) / max(expected, 1e-9), FIRST_RATIO)
            i = min(np.int64(np.log(run / FIRST_RATIO) / RATIO_STEP), len(left) - 1)
            for _ in range(job.cores):
                free[n] = now + expected * left[i]
                n += 1
        row = job.following
    for i in range(n, len(free)):
        free[i] = now


@kernel
def believe_waiting(grid, worlds, w, s, free):
    """Let what waits at site s hold cores too: first the queue, then what moves its input."""
    n, now = grid.sites[s].cores, worlds.world[w].now
    row = worlds.site[w, s].head
    while row != NONE:
        job = worlds.job[w, row]
        hold(free, n, job.cores, now, expected_length(grid, s, job))
        row = job.behind
    row = worlds.site[w, s].first
    while row != NONE:
        job = worlds.job[w, row]
        if job.state == MOVING:
            hold(free, n, job.cores, job.end, expected_length(grid, s, job))
        row = job.following


@part
def expected_length(grid, s, job):
    """How long a placed job is expected to run at its site s, s."""
    return grid.stream[job.index].estimate * 1e-3 / (job.cores * grid.sites[s].power)


@part
def hold(free, n, cores, time, length):
    """Let a job hold the cores of a site that are free first, from `time`, s, or later; its end.

    `free`, of which n count, stays in order.
    """
    end = max(time, free[cores - 1]) + length
    i = 0
    while i + cores < n and free[i + cores] < end:
        free[i] = free[i + cores]
        i += 1
    for k in range(i, i + cores):
        free[k] = end
    return end


@kernel
def best_site(grid, worlds, w, mask, coming, n, weight, free, copy):
    """The allowed site with the least sum of flow times, that of the n jobs to come weighted."""
    world = worlds.world[w]
    job = grid.stream[worlds.job[w, world.next].index]
    best, least = 0, np.inf
    for s in range(len(mask)):
        if mask[s]:
            copy_free(free, copy)
            ready = world.now + transfer_time(grid, worlds, w, s)
            length = attempt_expected(grid, worlds, w, s, job.estimate * 1e-3, job.cores)
            end = hold(copy[s], grid.sites[s].cores, job.cores, ready, length)
            total = end - world.now
            if weight > 0.0:
                total += weight * rehearse(grid, worlds, w, coming, n, copy)
            if total < least:
                best, least = s, total
    return best


@part
def copy_free(free, copy):
    """Copy when cores are free, (S, C), without a buffer, which kernels cannot make."""
    for s in range(free.shape[0]):
        for i in range(free.shape[1]):
            copy[s, i] = free[s, i]


@part
def attempt_expected(grid, worlds, w, s, work, cores):
    """How long a job is expected to run at site s, s, stretched by its recent failures."""
    failing = recent_failure_share(worlds.site[w, s])
    return work / (cores * grid.sites[s].power) / (1.0 - failing)


@kernel
def rehearse(grid, worlds, w, coming, n, free):
    """The sum of flow times, s, of n jobs to come, each placed where it ends first."""
    total = 0.0
    for i in range(n):
        cores, time = coming.cores[i], coming.time[i]
        best, start, least = NONE, 0.0, np.inf
        for s in range(len(grid.sites)):
            if cores <= grid.sites[s].cores and is_up(worlds.site[w, s]):
                begin = max(time + coming.moved[i, s], free[s, cores - 1])
                length = attempt_expected(grid, worlds, w, s, coming.work[i], cores)
                if begin + length < least:
                    best, start, least = s, begin, begin + length
        if best != NONE:
            hold(free[best], grid.sites[best].cores, cores, start, least - start)
            total += least - time
    return total
