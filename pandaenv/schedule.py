"""What is to come at each site if no more jobs come: kept from one placement to the next.

In: a world right after a placement. Out: the attempts still to end at that site, in the order of
its queue, with the times the simulator would give them, bit for bit.

A site serves first come first served, so a job that comes last changes nothing before it: what is
ahead of it stays as it was planned, and only what it overtakes (inputs that arrive later, attempts
that follow a failure) is worked out anew. An outage cuts off what would run on, which then queues
again in the order of placement. Where the order hangs on a tie, or where a plan grows beyond its
room, there is none; the caller then runs the simulator (`pandaenv.reward.project`), and the next
placement there begins a new one.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from .simulator import MAX_ATTEMPTS, run_of
from .worlds import MOVING, NONE, QUEUED, RUNNING

ATTEMPT = np.dtype(
    [
        ("enqueue", "f8"),  # s; -infinity for what ran when the plan was made
        ("start", "f8"),
        ("end", "f8"),
        ("length", "f8"),
        ("before", "f8"),  # enqueue of the attempt of this job before; -infinity if not in the plan
        ("row", "i4"),
        ("number", "i4"),  # 0 for the first
        ("cores", "i4"),
        ("breaks", "i4"),  # whether the site fails it if no outage comes first
        ("fails", "i4"),  # whether the site or an outage does
        ("after_outage", "i4"),  # whether it queued because an outage cut the one before
    ]
)
PLACED = np.dtype(
    [("first_start", "f8"), ("ready", "f8"), ("is_lost", "i4"), ("n_changed", "i4")]
)
"""The fate of the job just placed, and how many jobs have another one than planned before."""
BUSY = np.dtype([("end", "f8"), ("cores", "i8")])
STALE = -1


class Plans(NamedTuple):
    """Plans of n worlds of S sites, and room to work in for each of t threads."""

    attempt: np.ndarray  # (n, P) ATTEMPT, the plans of the sites one after the other
    place: np.ndarray  # (S + 1,) int64, where in P the plan of each site begins
    count: np.ndarray  # (n, S) int64 attempts in the plan, or STALE
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
    count = plans.count[w, s]
    plans.count[w, s] = STALE
    plan = plans.attempt[w, plans.place[s] : plans.place[s + 1]]
    is_new = count == STALE
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
    plans.count[w, s] = count
    return True


@njit(cache=True)
def begin(grid, worlds, plans, w, part, s, plan):
    """Plan from what stands at the site: what runs is settled, the rest pends.

    Returns how much is settled, how many attempts pend, how many will follow a failure; STALE
    first where that is too much.
    """
    pending, again = plans.pending[part], plans.again[part]
    world, n, n_again = worlds.world[w], 0, 0
    outage = switch_time(worlds, w, s, worlds.site[w, s].n_switches)
    row = worlds.site[w, s].first
    while row != NONE:
        job = worlds.job[w, row]
        if job.state == RUNNING:
            if n == len(plan) or job.end == outage:
                return STALE, 0, 0
            fill(grid, worlds, w, plan[n], row, job.attempts - 1, -np.inf, -np.inf, False)
            plan[n].start, plan[n].breaks = job.start, job.outcome == QUEUED
            n_again = settle_end(grid, worlds, w, again, n_again, plan[n], job.end, outage)
            if n_again == STALE:
                return STALE, 0, 0
            n += 1
        row = job.following
    n_pending = 0
    row = worlds.site[w, s].head
    while row != NONE:
        if n_pending == len(pending):
            return STALE, 0, 0
        job = worlds.job[w, row]
        fill(grid, worlds, w, pending[n_pending], row, job.attempts, world.now, -np.inf, False)
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
            fill(grid, worlds, w, pending[i], row, 0, job.end, -np.inf, False)
        row = job.following
    return n_pending


@njit(cache=True)
def joins_before(job, other, worlds, w):
    if job.end != other.enqueue:
        return job.end < other.enqueue
    return job.count < worlds.job[w, other.row].count


@njit(cache=True)
def fill(grid, worlds, w, attempt, row, number, enqueue, before, after_outage):
    """Write down an attempt to come."""
    job = worlds.job[w, row]
    attempt.row, attempt.number = row, number
    attempt.enqueue, attempt.before, attempt.after_outage = enqueue, before, after_outage
    attempt.cores = grid.stream[job.index].cores
    attempt.length, outcome = run_of(grid, worlds.world[w].seed, job.site, job.index, number)
    attempt.breaks = outcome == QUEUED


@njit(cache=True)
def settle_end(grid, worlds, w, again, n_again, attempt, end, outage):
    """Say when and how an attempt ends; what follows a failure is added to `again`.

    Returns how many are there, STALE at a tie.
    """
    is_cut = end > outage
    attempt.end = outage if is_cut else end
    attempt.fails = is_cut or attempt.breaks
    if not attempt.fails or attempt.number + 1 == MAX_ATTEMPTS:
        return n_again
    if n_again == len(again):
        return STALE
    i = n_again
    while i > 0 and again[i - 1].enqueue <= attempt.end:
        if again[i - 1].enqueue == attempt.end:
            if not (is_cut and again[i - 1].after_outage):
                return STALE
            if again[i - 1].row > attempt.row:
                break
        again[i] = again[i - 1]
        i -= 1
    number = attempt.number + 1
    fill(grid, worlds, w, again[i], attempt.row, number, attempt.end, attempt.enqueue, is_cut)
    return n_again + 1


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
    fill(grid, worlds, w, pending[0], row, 0, ready, -np.inf, False)
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
    cores = grid.sites[s].cores
    last, n_busy, free = settled(plan, first, busy, cores)
    k = worlds.site[w, s].n_switches // 2 * 2
    while switch_time(worlds, w, s, k) <= last:
        k += 2
    outage = switch_time(worlds, w, s, k)
    n, i = first, 0
    while i < n_pending or n_again > 0:
        if n == len(plan):
            return STALE
        which = choose(pending, i, n_pending, again, n_again)
        if which == STALE:
            return STALE
        if which == 0:
            plan[n] = pending[i]
            i += 1
        else:
            n_again -= 1
            plan[n] = again[n_again]
        attempt = plan[n]
        last = max(last, attempt.enqueue)
        while free < attempt.cores:
            last = max(last, busy[0].end)
            free += busy[0].cores
            n_busy = pop_busy(busy, n_busy)
        if last >= outage:
            if attempt.enqueue == outage and not attempt.after_outage:
                return STALE
            n_busy, free = 0, cores
            while last >= outage:
                last = max(last, switch_time(worlds, w, s, k + 1))
                k += 2
                outage = switch_time(worlds, w, s, k)
                if last == outage:
                    return STALE
        attempt.start = last
        if last + attempt.length == outage:
            return STALE
        n_again = settle_end(
            grid, worlds, w, again, n_again, attempt, last + attempt.length, outage
        )
        if n_again == STALE:
            return STALE
        free -= attempt.cores
        n_busy = push_busy(busy, n_busy, attempt.end, attempt.cores)
        n += 1
    return n


@njit(cache=True)
def choose(pending, i, n_pending, again, n_again):
    """Whether the next to queue is the next pending one (0) or follows a failure (1)."""
    if n_again == 0:
        return 0
    if i == n_pending:
        return 1
    one, other = pending[i], again[n_again - 1]
    if one.enqueue != other.enqueue:
        return 0 if one.enqueue < other.enqueue else 1
    if one.after_outage and other.after_outage:  # in order of placement
        return 0 if one.row < other.row else 1
    return STALE


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
def switch_time(worlds, w, s, k):
    """When switch k of the site is: outages begin at even ones and end at odd ones; s."""
    return worlds.switch[w, s, k] if k < worlds.switch.shape[2] else np.inf


@njit(cache=True)
def note_changes(worlds, plans, w, part, plan, first, count, row):
    """List the last attempts of the jobs planned anew, largest row first."""
    changed, placed = plans.changed[part], plans.placed[part]
    job = worlds.job[w, row]
    placed.n_changed = 0
    placed.ready = job.end if job.state == MOVING else job.ready
    for i in range(first, count):
        attempt = plan[i]
        is_last = not attempt.fails or attempt.number + 1 == MAX_ATTEMPTS
        if attempt.row == row:
            if attempt.number == 0:
                placed.first_start = attempt.start
            placed.is_lost = attempt.fails
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
