"""What a broker knows of the sites where news takes time: readings, and the last one old enough.

In: worlds at the arrival of a job, a delay in s. Out: the state of the sites as it was the delay
ago, in which rules and observations read instead of the present one.

A reading is taken at an arrival, when the last one is at least delay / N_READINGS older. Known is
the latest that is as old as the delay, so no older than 1 + 1 / N_READINGS of it and the time
between two arrivals; in the first `delay` seconds of an episode it is that of its first arrival.
What a broker keeps itself is no news: which jobs come, where their input is, which transfers it has
asked for, and the time.
"""

from typing import NamedTuple

import numpy as np

from pandaenv.kernels import kernel, part
from pandaenv.simulator.others import has_others, held_cores
from pandaenv.simulator.state import SITE_STATE, WORLD, Worlds, recent_failure_share

from .estimates import expected_wait, transfer_time

N_READINGS = 32
"""Readings within the delay; more would cost memory and tell little (ASSUMED)."""
N_KEPT = N_READINGS + 4
ANY_CORES = 2**31
"""More cores than are free anywhere."""


class Readings(NamedTuple):
    """Readings of n worlds of S sites; no rows where nothing lags."""

    delay: float  # s
    world: np.ndarray  # (n,) WORLD, when what is known was read
    site: np.ndarray  # (n, S) SITE_STATE, what is known
    wait: np.ndarray  # (n, S) float64 s, what a job that finds no core free was to wait
    kept_world: np.ndarray  # (n, N_KEPT) WORLD, readings, reading i in row i % N_KEPT
    kept_site: np.ndarray  # (n, N_KEPT, S) SITE_STATE
    kept_wait: np.ndarray  # (n, N_KEPT, S)
    taken: np.ndarray  # (n,) int64, readings taken in this episode
    known: np.ndarray  # (n,) int64, number of the one that is known


def make_readings(n: int, n_sites: int, delay: float = 0.0) -> Readings:
    """Room for the readings of n worlds; none without a delay, s."""
    n = n if delay > 0 else 0
    return Readings(
        float(delay),
        np.zeros(n, WORLD),
        np.zeros((n, n_sites), SITE_STATE),
        np.zeros((n, n_sites)),
        np.zeros((n, N_KEPT), WORLD),
        np.zeros((n, N_KEPT, n_sites), SITE_STATE),
        np.zeros((n, N_KEPT, n_sites)),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
    )


@kernel
def begin_reading(grid, worlds, w, readings):
    """Forget the readings of the episode before and take the first of a new one."""
    readings.taken[w] = 0
    take_reading(grid, worlds, w, readings)


@kernel
def take_reading(grid, worlds, w, readings):
    """At an arrival: read the sites if it is time to, and see what is known by now."""
    now, n = worlds.world[w].now, readings.taken[w]
    last = readings.kept_world[w, (n - 1) % N_KEPT].now
    if n == 0 or now - last >= readings.delay / N_READINGS:
        keep_reading(grid, worlds, w, readings, n % N_KEPT)
        readings.taken[w] = n + 1
    if n == 0:
        know(w, readings, 0)
    i = readings.known[w]
    while i + 1 < readings.taken[w]:
        if readings.kept_world[w, (i + 1) % N_KEPT].now > now - readings.delay:
            break
        i += 1
    if i != readings.known[w]:
        know(w, readings, i)


@part
def keep_reading(grid, worlds, w, readings, k):
    """Write the sites as they are into row k."""
    readings.kept_world[w, k] = worlds.world[w]
    for s in range(len(grid.sites)):
        readings.kept_site[w, k, s] = worlds.site[w, s]
        wait = expected_wait(grid, worlds, w, s, ANY_CORES, False, np.inf)
        readings.kept_wait[w, k, s] = wait


@part
def know(w, readings, i):
    """Make reading i what is known."""
    k = i % N_KEPT
    readings.known[w] = i
    readings.world[w] = readings.kept_world[w, k]
    for s in range(readings.site.shape[1]):
        readings.site[w, s] = readings.kept_site[w, k, s]
        readings.wait[w, s] = readings.kept_wait[w, k, s]


@part
def known_worlds(worlds, readings):
    """The worlds with the sites as they are known and all else as it is."""
    return with_sites(worlds, worlds.world, readings)


@part
def past_worlds(worlds, readings):
    """The same at the time of that reading."""
    return with_sites(worlds, readings.world, readings)


@part
def with_sites(worlds, world, readings):
    return Worlds(
        world,
        readings.site,
        worlds.channel,
        worlds.job,
        worlds.heap,
        worlds.slow,
        worlds.switch,
        worlds.stored,
        worlds.copy,
        worlds.dataset,
        worlds.touched,
    )


@kernel
def finish_as_known(grid, worlds, w, s, readings):
    """`expected_finish` of the next job at site s by what is known: seconds from now."""
    job = grid.stream[worlds.job[w, worlds.world[w].next].index]
    site = readings.site[w, s]
    run = job.estimate * 1e-3 / (job.cores * grid.sites[s].power)
    held = held_cores(grid, s, readings.world[w].now) if has_others(grid) else 0
    is_free = site.queued == 0 and job.cores <= site.free - held
    wait = 0.0 if is_free else readings.wait[w, s]
    return max(transfer_time(grid, worlds, w, s), wait) + run / (1.0 - recent_failure_share(site))


@kernel
def earliest_as_known(grid, worlds, w, mask, readings):
    """Allowed site where the next job ends first, by what is known; ties to the larger."""
    best, least = 0, np.inf
    for s in range(len(mask)):
        end = finish_as_known(grid, worlds, w, s, readings) if mask[s] else np.inf
        if end < least:
            best, least = s, end
    return best
