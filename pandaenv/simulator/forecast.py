"""The future of each site if no more jobs arrive, kept from one placement to the next.

In: a world right after a placement. Out: when and how the attempts still to come at its site start
and end, with the times the simulator would give them, bit for bit.

A site serves first come first served, so once an attempt has joined the queue, no later arrival
changes its start and end: it is planned. Of planned attempts a plan keeps only what the next one
needs, the cores they will hold and until when, so that a job that comes last costs O(log slots).
What may still be overtaken, jobs whose input moves and retries after a failure, is kept in order of
the time at which it will queue. A second plan runs ahead, up to the time at which the input moved
last will be there; a third, copied each time, runs to the end. An outage stops what is running,
which then queues again in order of placement.

There is no plan where the order depends on a tie, where a plan grows beyond its arrays, and where
queues are backfilled. The caller then runs the simulator (`pandaenv.env.reward.project_site`), and
the next placement at that site builds a new plan. A site with cores for all its jobs at once needs
none: no job waits for another there, and each is forecast alone.
"""

from typing import NamedTuple

import numpy as np

from pandaenv.kernels import kernel, part, prefetch

from .others import has_others, last_step, next_change, turn_time
from .prefetch import prefetch_job
from .queues import attempt_length
from .state import MAX_ATTEMPTS, MOVING, NONE, QUEUED, RUNNING, switch_time

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
        ("last", "f8"),  # s, start of the attempt planned last
        ("until", "f8"),  # s, what queues up to then is planned
        ("count", "i4"),  # attempts still to queue, or STALE
        ("n_busy", "i4"),  # attempts that hold cores
        ("free", "i4"),  # cores
        ("k", "i4"),  # row of the switch that begins the next outage
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
"""What becomes of the job just placed, and how many jobs may have changed with it."""
STALE = -1
BY_SITE, BY_OUTAGE = 1, 2
PRESENT, RETRY = 0, 1


class Plans(NamedTuple):
    """Plans of n worlds of S sites as of now, then n that run ahead, then one for each thread."""

    site: np.ndarray  # (2n + t, S) PLAN
    coming: np.ndarray  # (2n + t, P) ATTEMPT still to queue, site after site, the next one last
    busy: np.ndarray  # (2n + t, Q) BUSY, heaps of those planned, the first to end on top
    place: np.ndarray  # (S + 1, 2) int64, where in P and Q those of each site begin
    changed: np.ndarray  # (t, R) ATTEMPT
    attempts: np.ndarray  # (t, 2) ATTEMPT, the present one and its retry
    placed: np.ndarray  # (t,) PLACED


class SitePlan(NamedTuple):
    """One plan of one site."""

    head: np.ndarray  # (1,) PLAN
    coming: np.ndarray  # (p,) ATTEMPT still to queue, the next one last
    busy: np.ndarray  # (q,) BUSY, a heap, the first to end on top


class Desk(NamedTuple):
    """What a thread works with while it plans."""

    attempts: np.ndarray  # (2,) ATTEMPT, the PRESENT one and its RETRY
    changed: np.ndarray  # (r,) ATTEMPT, the last of each job that may have changed
    placed: np.ndarray  # (1,) PLACED


