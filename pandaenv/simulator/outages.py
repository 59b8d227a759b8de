"""Outages and other troubles of a world: how they are given to it, and what an outage does.

In: `pandaenv.scenarios.Troubles`, or the begin or end of an outage. Out: the world with its
troubles, or after that event.
"""

import numpy as np

from pandaenv.kernels import kernel, part
from pandaenv.scenarios import Troubles

from .bookings import book_attempts
from .events import insert, push
from .queues import start_waiting
from .site_jobs import end_attempt
from .state import NONE, QUEUED, RUNNING, SLOW, Worlds, is_up, switch_time


def apply_troubles(worlds: Worlds, w: int, troubles: Troubles) -> None:
    """Give world w its troubles; outages must lie in the future."""
    site, world = worlds.site[w], worlds.world[w]
    for i, name in enumerate(SLOW.names):
        worlds.slow[w][name] = troubles.slow[:, i]
    for i, name in enumerate(("from", "until", "factor")):
        world[f"surge_{name}"] = troubles.surge[i]
    for name in ("surge_from", "surge_until"):
        world[name] = max(world[name], world["now"])
    site["fails_after"] = troubles.fails_after
    schedule_outages(worlds, w, troubles.outages)


@kernel
def schedule_outages(worlds, w, switches):
    """Give each site of world w its outages, float64 (S, M) s, which lie in the future."""
    for s in range(switches.shape[0]):
        worlds.site[w, s].n_switches = 0
        for k in range(switches.shape[1]):
            worlds.switch[w, s, k] = switches[s, k]
        schedule_switch(worlds, w, s)


@kernel
def switch_outage(grid, worlds, w, s):
    """An outage begins (what runs fails, in order of placement) or ends."""
    site = worlds.site[w, s]
    worlds.touched[w, s] = True
    site.n_switches += 1
    schedule_switch(worlds, w, s)
    if is_up(site):
        start_waiting(grid, worlds, w, s)
        return
    unschedule_runs(worlds, w, s)
    row = site.first
    while row != NONE:
        following = worlds.job[w, row].following
        job = worlds.job[w, row]
        if job.state == RUNNING:
            is_unforeseen = job.outcome != QUEUED  # else what follows has been booked
            end_attempt(grid, worlds, w, row, QUEUED)
            if is_unforeseen and job.state == QUEUED:
                book_attempts(grid, worlds, w, row, np.int64(job.attempts))
        row = following


@part
def schedule_switch(worlds, w, s):
    """Schedule the next begin or end of an outage of a site, if there is one."""
    site = worlds.site[w, s]
    time = switch_time(worlds, w, s, site.n_switches)
    if time < np.inf:
        site.switch_count = push(worlds.heap[w], worlds.world[w], time, -1 - s)


@kernel
def unschedule_runs(worlds, w, s):
    """Take the ends of runs at site s off the heap."""
    heap, world = worlds.heap[w], worlds.world[w]
    n = world.n_events
    world.n_events = 0
    for i in range(n):
        time, count, what = heap[i].time, heap[i].count, heap[i].what
        ours = what >= 0 and worlds.job[w, what].site == s
        if not (ours and worlds.job[w, what].state == RUNNING):
            insert(heap, world, time, count, what)
