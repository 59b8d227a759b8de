"""Core-seconds booked at a site: how much work its jobs still bring, rounded up.

In: jobs as they are placed, started and ended. Out: whether a job just placed surely starts in time
and ends well.

A site counts the core-seconds that its jobs will take, rounded up, plus cores times start of the
running ones. Less its busy cores times now, that is what remains to be done, or a little more.
"""

import numpy as np

from pandaenv.kernels import kernel, part

from .draws import SITE_FAILS, attempt_length, uniform
from .others import has_others, turn_time
from .state import MAX_ATTEMPTS, MOVING, NONE, QUEUED, RUNNING, is_up, switch_time

MOST_BOOKED = 1 << 38
"""Core-seconds a job counts at most; where so much is booked no job surely succeeds."""
LAST_S = 1 << 31
"""s; nor does one after this time. With both limits, what is booked at a site fits 64 bits."""


@part
def book_attempts(grid, worlds, w, row, attempt):
    """Book what the attempts of a job from this one on will take if there are no outages."""
    job, seconds = worlds.job[w, row], 0.0
    while attempt < MAX_ATTEMPTS:
        length, breaks = attempt_length(grid, worlds, w, job.site, job.index, attempt)
        seconds += length
        attempt = attempt + 1 if breaks else MAX_ATTEMPTS
    book_seconds(worlds, w, row, seconds)


@part
def book_seconds(worlds, w, row, seconds):
    """Book so many seconds on all cores of a job."""
    job = worlds.job[w, row]
    before = job.booked
    job.booked += np.int64(min(seconds * job.cores, MOST_BOOKED - 1.0)) + 1
    job.booked = min(job.booked, MOST_BOOKED)
    worlds.site[w, job.site].booked += job.booked - before


@part
def unbook_job(worlds, w, row):
    """Remove what a job has booked; it has left."""
    job = worlds.job[w, row]
    worlds.site[w, job.site].booked -= job.booked


@part
def booked_start(job):
    """Cores times start, s, rounded up; a job of MOST_BOOKED is never worked off."""
    start = np.ceil(job.start) if job.booked < MOST_BOOKED else np.inf
    return job.cores * np.int64(min(start, np.float64(LAST_S)))


@kernel
def rebook_all(grid, worlds, w):
    """Book all jobs of a world again, under its present seed and troubles."""
    for s in range(len(grid.sites)):
        worlds.site[w, s].booked = 0
        row = worlds.site[w, s].first
        while row != NONE:
            job = worlds.job[w, row]
            job.booked = 0
            if job.state != RUNNING or job.outcome == QUEUED:
                book_attempts(grid, worlds, w, row, np.int64(job.attempts))
            if job.state == RUNNING:
                book_seconds(worlds, w, row, job.end - job.start)
                worlds.site[w, s].booked += booked_start(job)
            row = job.following


@part
def surely_succeeds(grid, worlds, w, row, wait_limit):
    """Whether a job just placed surely starts within wait_limit, s, of being ready, and ends well.

    While a job queues at a site that is up and its turn has come, the head of the queue finds too
    few cores, so at least those that others always leave - most_cores + 1 of them work, and there
    is no more to do than what is booked.
    """
    job, now = worlds.job[w, row], worlds.world[w].now
    site, cores = worlds.site[w, job.site], grid.sites[job.site].cores
    n_busy = grid.sites[job.site].least - grid.most_cores + 1
    if not is_up(site) or site.fails_after < np.inf or n_busy < 1 or now > LAST_S:
        return False
    left = site.booked - (cores - site.free) * np.int64(now)
    ready = job.end if job.state == MOVING else now
    wait = left / n_busy
    if has_others(grid):
        wait += turn_time(grid, job.site, ready) - ready
    if left >= MOST_BOOKED or wait > wait_limit or always_fails(grid, worlds, w, row):
        return False
    outage = switch_time(worlds, w, job.site, site.n_switches)
    return ready + wait + job.booked / job.cores < outage


@part
def always_fails(grid, worlds, w, row):
    """Whether its site fails every attempt of a job."""
    job, seed = worlds.job[w, row], worlds.world[w].seed
    for attempt in range(MAX_ATTEMPTS):
        if uniform(seed, job.index, attempt, SITE_FAILS) >= grid.sites[job.site].failure_rate:
            return False
    return True