def make_plans(n: int, cores: np.ndarray, n_threads: int = 1, room: int | None = None) -> Plans:
    """Plans for n worlds on sites that leave at most `cores` to the agent's jobs, int64 (S,).

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
def n_worlds(plans):
    """How many worlds the plans are for; the scratch world of thread t is this number plus t."""
    return (len(plans.site) - len(plans.placed)) // 2


@part
def forecast_placement(grid, worlds, plans, w, scratch, row, is_brief):
    """Add the job just placed to the plan of its site; False where that cannot be done.

    Afterwards plans.placed of the thread holds what becomes of it, and plans.changed the last
    attempts of the jobs that may have changed, in falling order of their rows; the latter not if
    is_brief.
    """
    n = n_worlds(plans)
    s, now = worlds.job[w, row].site, worlds.world[w].now
    desk = desk_of(plans, scratch - n, is_brief)
    note_placed(worlds, w, row, desk.placed[0])
    plan = plan_of(plans, w, s)
    if len(plan.coming) == 0:
        return False
    if forecast_alone(grid, worlds, plans, w, n + scratch, row, desk):
        plan.head[0].count = STALE
        return True
    if worlds.world[w].backfill:
        return False
    is_new = plan.head[0].count == STALE
    is_planned = plan_placed(grid, worlds, w, s, row, plan, desk)
    if is_new or not is_planned or desk.placed[0].ready <= now:
        plans.site[n + w, s].count = STALE
    if not is_planned:
        plan.head[0].count = STALE
        return False
    latest = w
    if desk.placed[0].ready > now and not is_new:
        latest = n + w
        if not run_ahead(grid, worlds, plans, w, s, row, desk):
            return False
    if plans.site[latest, s].count == 0 or (is_brief and desk.placed[0].is_known):
        return True
    copy_plan(plans, latest, n + scratch, s)
    last = plan_of(plans, n + scratch, s)
    return advance_plan(grid, worlds, w, s, last, desk, np.inf, is_brief)


@part
def desk_of(plans, t, is_brief):
    """What thread t works with; if is_brief it lists no changed jobs."""
    n_changed = 0 if is_brief else plans.changed.shape[1]
    return Desk(plans.attempts[t], plans.changed[t, :n_changed], plans.placed[t : t + 1])


@part
def listing_nothing(desk):
    """The same desk, which lists no changed jobs."""
    return Desk(desk.attempts, desk.changed[:0], desk.placed)


@part
def note_placed(worlds, w, row, placed):
    """Begin the account of the job just placed."""
    job = worlds.job[w, row]
    placed.row, placed.is_known, placed.n_changed = row, False, 0
    placed.ready = job.end if job.state == MOVING else job.ready


@part
def forecast_alone(grid, worlds, plans, w, i, row, desk):
    """What becomes of the job just placed, by plan i for it alone; False where that is not known.

    It is known where there are cores for all jobs of its site at once, so that none ever waits for
    another.
    """
    s = worlds.job[w, row].site
    if worlds.site[w, s].demand > grid.sites[s].least:
        return False
    plan = plan_of(plans, i, s)
    reset_plan(grid, worlds, w, s, plan.head[0])
    write_attempt(grid, worlds, w, plan.coming[0], row, 0, desk.placed[0].ready, False)
    plan.head[0].count = 1
    return advance_plan(grid, worlds, w, s, plan, desk, np.inf, False)


@part
def plan_placed(grid, worlds, w, s, row, plan, desk):
    """Bring the plan of the present up to date, the job just placed included."""
    now = worlds.world[w].now
    if plan.head[0].count == STALE:
        is_planned = rebuild_plan(grid, worlds, w, s, plan, desk)
    else:
        is_planned = advance_to_now(
            grid, worlds, w, s, plan, listing_nothing(desk), now
        ) and add_placed(grid, worlds, w, s, row, plan, desk)
    return is_planned and advance_to_now(grid, worlds, w, s, plan, desk, now)


@part
def run_ahead(grid, worlds, plans, w, s, row, desk):
    """Bring the plan that runs ahead to when the input of the job just placed will be there."""
    ahead = n_worlds(plans) + w
    plan, ready = plan_of(plans, ahead, s), desk.placed[0].ready
    if plan.head[0].count == STALE or ready <= plan.head[0].until:
        copy_plan(plans, w, ahead, s)
    elif not add_moving(grid, worlds, w, row, plan, desk):
        plan.head[0].count = STALE
        return False
    plan.head[0].until = ready
    if not advance_plan(grid, worlds, w, s, plan, desk, ready, False):
        plan.head[0].count = STALE
        return False
    return True


@part
def reset_plan(grid, worlds, w, s, head):
    """Plan nothing yet."""
    head.last, head.free = -np.inf, grid.sites[s].cores
    head.k = worlds.site[w, s].n_switches // 2 * 2
    head.count = head.n_busy = 0


@part
def plan_of(plans, i, s):
    """Plan i of site s."""
    first, stop = plans.place[s], plans.place[s + 1]
    coming = plans.coming[i, first[0] : stop[0]]
    return SitePlan(plans.site[i, s : s + 1], coming, plans.busy[i, first[1] : stop[1]])


@part
def copy_plan(plans, i, j, s):
    """Make plan j of site s equal to plan i."""
    source, target = plan_of(plans, i, s), plan_of(plans, j, s)
    plans.site[j, s] = source.head[0]
    for k in range(source.head[0].count):
        target.coming[k] = source.coming[k]
    for k in range(source.head[0].n_busy):
        target.busy[k] = source.busy[k]


@kernel
def rebuild_plan(grid, worlds, w, s, plan, desk):
    """Plan from the present state of the site: running jobs are planned, the rest is to come.

    What waits queues now, in its order.
    """
    now = worlds.world[w].now
    reset_plan(grid, worlds, w, s, plan.head[0])
    if not add_present(grid, worlds, w, s, plan, desk):
        return False
    row = worlds.site[w, s].head
    while row != NONE:
        job = worlds.job[w, row]
        write_attempt(
            grid, worlds, w, desk.attempts[PRESENT], row, np.int64(job.attempts), now, False
        )
        if not plan_attempt(grid, worlds, w, s, plan, desk, job.end):
            return False
        row = job.behind
    return True


@part
def add_present(grid, worlds, w, s, plan, desk):
    """Plan the running jobs of a site and add those whose input moves; False at a tie."""
    row = worlds.site[w, s].first
    while row != NONE:
        job = worlds.job[w, row]
        prefetch_job(worlds, w, job.following)
        if job.state == RUNNING:
            attempt = desk.attempts[PRESENT]
            write_attempt(grid, worlds, w, attempt, row, job.attempts - 1, -np.inf, False)
            attempt.start, attempt.breaks = job.start, job.outcome == QUEUED
            if not occupy_cores(worlds, w, s, plan, attempt, job.end):
                return False
            if not plan_retry(grid, worlds, w, plan, desk):
                return False
        elif job.state == MOVING:
            if not add_moving(grid, worlds, w, row, plan, desk):
                return False
        row = job.following
    return True


@part
def add_placed(grid, worlds, w, s, row, plan, desk):
    """Add the job just placed: behind all that has queued, or to queue when its input is there.

    Nothing that is still to queue may do so before now.
    """
    if worlds.job[w, row].state == MOVING:
        return add_moving(grid, worlds, w, row, plan, desk)
    write_attempt(grid, worlds, w, desk.attempts[PRESENT], row, 0, worlds.world[w].now, False)
    return plan_attempt(grid, worlds, w, s, plan, desk, turn_of(grid, s, worlds.world[w].now))


@part
def add_moving(grid, worlds, w, row, plan, desk):
    """Add a job whose input moves to those still to queue."""
    write_attempt(grid, worlds, w, desk.attempts[RETRY], row, 0, worlds.job[w, row].end, False)
    return insert_attempt(plan, desk.attempts[RETRY])


@part
def write_attempt(grid, worlds, w, attempt, row, number, enqueue, after_outage):
    """Fill in an attempt to come."""
    job = worlds.job[w, row]
    attempt.row, attempt.number = row, number
    attempt.enqueue, attempt.after_outage = enqueue, after_outage
    attempt.cores = job.cores
    attempt.length, attempt.breaks = attempt_length(grid, worlds, w, job.site, job.index, number)


@part
def insert_attempt(plan, attempt):
    """Put an attempt among those still to queue; False where its place depends on a tie."""
    coming, i = plan.coming, plan.head[0].count
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
    plan.head[0].count += 1
    return True


@part
def advance_to_now(grid, worlds, w, s, plan, desk, now):
    """Plan what has queued by now, s; False where that depends on a tie."""
    count = plan.head[0].count
    if count == 0 or plan.coming[count - 1].enqueue > now:
        return True
    return advance_plan(grid, worlds, w, s, plan, desk, now, False)


@kernel
def advance_plan(grid, worlds, w, s, plan, desk, until, is_brief):
    """Plan what queues up to and including `until`, s; False where that depends on a tie.

    If is_brief no more than what tells what becomes of the job just placed.
    """
    head, coming = plan.head[0], plan.coming
    while head.count > 0 and coming[head.count - 1].enqueue <= until:
        if is_brief and desk.placed[0].is_known:
            break
        head.count -= 1
        desk.attempts[PRESENT] = coming[head.count]
        prefetch_attempts(grid, worlds, w, coming, head.count)
        turn = turn_of(grid, s, desk.attempts[PRESENT].enqueue)
        if not plan_attempt(grid, worlds, w, s, plan, desk, turn):
            return False
    return True


@part
def turn_of(grid, s, time):
    """The turn of an attempt that queues at a time, s; without others it has had it for ever."""
    return turn_time(grid, s, time) if has_others(grid) else -np.inf


@part
def prefetch_attempts(grid, worlds, w, coming, n):
    """Prefetch what the attempts after the present one will need, n of them left."""
    if n > 1:
        prefetch_job(worlds, w, coming[n - 2].row)
    if n > 0 and coming[n - 1].breaks:  # its job will try again
        prefetch(grid.stream, worlds.job[w, coming[n - 1].row].index)


@part
def plan_attempt(grid, worlds, w, s, plan, desk, turn):
    """Plan start and end of the present attempt, and put its retry, if any, among those to come.

    Where there are others it does not start before its turn, s.
    """
    attempt, head = desk.attempts[PRESENT], plan.head[0]
    if has_others(grid):
        time = start_in_turn(grid, worlds, w, s, plan, attempt, turn)
    else:
        time = start_in_order(grid, worlds, w, s, plan, attempt)
    if np.isnan(time):
        return False
    attempt.start = head.last = time
    if not occupy_cores(worlds, w, s, plan, attempt, time + attempt.length):
        return False
    return plan_retry(grid, worlds, w, plan, desk)


@part
def start_in_order(grid, worlds, w, s, plan, attempt):
    """When an attempt starts after those planned before, s; NaN where that depends on a tie."""
    head, busy = plan.head[0], plan.busy
    time = max(head.last, attempt.enqueue)
    while head.free < attempt.cores:
        time = max(time, busy[0].end)
        head.free += busy[0].cores
        head.n_busy = pop_busy(busy, head.n_busy)
    outage = switch_time(worlds, w, s, head.k)
    if time >= outage:
        if attempt.enqueue == outage and not attempt.after_outage:
            return np.nan
        head.n_busy, head.free = 0, grid.sites[s].cores
        while time >= outage:
            time = max(time, switch_time(worlds, w, s, head.k + 1))
            head.k += 2
            outage = switch_time(worlds, w, s, head.k)
            if time == outage:
                return np.nan
    return time


@kernel
def start_in_turn(grid, worlds, w, s, plan, attempt, turn):
    """The same where others hold cores, not before its turn, s."""
    head = plan.head[0]
    earliest = max(head.last, attempt.enqueue, turn)
    while True:
        time = time_with_cores(grid, s, plan, attempt.cores, earliest)
        outage = switch_time(worlds, w, s, head.k)
        if time < outage or time == np.inf:
            return time
        is_tie = attempt.enqueue == outage and not attempt.after_outage
        if is_tie or earliest == outage or next_change(grid, s, prior(outage)) == outage:
            return np.nan
        head.n_busy, head.free = 0, grid.sites[s].cores
        earliest = max(earliest, switch_time(worlds, w, s, head.k + 1))
        head.k += 2


@part
def prior(time):
    """The number before a time, s."""
    return np.nextafter(time, -np.inf)


@part
def time_with_cores(grid, s, plan, cores, time):
    """From a time on, when the plan and others leave so many cores, s; the plan goes on to then."""
    head, busy, steps = plan.head[0], plan.busy, grid.held[s]
    k = max(last_step(steps, time), 0)
    while True:
        while head.free - steps[k].cores < cores and head.n_busy > 0 and busy[0].end <= time:
            head.free += busy[0].cores
            head.n_busy = pop_busy(busy, head.n_busy)
        if head.free - steps[k].cores >= cores:
            return time
        change = steps[k + 1].time if k + 1 < len(steps) else np.inf
        if head.n_busy > 0 and busy[0].end < change:
            time = busy[0].end
        else:
            time, k = change, k + 1
            if change == np.inf:
                return time


@part
def occupy_cores(worlds, w, s, plan, attempt, time):
    """Let an attempt hold its cores until `time`, s, or until an outage; False at a tie."""
    head = plan.head[0]
    outage = switch_time(worlds, w, s, head.k)
    attempt.end = min(time, outage)
    attempt.fails = BY_OUTAGE if time > outage else BY_SITE if attempt.breaks else 0
    head.free -= attempt.cores
    head.n_busy = push_busy(plan.busy, head.n_busy, attempt.end, attempt.cores)
    return time != outage


@part
def plan_retry(grid, worlds, w, plan, desk):
    """After the present attempt: its retry is still to come, or the job has ended."""
    attempt, placed = desk.attempts[PRESENT], desk.placed[0]
    is_last = attempt.fails == 0 or attempt.number + 1 == MAX_ATTEMPTS
    if attempt.row == placed.row:
        if attempt.number == 0:
            placed.first_start = attempt.start
        placed.is_known, placed.is_lost = is_last, attempt.fails
    if is_last:
        return len(desk.changed) == 0 or list_changed(desk.changed, placed, attempt)
    is_cut = attempt.fails == BY_OUTAGE
    number, end = attempt.number + 1, attempt.end
    write_attempt(grid, worlds, w, desk.attempts[RETRY], attempt.row, number, end, is_cut)
    return insert_attempt(plan, desk.attempts[RETRY])


@part
def list_changed(changed, placed, attempt):
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


# --- attempts that hold cores, the first to end on top --------------------------------------------


@part
def push_busy(busy, n, end, cores):
    """Put an attempt on the heap; its new size."""
    i = n
    while i > 0 and busy[(i - 1) // 2].end > end:
        busy[i] = busy[(i - 1) // 2]
        i = (i - 1) // 2
    busy[i].end, busy[i].cores = end, cores
    return n + 1


@part
def pop_busy(busy, n):
    """Remove the first to end; the new size of the heap."""
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
