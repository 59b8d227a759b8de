"""Records compared with published figures of ATLAS user analysis.

In: a record table, and its hidden truth where there is one. Out: a table of published and measured
values, each with its tolerance. Sources, by their short name in TARGETS:

- paper: Park et al. (2024), arXiv 2410.07940, section IV and figures 3 and 4
- jobs: a public sample of ATLAS user jobs of early 2024 over 96 queues; bytes are input + output
- sites: monitoring of all ATLAS queues, one day of 2021 (failed shares)
- tasks: an extract of 1.23 M jobs of 8,680 tasks; task statistics of user analysis
- popularity: studies of DAOD popularity and replicas
"""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

import numpy as np
import pandas as pd

from pandaenv import schema, sites

from .tables import Tasks

CPU_EDGES = np.arange(0.75, 5.76, 0.25)
CPU_COUNTS = np.array(
    [13, 366, 1378, 1655, 1187, 1493, 1316, 1908, 2547, 3693]
    + [4746, 4980, 4092, 4137, 4294, 3801, 1980, 558, 84, 10]
)
"""Published histogram of log10(CPU s) of user jobs, in bins of 0.25 from 0.75."""
CAP_BYTES = 1e11
TARGETS = """
quantity              | statistic | published | tolerance | kind  | source
input bytes           | 1%        | 2.4e6     | 0.50      | dex   | jobs
input bytes           | 5%        | 1.4e8     | 0.40      | dex   | jobs
input bytes           | 25%       | 2.6e9     | 0.15      | dex   | jobs
input bytes           | 50%       | 5.4e9     | 0.10      | dex   | jobs
input bytes           | 75%       | 1.04e10   | 0.10      | dex   | jobs
input bytes           | 95%       | 4.4e10    | 0.25      | dex   | jobs
input bytes           | 99%       | 1e11      | 0.05      | dex   | jobs
input bytes           | max       | 1e11      | 0.00      | dex   | jobs
share at 1e11 bytes   | share     | 0.019     | 0.010     | units | jobs
input files           | 5%        | 1         | 0.00      | dex   | tasks
input files           | 95%       | 25        | 0.35      | dex   | tasks
DAOD_PHYSLITE file    | 5%        | 0.40e9    | 0.15      | dex   | popularity
DAOD_PHYSLITE file    | 50%       | 1.0e9     | 0.10      | dex   | popularity
DAOD_PHYSLITE file    | 95%       | 1.66e9    | 0.10      | dex   | popularity
log10 CPU s           | 1%        | hist      | 0.15      | units | jobs
log10 CPU s           | 5%        | hist      | 0.10      | units | jobs
log10 CPU s           | 25%       | hist      | 0.10      | units | jobs
log10 CPU s           | 50%       | hist      | 0.10      | units | jobs
log10 CPU s           | 75%       | hist      | 0.10      | units | jobs
log10 CPU s           | 95%       | hist      | 0.10      | units | jobs
log10 CPU s           | 99%       | hist      | 0.10      | units | jobs
log10 CPU s           | sd        | 0.96      | 0.05      | units | jobs
log10 CPU s histogram | distance  | 0         | 0.06      | units | jobs
log bytes, log CPU    | corr      | 0.56      | 0.05      | units | jobs
log CPU on log bytes  | slope     | 0.66      | 0.10      | units | jobs
queue, log CPU        | eta2      | 0.10      | 0.03      | units | jobs
jobs a day            | mean      | 11000     | 0.001     | dex   | paper
jobs a day            | CV        | 0.30      | 0.06      | units | tasks
Sunday over mean day  | ratio     | 0.625     | 0.08      | units | tasks
failed of all ended   | share     | 0.12      | 0.03      | units | sites
failed, per queue     | 5%        | 0.008     | 0.03      | units | sites
failed, per queue     | 25%       | 0.027     | 0.03      | units | sites
failed, per queue     | 50%       | 0.053     | 0.03      | units | sites
failed, per queue     | 75%       | 0.13      | 0.05      | units | sites
failed, per queue     | 95%       | 0.36      | 0.08      | units | sites
queues in use         | number    | 150       | 0.05      | dex   | sites
jobs a task           | mean      | 142       | 0.02      | dex   | tasks
files a task          | 5%        | 3         | 0.30      | dex   | tasks
files a task          | 50%       | 256       | 0.30      | dex   | tasks
files a task          | 95%       | 4134      | 0.30      | dex   | tasks
GB a task             | 5%        | 1         | 0.30      | dex   | tasks
GB a task             | 50%       | 234       | 0.30      | dex   | tasks
GB a task             | 95%       | 3213      | 0.30      | dex   | tasks
one core              | share     | 0.97      | 0.01      | units | jobs
jobs on top 1 % sets  | share     | 0.15      | 0.03      | units | popularity
jobs on top 10 % sets | share     | 0.63      | 0.05      | units | popularity
jobs by rank of set   | slope     | -0.70     | 0.20      | units | popularity
sets of one user      | share     | 0.93      | 0.03      | units | popularity
sets used at one site | share     | 0.65      | 0.05      | units | popularity
sites a set           | mean      | 1.56      | 0.20      | units | popularity
sites a set           | max       | 7         | 0.20      | dex   | popularity
replicas              | mean      | 4.4       | 0.2       | units | popularity
replicas              | median    | 4         | 0         | units | popularity
replicas              | max       | 21        | 0.10      | dex   | popularity
"""
"""`hist` reads the quantile off the histogram; a tolerance is in decades (dex) or in the units."""


