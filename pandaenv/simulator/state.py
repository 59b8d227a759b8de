"""The state of simulated grids: one record array for each noun, with a leading axis over worlds.

In: a `Catalogue` and `JobArrays`. Out: a `Grid`, which all worlds share and none changes, and
`Worlds`, room for n of them; the kernels of `pandaenv.simulator` work on world w of n. Few arrays
of many fields, rather than many arrays, because each array costs a call from Python 0.2 us.
Units: seconds, bytes, cores, GFLOP (MFLOP where sums must be exact).
"""

from typing import NamedTuple

import numpy as np

from foundations.units import HOUR_S
from pandaenv.kernels import LINE, part
from pandaenv.sites import Catalogue
from pandaenv.workload.jobs import JobArrays

from .others import Others, check_others, held_range, no_others

N_CHANNELS = 8
"""Transfers into a site that run at once."""
MEMORY_S = 6 * HOUR_S
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
        ("usual", "i8"),  # slots that others leave on average, and at least and at most
        ("least", "i8"),
        ("most", "i8"),
        ("latency", "f8"),  # of pilots, s
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
        # what fewer steps read
        ("fails_after", "f8"),  # s, see pandaenv.scenarios
        ("booked", "i8"),  # core-seconds to be done here, see pandaenv.simulator.bookings
        ("cached", "i8"),  # bytes of all copies here
        ("unused", "i8"),  # bytes of those that no job uses
        ("oldest", "i4"),  # of these, unused for longest
        ("newest", "i4"),
        ("demand", "i8"),  # cores of all jobs here, whatever they do
        ("turn", "f8"),  # s, when the queue is next looked at, see pandaenv.simulator.others
        ("change", "f8"),
    ],
    align=True,
)
"""Two lines of memory; the first holds what every step reads."""
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
        # what is read when it arrives or queues
        ("submit", "f8"),  # s
        ("value", "f8"),  # projected measure, see pandaenv.env.reward
        ("index", "i4"),  # row of the stream
        ("count", "i4"),  # tie-break of its scheduled event
        ("behind", "i4"),  # next in the queue
        ("slot", "i4"),  # its data set, by row of the copies
        # what only the log reads
        ("ready", "f8"),  # s, data there, joined the queue for the first time
        ("first_start", "f8"),
        ("start", "f8"),  # of the last attempt
        ("booked", "i8"),  # core-seconds, see pandaenv.simulator.bookings
    ],
    align=True,
)
"""One and a half lines of memory; the end of a run reads only the first half line."""
COPY = np.dtype(
    [
        ("users", "i4"),  # jobs that use it
        ("older", "i4"),  # neighbours among the unused copies of the site
        ("newer", "i4"),
    ]
)
"""A copy of input at a site, see `caches`; its number in a world is slot x S + site."""
EVENT = np.dtype([("time", "f8"), ("count", "i4"), ("what", "i4")])
"""A row of jobs whose transfer or run ends; -1 - site for the begin or end of an outage; S less for
a look at the queue of the site."""


COPIES = np.dtype([("dataset", "i8"), ("site", "i8"), ("nbytes", "i8"), ("users", "i8")])


class Grid(NamedTuple):
    """What no world changes; shared by all of them."""

    sites: np.ndarray  # (S,) SITE
    link: np.ndarray  # (S, S) float64 bytes/s, from row to column; symmetric
    nearest: np.ndarray  # (S, S) int64, sites by the link to that of the row, the fastest first
    stream: np.ndarray  # (J,) JOB
    replicas: np.ndarray  # (D, S) bool
    most_cores: int  # of a job
    held: np.ndarray  # (S, M) HELD, see pandaenv.simulator.others
    ahead: np.ndarray  # (S, K) AHEAD


