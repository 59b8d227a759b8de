"""What an agent sees of the grid: the waiting job, the sites, the grid as a whole.

In: a world between two steps. Out: a flat float32 array of the blocks job (12), sites (S x 8) and
grid (6); the docstring of `pandaenv.env.PandaSiteAllocationEnv` says what each number means. None
depends on the true work or final state of a job that has not ended, nor of one still to come.
"""

import numpy as np
from gymnasium.spaces import Box, Dict
from numba import njit

from .jobs import JobArrays
from .policies import allow
from .schema import STATUSES

DAY_S, WEEK_S = 86_400.0, 7 * 86_400.0
N_JOB, N_SITE, N_GRID = 12, 8, 6
"""Features of the waiting job, of each site, of the grid."""
N_PRIOR = 20
"""Jobs of overall mean that a mean over past jobs counts along (ASSUMED), so that a rare group does
not give its few jobs away."""


def space(n_sites: int, is_flat: bool) -> Box | Dict:
    low = np.zeros(N_JOB + N_SITE * n_sites + N_GRID, np.float32)
    low[8:N_JOB] = -1.0
    if is_flat:
        return Box(low, np.ones_like(low))
    ones = np.ones((n_sites, N_SITE), np.float32)
    job, grid = Box(low[:N_JOB], np.ones(N_JOB, np.float32)), Box(0.0, 1.0, (N_GRID,), np.float32)
    return Dict(job=job, sites=Box(0 * ones, ones), grid=grid)


def expect(jobs: JobArrays, quantity: np.ndarray, past: slice) -> np.ndarray:
    """Mean of a quantity (J,) over past jobs of the same format, size and cores, for each job.

    Sizes are eight bins of equal counts.
    """
    edges = np.quantile(jobs.nbytes[past], np.arange(1, 8) / 8)
    size = np.searchsorted(edges, jobs.nbytes)
    keys = np.stack([jobs.format, size, jobs.cores])
    group = np.unique(keys, axis=1, return_inverse=True)[1].reshape(-1)
    return _past_mean(quantity, group, past)


def _past_mean(quantity: np.ndarray, group: np.ndarray, past: slice) -> np.ndarray:
    """Mean of each job's group over the past, drawn to the overall mean by N_PRIOR jobs."""
    n_groups, overall = group.max() + 1, quantity[past].mean()
    count = np.bincount(group[past], minlength=n_groups)
    total = np.bincount(group[past], weights=quantity[past], minlength=n_groups)
    return ((total + N_PRIOR * overall) / (count + N_PRIOR))[group]


def describe(
    jobs: JobArrays, expected: np.ndarray, service: np.ndarray, unit: float, past: slice
) -> np.ndarray:
    """The job block of each job: what is known of it at submission, float32 (J, N_JOB).

    Args:
        expected: seconds of service a broker would expect, (J,).
        service: seconds of service on the mean core, (J,); only past jobs' mean by format is used.
        unit: m, s.
    """
    share = np.bincount(jobs.format[past], minlength=jobs.format.max() + 1) / past.stop
    failed = (jobs.status != STATUSES.index("finished")).astype(np.float64)
    hour, week = (2 * np.pi * jobs.time / period for period in (DAY_S, WEEK_S))
    columns = (
        np.minimum(np.log1p(jobs.nbytes) / np.log1p(1e12), 1),
        np.minimum(np.log1p(jobs.nfiles) / np.log1p(1e5), 1),
        np.minimum(np.log2(jobs.cores) / 8, 1),
        _f(expected / unit),
        np.sqrt(share)[jobs.format],
        _f(_past_mean(service, jobs.format, past) / unit),
        _f(_past_mean(jobs.nbytes, jobs.format, past) / max(jobs.nbytes[past].mean(), 1.0)),
        _past_mean(failed, jobs.format, past),
        np.sin(hour), np.cos(hour), np.sin(week), np.cos(week),
    )  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def _f(x):
    return x / (1 + x)


@njit(cache=True)
def see(grid, worlds, w, unit, cap_floor, features, mask, out):
    """Fill mask (S,) int8 and the flat observation."""
    allow(grid, worlds, w, cap_floor, mask)
    see_job(worlds, w, features, out)
    see_sites(grid, worlds, w, unit, out)
    see_grid(grid, worlds, w, out)


@njit(cache=True)
def see_job(worlds, w, features, out):
    world = worlds.world[w]
    if world.next == world.n_rows:
        out[:N_JOB] = 0.0
    else:
        out[:N_JOB] = features[worlds.job[w, world.next].index]


@njit(cache=True)
def see_sites(grid, worlds, w, unit, out):
    world = worlds.world[w]
    has_job = world.next < world.n_rows
    dataset = grid.stream[worlds.job[w, world.next].index].dataset if has_job else 0
    top = 0.0
    for s in range(len(grid.sites)):
        top = max(top, grid.sites[s].power)
    for s in range(len(grid.sites)):
        site, traits = worlds.site[w, s], grid.sites[s]
        block = out[N_JOB + N_SITE * s : N_JOB + N_SITE * (s + 1)]
        backlog = site.estimate * 1e-3 / (traits.cores * traits.power) / unit
        delay = 0.0
        for free_at in worlds.channel[w, s]:
            delay += max(0.0, free_at - world.now) / len(worlds.channel[w, s])
        block[0] = site.free / traits.cores if site.n_switches % 2 == 0 else 0.0
        block[1] = min(np.log1p(site.queued + site.moving) / np.log1p(3000.0), 1.0)
        block[2] = backlog / (1.0 + backlog)
        block[3] = site.running / traits.cores
        block[4] = delay / (3600.0 + delay)
        block[5] = np.float64(has_job and grid.replicas[dataset, s])
        block[6] = traits.power / top
        block[7] = site.failed / (site.failed + site.finished + 1.0)


@njit(cache=True)
def see_grid(grid, worlds, w, out):
    world = worlds.world[w]
    n_sites = len(grid.sites)
    cores = free = moving = queued = running = up = 0
    for s in range(n_sites):
        site = worlds.site[w, s]
        is_up = site.n_switches % 2 == 0
        cores += grid.sites[s].cores
        free += site.free if is_up else 0
        moving, queued, running = moving + site.moving, queued + site.queued, running + site.running
        up += is_up
    block = out[N_JOB + N_SITE * n_sites :]
    block[0] = world.in_system / (world.in_system + cores)
    block[1] = (world.n_rows - world.next) / (world.n_rows - world.first_own)
    block[2] = free / cores
    block[3] = queued / (queued + running + 1.0)
    block[4] = moving / (moving + running + 1.0)
    block[5] = up / n_sites
