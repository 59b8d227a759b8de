"""The state of simulated grids: one record array a noun, a leading axis over worlds.

In: a `Catalogue` and `JobArrays`. Out: a `Grid`, which all worlds share and none changes, and
`Worlds`, room for n of them; the kernels of `pandaenv.simulator` work on world w of n. Few arrays
of many fields, rather than many arrays, because each array costs a call from Python 0.2 us.
Units: seconds, bytes, cores, GFLOP (MFLOP where sums must be exact).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from pandaenv.kernels import LINE, kernel
from pandaenv.sites import Catalogue
from pandaenv.workload.jobs import JobArrays

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
MAX_ATTEMPTS = 3

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
    ]
)
SITE_STATE = np.dtype(
    [
        ("finished", "f8"),  # recent ends of attempts, see MEMORY_S
        ("failed", "f8"),
        ("estimate", "i8"),  # MFLOP queued, by the broker's estimate
        ("free", "i4"),  # cores
        ("moving", "i4"),
        ("queued", "i4"),
        ("running", "i4"),  # jobs
        ("head", "i4"),  # queue, by row
        ("tail", "i4"),
        ("first", "i4"),  # all jobs here in order of placement, by row
        ("last", "i4"),
        ("n_switches", "i4"),  # outage ends passed; odd while down
        ("switch_count", "i4"),  # tie-break of the site's scheduled switch
        # what fewer steps ask for
        ("fails_after", "f8"),  # s, see pandaenv.scenarios
        ("booked", "i8"),  # core-seconds to be done here, see pandaenv.simulator.queues
        ("cached", "i8"),  # bytes of all copies here
        ("unused", "i8"),  # bytes of those that no job uses
        ("oldest", "i4"),  # of these, unused for longest
        ("newest", "i4"),
        ("demand", "i8"),  # cores of all jobs here, whatever they do
        ("spare", "i8", (2,)),
    ],
    align=True,
)
"""Two lines of memory, the first for what every step asks."""
SLOW = np.dtype([("begin", "f8"), ("end", "f8"), ("factor", "f8")])
"""When the links of a site are degraded, s, and the speed left; see `pandaenv.scenarios`."""
JOB_STATE = np.dtype(
    [
        ("end", "f8"),  # s, of what it does now (moving, running), at last of all
        ("site", "i2"),
        ("source", "i2"),  # site the input came from
        ("state", "i1"),
        ("outcome", "i1"),  # state in which this attempt will end; QUEUED: it fails by its site
        ("attempts", "i2"),  # starts so far
        ("previous", "i4"),  # neighbours in order of placement at the site
        ("following", "i4"),
        ("held", "i4"),  # copy it uses, NONE for an original
        ("cores", "i4"),  # as in the stream, from its placement on
        # what is asked when it comes or queues
        ("submit", "f8"),  # s
        ("value", "f8"),  # projected measure, see pandaenv.env.reward
        ("index", "i4"),  # row of the stream
        ("count", "i4"),  # tie-break of its scheduled event
        ("behind", "i4"),  # next in the queue
        ("slot", "i4"),  # its data set, by row of the copies
        # what is asked for the log
        ("ready", "f8"),  # s, data there, joined the queue for the first time
        ("first_start", "f8"),
        ("start", "f8"),  # of the last attempt
        ("booked", "i8"),  # core-seconds, see pandaenv.simulator.queues
    ],
    align=True,
)
"""Three halves of a line of memory; the first is all that an end of a run reads of a job."""
COPY = np.dtype(
    [
        ("users", "i4"),  # jobs that use it
        ("older", "i4"),  # neighbours among the unused copies of the site
        ("newer", "i4"),
    ]
)
"""A copy of input at a site, see `caches`; its number in a world is slot x S + site."""
EVENT = np.dtype([("time", "f8"), ("count", "i4"), ("what", "i4")])
"""A row of jobs whose transfer or run ends, or -1 - site for the begin or end of an outage."""


COPIES = np.dtype([("dataset", "i8"), ("site", "i8"), ("nbytes", "i8"), ("users", "i8")])


class Grid(NamedTuple):
    """What no world changes; shared by all of them."""

    sites: np.ndarray  # (S,) SITE
    link: np.ndarray  # (S, S) float64 bytes/s, from row to column; symmetric
    nearest: np.ndarray  # (S, S) int64, sites by the link to that of the row, the fastest first
    stream: np.ndarray  # (J,) JOB
    replicas: np.ndarray  # (D, S) bool
    most_cores: int  # of a job


class Worlds(NamedTuple):
    """The state of n worlds of S sites and N jobs."""

    world: np.ndarray  # (n,) WORLD
    site: np.ndarray  # (n, S) SITE_STATE
    channel: np.ndarray  # (n, S, N_CHANNELS) float64 s, when each is free again
    job: np.ndarray  # (n, N) JOB_STATE
    heap: np.ndarray  # (n, N + S) EVENT
    slow: np.ndarray  # (n, S) SLOW
    switch: np.ndarray  # (n, S, M) float64 s, begin and end of outages in turn, then infinity
    stored: np.ndarray  # (m, K, S) float64 bytes of each copy, 0: none; the first m keep caches
    copy: np.ndarray  # (m, K S) COPY
    dataset: np.ndarray  # (m, K) int32, the data sets of a world's jobs, increasing
    touched: np.ndarray  # (n, S) bool, sites where something has happened since last looked at


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
    most_cores = int(jobs.cores.max(initial=1))
    nearest = np.argsort(-link, axis=1, kind="stable")
    return Grid(sites, link, nearest, stream, np.array(jobs.replicas), most_cores)


def worlds_of(
    n: int, n_sites: int, n_jobs: int, n_switches: int, n_caching: int = 0, n_datasets: int = 0
) -> Worlds:
    """Room for n worlds; `clear` makes one ready.

    Args:
        n_caching: the first of them keep caches, the others move all input each time.
        n_datasets: of the jobs of one world and of the copies it begins with.
    """
    n_events = -(-(n_jobs + n_sites) // 4) * 4
    switch = room((n, n_sites, n_switches), np.float64)
    switch[:] = np.inf
    return Worlds(
        room((n,), WORLD),
        room((n, n_sites), SITE_STATE),
        room((n, n_sites, N_CHANNELS), np.float64),
        room((n, n_jobs), JOB_STATE),
        room((n, n_events), EVENT, -EVENT.itemsize),  # so that the four below one share a line
        room((n, n_sites), SLOW),
        switch,
        room((n_caching, n_datasets, n_sites), np.float64),
        room((n_caching, n_datasets * n_sites), COPY),
        np.zeros((n_caching, n_datasets), np.int32),
        np.zeros((n, n_sites), np.bool_),
    )


def room(shape: tuple[int, ...], dtype, offset: int = 0) -> np.ndarray:
    """Zeros that begin `offset` bytes from where a line of memory begins."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    whole = np.zeros(n_bytes + LINE, np.uint8)
    begin = (offset - whole.ctypes.data) % LINE
    return whole[begin : begin + n_bytes].view(dtype).reshape(shape)


