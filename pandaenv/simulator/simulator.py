"""The grid in motion: jobs placed, moved, queued, run, failed and finished, event by event.

In: a `Catalogue` of sites, `JobArrays` in order of arrival, the site chosen for each job.
Out: the time of every stage of every job.

A placed job whose data (if any) are not at its site fetches them from the closest original or copy
(fastest link, then first row) through the site's ingress channel that is free first: first in,
first out, each min(link, ingress / 8) fast. What has come stays in the site's cache as long as
`pandaenv.simulator.caches` finds room for it. The job then waits, first come first served by the
time it became ready, for its cores, and runs for work / (cores x power) seconds. With `backfill`
(EASY) jobs further back start while the first of the queue waits for cores, in order, each that
ends before these would be free, or takes none of them; the site knows how long every attempt will
run (ASSUMED), outages it does not foresee. A site failure ends an attempt early, after v^2 of its
length with v(seed, job, attempt) in [0, 1); the job queues again at its site, at most 3 attempts in
all, then it is lost. A payload failure ends the job wherever it runs: each recorded `closed` or
`cancelled`, and a share of those recorded `failed`. An outage fails what runs and stops starts;
transfers go on and storage stays readable; one that began before the first arrival is met as it
stands. What else may go wrong says `pandaenv.scenarios`. A job that can never run where it was put
is rejected. Events of one instant are handled in the order they were scheduled, and before an
arrival of that instant; begin and end of an outage are scheduled when the one before is handled.
Where a job reads its data from is settled when it is placed, and apart from this a site cannot tell
what happens at another: a placement changes the future of the jobs at its own site only
(`pandaenv.env.reward` relies on this).

Whether an attempt fails is u(seed, job, attempt) < p(site), a counter hash without the site in it:
all policies meet the same world, and a job that fails somewhere fails at every worse site too.
"""

import numpy as np
import pandas as pd

from pandaenv.kernels import kernel, part
from pandaenv.scenarios import Troubles, untroubled
from pandaenv.sites import Catalogue
from pandaenv.workload.jobs import JobArrays

from .caches import closest, hold, keep, release
from .events import insert, pop, push
from .prefetch import bring_copy, bring_job, bring_next
from .queues import begun, book, enqueue, start_waiting, unbook
from .state import (
    FINISHED,
    LOST,
    MAX_ATTEMPTS,
    MEMORY_S,
    MOVING,
    NONE,
    QUEUED,
    REJECTED,
    RUNNING,
    SLOW,
    Worlds,
    clear,
    datasets_of,
    grid_of,
    stages,
    worlds_of,
)


