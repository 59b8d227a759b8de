"""How jobs queue at a site and start: first come, first served, or with EASY backfill.

In: a world and a site where a job has come or cores have become free. Out: what starts there, with
the end of its attempt scheduled. `pandaenv.simulator` says the rules.
"""

import numpy as np

from pandaenv.kernels import kernel, part

from .draws import FAILS_AT, SITE_FAILS, payload_fails, uniform
from .events import push
from .state import FAILED, FINISHED, MAX_ATTEMPTS, MOVING, NONE, QUEUED, RUNNING

MOST_BOOKED = 1 << 38
"""Core-seconds a job counts at most; where so much is booked nothing is said of the future."""
LAST_S = 1 << 31
"""s; nor later than this. With both, what is booked at a site fits 64 bits."""


@part
def enqueue(grid, worlds, w, row):
    """Join the queue of the site at its end."""
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
    while site.head != NONE and site.n_switches % 2 == 0:
        row = site.head
        if worlds.job[w, row].cores > site.free:
            if worlds.world[w].backfill and site.free > 0:
                overtake(grid, worlds, w, s)
            return
        dequeue(grid, worlds, w, row, NONE)
        start(grid, worlds, w, row)


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
def overtake(grid, worlds, w, s):
    """Start those behind the head, in order, that leave the time of its start as it is."""
    site, now = worlds.site[w, s], worlds.world[w].now
    begin, spare = start_of_head(worlds, w, s)
    before = site.head
    row = worlds.job[w, before].behind
    while row != NONE and site.free > 0:
        job = worlds.job[w, row]
        behind = job.behind
        if job.cores <= site.free:
            length, _ = attempt_of(grid, worlds, w, s, job.index, job.attempts)
            is_over = now + length <= begin
            if is_over or job.cores <= spare:
                spare -= 0 if is_over else job.cores
                dequeue(grid, worlds, w, row, before)
                start(grid, worlds, w, row)
                row = behind
                continue
        before, row = row, behind


@part
def start_of_head(worlds, w, s):
    """When what runs leaves the head of the queue its cores, s, and how many more are free then."""
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
def start(grid, worlds, w, row):
    """Begin an attempt; how and when it will end is settled here."""
    job, world = worlds.job[w, row], worlds.world[w]
    site = worlds.site[w, job.site]
    site.free -= job.cores
    site.running += 1
    length, job.outcome = run_of(grid, worlds, w, job.site, job.index, job.attempts)
    if job.attempts == 0:
        job.first_start = world.now
    job.state = RUNNING
    job.attempts += 1
    job.start = world.now
    job.end = world.now + length
    site.booked += begun(job)
    job.count = push(worlds.heap[w], world, job.end, row)


@part
def run_of(grid, worlds, w, s, index, attempt):
    """How long an attempt of a job of the stream runs at site s, in s, and the state it ends in."""
    seed = worlds.world[w].seed
    length, breaks = attempt_of(grid, worlds, w, s, index, attempt)
    if breaks:
        return length, QUEUED
    return length, FAILED if payload_fails(seed, index, grid.stream[index].status) else FINISHED


@part
def attempt_of(grid, worlds, w, s, index, attempt):
    """How long an attempt of a job of the stream runs at site s, in s, and if the site fails it."""
    traits, seed = grid.stream[index], worlds.world[w].seed
    fails_after = worlds.site[w, s].fails_after
    length = traits.work / (traits.cores * grid.sites[s].power)
    if fails_after < np.inf:
        return min(length, fails_after), True
    if uniform(seed, index, attempt, SITE_FAILS) < grid.sites[s].failure_rate:
        return length * uniform(seed, index, attempt, FAILS_AT) ** 2, True
    return length, False


# --- what is booked -------------------------------------------------------------------------------
#
# A site counts the core-seconds that the jobs there will take, rounded up, and cores times start of
# what runs: less its busy cores times now, that is what remains to be done, or a little more.


@part
def book(grid, worlds, w, row, attempt):
    """Count what the attempts of a job from this one on will take, outages apart."""
    job, seconds = worlds.job[w, row], 0.0
    while attempt < MAX_ATTEMPTS:
        length, breaks = attempt_of(grid, worlds, w, job.site, job.index, attempt)
        seconds += length
        attempt = attempt + 1 if breaks else MAX_ATTEMPTS
    count(worlds, w, row, seconds)


@part
def count(worlds, w, row, seconds):
    """Count so many seconds on all cores of a job."""
    job = worlds.job[w, row]
    before = job.booked
    job.booked += np.int64(min(seconds * job.cores, MOST_BOOKED - 1.0)) + 1
    job.booked = min(job.booked, MOST_BOOKED)
    worlds.site[w, job.site].booked += job.booked - before


@part
def unbook(worlds, w, row):
    """The job has left."""
    job = worlds.job[w, row]
    worlds.site[w, job.site].booked -= job.booked


@part
def begun(job):
    """Cores times start, s, rounded up; a job of MOST_BOOKED is never worked off."""
    start = np.ceil(job.start) if job.booked < MOST_BOOKED else np.inf
    return job.cores * np.int64(min(start, np.float64(LAST_S)))


@kernel
def book_all(grid, worlds, w):
    """Count anew, under the seed and troubles of now."""
    for s in range(len(grid.sites)):
        worlds.site[w, s].booked = 0
        row = worlds.site[w, s].first
        while row != NONE:
            job = worlds.job[w, row]
            job.booked = 0
            if job.state != RUNNING or job.outcome == QUEUED:
                book(grid, worlds, w, row, np.int64(job.attempts))
            if job.state == RUNNING:
                count(worlds, w, row, job.end - job.start)
                worlds.site[w, s].booked += begun(job)
            row = job.following


@part
def goes_well(grid, worlds, w, row, wait_limit):
    """Whether a job just placed surely starts within wait_limit, s, of being ready, and ends well.

    While a job queues at a site that is up, the head of the queue finds too few cores, so at least
    cores - most_cores + 1 of them work, and there is no more to do than what is booked.
    """
    job, now = worlds.job[w, row], worlds.world[w].now
    site, cores = worlds.site[w, job.site], grid.sites[job.site].cores
    n_busy = cores - grid.most_cores + 1
    is_down, breaks_all = site.n_switches % 2 == 1, site.fails_after < np.inf
    if is_down or breaks_all or n_busy < 1 or now > LAST_S:
        return False
    left = site.booked - (cores - site.free) * np.int64(now)
    wait = left / n_busy
    if left >= MOST_BOOKED or wait > wait_limit or is_broken(grid, worlds, w, row):
        return False
    if site.n_switches >= worlds.switch.shape[2]:
        return True
    ready = job.end if job.state == MOVING else now
    return ready + wait + job.booked / job.cores < worlds.switch[w, job.site, site.n_switches]


@part
def is_broken(grid, worlds, w, row):
    """Whether its site fails every attempt of a job."""
    job, seed = worlds.job[w, row], worlds.world[w].seed
    for attempt in range(MAX_ATTEMPTS):
        if uniform(seed, job.index, attempt, SITE_FAILS) >= grid.sites[job.site].failure_rate:
            return False
    return True
