"""Arrivals of jobs: when the next one comes, and how a world gets there.

In: a world. Out: the same world at the time of its next arrival, with recent ends of attempts
halved for each multiple of MEMORY_S that has passed.
"""

import numpy as np

from pandaenv.kernels import kernel, part

from .motion import advance, place
from .state import MEMORY_S


@kernel
def place_all(grid, worlds, w, sites):
    """Put the next jobs on the sites given, int64 (n,), each at its arrival."""
    for s in sites:
        advance_to_arrival(grid, worlds, w)
        place(grid, worlds, w, s)


@part
def advance_to_arrival(grid, worlds, w):
    """Advance the world to its next arrival."""
    advance(grid, worlds, w, next_arrival(grid, worlds, w))
    decay_counts(worlds, w)


@part
def next_arrival(grid, worlds, w):
    """When the next job arrives, s: as in the stream, or earlier by a surge."""
    world = worlds.world[w]
    return surged(world, grid.stream[worlds.job[w, world.next].index].time)


@part
def surged(world, time):
    """When a job arrives in a world, s, that comes at `time` in the stream."""
    if time <= world.surge_from:
        return time
    length = world.surge_until - world.surge_from
    if time <= world.surge_from + world.surge_factor * length:
        return world.surge_from + (time - world.surge_from) / world.surge_factor
    return time - (world.surge_factor - 1.0) * length


@kernel
def next_arrival_time(grid, worlds, w):
    """The same, to be called from Python: a `part` would compile in every process."""
    return next_arrival(grid, worlds, w)


@part
def decay_counts(worlds, w):
    """Halve the counts of recent ends once for each multiple of MEMORY_S passed."""
    world = worlds.world[w]
    age = np.int64(world.now // MEMORY_S)
    if age > world.age:
        fade = 0.5 ** np.float64(age - world.age)
        for s in range(worlds.site.shape[1]):
            worlds.site[w, s].finished *= fade
            worlds.site[w, s].failed *= fade
        world.age = age