def calibration(records: pd.DataFrame, truth: Tasks | None = None) -> pd.DataFrame:
    """Published against measured: one row per figure of TARGETS, `fits` where within tolerance.

    Rows on tasks and data sets need `truth`, a `reference.Tasks`; without it they are left out.
    CPU seconds are workload over the power of the site, and over the cores where they are known.

    Raises: SchemaError where the records break a rule of `schema`.

    Example:
        >>> from pandaenv import reference
        >>> calibration(reference.records(days=7, rate=500)).columns[-1]
        'fits'
    """
    records = schema.check(records)
    measured = dict(_measure_records(records, None if truth is None else truth.jobs["cores"]))
    if truth is not None:
        measured |= dict(_measure_truth(records, truth))
    table = targets()
    key = zip(table["quantity"], table["statistic"], strict=True)
    table["measured"] = [measured.get(k, np.nan) for k in key]
    table = table.dropna(subset="measured").reset_index(drop=True)
    table["difference"] = _difference(table)
    table["fits"] = table["difference"].abs() <= table["tolerance"] + 1e-9
    return table


def targets() -> pd.DataFrame:
    """TARGETS as a frame, `hist` filled in."""
    table = pd.read_csv(StringIO(TARGETS.strip()), sep=r"\s*\|\s*", engine="python")
    is_hist = table["published"] == "hist"
    levels = table["statistic"][is_hist].str.rstrip("%").astype(float) / 100
    table.loc[is_hist, "published"] = cpu_quantile(levels.to_numpy()).astype(str)
    return table.astype({"published": float})


def cpu_quantile(level: np.ndarray) -> np.ndarray:
    """Quantiles of the published histogram of log10(CPU s), straight lines inside a bin."""
    cdf = np.concatenate([[0.0], np.cumsum(CPU_COUNTS) / CPU_COUNTS.sum()])
    return np.interp(level, cdf, CPU_EDGES).round(3)


