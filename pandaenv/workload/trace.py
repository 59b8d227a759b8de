"""Recorded jobs as a workload: each arrives when it was recorded.

In: a record table, with or without columns that tell tasks, data sets and core counts. Out: a
`Workload`. Without tasks, rows of one format, site and day are gathered into some.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from foundations.units import DAY_S
from pandaenv import schema
from pandaenv.sites import Catalogue

from .base import Workload, seconds_of, site_rows
from .gathering import gather
from .recorded import columns_on_tasks, recorded_cores, recorded_tasks
from .tasks import Tasks


class Trace(Workload):
    """Recorded jobs as a workload.

    Beside the nine columns a table may tell tasks (`jeditaskid` or `task`), data sets (`proddblock`
    or `dataset`) and core counts (`corecount`). Without tasks, rows of one format, site and day are
    gathered into some. Jobs arrive when they were recorded.

    Args:
        records: a table with the columns of `pandaenv.schema`.

    Raises:
        SchemaError: the table breaks a rule of the schema.

    >>> from pandaenv import reference, sites, workload
    >>> trace = workload.Trace(reference.records(days=14, rate=500))
    >>> stream = trace.stream(sites.catalogue("tier1"), rate=400, load=0.6)
    >>> round(stream.rate), round(stream.realised_load, 6)
    (400, 0.6)
    """

    def __init__(self, records: pd.DataFrame):
        self._records = schema.check(records)
        self._task_columns = columns_on_tasks(records)

    @property
    def records(self) -> pd.DataFrame:
        """The checked records."""
        return self._records

    def arrivals(self, catalogue: Catalogue, rng: np.random.Generator) -> tuple[np.ndarray, Tasks]:
        """The recorded second of each record, and its recorded or gathered task.

        Raises: ValueError for a column of tasks, data sets or cores with unusable values.
        """
        site = site_rows(self.records, catalogue)
        tasks = recorded_tasks(self._task_columns, site)
        if tasks is None:
            tasks = gather(self.records, site, rng, DAY_S)
        return seconds_of(self.records), replace(tasks, cores=recorded_cores(self._task_columns))
