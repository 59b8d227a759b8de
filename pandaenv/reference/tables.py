"""The results of the reference workload: the records, and the truth they hide.

In: tasks, jobs, data sets. Out: a record table with the nine columns of `schema`; `Tasks`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foundations.units import DAY_S
from pandaenv import schema, sites

from .formats import PRODSTEPS, Formats

CAP_BYTES = 100_000_000_000
"""The published extract caps bytes at 1e11, where 1.9 % of its rows sit."""


@dataclass(frozen=True, eq=False)
class Tasks:
    """What the records hide.

    Attributes:
        jobs: one row for each record, in its order: task, dataset, user, cores, work_class (0
            short, 1 medium, 2 long), all integers.
        replicas: which queues reach a replica of a data set, bool (D, S); row = `jobs.dataset`.
        sites: the S names of `sites.catalogue("all")`.
    """

    jobs: pd.DataFrame
    replicas: np.ndarray
    sites: tuple[str, ...]


def records(task: dict, job: dict, formats: Formats, grid: sites.Catalogue) -> pd.DataFrame:
    """The record table of the jobs, with the nine columns of `schema`."""
    i = job["task"]
    power = grid.power[job["site"]]
    columns = {
        "creationtime": job["second"] / DAY_S,
        "ninputdatafiles": job["nfiles"],
        "inputfilebytes": np.minimum(job["nbytes"], CAP_BYTES),
        "workload": task["cores"][i] * power * job["cpu_s"],
        "computingsite": _category(job["site"], grid.names),
        "project": _category(task["project"][i], formats.project),
        "prodstep": _category(task["prodstep"][i], PRODSTEPS),
        "datatype": _category(task["datatype"][i], formats.datatype),
        "jobstatus": _category(job["status"], schema.STATUSES),
    }
    return pd.DataFrame(columns)[list(schema.COLUMNS)]


def _category(codes: np.ndarray, names: Sequence[str] | np.ndarray) -> pd.Categorical:
    """Categorical of the names in use, levels sorted."""
    names = np.asarray(names)
    used = np.flatnonzero(np.bincount(codes, minlength=len(names)))
    used = used[np.argsort(names[used])]
    place = np.full(len(names), -1)
    place[used] = np.arange(len(used))
    return pd.Categorical.from_codes(place[codes], categories=pd.Index(names[used], dtype="str"))


def truth(task: dict, dataset: dict, job: dict, grid: sites.Catalogue) -> Tasks:
    """The tasks, data sets and replicas behind the records."""
    i = job["task"]
    names = ("dataset", "user", "cores", "work_class")
    jobs = pd.DataFrame({"task": i} | {name: task[name][i] for name in names})
    return Tasks(jobs, dataset["replicas"], grid.names)
