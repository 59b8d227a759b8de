"""One simulated grid: jobs are placed, moved, queued, run, fail and finish, event by event.

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
is rejected. Where there are others (`pandaenv.simulator.others`) a job starts on cores that they
leave, not before its turn, and under backfill a site does not foresee what they will do. Events of
one instant are handled in the order they were scheduled, and before an
arrival of that instant; begin and end of an outage are scheduled when the one before is handled.
Where a job reads its data from is decided when it is placed, and apart from this a site cannot tell
what happens at another: a placement changes the future of the jobs at its own site only
(`pandaenv.env.reward` relies on this).

Whether an attempt fails is u(seed, job, attempt) < p(site), a counter hash without the site in it:
all policies meet the same world, and a job that fails somewhere fails at every worse site too.
"""

import numpy as np
import pandas as pd

from foundations import checks
from pandaenv.scenarios import Troubles, untroubled
from pandaenv.sites import Catalogue
from pandaenv.workload.jobs import JobArrays

from .arrivals import next_arrival_time, place_all
from .log import stages
from .motion import advance
from .others import Others
from .outages import apply_troubles
from .reset import datasets_of, reset_world
from .state import make_grid, make_worlds


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
        others: what other activities do at the sites, see `pandaenv.simulator.others`.

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
        others: Others | None = None,
    ):
        self.catalogue, self.jobs = catalogue, jobs
        self.grid = make_grid(catalogue, jobs, others=others)
        troubles = untroubled(catalogue.n_sites) if troubles is None else troubles
        outages = troubles.outages if outages is None else outages
        troubles = troubles._replace(outages=_checked_outages(outages, catalogue.n_sites))
        good = checks.is_whole(seed, 0, 2**64 - 1)
        checks.require(good, "seed", "a whole number in [0, 2^64)", seed)
        n_jobs, n_switches = len(jobs), troubles.outages.shape[1]
        n_datasets = len(datasets_of(self.grid, 0, n_jobs))
        self.worlds = make_worlds(1, catalogue.n_sites, n_jobs, n_switches, 1, n_datasets)
        reset_world(self.grid, self.worlds, 0, 0, n_jobs, 0, np.uint64(seed))
        self.worlds.world["backfill"] = bool(backfill)
        apply_troubles(self.worlds, 0, troubles)

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
        arrival = next_arrival_time(self.grid, self.worlds, 0) if self.n_left else np.inf
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


def _checked_outages(outages: np.ndarray, n_sites: int) -> np.ndarray:
    outages = np.asarray(outages, dtype=np.float64)
    if outages.ndim != 2 or len(outages) != n_sites:
        raise ValueError(f"outages must have one row a site ({n_sites}), got {outages.shape}")
    if np.isnan(outages).any() or not (outages[:, 1:] >= outages[:, :-1]).all():
        raise ValueError("outages must begin and end in turn, got times that run back or NaN")
    return outages