def _difference(table: pd.DataFrame) -> np.ndarray:
    published, measured = table["published"].to_numpy(), table["measured"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        dex = np.log10(measured / published)
    return np.where(table["kind"] == "dex", dex, measured - published)


Figures = Iterator[tuple[tuple[str, str], float]]


def _measure_records(records: pd.DataFrame, cores: pd.Series | None) -> Figures:
    """Figures that the nine columns give by themselves."""
    nbytes, nfiles = records["inputfilebytes"], records["ninputdatafiles"]
    yield from _quantiles("input bytes", nbytes, (1, 5, 25, 50, 75, 95, 99))
    yield ("input bytes", "max"), float(nbytes.max())
    yield ("share at 1e11 bytes", "share"), float((nbytes == CAP_BYTES).mean())
    yield from _quantiles("input files", nfiles, (5, 95))
    is_lite = (records["datatype"] == "DAOD_PHYSLITE") & (nfiles > 0)
    if is_lite.any():
        yield from _quantiles("DAOD_PHYSLITE file", (nbytes / nfiles)[is_lite], (5, 50, 95))
    yield from _measure_work(records, cores)
    yield from _measure_time(records["creationtime"])
    yield from _measure_outcomes(records)


def _measure_work(records: pd.DataFrame, cores: pd.Series | None) -> Figures:
    power = _power(records["computingsite"])
    cpu_s = records["workload"].to_numpy() / power / (1 if cores is None else cores.to_numpy())
    is_run = (cpu_s > 0) & (records["inputfilebytes"] > 0).to_numpy()
    x = pd.Series(np.log10(cpu_s[is_run]))
    site = records["computingsite"].to_numpy()[is_run]
    log_bytes = np.log10(records["inputfilebytes"].to_numpy()[is_run])
    yield from _quantiles("log10 CPU s", x, (1, 5, 25, 50, 75, 95, 99))
    yield ("log10 CPU s", "sd"), float(x.std())
    counts = np.histogram(x.clip(CPU_EDGES[0], CPU_EDGES[-1]), CPU_EDGES)[0]
    distance = np.abs(counts / counts.sum() - CPU_COUNTS / CPU_COUNTS.sum()).sum() / 2
    yield ("log10 CPU s histogram", "distance"), float(distance)
    corr = np.corrcoef(log_bytes, x)[0, 1]
    yield ("log bytes, log CPU", "corr"), float(corr)
    yield ("log CPU on log bytes", "slope"), float(corr * x.std() / log_bytes.std(ddof=1))
    by_site = x.groupby(site)
    between = (by_site.size() * (by_site.mean() - x.mean()) ** 2).sum() / len(x)
    yield ("queue, log CPU", "eta2"), float(between / x.var(ddof=0))


def _power(site: pd.Series) -> np.ndarray:
    """GFLOP/s per core of each record's site, the default where it is unknown."""
    known = sites.power_by_name(site.cat.categories)
    levels = [sites.DEFAULT_POWER if power is None else power for power in known.values()]
    return np.array(levels)[site.cat.codes]


def _measure_time(creationtime: pd.Series) -> Figures:
    day = np.floor(creationtime.to_numpy()).astype(np.int64)
    count = np.bincount(day)[day.min() :]
    yield ("jobs a day", "mean"), float(count.mean())
    yield ("jobs a day", "CV"), float(count.std() / count.mean())
    sunday = count[(np.arange(len(count)) + day.min()) % 7 == 6]
    if sunday.size:
        yield ("Sunday over mean day", "ratio"), float(sunday.mean() / count.mean())


def _measure_outcomes(records: pd.DataFrame) -> Figures:
    ended = records[records["jobstatus"].isin(["finished", "failed"])]
    is_failed = ended["jobstatus"] == "failed"
    yield ("failed of all ended", "share"), float(is_failed.mean())
    by_site = is_failed.groupby(ended["computingsite"], observed=True)
    share = by_site.mean()[by_site.size() >= 100]
    if len(share):
        yield from _quantiles("failed, per queue", share, (5, 25, 50, 75, 95))
    yield ("queues in use", "number"), float(records["computingsite"].nunique())


def _measure_truth(records: pd.DataFrame, truth: Tasks) -> Figures:
    """Figures that need the hidden truth: tasks, data sets, users, replicas."""
    jobs = truth.jobs
    by_task = jobs.groupby("task").size()
    yield ("jobs a task", "mean"), float(by_task.mean())
    sums = records[["ninputdatafiles", "inputfilebytes"]].groupby(jobs["task"].to_numpy()).sum()
    yield from _quantiles("files a task", sums["ninputdatafiles"], (5, 50, 95))
    yield from _quantiles("GB a task", sums["inputfilebytes"] / 1e9, (5, 50, 95))
    yield ("one core", "share"), float((jobs["cores"] == 1).mean())
    size = np.sort(jobs.groupby("dataset").size().to_numpy())[::-1]
    for percent in (1, 10):
        top = size[: max(1, len(size) * percent // 100)].sum() / len(jobs)
        yield (f"jobs on top {percent} % sets", "share"), float(top)
    head = size[: max(2, len(size) // 10)]
    slope = np.polyfit(np.log(np.arange(1, len(head) + 1)), np.log(head), 1)[0]
    yield ("jobs by rank of set", "slope"), float(slope)
    yield from _measure_datasets(records, truth)


def _measure_datasets(records: pd.DataFrame, truth: Tasks) -> Figures:
    site = np.array([sites.resolve_queue(s) for s in records["computingsite"].cat.categories])
    used = pd.DataFrame(
        {
            "dataset": truth.jobs["dataset"],
            "user": truth.jobs["user"],
            "site": pd.factorize(site)[0][records["computingsite"].cat.codes],
        }
    )
    by_set = used.groupby("dataset").nunique()
    yield ("sets of one user", "share"), float((by_set["user"] == 1).mean())
    yield ("sets used at one site", "share"), float((by_set["site"] == 1).mean())
    yield ("sites a set", "mean"), float(by_set["site"].mean())
    yield ("sites a set", "max"), float(by_set["site"].max())
    is_site = np.array([sites.resolve_queue(s) == s for s in truth.sites])
    replicas = truth.replicas[:, is_site].sum(1)
    yield ("replicas", "mean"), float(replicas.mean())
    yield ("replicas", "median"), float(np.median(replicas))
    yield ("replicas", "max"), float(replicas.max())


def _quantiles(quantity: str, values: pd.Series, percents: tuple[int, ...]) -> Figures:
    for percent, value in zip(percents, np.quantile(values, np.array(percents) / 100), strict=True):
        yield (quantity, f"{percent}%"), float(value)
