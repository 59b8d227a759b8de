"""How jobs queue at a site and start: first come, first served, or with EASY backfill.

In: a world and a site where a job has come or cores have become free. Out: what starts there, with
the end of its attempt scheduled. `pandaenv.simulator.simulator` states the rules.
"""

import numpy as np

from pandaenv.kernels import kernel, part

from .bookings import booked_start
from .draws import attempt_length, attempt_outcome
from .events import push
from .others import has_others, held_cores, next_change, turn_time
from .state import NONE, QUEUED, RUNNING, is_up


@part
def enqueue(grid, worlds, w, row):
    """Put the job at the end of the queue of its site."""
    job = worlds.job[w, row]
    site = worlds.site[w, job.site]
    if job.attempts == 0:
        job.ready = worlds.world[w].now
    if has_others(grid):
        job.end = turn_time(grid, job.site, worlds.world[w].now)
    job.state = QUEUED
    job.behind = NONE
    if site.tail == NONE:
        site.head = row
    else:
        worlds.job[w, site.tail].behind = row
    site.tail = row
    site.queued += 1
    site.estimate += grid.stream[job.index].estimate


@part
def start_waiting(grid, worlds, w, s):
    """Start jobs from the head of the queue while the head fits."""
    if has_others(grid):
        start_among_others(grid, worlds, w, s)
        return
    site = worlds.site[w, s]
    while site.head != NONE and is_up(site):
        row = site.head
        if worlds.job[w, row].cores > site.free:
            if worlds.world[w].backfill and site.free > 0:
                backfill_queue(grid, worlds, w, s, 0)
            return
        dequeue(grid, worlds, w, row, NONE)
        start_attempt(grid, worlds, w, row)


@kernel
def start_among_others(grid, worlds, w, s):
    """The same where others hold cores and come first; what must wait is looked at again."""
    site, world = worlds.site[w, s], worlds.world[w]
    held = held_cores(grid, s, world.now)
    while site.head != NONE and is_up(site):
        row = site.head
        job = worlds.job[w, row]
        if job.end > world.now:
            look_at_turn(grid, worlds, w, s, job.end)
            return
        if job.cores > site.free - held:
            if world.backfill and site.free > held:
                backfill_queue(grid, worlds, w, s, held)
            look_at_change(grid, worlds, w, s)
            return
        dequeue(grid, worlds, w, row, NONE)
        start_attempt(grid, worlds, w, row)


@part
def look_at_turn(grid, worlds, w, s, time):
    """Look at the queue when the turn of its first job that has none yet has come."""
    site = worlds.site[w, s]
    if site.turn != time:
        site.turn = time
        push(worlds.heap[w], worlds.world[w], time, -1 - len(grid.sites) - s)


@part
def look_at_change(grid, worlds, w, s):
    """Look at the queue when others next hold more or fewer cores."""
    site, world = worlds.site[w, s], worlds.world[w]
    time = next_change(grid, s, world.now)
    if time < np.inf and site.change != time:
        site.change = time
        push(worlds.heap[w], world, time, -1 - len(grid.sites) - s)


@part
def dequeue(grid, worlds, w, row, before):
    """Take the job out of its queue, in which it stands behind row `before`."""
    job = worlds.job[w, row]
    site = worlds.site[w, job.site]
    if before == NONE:
        site.head = job.behind
    else:
        worlds.job[w, before].behind = job.behind
    if site.tail == row:
        site.tail = before
    site.queued -= 1
    site.estimate -= grid.stream[job.index].estimate


@kernel
def backfill_queue(grid, worlds, w, s, held):
    """Start jobs behind the head, in order, that do not delay the start of the head.

    Others hold cores, and the site does not foresee that they will hold more or fewer.
    """
    site, now = worlds.site[w, s], worlds.world[w].now
    begin, spare = head_start(worlds, w, s, held)
    before = site.head
    row = worlds.job[w, before].behind
    while row != NONE and site.free > held:
        job = worlds.job[w, row]
        if has_others(grid) and job.end > now:
            look_at_turn(grid, worlds, w, s, job.end)
            return
        behind = job.behind
        if job.cores <= site.free - held:
            length, _ = attempt_length(grid, worlds, w, s, job.index, job.attempts)
            is_over = now + length <= begin
            if is_over or job.cores <= spare:
                spare -= 0 if is_over else job.cores
                dequeue(grid, worlds, w, row, before)
                start_attempt(grid, worlds, w, row)
                row = behind
                continue
        before, row = row, behind


@part
def head_start(worlds, w, s, held):
    """When running jobs will have freed the cores of the head, s, and the cores then left over.

    At infinity where it waits for others.
    """
    site = worlds.site[w, s]
    time, free, cores = -np.inf, site.free - held, worlds.job[w, site.head].cores
    while free < cores and time < np.inf:
        following, freed = np.inf, 0
        row = site.first
        while row != NONE:
            job = worlds.job[w, row]
            if job.state == RUNNING and time < job.end <= following:
                if job.end < following:
                    following, freed = job.end, 0
                freed += job.cores
            row = job.following
        time = following
        free += freed
    return time, free - cores


@part
def start_attempt(grid, worlds, w, row):
    """Start an attempt; how and when it will end is drawn here."""
    job, world = worlds.job[w, row], worlds.world[w]
    site = worlds.site[w, job.site]
    site.free -= job.cores
    site.running += 1
    length, job.outcome = attempt_outcome(grid, worlds, w, job.site, job.index, job.attempts)
    if job.attempts == 0:
        job.first_start = world.now
    job.state = RUNNING
    job.attempts += 1
    job.start = world.now
    job.end = world.now + length
    site.booked += booked_start(job)
    job.count = push(worlds.heap[w], world, job.end, row)
