"""What is to come at each site if no more jobs come: kept from one placement to the next.

In: a world right after a placement. Out: when and how the attempts still to come at its site start
and end, with the times the simulator would give them, bit for bit.

A site serves first come first served, so an attempt that has queued is settled: whatever comes
later changes nothing before it. Of those settled the plan keeps only what the next one needs to
know, the cores they will hold and until when, so that a job that comes last costs O(log slots).
What may still be overtaken, inputs that move and attempts that follow a failure, is kept in order
of the time it will queue. A second plan runs ahead, up to when the input moved last will be there,
and a third, made anew each time, to the end. An outage cuts off what would run on, which then
queues again in the order of placement. Where the order hangs on a tie, where a plan grows beyond
its room, and where queues are backfilled, there is none; the caller then runs the simulator
(`pandaenv.env.reward.project`), and the next placement there begins a new one. Nor is there one
where a site has cores for all its jobs at once: no job waits for another there, and each is
foreseen alone.
"""

from typing import NamedTuple

import numpy as np

from pandaenv.kernels import kernel, part, prefetch

from .prefetch import bring_job
from .queues import attempt_of
from .state import MAX_ATTEMPTS, MOVING, NONE, QUEUED, RUNNING

ATTEMPT = np.dtype(
    [
        ("enqueue", "f8"),  # s
        ("start", "f8"),
        ("end", "f8"),
        ("length", "f8"),
        ("row", "i4"),
        ("cores", "i4"),
        ("number", "i2"),  # 0 for the first
        ("breaks", "i2"),  # whether the site fails it if no outage comes first
        ("fails", "i2"),  # 0, or BY_SITE, or BY_OUTAGE
        ("after_outage", "i2"),  # whether it queued because an outage cut the one before
    ]
)
BUSY = np.dtype([("end", "f8"), ("cores", "i8")])
PLAN = np.dtype(
    [
        ("last", "f8"),  # s, start of the attempt settled last
        ("until", "f8"),  # s, what queues up to then is settled
        ("count", "i4"),  # attempts still to queue, or STALE
        ("n_busy", "i4"),  # attempts that hold cores
        ("free", "i4"),  # cores
        ("k", "i4"),  # switch that begins the next outage
    ]
)
PLACED = np.dtype(
    [
        ("first_start", "f8"),
        ("ready", "f8"),
        ("row", "i4"),
        ("is_lost", "i4"),
        ("is_known", "i4"),
        ("n_changed", "i4"),
    ]
)
"""The fate of the job just placed, and how many jobs may have another one than planned before."""
STALE = -1
BY_SITE, BY_OUTAGE = 1, 2


class Plans(NamedTuple):
    """Plans of n worlds of S sites as of now, then n that run ahead, then one for each thread."""

    site: np.ndarray  # (2n + t, S) PLAN
    coming: np.ndarray  # (2n + t, P) ATTEMPT still to queue, site after site, the next one last
    busy: np.ndarray  # (2n + t, Q) BUSY, heaps of those settled, the first to end on top
    place: np.ndarray  # (S + 1, 2) int64, where in P and Q those of each site begin
    changed: np.ndarray  # (t, R) ATTEMPT
    hand: np.ndarray  # (t, 2) ATTEMPT, the one at hand and what follows it
    placed: np.ndarray  # (t,) PLACED


def plans_of(n: int, cores: np.ndarray, n_threads: int = 1, room: int | None = None) -> Plans:
    """Room for plans on sites of `cores`, int64 (S,).

    Args:
        room: attempts still to queue at a site; None: by its cores, enough while the broker's cap
            on queues holds. 0 makes no plans.
    """
    sizes = 2 * cores + 64 if room is None else np.full(len(cores), room)
    ends = np.cumsum(np.stack([sizes, cores], axis=1), axis=0)
    place = np.concatenate([np.zeros((1, 2), np.int64), ends])
    n_all, most = 2 * n + n_threads, int(max(4 * cores.max(), sizes.max())) + 256
    site = np.zeros((n_all, len(cores)), PLAN)
    site["count"] = STALE
    return Plans(
        site,
        np.zeros((n_all, int(sizes.sum())), ATTEMPT),
        np.zeros((n_all, int(cores.sum())), BUSY),
        place,
        np.zeros((n_threads, most), ATTEMPT),
        np.zeros((n_threads, 2), ATTEMPT),
        np.zeros(n_threads, PLACED),
    )