class Worlds(NamedTuple):
    """The state of n worlds of S sites and N jobs."""

    world: np.ndarray  # (n,) WORLD
    site: np.ndarray  # (n, S) SITE_STATE
    channel: np.ndarray  # (n, S, N_CHANNELS) float64 s, when each is free again
    job: np.ndarray  # (n, N) JOB_STATE
    heap: np.ndarray  # (n, N + 3 S) EVENT
    slow: np.ndarray  # (n, S) SLOW
    switch: np.ndarray  # (n, S, M) float64 s, begin and end of outages in turn, then infinity
    stored: np.ndarray  # (m, K, S) float64 bytes of each copy, 0: none; the first m keep caches
    copy: np.ndarray  # (m, K S) COPY
    dataset: np.ndarray  # (m, K) int32, the data sets of a world's jobs, increasing
    touched: np.ndarray  # (n, S) bool, sites where something has happened since last looked at


def make_grid(
    catalogue: Catalogue,
    jobs: JobArrays,
    estimate: np.ndarray | None = None,
    others: Others | None = None,
) -> Grid:
    """Pack sites and stream for the kernels.

    Args:
        estimate: GFLOP a broker would expect of each job, float64 (J,); None: the stream's mean.
        others: what others do at the sites; None for nobody.
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
    others = no_others(catalogue.n_sites) if others is None else others
    check_others(others, catalogue.cores, most_cores)
    span = (jobs.time[0], jobs.time[-1]) if len(jobs) else (0.0, 0.0)
    for name, held in zip(("usual", "least", "most"), held_range(others.held, *span), strict=True):
        sites[name] = catalogue.cores - held
    sites["latency"] = others.latency
    replicas = np.array(jobs.replicas)
    held, ahead = (np.ascontiguousarray(steps) for steps in (others.held, others.ahead))
    return Grid(sites, link, nearest, stream, replicas, most_cores, held, ahead)


def make_worlds(
    n: int, n_sites: int, n_jobs: int, n_switches: int, n_caching: int = 0, n_datasets: int = 0
) -> Worlds:
    """Arrays for n worlds; `reset_world` makes one ready.

    Args:
        n_caching: the first of them keep caches, the others move all input each time.
        n_datasets: of the jobs of one world and of the copies it begins with.
    """
    n_events = -(-(n_jobs + 3 * n_sites) // 4) * 4
    switch = aligned_zeros((n, n_sites, n_switches), np.float64)
    switch[:] = np.inf
    return Worlds(
        aligned_zeros((n,), WORLD),
        aligned_zeros((n, n_sites), SITE_STATE),
        aligned_zeros((n, n_sites, N_CHANNELS), np.float64),
        aligned_zeros((n, n_jobs), JOB_STATE),
        aligned_zeros((n, n_events), EVENT, -EVENT.itemsize),  # so that four siblings share a line
        aligned_zeros((n, n_sites), SLOW),
        switch,
        aligned_zeros((n_caching, n_datasets, n_sites), np.float64),
        aligned_zeros((n_caching, n_datasets * n_sites), COPY),
        np.zeros((n_caching, n_datasets), np.int32),
        np.zeros((n, n_sites), np.bool_),
    )


def aligned_zeros(shape: tuple[int, ...], dtype, offset: int = 0) -> np.ndarray:
    """Zeros that begin `offset` bytes from where a line of memory begins."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    whole = np.zeros(n_bytes + LINE, np.uint8)
    begin = (offset - whole.ctypes.data) % LINE
    return whole[begin : begin + n_bytes].view(dtype).reshape(shape)


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


# --- questions of kernels -------------------------------------------------------------------------


@part
def is_up(site):
    """Whether a site is up, by its SITE_STATE."""
    return site.n_switches % 2 == 0


@part
def switch_time(worlds, w, s, k):
    """When switch k of a site is, s: outages begin at even ones and end at odd ones."""
    return worlds.switch[w, s, k] if k < worlds.switch.shape[2] else np.inf


@part
def recent_failure_share(site):
    """Recent failed attempts over recent attempts + 1, by SITE_STATE."""
    return site.failed / (site.failed + site.finished + 1.0)


@part
def copy_row(worlds, slot, s):
    """Row of the copy of a data set, by its slot, at site s."""
    return slot * worlds.site.shape[1] + s
