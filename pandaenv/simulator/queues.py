"""How jobs queue at a site and start: first come, first served, or with EASY backfill.

In: a world and a site where a job has come or cores have become free. Out: what starts there, with
the end of its attempt scheduled. `pandaenv.simulator.simulator` states the rules.
"""

import numpy as np

from pandaenv.kernels import kernel, part

from .bookings import booked_start
from .draws import attempt_length, attempt_outcome
from .events import push
from .state import NONE, QUEUED, RUNNING, is_up


@part
def enqueue(grid, worlds, w, row):
    """Put the job at the end of the queue of its site."""
    job = worlds.job[w, row]
    site = worlds.site[w, job.site]
    if job.attempts == 0:
        job.ready = worlds.world[w].now
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
    site = worlds.site[w, s]
    while site.head != NONE and is_up(site):
        row = site.head
        if worlds.job[w, row].cores > site.free:
            if worlds.world[w].backfill and site.free > 0:
                backfill_queue(grid, worlds, w, s)
            return
        dequeue(grid, worlds, w, row, NONE)
        start_attempt(grid, worlds, w, row)


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
def backfill_queue(grid, worlds, w, s):
    """Start jobs behind the head, in order, that do not delay the start of the head."""
    site, now = worlds.site[w, s], worlds.world[w].now
    begin, spare = head_start(worlds, w, s)
    before = site.head
    row = worlds.job[w, before].behind
    while row != NONE and site.free > 0:
        job = worlds.job[w, row]
        behind = job.behind
        if job.cores <= site.free:
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
def head_start(worlds, w, s):
    """When running jobs will have freed the cores of the head, s, and the cores then left over."""
    site = worlds.site[w, s]
    time, free, cores = -np.inf, site.free, worlds.job[w, site.head].cores
    while free < cores:
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
