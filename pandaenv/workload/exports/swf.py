"""A stream of jobs in the Standard Workload Format (SWF), version 2.2.

In: a `Stream`. Out: the text of the file, and what the format has no place for; and back.
Source: Parallel Workloads Archive, https://www.cs.huji.ac.il/labs/parallel/workload/swf.html.

The format has 18 fields a job, -1 where unknown:

| field | here |
|---|---|
| 1 job number | row + 1 |
| 2 submit time | s since `UnixStartTime`, with fractions, which the format permits |
| 4 run time | s on the grid's mean core: work / (cores x mean power) |
| 5, 8 processors | cores |
| 11 status | recorded: 1 finished, 0 failed, 5 closed or cancelled |
| 14 executable | code of the data format + 1 |
| 16 partition | recorded site + 1, named in the header |

Work, bytes, files, task, data set and the four-valued status of each job go to the companion file.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd

from pandaenv.schema import STATUSES
from pandaenv.sites import Catalogue

from ..scaling import capacity
from ..stream import Stream
from .numbers import floats

MONDAY_UNIX = 345_600
"""Monday 1970-01-05 00:00 UTC: streams know the weekday, not the year."""
N_FIELDS = 18
SWF_STATUS = {"finished": 1, "failed": 0, "closed": 5, "cancelled": 5}
NOT_IN_SWF = ("work", "nbytes", "nfiles", "dataset", "status", "task")


def to_text(stream: Stream) -> tuple[bytes, dict[str, Any]]:
    """The text of the file, and the properties of jobs that it cannot hold.

    Raises: ValueError for a job before second 0.
    """
    jobs, catalogue = stream.jobs, stream.catalogue
    if jobs.time[0] < 0:
        raise ValueError(f"SWF needs times of at least 0 s, got {jobs.time[0]:g} at the first job")
    begin = int(np.floor(jobs.time[0]))
    mean_power = capacity(catalogue) / catalogue.cores.sum()
    table = np.full((len(jobs), N_FIELDS), -1, dtype=object)
    columns = {
        1: np.arange(1, len(jobs) + 1),
        2: jobs.time - begin,  # exact, as 0 <= begin <= time
        4: jobs.work / (jobs.cores * mean_power),
        5: jobs.cores,
        8: jobs.cores,
        11: np.array([SWF_STATUS[name] for name in STATUSES])[jobs.status],
        14: jobs.format + 1,
        16: jobs.site + 1,
    }
    for number, values in columns.items():
        table[:, number - 1] = values.tolist()
    body = pd.DataFrame(table).to_csv(sep=" ", header=False, index=False, lineterminator="\n")
    rest = {name: getattr(jobs, name).tolist() for name in NOT_IN_SWF}
    return (_header(stream, begin) + body).encode(), rest


def _header(stream: Stream, begin: int) -> str:
    catalogue, n = stream.catalogue, len(stream.jobs)
    lines = [
        "Version: 2.2",
        f"Computer: simulated grid of {catalogue.n_sites} sites, illustrative",
        "Conversion: pandaenv",
        f"MaxJobs: {n}",
        f"MaxRecords: {n}",
        f"UnixStartTime: {MONDAY_UNIX + begin}",
        "TimeZoneString: UTC",
        f"MaxProcs: {int(catalogue.cores.sum())}",
        "Note: weekday and hour of the start are meant, its year is not",
        "Note: run time is on the grid's mean core; the sites differ in speed",
        "Note: executable number is the format of the input data",
        "Note: bytes, data sets, replicas and sites are in the JSON file beside this one",
        f"MaxPartitions: {catalogue.n_sites}",
    ]
    lines += [
        f"Partition: {i} {name} ({cores} cores)"
        for i, (name, cores) in enumerate(zip(catalogue.names, catalogue.cores, strict=True), 1)
    ]
    return "".join(f"; {line}\n" for line in lines)


def from_text(text: bytes, companion: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """The properties of the jobs, for `JobArrays`; `companion` is the file beside the text."""
    header = [line for line in text.decode().splitlines() if line.startswith(";")]
    begin = next(int(line.split(":")[1]) for line in header if "UnixStartTime" in line)
    table = pd.read_csv(io.BytesIO(text), sep=" ", comment=";", header=None, dtype={1: str})
    jobs = {name: np.array(companion["jobs"][name]) for name in NOT_IN_SWF}
    return jobs | {
        "time": floats(table[1]) + (begin - MONDAY_UNIX),
        "cores": table[4],
        "format": table[13] - 1,
        "site": table[15] - 1,
    }
