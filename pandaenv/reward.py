"""What a placement is worth: the change it makes to the projected fate of the agent's jobs.

In: a world right after a placement. Out: a reward and the costs of that placement.

The projection copies the touched site into a scratch world and runs the simulator itself on it,
with failures and outages as drawn and no further arrivals. What happens to a site between two
placements there is thereby already settled, so the rewards of an episode add up to minus the total
of the measure over the agent's jobs (potential-based; no lump at the end).

Measures of a job, all with LOSS on top for a job lost or rejected, so that failing fast never pays:
flow_time (end - submit) / unit; wait (start of the last attempt - submit) / unit; slowdown
max(1, (end - submit) / max(run, TAU_S)). `accrued` pays as time passes instead: minus the integral
of the agent's jobs in the system over unit. The unit is the workload's mean service time, seconds.
"""

import numpy as np
from numba import njit

from .simulator import advance, arrive, insert, place
from .worlds import LOST, MOVING, NONE, REJECTED, RUNNING

FLOW_TIME, SLOWDOWN, WAIT, ACCRUED = range(4)
MEASURES = {"flow_time": FLOW_TIME, "slowdown": SLOWDOWN, "wait": WAIT, "accrued": ACCRUED}
LOSS = 10.0
"""Mean service times that a lost or rejected job counts beside the time it spent."""
TAU_S = 600.0
"""Runs shorter than this count as this long in a slowdown, s."""
COSTS = ("wait", "transfer", "failure", "rejected")


@njit(cache=True)
def step(grid, worlds, w, scratch, s, measure, unit, wait_limit, byte_limit, cost):
    """Place the next job of world w on site s and go on to the arrival after it.

    Args:
        scratch: another world of the set, overwritten.
        s: a site, or NONE to reject the job.
        unit: s; wait_limit: s; byte_limit: bytes.
        cost: float64 (4,), receives the limits this placement breaks (1 or 0), as COSTS.

    Returns:
        The reward.
    """
    world = worlds.world[w]
    integral, lost = world.integral, world.own_lost
    reward = promise(grid, worlds, w, scratch, s, measure, unit, wait_limit, byte_limit, cost)
    if world.next < world.n_rows:
        arrive(grid, worlds, w)
    elif measure == ACCRUED:
        advance(grid, worlds, w, np.inf)
    return accrue(world, integral, lost, unit) if measure == ACCRUED else reward


@njit(cache=True)
def promise(grid, worlds, w, scratch, s, measure, unit, wait_limit, byte_limit, cost):
    """Place the next job on site s; the reward and, into cost, the limits it will break."""
    row = place(grid, worlds, w, s)
    reward = settle(grid, worlds, w, scratch, row, measure, unit)
    charge(grid, worlds, w, scratch, row, wait_limit, byte_limit, cost)
    return reward


@njit(cache=True)
def accrue(world, integral, lost, unit):
    """Minus what the agent's jobs cost since `integral` job-seconds and `lost` jobs."""
    return (integral - world.integral) / unit - LOSS * (world.own_lost - lost)


@njit(cache=True)
def settle(grid, worlds, w, scratch, row, measure, unit):
    """Minus the increase in the projected measure of the agent's jobs, after placing `row`."""
    if worlds.job[w, row].state == REJECTED:
        worlds.job[scratch, row] = worlds.job[w, row]
        own = row >= worlds.world[w].first_own
        return revalue(worlds, w, scratch, row, measure, unit) if own else 0.0
    project(grid, worlds, w, scratch, worlds.job[w, row].site)
    if measure == ACCRUED:
        return 0.0
    reward = 0.0
    other = worlds.site[w, worlds.job[w, row].site].last
    while other != NONE and other >= worlds.world[w].first_own:
        reward += revalue(worlds, w, scratch, other, measure, unit)
        other = worlds.job[w, other].previous
    return reward


@njit(cache=True)
def revalue(worlds, w, scratch, row, measure, unit):
    """Give the job the measure projected now; returns minus the increase."""
    before = worlds.job[w, row].value
    worlds.job[w, row].value = value(worlds.job[scratch, row], measure, unit)
    return before - worlds.job[w, row].value


@njit(cache=True)
def value(job, measure, unit):
    """The measure of a job that has ended."""
    loss = LOSS if job.state == LOST or job.state == REJECTED else 0.0
    if measure == SLOWDOWN:
        if job.state == REJECTED:
            return loss + 1.0
        return loss + max(1.0, (job.end - job.submit) / max(job.end - job.start, TAU_S))
    if measure == WAIT:
        return loss + (0.0 if job.state == REJECTED else (job.start - job.submit) / unit)
    return loss + (job.end - job.submit) / unit


@njit(cache=True)
def project(grid, worlds, w, scratch, s):
    """Run site s of world w to its end in the scratch world, as if no more jobs came."""
    world, copy = worlds.world[w], worlds.world[scratch]
    worlds.world[scratch] = world
    copy.n_events = 0
    worlds.site[scratch, s] = worlds.site[w, s]
    worlds.switch[scratch, s] = worlds.switch[w, s]
    site = worlds.site[w, s]
    heap = worlds.heap[scratch]
    row = site.first
    while row != NONE:
        job = worlds.job[w, row]
        worlds.job[scratch, row] = job
        if job.state == MOVING or job.state == RUNNING:
            insert(heap, copy, job.end, job.count, row)
        row = job.following
    if site.n_switches < worlds.switch.shape[2]:
        time = worlds.switch[w, s, site.n_switches]
        if time < np.inf:
            insert(heap, copy, time, site.switch_count, -1 - s)
    advance(grid, worlds, scratch, np.inf)


@njit(cache=True)
def charge(grid, worlds, w, scratch, row, wait_limit, byte_limit, cost):
    """Count the limits that the placement of `row` breaks, by the projection just made."""
    job, fate = worlds.job[w, row], worlds.job[scratch, row]
    rejected = job.state == REJECTED
    remote = job.source != NONE
    cost[0] = 0.0 if rejected else np.float64(fate.first_start - fate.ready > wait_limit)
    cost[1] = np.float64(remote and grid.stream[job.index].nbytes > byte_limit)
    cost[2] = np.float64(fate.state == LOST)
    cost[3] = np.float64(rejected)
