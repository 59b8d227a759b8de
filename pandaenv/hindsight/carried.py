"""What the jobs that were there before hold of each site, whatever the agent does.

In: a world before the first placement. Out: the cores left, slot by slot, and when the agent's jobs
have their turn.

A site serves first come first served. So what runs now, and what queues now, starts and ends as if
no more jobs came, up to its next failure. What moves input, and what tries again, may have to wait
for jobs of the agent: it is left out, as if it took no cores.
"""

from typing import NamedTuple

import numpy as np

from pandaenv.kernels import kernel, part
from pandaenv.simulator.forecast import (
    PRESENT,
    add_present,
    desk_of,
    make_plans,
    plan_attempt,
    plan_of,
    reset_plan,
    write_attempt,
)
from pandaenv.simulator.state import NONE, RUNNING, Grid, Worlds, switch_time


class Slots(NamedTuple):
    """Equal parts of the time in which the jobs of an episode run."""

    begin: float  # s
    width: float  # s


class Left(NamedTuple):
    """What is left to the agent's jobs at S sites in T slots."""

    slots: Slots
    room: np.ndarray  # (S, T) float64 core-seconds
    behind: np.ndarray  # (S,) float64 s, before which none of them starts


def left_by_carried(grid: Grid, worlds: Worlds, w: int, slots: Slots, n_slots: int) -> Left:
    """What outages and the jobs carried over leave of each site of world w in n slots."""
    cores = grid.sites["cores"]
    room = np.repeat(cores[:, None] * slots.width, n_slots, axis=1)
    left = Left(slots, room, np.full(len(cores), -np.inf))
    n_carried = int(worlds.world[w]["first_own"])
    plans = make_plans(1, cores, room=n_carried + 1)
    take_all(grid, worlds, w, plans, left)
    np.maximum(room, 0.0, out=room)  # rounding
    return left


@kernel
def take_all(grid, worlds, w, plans, left):
    """Take from each site what its outages, its running and its queued jobs hold."""
    desk = desk_of(plans, 0, True)
    for s in range(len(grid.sites)):
        switch = worlds.switch[w, s]
        for k in range(0, len(switch), 2):
            if switch[k] < np.inf:
                take(left.room[s], left.slots, grid.sites[s].cores, switch[k], switch[k + 1])
        take_running(worlds, w, s, left)
        plan = plan_of(plans, 0, s)
        reset_plan(grid, worlds, w, s, plan.head[0])
        desk.placed[0].row = NONE
        if add_present(grid, worlds, w, s, plan, desk):
            take_queued(grid, worlds, w, s, plan, desk, left)


@part
def take_running(worlds, w, s, left):
    """Take what running jobs hold until they end or an outage begins."""
    now = worlds.world[w].now
    outage = switch_time(worlds, w, s, worlds.site[w, s].n_switches // 2 * 2)
    row = worlds.site[w, s].first
    while row != NONE:
        job = worlds.job[w, row]
        if job.state == RUNNING:
            take(left.room[s], left.slots, job.cores, now, min(job.end, outage))
        row = job.following


@part
def take_queued(grid, worlds, w, s, plan, desk, left):
    """Take what the next attempts of queued jobs hold; up to a tie, where nothing is sure."""
    now, row = worlds.world[w].now, worlds.site[w, s].head
    while row != NONE:
        job, attempt = worlds.job[w, row], desk.attempts[PRESENT]
        write_attempt(grid, worlds, w, attempt, row, np.int64(job.attempts), now, False)
        if not plan_attempt(grid, worlds, w, s, plan, desk, -np.inf):
            return
        left.behind[s] = attempt.start
        take(left.room[s], left.slots, attempt.cores, attempt.start, attempt.end)
        row = job.behind


@part
def take(room, slots, cores, begin, end):
    """Take cores from begin to end, s, from the room of a site, (T,)."""
    i = max(int((begin - slots.begin) / slots.width), 0)
    while i < len(room) and slots.begin + i * slots.width < end:
        since = max(begin, slots.begin + i * slots.width)
        room[i] -= cores * max(min(end, slots.begin + (i + 1) * slots.width) - since, 0.0)
        i += 1