@part
def foresee(grid, worlds, plans, w, scratch, row, is_brief):
    """Take the job just placed into the plan of its site; False where that cannot be done.

    Afterwards plans.placed of the thread holds its fate, and plans.changed the last attempts of the
    jobs whose fate may have changed, in falling order of their rows; the latter not if is_brief.
    """
    n = (len(plans.site) - len(plans.placed)) // 2
    t, job, s, now = scratch - n, worlds.job[w, row], worlds.job[w, row].site, worlds.world[w].now
    placed, hand = plans.placed[t], plans.hand[t]
    changed = plans.changed[t, : 0 if is_brief else plans.changed.shape[1]]
    placed.row, placed.is_known, placed.n_changed = row, False, 0
    placed.ready = job.end if job.state == MOVING else job.ready
    plan = plans.site[w, s]
    coming, busy = of(plans, w, s)
    if len(coming) == 0:
        return False
    if foresee_alone(grid, worlds, plans, w, n + scratch, row, hand, changed, placed):
        plan.count = STALE
        return True
    if worlds.world[w].backfill:
        return False
    is_new, ahead = plan.count == STALE, n + w
    if is_new:
        is_planned = begin(grid, worlds, w, s, plan, coming, busy, hand, changed, placed)
    else:
        is_planned = queue(
            grid, worlds, w, s, plan, coming, busy, hand, now, changed[:0], placed
        ) and join(grid, worlds, w, s, row, plan, coming, busy, hand, changed, placed)
    is_planned = is_planned and queue(
        grid, worlds, w, s, plan, coming, busy, hand, now, changed, placed
    )
    if is_new or not is_planned or placed.ready <= now:
        plans.site[ahead, s].count = STALE
    if not is_planned:
        plan.count = STALE
        return False
    latest = w
    if placed.ready > now and not is_new:
        latest = ahead
        plan = plans.site[ahead, s]
        coming, busy = of(plans, ahead, s)
        if plan.count == STALE or placed.ready <= plan.until:
            copy(plans, w, ahead, s)
        elif not add(grid, worlds, w, row, plan, coming, hand):
            plan.count = STALE
            return False
        plan.until = placed.ready
        if not run(
            grid, worlds, w, s, plan, coming, busy, hand, plan.until, False, changed, placed
        ):
            plan.count = STALE
            return False
    if plan.count == 0 or (is_brief and placed.is_known):
        return True
    copy(plans, latest, n + scratch, s)
    plan = plans.site[n + scratch, s]
    coming, busy = of(plans, n + scratch, s)
    return run(grid, worlds, w, s, plan, coming, busy, hand, np.inf, is_brief, changed, placed)


@part
def foresee_alone(grid, worlds, plans, w, i, row, hand, changed, placed):
    """The fate of the job just placed by a plan for it alone, the i-th.

    That can be done where there are cores for all jobs of its site at once, so that none ever waits
    for another.
    """
    s = worlds.job[w, row].site
    if worlds.site[w, s].demand > grid.sites[s].cores:
        return False
    plan = plans.site[i, s]
    coming, busy = of(plans, i, s)
    clear(grid, worlds, w, s, plan)
    fill(grid, worlds, w, coming[0], row, 0, placed.ready, False)
    plan.count = 1
    return run(grid, worlds, w, s, plan, coming, busy, hand, np.inf, False, changed, placed)


@part
def clear(grid, worlds, w, s, plan):
    """Plan nothing yet."""
    plan.last, plan.free = -np.inf, grid.sites[s].cores
    plan.k = worlds.site[w, s].n_switches // 2 * 2
    plan.count = plan.n_busy = 0


@part
def of(plans, i, s):
    """Of plan i of site s: what is still to queue, what holds cores."""
    first, stop = plans.place[s], plans.place[s + 1]
    return plans.coming[i, first[0] : stop[0]], plans.busy[i, first[1] : stop[1]]


