"""The reward and the costs of a placement: how it changes the projected future of the agent's jobs.

In: a world right after a placement. Out: a reward and the costs of that placement.

The projection is the simulator itself, with failures and troubles as drawn and no further arrivals:
the plan that `pandaenv.simulator.forecast` keeps of each site, or where there is none a copy of the
touched site in a scratch world, run to its end. What happens at a site between two placements there
is therefore already accounted for, and the rewards of an episode add up to minus the total of the
measure over the agent's jobs (potential-based shaping; no lump sum at the end).

What is measured of a job stands in `pandaenv.env.measures`.
"""

import numpy as np

from pandaenv.kernels import kernel, part
from pandaenv.simulator.arrivals import advance_to_arrival
from pandaenv.simulator.bookings import surely_succeeds
from pandaenv.simulator.events import insert
from pandaenv.simulator.forecast import STALE, forecast_placement, n_worlds
from pandaenv.simulator.motion import advance, place
from pandaenv.simulator.others import has_others
from pandaenv.simulator.queues import start_waiting
from pandaenv.simulator.state import LOST, MOVING, NONE, REJECTED, RUNNING, switch_time

from .measures import ACCRUED, LOSS, job_measure

COSTS = ("wait", "transfer", "failure", "rejected")


@kernel
def step(grid, worlds, plans, w, scratch, s, rules, cost):
    """Place the next job of world w on site s and go on to the arrival after it.

    Args:
        plans: of all these worlds.
        scratch: a world of the set, overwritten.
        s: a site, or NONE to reject the job.
        rules: `pandaenv.env.rules.Rules`.
        cost: float64 (4,), receives the limits this placement breaks (1 or 0), as COSTS.

    Returns:
        The reward.
    """
    world = worlds.world[w]
    integral, lost = world.integral, world.own_lost
    reward = price_placement(grid, worlds, plans, w, scratch, s, rules, cost)
    if world.next < world.n_rows:
        advance_to_arrival(grid, worlds, w)
    elif rules.measure == ACCRUED:
        advance(grid, worlds, w, np.inf)
    if rules.measure == ACCRUED:
        return accrued_reward(world, integral, lost, rules.unit)
    return reward


@part
def price_placement(grid, worlds, plans, w, scratch, s, rules, cost):
    """Place the next job on site s; the reward and, into cost, the limits it will break."""
    row = place(grid, worlds, w, s)
    job, is_accrued = worlds.job[w, row], rules.measure == ACCRUED
    cost[:] = 0.0
    if job.state == REJECTED:
        cost[3] = 1.0
        value = job_measure(rules, True, job.submit, job.end, job.end)
        return update_value(worlds, w, row, value)
    cost[1] = job.source != NONE and grid.stream[job.index].nbytes > rules.byte_limit
    if is_accrued and surely_succeeds(grid, worlds, w, row, rules.wait_limit):
        plans.site[w, job.site].count = STALE
        return 0.0
    if forecast_placement(grid, worlds, plans, w, scratch, row, is_accrued):
        t = scratch - n_worlds(plans)
        placed = plans.placed[t]
        wait, is_lost = placed.first_start - placed.ready, placed.is_lost > 0
        reward = reprice_planned(worlds, w, plans.changed[t], placed.n_changed, rules)
    else:
        project_site(grid, worlds, w, scratch, job.site)
        copy = worlds.job[scratch, row]
        wait, is_lost = copy.first_start - copy.ready, copy.state == LOST
        reward = reprice_projected(worlds, w, scratch, worlds.site[w, job.site].last, rules)
    cost[0], cost[2] = wait > rules.wait_limit, is_lost
    return reward


@part
def accrued_reward(world, integral, lost, unit):
    """Minus what the agent's jobs cost since `integral` job-seconds and `lost` jobs."""
    return (integral - world.integral) / unit - LOSS * (world.own_lost - lost)


@part
def reprice_planned(worlds, w, changed, n_changed, rules):
    """Minus the increase in the measure of the agent's jobs whose plan has changed."""
    reward = 0.0
    if rules.measure == ACCRUED:
        return reward
    for i in range(n_changed):
        last = changed[i]
        submit = worlds.job[w, last.row].submit
        value = job_measure(rules, last.fails > 0, submit, last.start, last.end)
        reward += update_value(worlds, w, last.row, value)
    return reward


@kernel
def reprice_projected(worlds, w, scratch, last, rules):
    """The same of the job `last` and all before it at its site, from the scratch world."""
    reward = 0.0
    row = last
    while row != NONE and rules.measure != ACCRUED:
        job = worlds.job[scratch, row]
        value = job_measure(rules, job.state == LOST, job.submit, job.start, job.end)
        reward += update_value(worlds, w, row, value)
        row = worlds.job[w, row].previous
    return reward


@part
def update_value(worlds, w, row, value):
    """Give one of the agent's jobs the measure projected now; returns minus the increase."""
    if row < worlds.world[w].first_own:
        return 0.0
    before = worlds.job[w, row].value
    worlds.job[w, row].value = value
    return before - value


@kernel
def project_site(grid, worlds, w, scratch, s):
    """Run site s of world w to its end in the scratch world, as if no more jobs came."""
    world, copy = worlds.world[w], worlds.world[scratch]
    worlds.world[scratch] = world
    copy.n_events = 0
    worlds.site[scratch, s] = worlds.site[w, s]
    for k in range(worlds.switch.shape[2]):
        worlds.switch[scratch, s, k] = worlds.switch[w, s, k]
    site = worlds.site[w, s]
    heap = worlds.heap[scratch]
    row = site.first
    while row != NONE:
        job = worlds.job[w, row]
        worlds.job[scratch, row] = job
        worlds.job[scratch, row].held = NONE
        if job.state == MOVING or job.state == RUNNING:
            insert(heap, copy, job.end, job.count, row)
        row = job.following
    time = switch_time(worlds, w, s, site.n_switches)
    if time < np.inf:
        insert(heap, copy, time, site.switch_count, -1 - s)
    if has_others(grid):
        worlds.site[scratch, s].turn = worlds.site[scratch, s].change = -np.inf
        start_waiting(grid, worlds, scratch, s)  # nothing, but the queue is looked at again
    advance(grid, worlds, scratch, np.inf)
