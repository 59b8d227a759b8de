"""A world before its first job: empty sites, free channels, no copies.

In: part of a stream and a seed. Out: the world with those jobs still to arrive.
"""

import numpy as np

from pandaenv.kernels import kernel

from .state import FUTURE, MEMORY_S, NONE, Grid, Worlds


def reset_world(
    grid: Grid, worlds: Worlds, w: int, begin: int, n_rows: int, first_own: int, seed: np.uint64
) -> None:
    """Empty world w and give it the jobs begin, begin + 1, ... of the stream."""
    _reset_world(grid, worlds, w, begin, n_rows, first_own, seed)
    if w < len(worlds.copy):
        datasets = datasets_of(grid, begin, n_rows)
        worlds.dataset[w, : len(datasets)] = datasets
        slot = np.searchsorted(datasets, grid.stream["dataset"][begin : begin + n_rows])
        worlds.job[w, :n_rows]["slot"] = slot


def datasets_of(grid: Grid, begin: int, n_rows: int) -> np.ndarray:
    """Data sets that jobs begin, begin + 1, ... of the stream read, increasing."""
    return np.unique(grid.stream["dataset"][begin : begin + n_rows])


@kernel
def _reset_world(grid, worlds, w, begin, n_rows, first_own, seed):
    world = worlds.world[w]
    world.now = grid.stream[begin].time
    world.integral = 0.0
    world.own_lost = 0
    world.seed = seed
    world.counter = world.n_events = world.next = world.in_system = world.own_in_system = 0
    world.n_rows = n_rows
    world.first_own = first_own
    world.age = np.int64(world.now // MEMORY_S)
    world.surge_from, world.surge_until, world.surge_factor = np.inf, np.inf, 1.0
    world.backfill = 0
    worlds.channel[w] = world.now
    for s in range(len(grid.sites)):
        site = worlds.site[w, s]
        site.finished = site.failed = 0.0
        slow = worlds.slow[w, s]
        slow.begin, slow.end, slow.factor = np.inf, np.inf, 1.0
        site.fails_after = np.inf
        site.estimate = site.switch_count = site.n_switches = site.demand = 0
        site.moving = site.queued = site.running = 0
        site.head = site.tail = site.first = site.last = NONE
        site.booked = site.cached = site.unused = 0
        site.oldest = site.newest = NONE
        site.turn = site.change = -np.inf
        site.free = grid.sites[s].cores
    if w < len(worlds.copy):
        for slot in range(worlds.stored.shape[1]):
            for s in range(len(grid.sites)):
                if worlds.stored[w, slot, s] > 0.0:  # what was never used stays untouched
                    worlds.stored[w, slot, s] = 0.0
    for row in range(n_rows):
        job = worlds.job[w, row]
        job.index = begin + row
        job.state = FUTURE
        job.site = job.source = NONE
        job.behind = job.previous = job.following = job.held = NONE
        job.count = job.attempts = job.outcome = job.slot = job.booked = 0
        job.value = 0.0
        job.submit = job.ready = job.first_start = job.start = job.end = np.nan
