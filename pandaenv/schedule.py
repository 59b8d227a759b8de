"""What is to come at each site if no more jobs come: kept from one placement to the next.

In: a world right after a placement. Out: the attempts still to end at that site, in the order of
its queue, with the times the simulator would give them, bit for bit.

A site serves first come first served, so a job that comes last changes nothing before it: what is
ahead of it stays as it was planned, and only what it overtakes (inputs that arrive later, attempts
that follow a failure) is worked out anew. Where the order hangs on a tie, where an outage falls
into the plan, or where it grows beyond its room, there is no plan; the caller then runs the
simulator (`pandaenv.reward.project`), and the next placement there begins a new one.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from .simulator import MAX_ATTEMPTS, run_of
from .worlds import LOST, MOVING, NONE, QUEUED, RUNNING

ATTEMPT = np.dtype(
    [
        ("enqueue", "f8"),  # s; -infinity for what ran when the plan was made
        ("start", "f8"),
        ("end", "f8"),
        ("length", "f8"),
        ("before", "f8"),  # enqueue of the attempt of this job before; -infinity if not in the plan
        ("row", "i4"),
        ("number", "i4"),  # 0 for the first
        ("outcome", "i4"),  # as in JOB_STATE
        ("cores", "i4"),
    ]
)
PLACED = np.dtype([("first_start", "f8"), ("ready", "f8"), ("state", "i4"), ("n_changed", "i4")])
"""The fate of the job just placed, and how many jobs have another one than planned before."""
BUSY = np.dtype([("end", "f8"), ("cores", "i8")])
STALE = -1


class Plans(NamedTuple):
    """Plans of n worlds of S sites, and room to work in for each of t threads."""

    attempt: np.ndarray  # (n, P) ATTEMPT, the plans of the sites one after the other
    place: np.ndarray  # (S + 1,) int64, where in P the plan of each site begins
    count: np.ndarray  # (n, S) int64 attempts in the plan, or STALE
    n_switches: np.ndarray  # (n, S) int64, of the site when the plan was made
    pending: np.ndarray  # (t, R) ATTEMPT
    again: np.ndarray  # (t, R) ATTEMPT
    busy: np.ndarray  # (t, R) BUSY
    changed: np.ndarray  # (t, R) ATTEMPT
    placed: np.ndarray  # (t,) PLACED


def plans_of(n: int, cores: np.ndarray, n_threads: int = 1, room: int | None = None) -> Plans:
    """Room for plans on sites of `cores`, int64 (S,).

    Args:
        room: attempts a site; None: by its cores, enough while the broker's cap on queues holds. 0
            makes no plans.
    """
    sizes = 4 * cores + 64 if room is None else np.full(len(cores), room)
    most = int(max(sizes.max(), cores.max())) + 1
    work = [np.zeros((n_threads, most), kind) for kind in (ATTEMPT, ATTEMPT, BUSY, ATTEMPT)]
    return Plans(
        np.zeros((n, int(sizes.sum())), ATTEMPT),
        np.concatenate([[0], np.cumsum(sizes)]),
        np.full((n, len(cores)), STALE),
        np.zeros((n, len(cores)), np.int64),
        *work,
        np.zeros(n_threads, PLACED),
    )


@njit(cache=True)
def foresee(grid, worlds, plans, w, part, row):
    """Take the job just placed into the plan of its site; False where that cannot be done.

    Afterwards plans.changed[part] holds the last attempts of the jobs whose fate has changed, in
    falling order of their rows, and plans.placed[part] the fate of this one.
    """
    s = worlds.job[w, row].site
    count, site = plans.count[w, s], worlds.site[w, s]
    plans.count[w, s] = STALE
    if site.n_switches % 2 == 1:
        return False
    plan = plans.attempt[w, plans.place[s] : plans.place[s + 1]]
    is_new = count == STALE or plans.n_switches[w, s] != site.n_switches
    if is_new:
        first, n_pending, n_again = begin(grid, worlds, plans, w, part, s, plan)
    else:
        first, n_pending, n_again = join(grid, worlds, plans, w, part, row, plan, count)
    if first == STALE:
        return False
    count = work_off(grid, worlds, plans, w, part, s, plan, first, n_pending, n_again)
    if count == STALE:
        return False
    note_changes(worlds, plans, w, part, plan, 0 if is_new else first, count, row)
    plans.count[w, s], plans.n_switches[w, s] = count, site.n_switches
    return True


@njit(cache=True)
def begin(grid, worlds, plans, w, part, s, plan):
    """Plan from what stands at the site: what runs is settled, the rest pends.

    Returns how much is settled, how many attempts pend, how many will follow a failure; STALE
    first where that is too much.
    """
    pending, again = plans.pending[part], plans.again[part]
    world, n, n_again = worlds.world[w], 0, 0
    row = worlds.site[w, s].first
    while row != NONE:
        job = worlds.job[w, row]
        if job.state == RUNNING:
            if n == len(plan) or job.end >= next_outage(worlds, w, s):
                return STALE, 0, 0
            fill(grid, worlds, w, plan[n], row, job.attempts - 1, -np.inf, -np.inf)
            plan[n].start, plan[n].end, plan[n].outcome = job.start, job.end, job.outcome
            n += 1
            if job.outcome == QUEUED and job.attempts < MAX_ATTEMPTS:
                if not insert_again(grid, worlds, w, again, n_again, plan[n - 1]):
                    return STALE, 0, 0
                n_again += 1
        row = job.following
    n_pending = 0
    row = worlds.site[w, s].head
    while row != NONE:
        if n_pending == len(pending):
            return STALE, 0, 0
        job = worlds.job[w, row]
        fill(grid, worlds, w, pending[n_pending], row, job.attempts, world.now, -np.inf)
        n_pending += 1
        row = job.behind
    n_pending = add_moving(grid, worlds, w, s, pending, n_pending)
    return (STALE if n_pending == STALE else n), n_pending, n_again


@njit(cache=True)
def add_moving(grid, worlds, w, s, pending, n_pending):
    """Add jobs whose input moves, in the order in which they will queue; returns how many pend."""
    n_queued = n_pending
    row = worlds.site[w, s].first
    while row != NONE:
        job = worlds.job[w, row]
        if job.state == MOVING:
            if n_pending == len(pending):
                return STALE
            i = n_pending
            n_pending += 1
            while i > n_queued and joins_before(job, pending[i - 1], worlds, w):
                pending[i] = pending[i - 1]
                i -= 1
            fill(grid, worlds, w, pending[i], row, 0, job.end, -np.inf)
        row = job.following
    return n_pending


@njit(cache=True)
def joins_before(job, other, worlds, w):
    if job.end != other.enqueue:
        return job.end < other.enqueue
    return job.count < worlds.job[w, other.row].count


@njit(cache=True)
def fill(grid, worlds, w, attempt, row, number, enqueue, before):
    """Write down an attempt to come."""
    job = worlds.job[w, row]
    attempt.row, attempt.number = row, number
    attempt.enqueue, attempt.before = enqueue, before
    attempt.cores = grid.stream[job.index].cores
    attempt.length, attempt.outcome = run_of(
        grid, worlds.world[w].seed, job.site, job.index, number
    )


@njit(cache=True)
def join(grid, worlds, plans, w, part, row, plan, count):
    """Find the place of the new job in the plan; what stays behind it pends anew.

    Returns as `begin`; STALE first where its place hangs on a tie.
    """
    pending, now = plans.pending[part], worlds.world[w].now
    job = worlds.job[w, row]
    ready = job.end if job.state == MOVING else now
    n = 0
    for i in range(count):  # what has ended leaves the plan
        if plan[i].end > now:
            if n < i:
                plan[n] = plan[i]
            n += 1
    first = n
    while first > 0 and plan[first - 1].enqueue > ready:
        first -= 1
    i = first - 1
    while i >= 0 and ready > now and plan[i].enqueue == ready:
        if plan[i].number > 0:
            return STALE, 0, 0
        i -= 1
    fill(grid, worlds, w, pending[0], row, 0, ready, -np.inf)
    n_pending = 1
    for i in range(first, n):
        if plan[i].before <= ready:  # else it follows a failure that pends itself
            pending[n_pending] = plan[i]
            n_pending += 1
    return first, n_pending, 0


@njit(cache=True)
def work_off(grid, worlds, plans, w, part, s, plan, first, n_pending, n_again):
    """Start what pends, in order; returns the attempts planned, STALE where that cannot be done."""
    pending, again, busy = plans.pending[part], plans.again[part], plans.busy[part]
    last, n_busy, free = settled(plan, first, busy, grid.sites[s].cores)
    end_of_plan = next_outage(worlds, w, s)
    n, i = first, 0
    while i < n_pending or n_again > 0:
        if n == len(plan):
            return STALE
        attempt = plan[n]
        if n_again == 0 or (i < n_pending and pending[i].enqueue < again[n_again - 1].enqueue):
            plan[n] = pending[i]
            i += 1
        else:
            if i < n_pending and pending[i].enqueue == again[n_again - 1].enqueue:
                return STALE
            n_again -= 1
            plan[n] = again[n_again]
        last = max(last, attempt.enqueue)
        while free < attempt.cores:
            last = max(last, busy[0].end)
            free += busy[0].cores
            n_busy = pop_busy(busy, n_busy)
        attempt.start = last
        attempt.end = last + attempt.length
        if attempt.end >= end_of_plan:
            return STALE
        free -= attempt.cores
        n_busy = push_busy(busy, n_busy, attempt.end, attempt.cores)
        if attempt.outcome == QUEUED and attempt.number + 1 < MAX_ATTEMPTS:
            if not insert_again(grid, worlds, w, again, n_again, attempt):
                return STALE
            n_again += 1
        n += 1
    return n


@njit(cache=True)
def settled(plan, first, busy, cores):
    """When the last of the first attempts starts, how many run on after that, and cores then free.

    Those that run on are heaped in busy by their end.
    """
    last = -np.inf
    for i in range(first):
        last = max(last, plan[i].start)
    n_busy, free = 0, cores
    for i in range(first):
        if plan[i].end > last:
            free -= plan[i].cores
            n_busy = push_busy(busy, n_busy, plan[i].end, plan[i].cores)
    return last, n_busy, free


@njit(cache=True)
def next_outage(worlds, w, s):
    n = worlds.site[w, s].n_switches
    return worlds.switch[w, s, n] if n < worlds.switch.shape[2] else np.inf


@njit(cache=True)
def insert_again(grid, worlds, w, again, n_again, failed):
    """Add the attempt that follows a failed one; the list falls by enqueue. False at a tie."""
    if n_again == len(again):
        return False
    i = n_again
    while i > 0 and again[i - 1].enqueue <= failed.end:
        if again[i - 1].enqueue == failed.end:
            return False
        again[i] = again[i - 1]
        i -= 1
    fill(grid, worlds, w, again[i], failed.row, failed.number + 1, failed.end, failed.enqueue)
    return True


@njit(cache=True)
def note_changes(worlds, plans, w, part, plan, first, count, row):
    """List the last attempts of the jobs planned anew, largest row first."""
    changed, placed = plans.changed[part], plans.placed[part]
    job = worlds.job[w, row]
    placed.n_changed = 0
    placed.ready = job.end if job.state == MOVING else job.ready
    for i in range(first, count):
        attempt = plan[i]
        is_last = attempt.outcome != QUEUED or attempt.number + 1 == MAX_ATTEMPTS
        if attempt.row == row:
            if attempt.number == 0:
                placed.first_start = attempt.start
            placed.state = LOST if attempt.outcome == QUEUED else attempt.outcome
        if is_last:
            k = placed.n_changed
            while k > 0 and changed[k - 1].row < attempt.row:
                changed[k] = changed[k - 1]
                k -= 1
            changed[k] = attempt
            placed.n_changed += 1


# --- running attempts, the first to end on top ----------------------------------------------------


@njit(cache=True)
def push_busy(busy, n, end, cores):
    i = n
    while i > 0 and busy[(i - 1) // 2].end > end:
        busy[i] = busy[(i - 1) // 2]
        i = (i - 1) // 2
    busy[i].end, busy[i].cores = end, cores
    return n + 1


@njit(cache=True)
def pop_busy(busy, n):
    n -= 1
    end, cores = busy[n].end, busy[n].cores
    i = 0
    while 2 * i + 1 < n:
        child = 2 * i + 1
        if child + 1 < n and busy[child + 1].end < busy[child].end:
            child += 1
        if busy[child].end >= end:
            break
        busy[i] = busy[child]
        i = child
    busy[i].end, busy[i].cores = end, cores
    return n
