"""The state of simulated grids: one record array a noun, a leading axis over worlds.

In: a `Catalogue` and `JobArrays`. Out: a `Grid`, which all worlds share and none changes, and
`Worlds`, room for n of them; the kernels of `pandaenv.simulator` work on world w of n. Few arrays
of many fields, rather than many arrays, because each array costs a call from Python 0.2 us.
Units: seconds, bytes, cores, GFLOP (MFLOP where sums must be exact).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from .jobs import JobArrays
from .kernels import kernel, part
from .sites import Catalogue

N_CHANNELS = 8
"""Transfers into a site that run at once."""
MEMORY_S = 6 * 3600.0
"""Counts of recent ends halve at every multiple of this time; ASSUMED."""

CACHE_SHARE = 0.17
"""Share of a site's disk that is its cache: DATADISKs are about 83 % full of originals."""
MAX_CACHE = 4e18
"""Bytes; those of all copies must fit 64 bits."""
MAX_WORK = 9e15
"""GFLOP; the MFLOP of all jobs in one queue must fit 64 bits."""

FUTURE, MOVING, QUEUED, RUNNING, FINISHED, FAILED, LOST, REJECTED = range(8)
"""States of a job. FAILED: its payload failed. LOST: its site failed it MAX_ATTEMPTS times."""
STATES = ("future", "moving", "queued", "running", "finished", "failed", "lost", "rejected")
NONE = -1

SITE = np.dtype(
    [
        ("cores", "i8"),  # slots
        ("power", "f8"),  # GFLOP/s per core
        ("failure_rate", "f8"),  # of an attempt
        ("channel", "f8"),  # bytes/s of each
        ("cache", "i8"),  # bytes
    ]
)
JOB = np.dtype(
    [
        ("time", "f8"),  # arrival, s
        ("work", "f8"),  # GFLOP over all cores
        ("nbytes", "f8"),
        ("cores", "i8"),
        ("dataset", "i8"),  # row of replicas
        ("status", "i8"),  # recorded, code into STATUSES
        ("estimate", "i8"),  # MFLOP a broker would expect from what is known at submission
    ]
)
WORLD = np.dtype(
    [
        ("now", "f8"),  # s
        ("integral", "f8"),  # job-seconds the agent's jobs have spent in the system
        ("seed", "u8"),
        ("counter", "i8"),  # events scheduled so far
        ("n_events", "i8"),  # entries of the heap
        ("n_rows", "i8"),  # jobs of this world
        ("next", "i8"),  # row of the next arrival
        ("first_own", "i8"),  # rows from here on are the agent's
        ("in_system", "i8"),
        ("own_in_system", "i8"),
        ("own_lost", "i8"),  # lost or rejected
        ("age", "i8"),  # multiples of MEMORY_S passed
        ("surge_from", "f8"),  # s, see pandaenv.scenarios
        ("surge_until", "f8"),
        ("surge_factor", "f8"),
        ("backfill", "i8"),  # whether jobs may overtake the head of a queue
        ("n_copies", "i8"),  # entries of the pool of copies that were ever taken
        ("spare", "i8"),  # one of them that is free again, NONE if none is; chained to the next
    ]
)
SITE_STATE = np.dtype(
    [
        ("finished", "f8"),  # recent ends of attempts, see MEMORY_S
        ("failed", "f8"),
        ("slow_from", "f8"),  # s, see pandaenv.scenarios
        ("slow_until", "f8"),
        ("slow_factor", "f8"),
        ("fails_after", "f8"),  # s
        ("estimate", "i8"),  # MFLOP queued, by the broker's estimate
        ("switch_count", "i4"),  # tie-break of the site's scheduled switch
        ("n_switches", "i4"),  # outage ends passed; odd while down
        ("free", "i4"),  # cores
        ("moving", "i4"),
        ("queued", "i4"),
        ("running", "i4"),  # jobs
        ("head", "i4"),  # queue, by row
        ("tail", "i4"),
        ("first", "i4"),  # all jobs here in order of placement, by row
        ("last", "i4"),
        ("cached", "i8"),  # bytes of all copies here
        ("unused", "i8"),  # bytes of those that no job uses
        ("oldest", "i4"),  # of these, unused for longest
        ("newest", "i4"),
    ]
)
JOB_STATE = np.dtype(
    [
        ("submit", "f8"),  # s, all stages
        ("ready", "f8"),  # data there, joined the queue for the first time
        ("first_start", "f8"),
        ("start", "f8"),  # of the last attempt
        ("end", "f8"),  # of what it does now (moving, running), at last of all
        ("value", "f8"),  # projected measure, see pandaenv.reward
        ("index", "i4"),  # row of the stream
        ("count", "i4"),  # tie-break of its scheduled event
        ("site", "i2"),
        ("source", "i2"),  # site the input came from
        ("state", "i1"),
        ("outcome", "i1"),  # state in which this attempt will end; QUEUED: it fails by its site
        ("attempts", "i1"),  # starts so far
        ("behind", "i4"),  # next in the queue
        ("previous", "i4"),  # neighbours in order of placement at the site
        ("following", "i4"),
        ("held", "i4"),  # copy it uses, NONE for an original
        ("cores", "i4"),  # as in the stream, from its placement on
    ]
)
COPY = np.dtype(
    [
        ("nbytes", "i8"),
        ("dataset", "i4"),
        ("site", "i4"),  # NONE: no copy, room for one
        ("users", "i4"),  # jobs that use it
        ("chained", "i4"),  # next in its bucket
        ("older", "i4"),  # neighbours among the unused copies of the site
        ("newer", "i4"),
    ]
)
"""A copy of input at a site, see `pandaenv.caches`."""
EVENT = np.dtype([("time", "f8"), ("count", "i4"), ("what", "i4")])
"""A row of jobs whose transfer or run ends, or -1 - site for the begin or end of an outage."""


