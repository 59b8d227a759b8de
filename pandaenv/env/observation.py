"""The observation: what an agent sees of the waiting job, the sites, and the grid as a whole.

In: a world between two steps. Out: a flat float32 array of the blocks job (12), sites (S x 8) and
grid (6), and the mask; the docstring of `pandaenv.env.PandaSiteAllocationEnv` says what each number
means. None depends on the true work or final state of a job that has not ended, nor of one to come.

Between two steps little changes: `observe` writes everything, `update_view` only what can have
changed since, the sites marked as touched and what depends on the time or the waiting job.
"""

import math
from typing import NamedTuple

import numpy as np
from gymnasium.spaces import Box, Dict

from foundations.units import DAY_S, HOUR_S, WEEK_S
from pandaenv.kernels import kernel, part
from pandaenv.policies import is_within_cap, mark_allowed
from pandaenv.policies.readings import Readings, known_worlds, make_readings, past_worlds
from pandaenv.schema import STATUSES
from pandaenv.simulator.caches import mark_holders
from pandaenv.simulator.others import has_others, held_cores, last_step, next_change, turn_time
from pandaenv.simulator.state import N_CHANNELS, is_up, recent_failure_share
from pandaenv.workload.jobs import JobArrays

from .decisions import Decisions, make_decisions

N_JOB, N_SITE, N_GRID = 12, 8, 6
"""Features of the waiting job, of each site, of the grid."""
DELAY, DATA, POWER, FAILURES = 4, 5, 6, 7
"""Columns of the sites block with a name here; all but POWER may change without an event there."""
N_PRIOR = 20
"""Jobs of overall mean that a mean over past jobs counts along (ASSUMED), so that a rare group does
not give its few jobs away."""

SEEN = np.dtype(
    [
        ("until", "f8"),  # s, when what is free changes by what others do
        ("free", "i4"),  # cores; 0 while down or while others come first
        ("moving", "i4"),
        ("queued", "i4"),
        ("running", "i4"),  # jobs
        ("is_up", "i4"),
    ],
    align=True,
)
"""What was seen of a site when an event last touched it."""
TOTAL = np.dtype(
    [(name, "i8") for name in ("age", "cores", "free", "moving", "queued", "running", "up")]
)
"""Sums of that over the sites, their cores, and the age of the world."""
MOST_WAITING = 3000
WAITING = np.array([math.log1p(n) / math.log1p(MOST_WAITING) for n in range(MOST_WAITING + 1)])
"""What is shown of so many jobs that wait; more of them look like the last."""


class View(NamedTuple):
    """What is seen of n worlds of S sites; rows belong to worlds."""

    flat: np.ndarray  # (n, N_JOB + N_SITE S + N_GRID) float32
    mask: np.ndarray  # (n, S) int8
    seen: np.ndarray  # (n, S) SEEN
    is_open: np.ndarray  # (n, S) bool, up, and its queue within the broker's cap
    ingress: np.ndarray  # (n, 3, S) float64, of channels in use: ends added up, s; how many; first
    total: np.ndarray  # (n,) TOTAL
    flow: np.ndarray  # (n,) float64, what the last placement earned before a relative reward
    end: np.ndarray  # (n, S) float64, expected end of the waiting job, s from now; with candidates
    order: np.ndarray  # (n, k) int64, sites of the k candidates; k is 0 without
    shown: np.ndarray  # (n, d) float32, the observation with candidates
    readings: Readings  # what is known of the sites where news takes time
    decisions: Decisions  # which jobs ask for a site


def make_view(
    n: int,
    n_sites: int,
    n_shown: int = 0,
    n_candidates: int = 0,
    delay: float = 0.0,
    n_followed: int = 0,
) -> View:
    """A view of n worlds.

    Args:
        n_shown: numbers an observation with candidates has.
        delay: of what is seen of the sites, s.
        n_followed: jobs an episode, where tasks are placed and not jobs.
    """
    return View(
        np.zeros((n, N_JOB + N_SITE * n_sites + N_GRID), np.float32),
        np.ones((n, n_sites), np.int8),
        np.zeros((n, n_sites), SEEN),
        np.zeros((n, n_sites), np.bool_),
        np.zeros((n, 3, n_sites)),
        np.zeros(n, TOTAL),
        np.zeros(n),
        np.zeros((n, n_sites)),
        np.zeros((n, n_candidates), np.int64),
        np.zeros((n, n_shown), np.float32),
        make_readings(n, n_sites, delay),
        make_decisions(n, n_followed),
    )


def space(n_sites: int, is_flat: bool, n_features: int = N_SITE) -> Box | Dict:
    """The observation space on S sites of so many features."""
    low = np.zeros(N_JOB + n_features * n_sites + N_GRID, np.float32)
    low[8:N_JOB] = -1.0
    if is_flat:
        return Box(low, np.ones_like(low))
    job, grid = Box(low[:N_JOB], np.ones(N_JOB, np.float32)), Box(0.0, 1.0, (N_GRID,), np.float32)
    return Dict(job=job, sites=Box(0.0, 1.0, (n_features * n_sites,), np.float32), grid=grid)


