"""Logs of simulated jobs: the times of their stages, and the records PanDA would have kept of them.

In: JOB_STATE rows, the stream they belong to. Out: tables of one row a job.
"""

import numpy as np
import pandas as pd

from foundations.units import DAY_S
from pandaenv.schema import COLUMNS, STATUSES
from pandaenv.workload.stream import LABELS, Stream

from .state import FINISHED, LOST, REJECTED, STATES

STATUS_OF_END = {FINISHED: "finished", LOST: "failed", REJECTED: "closed"}
"""PanDA's status of a job by its simulated end; one whose payload failed keeps its recorded one."""


def job_log(stream: Stream, job: np.ndarray) -> pd.DataFrame:
    """Record columns of JOB_STATE rows (N,) and, beside them, their stages."""
    table = stages(job, stream.catalogue.names)
    return pd.concat([records(stream, job), table.drop(columns="site")], axis=1)


def records(stream: Stream, job: np.ndarray) -> pd.DataFrame:
    """Record columns of JOB_STATE rows (N,), by PanDA's names; status None before the end."""
    jobs, index = stream.jobs, job["index"]
    columns = {
        "creationtime": job["submit"] / DAY_S,
        "ninputdatafiles": jobs.nfiles[index],
        "inputfilebytes": jobs.nbytes[index].astype(np.int64),
        "workload": jobs.work[index],
        "computingsite": named(job["site"], stream.catalogue.names),
        **{name: stream.labels[name].astype(object).to_numpy()[index] for name in LABELS},
        "datatype": named(jobs.format[index], stream.formats),
        "jobstatus": named(status_codes(job["state"], jobs.status[index]), STATUSES),
    }
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


def stages(job: np.ndarray, names: tuple[str, ...]) -> pd.DataFrame:
    """The stage log of JOB_STATE rows (N,): one row a job, times in s, NaN where not reached.

    Columns: index (row of the stream), site, source (missing if local), state, attempts,
    submit, ready, first_start, start, end.
    """
    columns = {"index": job["index"].astype(np.int64), "site": named(job["site"], names)}
    columns |= {"source": named(job["source"], names), "state": np.array(STATES)[job["state"]]}
    columns |= {"attempts": job["attempts"].astype(np.int64)}
    for name in ("submit", "ready", "first_start", "start", "end"):
        columns[name] = job[name].copy()
    return pd.DataFrame(columns)


def status_codes(state: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Codes into STATUSES of jobs by their states (N,) and recorded codes; -1 before the end."""
    codes = np.where(state > FINISHED, recorded, -1)
    for end, name in STATUS_OF_END.items():
        codes[state == end] = STATUSES.index(name)
    return codes


def named(codes: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """The names that codes stand for, objects; None for -1."""
    return np.array([None, *names], dtype=object)[codes + 1]