@part
def copy(plans, i, j, s):
    """Make plan j of site s what plan i is."""
    plan = plans.site[i, s]
    coming, busy = of(plans, i, s)
    its_coming, its_busy = of(plans, j, s)
    plans.site[j, s] = plan
    for k in range(plan.count):
        its_coming[k] = coming[k]
    for k in range(plan.n_busy):
        its_busy[k] = busy[k]


@kernel
def begin(grid, worlds, w, s, plan, coming, busy, hand, changed, placed):
    """Plan from what stands at the site: what runs is settled, the rest is still to come.

    What waits queues now, in its order.
    """
    site, now = worlds.site[w, s], worlds.world[w].now
    clear(grid, worlds, w, s, plan)
    row = site.first
    while row != NONE:
        job = worlds.job[w, row]
        bring_job(worlds, w, job.following)
        if job.state == RUNNING:
            fill(grid, worlds, w, hand[0], row, job.attempts - 1, -np.inf, False)
            hand[0].start, hand[0].breaks = job.start, job.outcome == QUEUED
            if not end(worlds, w, s, plan, busy, hand[0], job.end):
                return False
            if not follow(grid, worlds, w, plan, coming, hand, changed, placed):
                return False
        elif job.state == MOVING:
            if not add(grid, worlds, w, row, plan, coming, hand):
                return False
        row = job.following
    row = site.head
    while row != NONE:
        job = worlds.job[w, row]
        fill(grid, worlds, w, hand[0], row, np.int64(job.attempts), now, False)
        if not settle(grid, worlds, w, s, plan, coming, busy, hand, changed, placed):
            return False
        row = job.behind
    return True


@part
def join(grid, worlds, w, s, row, plan, coming, busy, hand, changed, placed):
    """Take in the job just placed: behind all that has queued, or to queue when its input is there.

    Nothing that is still to queue may do so before now.
    """
    if worlds.job[w, row].state == MOVING:
        return add(grid, worlds, w, row, plan, coming, hand)
    fill(grid, worlds, w, hand[0], row, 0, worlds.world[w].now, False)
    return settle(grid, worlds, w, s, plan, coming, busy, hand, changed, placed)


@part
def add(grid, worlds, w, row, plan, coming, hand):
    """Let a job whose input moves be one that is still to queue."""
    fill(grid, worlds, w, hand[1], row, 0, worlds.job[w, row].end, False)
    return file(plan, coming, hand[1])


@part
def fill(grid, worlds, w, attempt, row, number, enqueue, after_outage):
    """Write down an attempt to come."""
    job = worlds.job[w, row]
    attempt.row, attempt.number = row, number
    attempt.enqueue, attempt.after_outage = enqueue, after_outage
    attempt.cores = job.cores
    attempt.length, attempt.breaks = attempt_of(grid, worlds, w, job.site, job.index, number)


@part
def file(plan, coming, attempt):
    """Put an attempt among those still to queue; False where its place hangs on a tie."""
    i = plan.count
    if i == len(coming):
        return False
    while i > 0 and coming[i - 1].enqueue <= attempt.enqueue:
        other = coming[i - 1]
        if other.enqueue == attempt.enqueue:
            if other.after_outage and attempt.after_outage:
                if other.row > attempt.row:  # in order of placement
                    break
            elif other.number > 0 or attempt.number > 0:
                return False
        coming[i] = coming[i - 1]
        i -= 1
    coming[i] = attempt
    plan.count += 1
    return True


@part
def queue(grid, worlds, w, s, plan, coming, busy, hand, now, changed, placed):
    """Settle what has queued by now, s; False where that hangs on a tie."""
    if plan.count == 0 or coming[plan.count - 1].enqueue > now:
        return True
    return run(grid, worlds, w, s, plan, coming, busy, hand, now, False, changed, placed)


@kernel
def run(grid, worlds, w, s, plan, coming, busy, hand, until, is_brief, changed, placed):
    """Settle what queues up to and including `until`, s; False where that hangs on a tie.

    If is_brief no more than what tells the fate of the job just placed.
    """
    while plan.count > 0 and coming[plan.count - 1].enqueue <= until:
        if is_brief and placed.is_known:
            break
        plan.count -= 1
        hand[0] = coming[plan.count]
        bring_attempts(grid, worlds, w, coming, plan.count)
        if not settle(grid, worlds, w, s, plan, coming, busy, hand, changed, placed):
            return False
    return True