class Simulator:
    """One world, from its first job to its last.

    Example:
        >>> simulator = Simulator(catalogue, jobs)  # doctest: +SKIP
        >>> simulator.replay(jobs.site).drain().log()  # doctest: +SKIP

    Args:
        catalogue: S sites.
        jobs: stream over the same sites.
        seed: of the failures, at least 0.
        outages: float64 (S, M) s, begin and end of each outage in turn, increasing; None for none.
        troubles: all that goes wrong, outages included, in place of them.
        backfill: whether jobs may overtake the first of a queue.

    Raises:
        ValueError: the stream was made for another number of sites, outages of a wrong shape, or a
            seed that is no whole number of 64 bits.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        jobs: JobArrays,
        *,
        seed: int = 0,
        outages: np.ndarray | None = None,
        troubles: Troubles | None = None,
        backfill: bool = False,
    ):
        self.catalogue, self.jobs = catalogue, jobs
        self.grid = grid_of(catalogue, jobs)
        troubles = untroubled(catalogue.n_sites) if troubles is None else troubles
        outages = troubles.outages if outages is None else outages
        troubles = troubles._replace(outages=_checked_outages(outages, catalogue.n_sites))
        is_whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
        if not (is_whole and 0 <= seed < 2**64):
            raise ValueError(f"seed must be a whole number in [0, 2^64), got {seed!r}")
        n_jobs, n_switches = len(jobs), troubles.outages.shape[1]
        n_datasets = len(datasets_of(self.grid, 0, n_jobs))
        self.worlds = worlds_of(1, catalogue.n_sites, n_jobs, n_switches, 1, n_datasets)
        clear(self.grid, self.worlds, 0, 0, n_jobs, 0, np.uint64(seed))
        self.worlds.world["backfill"] = bool(backfill)
        suffer(self.worlds, 0, troubles)

    @property
    def now(self) -> float:
        """Time of the last placement or event handled, s."""
        return float(self.worlds.world[0]["now"])

    @property
    def n_left(self) -> int:
        """Jobs still to be placed."""
        return int(self.worlds.world[0]["n_rows"] - self.worlds.world[0]["next"])

    def place(self, site: int) -> None:
        """Go on to the next arrival and put that job on `site`; -1 rejects it."""
        self.replay(np.array([site]))

    def replay(self, sites: np.ndarray) -> "Simulator":
        """Place the next len(sites) jobs, each on its site when it arrives; -1 rejects."""
        sites, n_sites = np.asarray(sites), self.catalogue.n_sites
        if sites.ndim != 1 or not np.issubdtype(sites.dtype, np.integer):
            raise ValueError(f"sites must be whole numbers, one a job, got {sites!r}")
        arrival = arrival_of_next(self.grid, self.worlds, 0) if self.n_left else np.inf
        if len(sites) and self.now > arrival:
            raise ValueError(
                f"a drained world takes no more jobs: the next arrives at {arrival:g} s, "
                f"it is {self.now:g} s"
            )
        if len(sites) > self.n_left:
            raise ValueError(f"a job must be left to place, got {len(sites)} for {self.n_left}")
        wrong = (sites < -1) | (sites >= n_sites)
        if wrong.any():
            raise ValueError(f"site must be in [-1, {n_sites}), got {sites[wrong][0]}")
        place_all(self.grid, self.worlds, 0, sites.astype(np.int64))
        return self

    def drain(self) -> "Simulator":
        """Handle all that is left; jobs not yet placed stay so."""
        advance(self.grid, self.worlds, 0, np.inf)
        return self

    def log(self) -> pd.DataFrame:
        """Stages of each job so far, see `stages`."""
        return stages(self.worlds.job[0], self.catalogue.names)


def suffer(worlds: Worlds, w: int, troubles: Troubles) -> None:
    """Let the troubles come over world w; outages must lie in the future."""
    site, world = worlds.site[w], worlds.world[w]
    for i, name in enumerate(SLOW.names):
        worlds.slow[w][name] = troubles.slow[:, i]
    for i, name in enumerate(("from", "until", "factor")):
        world[f"surge_{name}"] = troubles.surge[i]
    for name in ("surge_from", "surge_until"):
        world[name] = max(world[name], world["now"])
    site["fails_after"] = troubles.fails_after
    schedule_outages(worlds, w, troubles.outages)


def _checked_outages(outages: np.ndarray, n_sites: int) -> np.ndarray:
    outages = np.asarray(outages, dtype=np.float64)
    if outages.ndim != 2 or len(outages) != n_sites:
        raise ValueError(f"outages must have one row a site ({n_sites}), got {outages.shape}")
    if np.isnan(outages).any() or not (outages[:, 1:] >= outages[:, :-1]).all():
        raise ValueError("outages must begin and end in turn, got times that run back or NaN")
    return outages


@kernel
def schedule_outages(worlds, w, switches):
    """Give each site of world w its outages, float64 (S, M) s, which lie in the future."""
    for s in range(switches.shape[0]):
        worlds.site[w, s].n_switches = 0
        for k in range(switches.shape[1]):
            worlds.switch[w, s, k] = switches[s, k]
        schedule_switch(worlds, w, s)


# --- events ---------------------------------------------------------------------------------------


@part
def arrive(grid, worlds, w):
    """Go on to the time of the next arrival."""
    advance(grid, worlds, w, next_arrival(grid, worlds, w))
    forget(worlds, w)


@part
def next_arrival(grid, worlds, w):
    """When the next job arrives, s: as in the stream, or earlier by a surge."""
    world = worlds.world[w]
    time = grid.stream[worlds.job[w, world.next].index].time
    if time <= world.surge_from:
        return time
    length = world.surge_until - world.surge_from
    if time <= world.surge_from + world.surge_factor * length:
        return world.surge_from + (time - world.surge_from) / world.surge_factor
    return time - (world.surge_factor - 1.0) * length


@kernel
def arrival_of_next(grid, worlds, w):
    """The same, for Python."""
    return next_arrival(grid, worlds, w)


@part
def place(grid, worlds, w, s):
    """Put the next job on site s at the present time; returns its row. NONE rejects it."""
    world = worlds.world[w]
    row = world.next
    world.next += 1
    if s != NONE:
        worlds.touched[w, s] = True
    job = worlds.job[w, row]
    traits = grid.stream[job.index]
    job.submit = world.now
    job.site, job.cores = s, traits.cores
    if s == NONE or traits.cores > grid.sites[s].cores:
        job.state = REJECTED
        job.end = world.now
        world.own_lost += row >= world.first_own
        return row
    source = closest(grid, worlds, w, row, s) if traits.nbytes > 0 else np.int64(s)
    bring_copy(worlds, w, row, source)
    enter(worlds, w, row)
    book(grid, worlds, w, row, 0)
    if traits.nbytes > 0:
        hold(grid, worlds, w, row, source)
    if source == s:
        enqueue(grid, worlds, w, row)
        start_waiting(grid, worlds, w, s)
    else:
        fetch(grid, worlds, w, row, source)
    return row


@kernel
def place_all(grid, worlds, w, sites):
    """Put the next jobs on the sites given, int64 (n,), each at its arrival."""
    for s in sites:
        arrive(grid, worlds, w)
        place(grid, worlds, w, s)


@kernel
def advance(grid, worlds, w, until):
    """Handle every event up to and including `until`, in seconds; infinity drains the world."""
    unfold(grid, worlds, w, until)


@part
def unfold(grid, worlds, w, until):
    """The same, copied into its caller: faster by a sixth of a step, and longer to compile."""
    world = worlds.world[w]
    heap = worlds.heap[w]
    while world.n_events > 0 and heap[0].time <= until:
        time, what = heap[0].time, heap[0].what
        pop(heap, world)
        bring_next(worlds, w)
        pass_time(world, time)
        if what < 0:
            switch(grid, worlds, w, -1 - what)
        else:
            proceed(grid, worlds, w, what)
    if until < np.inf:
        pass_time(world, until)


@part
def pass_time(world, time):
    time = max(time, world.now)  # an outage may have begun before the first arrival
    world.integral += world.own_in_system * (time - world.now)
    world.now = time


@part
def proceed(grid, worlds, w, row):
    """What the job did has ended: its transfer or its attempt."""
    job = worlds.job[w, row]
    s = job.site
    worlds.touched[w, s] = True
    bring_job(worlds, w, worlds.site[w, s].head)  # which may start
    if job.state == MOVING:
        worlds.site[w, s].moving -= 1
        keep(grid, worlds, w, row)
        enqueue(grid, worlds, w, row)
    else:
        end_attempt(grid, worlds, w, row, job.outcome)
    start_waiting(grid, worlds, w, s)


@part
def fetch(grid, worlds, w, row, source):
    """Move the input from `source` through the channel that is free first."""
    job = worlds.job[w, row]
    free_at, k = worlds.channel[w, job.site], 0
    for i in range(1, len(free_at)):
        k = i if free_at[i] < free_at[k] else k
    rate = min(grid.link[job.site, source], grid.sites[job.site].channel)  # links are symmetric
    begin = max(worlds.world[w].now, free_at[k])
    seconds = grid.stream[job.index].nbytes / rate
    job.end = free_at[k] = end_of_transfer(worlds.slow[w, job.site], begin, seconds)
    job.source = source
    job.state = MOVING
    worlds.site[w, job.site].moving += 1
    job.count = push(worlds.heap[w], worlds.world[w], job.end, row)


@part
def end_of_transfer(slow, begin, seconds):
    """When a transfer ends that would take so long if the links of its site were not degraded."""
    if begin >= slow.end or begin + seconds <= slow.begin:
        return begin + seconds
    left = seconds - max(0.0, slow.begin - begin)
    begin = max(begin, slow.begin)
    end = begin + left / slow.factor
    if end <= slow.end:
        return end
    return slow.end + (left - (slow.end - begin) * slow.factor)


@part
def end_attempt(grid, worlds, w, row, outcome):
    """Free the cores; the job leaves, or queues again where attempts are left."""
    job = worlds.job[w, row]
    site = worlds.site[w, job.site]
    site.free += job.cores
    site.running -= 1
    site.booked -= begun(job)
    if outcome == FINISHED:
        site.finished += 1.0
    else:
        site.failed += 1.0
    if outcome != QUEUED:
        leave(worlds, w, row, outcome)
    elif job.attempts == MAX_ATTEMPTS:
        leave(worlds, w, row, LOST)
    else:
        enqueue(grid, worlds, w, row)


@kernel
def switch(grid, worlds, w, s):
    """An outage begins (what runs fails, in order of placement) or ends."""
    site = worlds.site[w, s]
    worlds.touched[w, s] = True
    site.n_switches += 1
    schedule_switch(worlds, w, s)
    if site.n_switches % 2 == 0:
        start_waiting(grid, worlds, w, s)
        return
    drop_runs(worlds, w, s)
    row = site.first
    while row != NONE:
        following = worlds.job[w, row].following
        job = worlds.job[w, row]
        if job.state == RUNNING:
            is_unforeseen = job.outcome != QUEUED  # else what follows has been booked
            end_attempt(grid, worlds, w, row, QUEUED)
            if is_unforeseen and job.state == QUEUED:
                book(grid, worlds, w, row, np.int64(job.attempts))
        row = following


@part
def schedule_switch(worlds, w, s):
    site = worlds.site[w, s]
    if site.n_switches < worlds.switch.shape[2]:
        time = worlds.switch[w, s, site.n_switches]
        if time < np.inf:
            site.switch_count = push(worlds.heap[w], worlds.world[w], time, -1 - s)


@kernel
def drop_runs(worlds, w, s):
    """Take the ends of runs at site s off the heap."""
    heap, world = worlds.heap[w], worlds.world[w]
    n = world.n_events
    world.n_events = 0
    for i in range(n):
        time, count, what = heap[i].time, heap[i].count, heap[i].what
        ours = what >= 0 and worlds.job[w, what].site == s
        if not (ours and worlds.job[w, what].state == RUNNING):
            insert(heap, world, time, count, what)


@part
def enter(worlds, w, row):
    """List the job last among those at its site."""
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
def leave(worlds, w, row, state):
    """Strike the job off its site's list; it is done with its data."""
    release(worlds, w, row)
    unbook(worlds, w, row)
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


@part
def forget(worlds, w):
    """Halve the counts of recent ends once for each multiple of MEMORY_S passed."""
    world = worlds.world[w]
    age = np.int64(world.now // MEMORY_S)
    if age > world.age:
        fade = 0.5 ** np.float64(age - world.age)
        for s in range(worlds.site.shape[1]):
            worlds.site[w, s].finished *= fade
            worlds.site[w, s].failed *= fade
        world.age = age
