"""The embedded reference workload, with the tasks, data sets and replicas its records hide.

In: days, seed and rate of the reference records. Out: a `Workload`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from foundations import checks
from pandaenv import reference, schema
from pandaenv.sites import Catalogue, resolve, resolve_queue

from .base import Workload, seconds_of, site_rows
from .tasks import Tasks

REFERENCE_RATE = 2_200
"""Jobs a day before folding: as many rows in 150 days as a bundled pool has."""


class Reference(Workload):
    """The embedded reference workload: what the bundled surrogate was trained on, drawn anew.

    By default it has as many jobs over the same 150 days as the bundled pools, so that it is folded
    as they are: at 5,500 jobs a day eight weeks in more than two layers, which take the slow drift
    of the records out. With more jobs a day than the stream's rate there is one layer, and the
    drift stays.

    Args:
        days: length before folding.
        seed: of the records; the seed of `stream` only chooses among them and adds what they lack.
        rate: jobs a day before folding.
    """

    def __init__(self, days: int = 150, seed: int = 0, rate: float = REFERENCE_RATE):
        self.days, self.seed, self.rate = days, checks.seed(seed), rate

    @property
    def records(self) -> pd.DataFrame:
        """The reference records of these days, seed and rate."""
        return _reference_records(self.days, self.seed, self.rate)

    def arrivals(self, catalogue: Catalogue, rng: np.random.Generator) -> tuple[np.ndarray, Tasks]:
        """The second of each record, and the true tasks, data sets, replicas and core counts."""
        records = self.records
        truth = reference.tasks(self.days, self.seed, self.rate)
        return seconds_of(records), _true_tasks(truth, site_rows(records, catalogue), catalogue)


@lru_cache(maxsize=2)
def _reference_records(days: int, seed: int, rate: float) -> pd.DataFrame:
    return schema.check(reference.records(days=days, seed=seed, rate=rate))


def _true_tasks(truth: reference.Tasks, site: np.ndarray, catalogue: Catalogue) -> Tasks:
    """The reference's own tasks on another catalogue: replicas at sites it lacks are redrawn."""
    held = np.zeros((len(truth.replicas), catalogue.n_sites), bool)
    number = {name: row for row, name in enumerate(catalogue.names)}
    for queue, has in zip(truth.sites, truth.replicas.T, strict=True):
        row = number.get(resolve(queue, catalogue.names))
        if row is not None:
            held[:, row] |= has
    is_site = np.array([resolve_queue(queue) == queue for queue in truth.sites])
    n_replicas = truth.replicas[:, is_site].sum(axis=1)
    jobs = {name: column.to_numpy() for name, column in truth.jobs.items()}
    tasks = Tasks(jobs["task"], jobs["dataset"], site, jobs["cores"], held, n_replicas)
    return tasks.take(np.arange(len(site)))  # numbered without gaps