@part
def bring_attempts(grid, worlds, w, coming, n):
    """Ask for what the attempts to be settled after the one at hand will need, n of them left."""
    if n > 1:
        bring_job(worlds, w, coming[n - 2].row)
    if n > 0 and coming[n - 1].breaks:  # its job will try again
        prefetch(grid.stream, worlds.job[w, coming[n - 1].row].index)


@part
def settle(grid, worlds, w, s, plan, coming, busy, hand, changed, placed):
    """Start and end the attempt at hand, and what follows it is still to come."""
    attempt = hand[0]
    time, cores = max(plan.last, attempt.enqueue), grid.sites[s].cores
    while plan.free < attempt.cores:
        time = max(time, busy[0].end)
        plan.free += busy[0].cores
        plan.n_busy = pop_busy(busy, plan.n_busy)
    outage = switch_time(worlds, w, s, plan.k)
    if time >= outage:
        if attempt.enqueue == outage and not attempt.after_outage:
            return False
        plan.n_busy, plan.free = 0, cores
        while time >= outage:
            time = max(time, switch_time(worlds, w, s, plan.k + 1))
            plan.k += 2
            outage = switch_time(worlds, w, s, plan.k)
            if time == outage:
                return False
    attempt.start = plan.last = time
    if not end(worlds, w, s, plan, busy, attempt, time + attempt.length):
        return False
    return follow(grid, worlds, w, plan, coming, hand, changed, placed)


@part
def end(worlds, w, s, plan, busy, attempt, time):
    """Let an attempt hold its cores until `time`, s, or until an outage; False at a tie."""
    outage = switch_time(worlds, w, s, plan.k)
    attempt.end = min(time, outage)
    attempt.fails = BY_OUTAGE if time > outage else BY_SITE if attempt.breaks else 0
    plan.free -= attempt.cores
    plan.n_busy = push_busy(busy, plan.n_busy, attempt.end, attempt.cores)
    return time != outage


@part
def follow(grid, worlds, w, plan, coming, hand, changed, placed):
    """What comes of the attempt at hand: the next of its job, or the job's fate."""
    attempt = hand[0]
    is_last = attempt.fails == 0 or attempt.number + 1 == MAX_ATTEMPTS
    if attempt.row == placed.row:
        if attempt.number == 0:
            placed.first_start = attempt.start
        placed.is_known, placed.is_lost = is_last, attempt.fails
    if is_last:
        return len(changed) == 0 or note(changed, placed, attempt)
    is_cut = attempt.fails == BY_OUTAGE
    fill(grid, worlds, w, hand[1], attempt.row, attempt.number + 1, attempt.end, is_cut)
    return file(plan, coming, hand[1])


@part
def note(changed, placed, attempt):
    """List the last attempt of a job, largest row first; False where there is no room."""
    i = placed.n_changed
    if i == len(changed):
        return False
    while i > 0 and changed[i - 1].row < attempt.row:
        changed[i] = changed[i - 1]
        i -= 1
    changed[i] = attempt
    placed.n_changed += 1
    return True


@part
def switch_time(worlds, w, s, k):
    """When switch k of the site is: outages begin at even ones and end at odd ones; s."""
    return worlds.switch[w, s, k] if k < worlds.switch.shape[2] else np.inf


# --- attempts that hold cores, the first to end on top --------------------------------------------


@part
def push_busy(busy, n, end, cores):
    i = n
    while i > 0 and busy[(i - 1) // 2].end > end:
        busy[i] = busy[(i - 1) // 2]
        i = (i - 1) // 2
    busy[i].end, busy[i].cores = end, cores
    return n + 1


@part
def pop_busy(busy, n):
    n -= 1
    end, cores = busy[n].end, busy[n].cores
    i = 0
    while 2 * i + 1 < n:
        child = 2 * i + 1
        # no branch where both ways are likely; there is an entry after the last
        child += (child + 1 < n) & (busy[child + 1].end < busy[child].end)
        if busy[child].end >= end:
            break
        busy[i] = busy[child]
        i = child
    busy[i].end, busy[i].cores = end, cores
    return n