def expect_from_past(jobs: JobArrays, quantity: np.ndarray, past: slice) -> np.ndarray:
    """Mean of a quantity (J,) over past jobs of the same format, size and cores, for each job.

    Sizes are eight bins of equal counts.
    """
    edges = np.quantile(jobs.nbytes[past], np.arange(1, 8) / 8)
    size = np.searchsorted(edges, jobs.nbytes)
    group = np.ravel_multi_index(
        (jobs.cores, jobs.format, size), (jobs.cores.max() + 1, jobs.format.max() + 1, 8)
    )
    group = np.unique(group, return_inverse=True)[1]  # few of the combinations occur
    return _past_mean(quantity, group, past)


def _past_mean(quantity: np.ndarray, group: np.ndarray, past: slice) -> np.ndarray:
    """Mean of each job's group over the past, drawn to the overall mean by N_PRIOR jobs."""
    n_groups, overall = group.max() + 1, quantity[past].mean()
    count = np.bincount(group[past], minlength=n_groups)
    total = np.bincount(group[past], weights=quantity[past], minlength=n_groups)
    return ((total + N_PRIOR * overall) / (count + N_PRIOR))[group]


def job_features(
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
        _saturate(expected / unit),
        np.sqrt(share)[jobs.format],
        _saturate(_past_mean(service, jobs.format, past) / unit),
        _saturate(_past_mean(jobs.nbytes, jobs.format, past) / max(jobs.nbytes[past].mean(), 1.0)),
        _past_mean(failed, jobs.format, past),
        np.sin(hour),
        np.cos(hour),
        np.sin(week),
        np.cos(week),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def _saturate(x):
    """Map [0, inf) to [0, 1)."""
    return x / (1 + x)


@kernel
def observe(grid, worlds, w, rules, view):
    """Fill row w of the view from the world as it stands."""
    worlds.touched[w] = True
    total = view.total[w]
    total.age = total.cores = 0
    total.free = total.moving = total.queued = total.running = total.up = 0
    top = 0.0
    for s in range(len(grid.sites)):
        top = max(top, grid.sites[s].power)
        total.cores += grid.sites[s].usual
    for s in range(len(grid.sites)):
        seen = view.seen[w, s]
        seen.free = seen.moving = seen.queued = seen.running = seen.is_up = 0
        view.flat[w, site_column(s, POWER)] = grid.sites[s].power / top
    update_view(grid, worlds, w, rules, view)


@part
def update_view(grid, worlds, w, rules, view):
    """Bring row w of the view up to date."""
    if view.readings.delay > 0.0:
        update_late_view(grid, worlds, w, rules, view)
        return
    touched = worlds.touched[w]
    if has_others(grid):
        touch_changed(grid, worlds, w, view)
    for s in range(len(grid.sites)):
        if touched[s]:
            touched[s] = False
            update_site(grid, worlds, w, s, rules, view)
    write_job(worlds, w, rules.features, view.flat[w])
    write_delays(grid, worlds, w, view)
    write_data(grid, worlds, w, view.flat[w])
    write_grid(grid, worlds, w, view)
    update_mask(grid, worlds, w, rules.cap_floor, view)


@kernel
def update_late_view(grid, worlds, w, rules, view):
    """The same where news takes time: sites as they are known, all else as it is."""
    past, known = past_worlds(worlds, view.readings), known_worlds(worlds, view.readings)
    for s in range(len(grid.sites)):
        update_site(grid, past, w, s, rules, view)
        update_ingress(worlds, w, s, view.ingress[w])
    write_job(worlds, w, rules.features, view.flat[w])
    view.total[w].age = worlds.world[w].age  # recent failures are those known
    write_delays(grid, worlds, w, view)
    write_data(grid, worlds, w, view.flat[w])
    write_grid(grid, worlds, w, view)
    n_known = past.world[w].in_system
    view.flat[w, site_column(len(grid.sites), 0)] = n_known / (n_known + view.total[w].cores)
    update_mask(grid, known, w, rules.cap_floor, view)


@part
def touch_changed(grid, worlds, w, view):
    """Touch the sites where others hold more or fewer cores than were seen, or no longer queue."""
    now = worlds.world[w].now
    for s in range(len(grid.sites)):
        if view.seen[w, s].until <= now:
            worlds.touched[w, s] = True


@part
def left_free(grid, worlds, w, s, seen):
    """Cores free for the agent's jobs at a site that is up; notes until when that holds."""
    free, now = worlds.site[w, s].free, worlds.world[w].now
    if not has_others(grid):
        return free
    turn, k = turn_time(grid, s, now) - grid.sites[s].latency, last_step(grid.ahead[s], now) + 1
    burst = grid.ahead[s, k].time if k < grid.ahead.shape[1] else np.inf
    if turn > now:  # a burst only lets others come first for longer
        seen.until = turn
        return np.int32(0)
    seen.until = min(burst, next_change(grid, s, now))
    return max(free - np.int32(held_cores(grid, s, now)), np.int32(0))


@part
def site_column(s, k):
    """Where column k of site s stands in a flat observation."""
    return N_JOB + N_SITE * s + k


@part
def update_site(grid, worlds, w, s, rules, view):
    """Bring what is seen of site s up to date, but for the delay and the data."""
    site, traits = worlds.site[w, s], grid.sites[s]
    seen, total = view.seen[w, s], view.total[w]
    up = is_up(site)
    seen.until = np.inf
    free = left_free(grid, worlds, w, s, seen) if up else 0
    total.free += free - seen.free
    total.moving += site.moving - seen.moving
    total.queued += site.queued - seen.queued
    total.running += site.running - seen.running
    total.up += up - seen.is_up
    seen.free, seen.is_up = free, up
    seen.moving, seen.queued, seen.running = site.moving, site.queued, site.running
    view.is_open[w, s] = up and is_within_cap(site, rules.cap_floor)
    update_ingress(worlds, w, s, view.ingress[w])
    block = view.flat[w, site_column(s, 0) : site_column(s + 1, 0)]
    backlog = site.estimate * 1e-3 / (traits.usual * traits.power) / rules.unit
    block[0] = min(free / traits.usual, 1.0)
    block[1] = WAITING[min(site.queued + site.moving, MOST_WAITING)]
    block[2] = backlog / (1.0 + backlog)
    block[3] = min(site.running / traits.usual, 1.0)
    block[FAILURES] = recent_failure_share(site)


@part
def update_ingress(worlds, w, s, ingress):
    """Bring what is seen of the channels into site s up to date; it stays so until one is free."""
    ends, n_busy, first = 0.0, 0.0, np.inf
    now = worlds.world[w].now
    for i in range(N_CHANNELS):
        end = worlds.channel[w, s, i]
        is_busy = end > now  # no branch where both ways are likely
        ends += end if is_busy else 0.0
        n_busy += is_busy
        first = end if is_busy & (end < first) else first
    ingress[0, s], ingress[1, s], ingress[2, s] = ends, n_busy, first


@part
def write_job(worlds, w, features, out):
    """The job block of the waiting job; zeros after the last one."""
    world = worlds.world[w]
    if world.next == world.n_rows:
        out[:N_JOB] = 0.0
        return
    index = worlds.job[w, world.next].index
    for i in range(N_JOB):
        out[i] = features[index, i]
    if world.now > world.surge_from:  # the stream's clock is not the world's
        write_clock(world.now, DAY_S, out[8:10])
        write_clock(world.now, WEEK_S, out[10:12])


@part
def write_clock(time, period, out):
    """Sine and cosine of a time in its period, s."""
    angle = 2.0 * np.pi * time / period
    out[0], out[1] = np.sin(angle), np.cos(angle)


@part
def write_delays(grid, worlds, w, view):
    """What goes on as time passes: channels become free, recent failures are forgotten."""
    world, total = worlds.world[w], view.total[w]
    now, ingress, flat = world.now, view.ingress[w], view.flat[w]
    for s in range(len(grid.sites)):
        if ingress[2, s] <= now:
            update_ingress(worlds, w, s, ingress)
    for s in range(len(grid.sites)):
        delay = (ingress[0, s] - ingress[1, s] * now) * (1.0 / N_CHANNELS)
        delay = delay if delay > 0.0 else 0.0
        flat[site_column(s, DELAY)] = delay / (HOUR_S + delay)
    if world.age != total.age:
        total.age = world.age
        for s in range(len(grid.sites)):
            flat[site_column(s, FAILURES)] = recent_failure_share(worlds.site[w, s])


@part
def write_data(grid, worlds, w, out):
    """Where the waiting job's input is, an original or a copy."""
    world = worlds.world[w]
    if world.next == world.n_rows:
        for s in range(len(grid.sites)):
            out[site_column(s, DATA)] = 0.0
        return
    mark_holders(grid, worlds, w, world.next, out[site_column(0, DATA) : -N_GRID : N_SITE])


@part
def write_grid(grid, worlds, w, view):
    """The grid block."""
    world, total = worlds.world[w], view.total[w]
    n_sites = len(grid.sites)
    block = view.flat[w, site_column(n_sites, 0) :]
    block[0] = world.in_system / (world.in_system + total.cores)
    block[1] = (world.n_rows - world.next) / (world.n_rows - world.first_own)
    block[2] = min(total.free / total.cores, 1.0)
    block[3] = total.queued / (total.queued + total.running + 1.0)
    block[4] = total.moving / (total.moving + total.running + 1.0)
    block[5] = total.up / n_sites


@part
def update_mask(grid, worlds, w, cap_floor, view):
    """The mask of `pandaenv.policies.allow`, from what is seen."""
    world, mask = worlds.world[w], view.mask[w]
    n_allowed = 0
    if world.next < world.n_rows:
        cores = grid.stream[worlds.job[w, world.next].index].cores
        for s in range(len(mask)):
            mask[s] = view.is_open[w, s]
        if cores > 1:  # one core fits everywhere
            for s in range(len(mask)):
                mask[s] &= cores <= grid.sites[s].cores
        for s in range(len(mask)):
            n_allowed += mask[s]
    if n_allowed == 0:
        mark_allowed(grid, worlds, w, cap_floor, mask)