class Grid(NamedTuple):
    """What no world changes; shared by all of them."""

    sites: np.ndarray  # (S,) SITE
    link: np.ndarray  # (S, S) float64 bytes/s, from row to column
    stream: np.ndarray  # (J,) JOB
    replicas: np.ndarray  # (D, S) bool


class Worlds(NamedTuple):
    """The state of n worlds of S sites and N jobs."""

    world: np.ndarray  # (n,) WORLD
    site: np.ndarray  # (n, S) SITE_STATE
    channel: np.ndarray  # (n, S, N_CHANNELS) float64 s, when each is free again
    job: np.ndarray  # (n, N) JOB_STATE
    heap: np.ndarray  # (n, N + S) EVENT
    switch: np.ndarray  # (n, S, M) float64 s, begin and end of outages in turn, then infinity
    copy: np.ndarray  # (m, C) COPY; the first m worlds keep caches
    bucket: np.ndarray  # (m, B) int32 first copy of the data sets that share it; B a power of two


def grid_of(catalogue: Catalogue, jobs: JobArrays, estimate: np.ndarray | None = None) -> Grid:
    """Pack sites and stream for the kernels.

    Args:
        estimate: GFLOP a broker would expect of each job, float64 (J,); None: the stream's mean.
    """
    if jobs.n_sites != catalogue.n_sites:
        raise ValueError(
            f"stream and catalogue must have the same sites, got {jobs.n_sites} and "
            f"{catalogue.n_sites}"
        )
    sites = np.zeros(catalogue.n_sites, SITE)
    for name in ("cores", "power", "failure_rate"):
        sites[name] = getattr(catalogue, name)
    sites["channel"] = catalogue.ingress / N_CHANNELS
    sites["cache"] = np.minimum(catalogue.disk * CACHE_SHARE, MAX_CACHE)
    stream = np.zeros(len(jobs), JOB)
    for name in ("time", "work", "nbytes", "cores", "dataset", "status"):
        stream[name] = getattr(jobs, name)
    estimate = np.full(len(jobs), jobs.work.mean()) if estimate is None else estimate
    if not estimate.sum() < MAX_WORK:
        raise ValueError(
            f"the work of all jobs must be below {MAX_WORK:.0e} GFLOP, got {estimate.sum():.2g}"
        )
    stream["estimate"] = np.rint(estimate * 1e3)
    link = np.ascontiguousarray(catalogue.link, dtype=np.float64)
    return Grid(sites, link, stream, np.array(jobs.replicas))