def clear(
    grid: Grid, worlds: Worlds, w: int, begin: int, n_rows: int, first_own: int, seed: np.uint64
) -> None:
    """Empty world w and give it the jobs begin, begin + 1, ... of the stream."""
    _clear(grid, worlds, w, begin, n_rows, first_own, seed)
    if w < len(worlds.copy):
        datasets = datasets_of(grid, begin, n_rows)
        worlds.dataset[w, : len(datasets)] = datasets
        slot = np.searchsorted(datasets, grid.stream["dataset"][begin : begin + n_rows])
        worlds.job[w, :n_rows]["slot"] = slot


def datasets_of(grid: Grid, begin: int, n_rows: int) -> np.ndarray:
    """Data sets that jobs begin, begin + 1, ... of the stream read, increasing."""
    return np.unique(grid.stream["dataset"][begin : begin + n_rows])


def carry(source: Worlds, w: int, target: Worlds, v: int, n_new: int) -> int:
    """Copy world w as it stands into world v, its jobs in the system first, then n_new to come.

    Jobs that have ended are left behind, so rows are renumbered (in order), and data sets that no
    job and no copy names any more, so these too. Scheduled outages and data sets must fit the
    target.

    Returns:
        The number of jobs carried over; v's agent owns the rows after them.
    """
    world = source.world[w]
    rows = carried_rows(source, w, n_new)
    n_carried, n_rows = len(rows) - n_new, len(rows)
    renumber = np.full(source.job.shape[1] + 1, NONE)  # the last entry keeps NONE
    renumber[rows] = np.arange(n_rows)
    target.job[v, :n_rows] = source.job[w, rows]
    target.job[v, n_rows:] = np.zeros((), JOB_STATE)
    for name in ("behind", "previous", "following"):
        target.job[v, :n_rows][name] = renumber[target.job[v, :n_rows][name]]
    for name in ("site", "channel", "slow"):
        getattr(target, name)[v] = getattr(source, name)[w]
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
    target.world[v]["next"] = target.world[v]["first_own"] = n_carried
    for name in ("integral", "own_in_system", "own_lost"):
        target.world[v][name] = 0
    carry_copies(source, w, target, v, rows)
    return n_carried


