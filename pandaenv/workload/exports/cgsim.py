"""A stream of jobs as the job CSV of CGSim, a grid simulator on SimGrid.

In: a `Stream`. Out: the text of the file, which holds all of each job; and back.
Source: Vatsavai et al. (2025), arXiv 2510.00822.

CGSim finds columns by PanDA's names. Its workload readers take `pandaid`, `creationtime` (here s
since Monday 00:00 UTC), `computingsite`, `corecount`, `cpuconsumptiontime` (s a core),
`inputfilebytes`, `outputfilebytes` (here 0), and make floating-point operations of them as GFLOPS
of the site x cpuconsumptiontime x corecount, which is how `workload` is defined; GFLOPS are whole
numbers there. One of its branches reads the time as `creationtime_sec`. `jobstatus`,
`ninputdatafiles` and `noutputdatafiles` bear PanDA's names too; `datatype`, `proddblock` (the data
set), `jeditaskid` (the task) and `workload` (GFLOP, exact) are columns that it ignores.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pandaenv.schema import STATUSES
from pandaenv.sites import Catalogue

from ..stream import Stream
from .cgsim_grid import files_beside, gflops
from .numbers import floats

__all__ = ["COLUMNS", "files_beside", "from_text", "to_text"]

COLUMNS = (
    "pandaid",
    "creationtime",
    "creationtime_sec",
    "jobstatus",
    "computingsite",
    "corecount",
    "cpuconsumptiontime",
    "ninputdatafiles",
    "inputfilebytes",
    "noutputdatafiles",
    "outputfilebytes",
    "datatype",
    "proddblock",
    "jeditaskid",
    "workload",
)


def to_text(stream: Stream) -> tuple[bytes, dict[str, Any]]:
    """The text of the file, and an empty dict, since it holds all of each job."""
    jobs, catalogue = stream.jobs, stream.catalogue
    n = len(jobs)
    seconds = jobs.work / (jobs.cores * gflops(catalogue)[jobs.site])
    columns = (
        np.arange(1, n + 1),
        jobs.time,
        jobs.time,
        np.array(STATUSES)[jobs.status],
        np.array(catalogue.names)[jobs.site],
        jobs.cores,
        seconds,
        jobs.nfiles,
        jobs.nbytes,
        np.zeros(n, int),
        np.zeros(n, int),
        np.array(stream.formats)[jobs.format],
        np.char.add("dataset_", jobs.dataset.astype(str)),
        jobs.task,
        jobs.work,
    )
    table = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
    return table.to_csv(index=False, lineterminator="\n").encode(), {}


def from_text(text: bytes, companion: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """The properties of the jobs, for `JobArrays`; `companion` is the file beside the text."""
    whole = {name: np.int64 for name in ("corecount", "ninputdatafiles", "jeditaskid")}
    as_text = {name: str for name in COLUMNS if name not in whole}
    table = pd.read_csv(io.BytesIO(text), keep_default_na=False, dtype=as_text | whole)
    return {
        "time": floats(table["creationtime"]),
        "cores": table["corecount"],
        "work": floats(table["workload"]),
        "nbytes": floats(table["inputfilebytes"]),
        "nfiles": table["ninputdatafiles"],
        "dataset": table["proddblock"].str.removeprefix("dataset_").astype(np.int64),
        "format": _positions(table["datatype"], companion["formats"]),
        "status": _positions(table["jobstatus"], STATUSES),
        "site": _positions(table["computingsite"], catalogue.names),
        "task": table["jeditaskid"],
    }


def _positions(values: pd.Series, names: Sequence[str]) -> np.ndarray:
    return values.map({name: row for row, name in enumerate(names)}).to_numpy(np.int64)
