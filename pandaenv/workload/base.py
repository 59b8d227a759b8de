"""A workload: job records that become a stream of jobs on a grid of the size they need.

In: records, their arrivals and tasks (a subclass says where these come from), a site catalogue, a
rate and a load. Out: a `Stream`: time-sorted `JobArrays` and the catalogue scaled to the load.

The rate is met by folding whole weeks onto each other and leaving out whole tasks
(`pandaenv.workload.folding`), so the profile over the week and the clumping by task survive.

Units: seconds since Monday 00:00 UTC, bytes, cores, GFLOP; rate in jobs a day.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import pandas as pd

from foundations import checks
from foundations.units import DAY_S
from pandaenv import schema
from pandaenv.sites import Catalogue, resolve

from .folding import fold, span
from .jobs import JobArrays
from .replicas import draw_replicas, draw_unknown_sites
from .scaling import scale
from .stream import LABELS, Stream
from .tasks import Tasks, draw_core_counts

MIN_WORK = 1.0
"""GFLOP; records that used less (jobs closed before they ran used none) count as this much."""


class Workload(ABC):
    """Job records with a rule for when each arrives and which task it belongs to.

    A workload of your own has `records` and `arrivals`, and inherits `stream`.
    """

    @property
    @abstractmethod
    def records(self) -> pd.DataFrame:
        """N job records, as `schema.check` returns them."""

    @abstractmethod
    def arrivals(self, catalogue: Catalogue, rng: np.random.Generator) -> tuple[np.ndarray, Tasks]:
        """The second at which each record arrives, float64 (N,), and the tasks of the records."""

    def stream(
        self, catalogue: Catalogue, *, rate: float | None, load: float | None, seed: int = 0
    ) -> Stream:
        """Return the jobs at `rate` a day on `catalogue` scaled to `load`.

        Args:
            rate: jobs a day; None replays the records as they are, nothing folded or dropped.
            load: offered work over capacity, to which the catalogue is scaled; above 1 queues grow
                as long as the stream lasts. None takes the catalogue as it is.
            seed: of what records do not tell (tasks kept, replicas, core counts, unknown sites).

        Raises:
            ValueError: rate or load not positive, or more jobs asked for than there are records.
        """
        if load is not None:
            checks.positive("load", load)
        checks.seed(seed)
        arriving, *others = np.random.default_rng(seed).spawn(6)
        time, tasks = self.arrivals(catalogue, arriving)
        rows, time, duration = _choose_rows(time, tasks, rate, *others[:2])
        jobs, formats = _make_jobs(
            self.records, rows, time, tasks.take(rows), catalogue, others[2:]
        )
        scaled = catalogue
        if load is not None:
            scaled = scale(catalogue, jobs.offered_work / duration, load)
        ratio = scaled.cores.sum() / catalogue.cores.sum()
        labels = self.records[list(LABELS)].iloc[rows].reset_index(drop=True)
        return Stream(jobs, scaled, duration, float(ratio), formats, labels, tasks.gathered)


def _choose_rows(
    time: np.ndarray,
    tasks: Tasks,
    rate: float | None,
    thinning: np.random.Generator,
    folding: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Rows kept in order of arrival, their arrivals, and the seconds the stream lasts."""
    if rate is None:
        rows, duration = np.arange(len(time)), span(time)
    else:
        checks.positive("rate", rate)
        rows, time, duration = fold(time, tasks.task, rate, thinning, folding)
    order = np.argsort(time, kind="stable")
    return rows[order], time[order], duration


def _make_jobs(
    records: pd.DataFrame,
    rows: np.ndarray,
    time: np.ndarray,
    tasks: Tasks,
    catalogue: Catalogue,
    rngs: list[np.random.Generator],
) -> tuple[JobArrays, tuple[str, ...]]:
    """The jobs of the chosen rows, and the names of their data formats."""
    placing, copying, widening = rngs
    site = draw_unknown_sites(tasks, catalogue, placing)
    cores = tasks.cores
    format_, formats = _code_by_frequency(records["datatype"])
    jobs = JobArrays(
        time=time,
        cores=draw_core_counts(tasks.task, time // DAY_S, widening) if cores is None else cores,
        work=np.maximum(records["workload"].to_numpy()[rows], MIN_WORK),
        nbytes=records["inputfilebytes"].to_numpy()[rows],
        nfiles=records["ninputdatafiles"].to_numpy()[rows],
        dataset=tasks.dataset,
        format=format_[rows],
        status=_code_status(records)[rows],
        site=site,
        replicas=draw_replicas(tasks, site, catalogue, copying),
        task=tasks.task,
    )
    return jobs, formats


def _code_by_frequency(column: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes of a categorical column, 0 the most frequent level (ties by name), and the names."""
    codes, levels = column.cat.codes.to_numpy(), column.cat.categories
    order = np.argsort(-np.bincount(codes, minlength=len(levels)), kind="stable")
    rank = np.empty(len(levels), np.int64)
    rank[order] = np.arange(len(levels))
    return rank[codes], tuple(levels[order])


def _code_status(records: pd.DataFrame) -> np.ndarray:
    levels = records["jobstatus"].cat
    return np.array([schema.STATUSES.index(level) for level in levels.categories])[levels.codes]


def seconds_of(records: pd.DataFrame) -> np.ndarray:
    """When each record was created. Shape: (N,) s."""
    return records["creationtime"].to_numpy() * DAY_S


def site_rows(records: pd.DataFrame, catalogue: Catalogue) -> np.ndarray:
    """Row of the catalogue that each recorded site means by name or alias, -1 for none. (N,)."""
    recorded = records["computingsite"].cat
    number = {name: row for row, name in enumerate(catalogue.names)}
    levels = [number.get(resolve(level, catalogue.names), -1) for level in recorded.categories]
    return np.array(levels, np.int64)[recorded.codes]
