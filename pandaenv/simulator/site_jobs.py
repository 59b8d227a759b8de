"""The list of jobs at a site: each is on it from its placement until it leaves.

In: a job that is placed, or whose attempt has ended. Out: the list with it, without it, or with the
job back in the queue.
"""

from pandaenv.kernels import part

from .bookings import booked_start, unbook_job
from .caches import unpin
from .queues import enqueue
from .state import FINISHED, LOST, MAX_ATTEMPTS, NONE, QUEUED


@part
def add_to_site(worlds, w, row):
    """Put the job at the end of the list of its site."""
    job, world = worlds.job[w, row], worlds.world[w]
    site = worlds.site[w, job.site]
    job.previous = site.last
    job.following = NONE
    if site.last == NONE:
        site.first = row
    else:
        worlds.job[w, site.last].following = row
    site.last = row
    site.demand += job.cores
    world.in_system += 1
    if row >= world.first_own:
        world.own_in_system += 1


@part
def end_attempt(grid, worlds, w, row, outcome):
    """Free the cores; the job leaves, or queues again where attempts are left."""
    job = worlds.job[w, row]
    site = worlds.site[w, job.site]
    site.free += job.cores
    site.running -= 1
    site.booked -= booked_start(job)
    if outcome == FINISHED:
        site.finished += 1.0
    else:
        site.failed += 1.0
    if outcome != QUEUED:
        remove_from_site(worlds, w, row, outcome)
    elif job.attempts == MAX_ATTEMPTS:
        remove_from_site(worlds, w, row, LOST)
    else:
        enqueue(grid, worlds, w, row)


@part
def remove_from_site(worlds, w, row, state):
    """Remove the job from the list of its site; it no longer uses its data."""
    unpin(worlds, w, row)
    unbook_job(worlds, w, row)
    job, world = worlds.job[w, row], worlds.world[w]
    site = worlds.site[w, job.site]
    if job.previous == NONE:
        site.first = job.following
    else:
        worlds.job[w, job.previous].following = job.following
    if job.following == NONE:
        site.last = job.previous
    else:
        worlds.job[w, job.following].previous = job.previous
    job.state = state
    job.end = world.now
    site.demand -= job.cores
    world.in_system -= 1
    if row >= world.first_own:
        world.own_in_system -= 1
        world.own_lost += state == LOST