def carried_rows(source: Worlds, w: int, n_new: int) -> np.ndarray:
    """Rows of the jobs in the system of world w, then of the n_new to come."""
    state, coming = source.job[w]["state"], int(source.world[w]["next"])
    alive = np.flatnonzero((state >= MOVING) & (state <= RUNNING))
    return np.concatenate([alive, np.arange(coming, coming + n_new)])


def carried_slots(source: Worlds, w: int, rows: np.ndarray) -> np.ndarray:
    """Data sets that jobs in these rows of world w read or that have a copy, by row of copies."""
    is_named = (source.stored[w] > 0).any(axis=1)
    is_named[source.job[w, rows]["slot"]] = True
    return np.flatnonzero(is_named)


def carry_copies(source: Worlds, w: int, target: Worlds, v: int, rows: np.ndarray) -> None:
    """Take the copies along to world v, whose jobs, of these rows, and sites are there as in w."""
    job, site = target.job[v, : len(rows)], target.site[v]
    if w >= len(source.copy) or v >= len(target.copy):
        job["held"] = site["oldest"] = site["newest"] = NONE
        site["cached"] = site["unused"] = 0
        return
    slots, n_sites = carried_slots(source, w, rows), len(site)
    renumber = np.full(source.stored.shape[1] + 1, NONE)  # the last entry keeps NONE
    renumber[slots] = np.arange(len(slots))
    job["slot"] = renumber[job["slot"]]

    def number(i):
        return np.where(i == NONE, NONE, renumber[i // n_sites] * n_sites + i % n_sites)

    target.stored[v] = 0.0
    target.stored[v, : len(slots)] = source.stored[w, slots]
    target.dataset[v, : len(slots)] = source.dataset[w, slots]
    copy = target.copy[v, : len(slots) * n_sites]
    copy.reshape(len(slots), n_sites)[:] = source.copy[w].reshape(-1, n_sites)[slots]
    for array, names in ((job, ["held"]), (site, ["oldest", "newest"]), (copy, ["older", "newer"])):
        for name in names:
            array[name] = number(array[name])


def copies_of(worlds: Worlds, w: int) -> np.ndarray:
    """The copies of world w: records of dataset, site, nbytes and users."""
    found = np.zeros(0, COPIES)
    if w < len(worlds.copy):
        slot, site = np.nonzero(worlds.stored[w])
        found = np.zeros(len(slot), COPIES)
        found["dataset"], found["site"] = worlds.dataset[w, slot], site
        found["nbytes"] = worlds.stored[w, slot, site]
        found["users"] = worlds.copy[w, slot * worlds.site.shape[1] + site]["users"]
    return found


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
def _clear(grid, worlds, w, begin, n_rows, first_own, seed):
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
    world.backfill = 0
    worlds.channel[w] = world.now
    for s in range(len(grid.sites)):
        site = worlds.site[w, s]
        site.finished = site.failed = 0.0
        slow = worlds.slow[w, s]
        slow.begin, slow.end, slow.factor = np.inf, np.inf, 1.0
        site.fails_after = np.inf
        site.estimate = site.switch_count = site.n_switches = site.demand = 0
        site.moving = site.queued = site.running = 0
        site.head = site.tail = site.first = site.last = NONE
        site.booked = site.cached = site.unused = 0
        site.oldest = site.newest = NONE
        site.free = grid.sites[s].cores
    if w < len(worlds.copy):
        for slot in range(worlds.stored.shape[1]):
            for s in range(len(grid.sites)):
                if worlds.stored[w, slot, s] > 0.0:  # what was never used stays untouched
                    worlds.stored[w, slot, s] = 0.0
    for row in range(n_rows):
        job = worlds.job[w, row]
        job.index = begin + row
        job.state = FUTURE
        job.site = job.source = NONE
        job.behind = job.previous = job.following = job.held = NONE
        job.count = job.attempts = job.outcome = job.slot = job.booked = 0
        job.value = 0.0
        job.submit = job.ready = job.first_start = job.start = job.end = np.nan