def worlds_of(
    n: int, n_sites: int, n_jobs: int, n_switches: int, n_caching: int = 0, n_copies: int = 0
) -> Worlds:
    """Room for n worlds; `clear` makes one ready.

    Args:
        n_caching: the first of them keep caches, the others move all input each time.
        n_copies: copies at all sites together; one a job, and those carried over, are enough.
    """
    n_buckets = 1 << max(0, n_copies // 2 - 1).bit_length()
    return Worlds(
        np.zeros(n, WORLD),
        np.zeros((n, n_sites), SITE_STATE),
        np.zeros((n, n_sites, N_CHANNELS)),
        np.zeros((n, n_jobs), JOB_STATE),
        np.zeros((n, n_jobs + n_sites), EVENT),
        np.full((n, n_sites, n_switches), np.inf),
        np.zeros((n_caching, n_copies), COPY),
        np.full((n_caching, n_buckets), NONE, np.int32),
    )


def carry(source: Worlds, w: int, target: Worlds, v: int, n_new: int) -> int:
    """Copy world w as it stands into world v, its jobs in the system first, then n_new to come.

    Jobs that have ended are left behind, so rows are renumbered (in order), and copies anew.
    Scheduled outages and copies must fit the target.

    Returns:
        The number of jobs carried over; v's agent owns the rows after them.
    """
    world, job = source.world[w], source.job[w]
    alive = np.flatnonzero((job["state"] >= MOVING) & (job["state"] <= RUNNING))
    coming = np.arange(world["next"], world["next"] + n_new)
    renumber = np.full(len(job) + 1, NONE)  # the last entry keeps NONE
    renumber[alive] = np.arange(len(alive))
    n_rows = len(alive) + n_new
    target.job[v, :n_rows] = job[np.concatenate([alive, coming])]
    target.job[v, n_rows:] = np.zeros((), JOB_STATE)
    for name in ("behind", "previous", "following"):
        target.job[v, :n_rows][name] = renumber[target.job[v, :n_rows][name]]
    target.site[v], target.channel[v] = source.site[w], source.channel[w]
    for name in ("head", "tail", "first", "last"):
        target.site[v][name] = renumber[source.site[w][name]]
    n_events = int(world["n_events"])
    target.heap[v, :n_events] = source.heap[w, :n_events]
    what = target.heap[v, :n_events]["what"]
    target.heap[v, :n_events]["what"] = np.where(what < 0, what, renumber[what])
    target.switch[v] = np.inf
    target.switch[v, :, : source.switch.shape[2]] = source.switch[w]
    target.world[v] = world
    target.world[v]["n_rows"] = n_rows
    target.world[v]["next"] = target.world[v]["first_own"] = len(alive)
    for name in ("integral", "own_in_system", "own_lost"):
        target.world[v][name] = 0
    carry_copies(source, w, target, v)
    return len(alive)


def copies_of(worlds: Worlds, w: int) -> np.ndarray:
    """The copies of world w, by their place in its pool, int64."""
    if w >= len(worlds.copy):
        return np.zeros(0, np.int64)
    return np.flatnonzero(worlds.copy[w, : worlds.world[w]["n_copies"]]["site"] != NONE)


def carry_copies(source: Worlds, w: int, target: Worlds, v: int) -> None:
    """Take the copies along to world v, whose jobs and sites are there and name them as in w."""
    kept = copies_of(source, w)[: None if v < len(target.copy) else 0]
    renumber = np.full(source.copy.shape[1] + 1, NONE)  # the last entry keeps NONE
    renumber[kept] = np.arange(len(kept))
    target.world[v]["n_copies"], target.world[v]["spare"] = len(kept), NONE
    target.job[v]["held"] = renumber[target.job[v]["held"]]
    for name in ("oldest", "newest"):
        target.site[v][name] = renumber[target.site[v][name]]
    if len(kept) == 0:
        target.site[v]["cached"] = target.site[v]["unused"] = 0
    else:
        copy = source.copy[w, kept]
        for name in ("older", "newer"):
            copy[name] = renumber[copy[name]]
        target.copy[v, : len(kept)] = copy
    if v < len(target.copy):
        chain_all(target, v)


def stages(job: np.ndarray, names: tuple[str, ...]) -> pd.DataFrame:
    """The stage log of JOB_STATE rows (N,): one row a job, times in s, NaN where not reached.

    Columns: index (row of the stream), site, source (missing if local), state, attempts,
    submit, ready, first_start, start, end.
    """
    labels = np.array([None, *names], dtype=object)
    columns = {"index": job["index"].astype(np.int64), "site": labels[job["site"] + 1]}
    columns |= {"source": labels[job["source"] + 1], "state": np.array(STATES)[job["state"]]}
    columns |= {"attempts": job["attempts"].astype(np.int64)}
    for name in ("submit", "ready", "first_start", "start", "end"):
        columns[name] = job[name].copy()
    return pd.DataFrame(columns)


@kernel
def clear(grid, worlds, w, begin, n_rows, first_own, seed):
    """Empty world w and give it the jobs begin, begin + 1, ... of the stream."""
    world = worlds.world[w]
    world.now = grid.stream[begin].time
    world.integral = 0.0
    world.own_lost = 0
    world.seed = seed
    world.counter = world.n_events = world.next = world.in_system = world.own_in_system = 0
    world.n_rows = n_rows
    world.first_own = first_own
    world.age = np.int64(world.now // MEMORY_S)
    world.surge_from, world.surge_until, world.surge_factor = np.inf, np.inf, 1.0
    world.backfill, world.n_copies, world.spare = 0, 0, NONE
    if w < len(worlds.copy):
        worlds.bucket[w] = NONE
    worlds.channel[w] = world.now
    for s in range(len(grid.sites)):
        site = worlds.site[w, s]
        site.finished = site.failed = 0.0
        site.slow_from = site.slow_until = site.fails_after = np.inf
        site.slow_factor = 1.0
        site.estimate = site.switch_count = site.n_switches = 0
        site.moving = site.queued = site.running = 0
        site.head = site.tail = site.first = site.last = NONE
        site.cached = site.unused = 0
        site.oldest = site.newest = NONE
        site.free = grid.sites[s].cores
    for row in range(n_rows):
        job = worlds.job[w, row]
        job.index = begin + row
        job.state = FUTURE
        job.site = job.source = NONE
        job.behind = job.previous = job.following = job.held = NONE
        job.count = job.attempts = job.outcome = 0
        job.value = 0.0
        job.submit = job.ready = job.first_start = job.start = job.end = np.nan


@kernel
def chain_all(worlds, w):
    """List the copies of world w by data set."""
    worlds.bucket[w] = NONE
    for i in range(worlds.world[w].n_copies):
        if worlds.copy[w, i].site != NONE:
            chain(worlds, w, i)


@part
def chain(worlds, w, i):
    """List a copy with those whose data sets share its bucket."""
    copy, buckets = worlds.copy[w, i], worlds.bucket[w]
    k = copy.dataset & (len(buckets) - 1)
    copy.chained = buckets[k]
    buckets[k] = i
