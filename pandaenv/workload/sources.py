"""Where jobs come from: recorded, surrogate and reference records as a stream of jobs.

In: job records, a site catalogue, a rate and a load. Out: a `Stream`: time-sorted `JobArrays` and
the catalogue scaled to the load.

Whatever the source, the rate is met by folding whole weeks onto each other and leaving out whole
tasks (`pandaenv.workload.folding`), so the profile over the week and the clumping survive. Tasks,
data sets and replicas are the true ones of the reference, those that recorded jobs tell, or else
those that `pandaenv.workload.tasks` gathers; surrogate rows, which are independent, are moved into
bursts as well.

Units: seconds since Monday 00:00 UTC, bytes, cores, GFLOP; rate in jobs a day.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from foundations import checks
from pandaenv import reference, schema
from pandaenv.records import RECORDS, is_ingested, read
from pandaenv.sites import Catalogue, resolve, resolve_queue

from . import tasks
from .folding import fold, span
from .jobs import JobArrays
from .stream import DAY_S, LABELS, Stream, Window, capacity, scale
from .tasks import Tasks

__all__ = [
    "Reference",
    "Stream",
    "Synthetic",
    "Trace",
    "Window",
    "capacity",
    "make",
    "make_stream",
    "stamp",
]

BUNDLED = {
    name: Path(__file__).parent.parent / "data" / name / "pool.parquet"
    for name in ("tabddpm", "tabar")
}
N_POOL = 330_000
"""Rows drawn from a live generator: eight weeks at the default rate."""
REFERENCE_RATE = 2_200
"""Jobs a day of the reference before folding: N_POOL rows in 150 days."""
MIN_WORK = 1.0
"""GFLOP; records that used less (jobs closed before they ran used none) count as this much."""


class Trace:
    """Recorded jobs as a workload.

    Beside the nine columns a table may tell tasks (`jeditaskid`), data sets (`proddblock`) and core
    counts (`corecount`). Without tasks, rows of one format, site and day are gathered into some.
    Jobs arrive when they were recorded.

    >>> from pandaenv import reference, sites, workload
    >>> trace = workload.Trace(reference.records(days=14, rate=500))
    >>> stream = trace.stream(sites.catalogue("tier1"), rate=400, load=0.6)
    >>> round(stream.rate), round(stream.realised_load, 6)
    (400, 0.6)
    """

    def __init__(self, records: pd.DataFrame):
        self.records = schema.check(records)
        self._told = records[[name for name in tasks.COLUMNS.values() if name in records.columns]]

    def arrivals(self, catalogue: Catalogue, rng: np.random.Generator) -> tuple[np.ndarray, Tasks]:
        """Second at which each record arrives, (N,), and its task."""
        site = _sites(self.records, catalogue)
        found = tasks.given(self._told, site) or tasks.gather(self.records, site, rng, DAY_S)
        return _seconds(self.records), replace(found, cores=tasks.given_cores(self._told))

    def stream(
        self, catalogue: Catalogue, *, rate: float | None, load: float, seed: int = 0
    ) -> Stream:
        """Return the jobs at `rate` a day on `catalogue` scaled to `load`.

        Args:
            rate: jobs a day; None replays the records as they are, nothing folded or dropped.
            load: offered work over capacity; above 1 queues grow as long as the stream lasts.
            seed: of what records do not tell (bursts kept, replicas, core counts, unknown sites).

        Raises:
            ValueError: rate or load not positive, or more jobs asked for than there are records.
        """
        return make_stream(self, catalogue, rate=rate, load=load, seed=seed)


class Synthetic:
    """Surrogate records as a workload: a pool of rows, or a generator that makes them.

    Args:
        source: a table of surrogate records; a Parquet or CSV file of one; the folder of a saved
            generator; an object with `sample(n, seed=)`; or "tabddpm" or "tabar", the bundled
            pools.
        n: rows to draw where `source` is a generator.
        seed: of that draw.
    """

    def __init__(self, source="tabddpm", *, n: int = N_POOL, seed: int = 0):
        self.source, self.n, self.seed = source, n, seed
        if isinstance(source, str | Path):
            self.source = _find(source)
        elif not _is_table_or_generator(source):
            known = "a table, a file or a generator"
            raise ValueError(f"a synthetic workload needs {known}, got {type(source).__name__}")

    @cached_property
    def records(self) -> pd.DataFrame:
        """The pool, read or sampled when first asked for."""
        if isinstance(self.source, pd.DataFrame):
            return schema.check(self.source)
        if isinstance(self.source, Path) and self.source.is_file():
            return _read_pool(self.source, stamp(self.source))
        return schema.check(_generator(self.source).sample(self.n, seed=self.seed))

    def arrivals(self, catalogue: Catalogue, rng: np.random.Generator) -> tuple[np.ndarray, Tasks]:
        """As `Trace.arrivals`; the rows are moved into bursts, see `pandaenv.workload.tasks`."""
        format_ = self.records["datatype"].cat.codes.to_numpy().astype(np.int64)
        site = tasks.forget(format_, _sites(self.records, catalogue))
        gathered = tasks.gather(self.records, site, rng)
        return tasks.arrive(_seconds(self.records), gathered.task, rng), gathered

    stream = Trace.stream


class Reference:
    """The embedded reference workload: what the bundled surrogate was trained on, drawn anew.

    By default it has as many jobs over the same 150 days as the bundled pools, so that it is folded
    as they are: at 5,500 jobs a day eight weeks in more than two layers, which take the slow drift
    of the records out. With more jobs a day than the stream's rate there is one layer, and the
    drift stays.

    Args:
        days: length before folding.
        seed: of the records; the seed of `stream` only thins and decorates them.
        rate: jobs a day before folding.
    """

    def __init__(self, days: int = 150, seed: int = 0, rate: float = REFERENCE_RATE):
        self.days, self.seed, self.rate = days, seed, rate

    @property
    def records(self) -> pd.DataFrame:
        return _reference_records(self.days, self.seed, self.rate)

    def arrivals(self, catalogue: Catalogue, rng: np.random.Generator) -> tuple[np.ndarray, Tasks]:
        """As `Trace.arrivals`, with the tasks, data sets, replicas and cores the records hide."""
        records = self.records
        truth = reference.tasks(self.days, self.seed, self.rate)
        return _seconds(records), _truth(truth, _sites(records, catalogue), catalogue)

    stream = Trace.stream


def make(which) -> Trace | Synthetic | Reference:
    """Return the workload of a name (one of NAMES), a file, a generator or a table.

    A table is taken as recorded jobs, and so is what `pandaenv ingest` wrote; any other file as
    surrogate records. Objects that have `stream` are returned as they are.
    """
    if hasattr(which, "stream"):
        return which
    if isinstance(which, pd.DataFrame):
        return Trace(which)
    if isinstance(which, str) and which == "reference":
        return Reference()
    made = Synthetic(which)
    return Trace(made.records) if _is_ingested(made.source) else made


NAMES = ("reference", *BUNDLED)


# From records to a stream


def make_stream(
    source, catalogue: Catalogue, *, rate: float | None, load: float, seed: int = 0
) -> Stream:
    """The jobs of a workload with `records` and `arrivals` as a stream, see `Trace.stream`."""
    _check_positive("load", load)
    checks.seed(seed)
    bursts, thinning, folding, placing, copying, widening = np.random.default_rng(seed).spawn(6)
    records = source.records
    time, every = source.arrivals(catalogue, bursts)
    if rate is None:
        rows, duration = np.arange(len(records)), span(time)
    else:
        _check_positive("rate", rate)
        rows, time, duration = fold(time, every.task, rate, thinning, folding)
    order = np.argsort(time, kind="stable")
    rows, time = rows[order], time[order]
    own = every.take(rows)
    site = tasks.placed(own, catalogue, placing)
    cores = own.cores
    format_, formats = _codes_by_frequency(records["datatype"])
    jobs = JobArrays(
        time=time,
        cores=tasks.core_counts(own.task, time // DAY_S, widening) if cores is None else cores,
        work=np.maximum(records["workload"].to_numpy()[rows], MIN_WORK),
        nbytes=records["inputfilebytes"].to_numpy()[rows],
        nfiles=records["ninputdatafiles"].to_numpy()[rows],
        dataset=own.dataset,
        format=format_[rows],
        status=_status(records)[rows],
        site=site,
        replicas=tasks.replicas(own, site, catalogue, copying),
        task=own.task,
    )
    scaled = scale(catalogue, jobs.offered_work / duration, load)
    ratio = scaled.cores.sum() / catalogue.cores.sum()
    labels = records[list(LABELS)].iloc[rows].reset_index(drop=True)
    return Stream(jobs, scaled, duration, float(ratio), formats, labels)


def _seconds(records: pd.DataFrame) -> np.ndarray:
    return records["creationtime"].to_numpy() * DAY_S


def _sites(records: pd.DataFrame, catalogue: Catalogue) -> np.ndarray:
    """Row of the catalogue that each recorded site means by name or alias, -1 for none."""
    recorded = records["computingsite"].cat
    number = {name: row for row, name in enumerate(catalogue.names)}
    levels = [number.get(resolve(level, catalogue.names), -1) for level in recorded.categories]
    return np.array(levels, np.int64)[recorded.codes]


def _truth(truth: reference.Tasks, site: np.ndarray, catalogue: Catalogue) -> Tasks:
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
    whole = Tasks(jobs["task"], jobs["dataset"], site, jobs["cores"], held, n_replicas)
    return whole.take(np.arange(len(site)))  # numbered without gaps


def _codes_by_frequency(column: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes of a categorical column, 0 the most frequent level (ties by name), and the names."""
    codes, levels = column.cat.codes.to_numpy(), column.cat.categories
    order = np.argsort(-np.bincount(codes, minlength=len(levels)), kind="stable")
    rank = np.empty(len(levels), np.int64)
    rank[order] = np.arange(len(levels))
    return rank[codes], tuple(levels[order])


def _status(records: pd.DataFrame) -> np.ndarray:
    levels = records["jobstatus"].cat
    return np.array([schema.STATUSES.index(level) for level in levels.categories])[levels.codes]


# Reading and checking


def _find(source: str | Path) -> Path:
    """Return the path a name or path means; it must exist."""
    path = BUNDLED.get(source) or Path(source)
    if (path / RECORDS).is_file():
        return path / RECORDS
    if path.exists():
        return path
    if source in BUNDLED:
        raise ValueError(f"the bundled pool must lie at {path}, nothing there: reinstall pandaenv")
    if path.suffix:
        raise ValueError(f"workload={str(source)!r} must be a file or a folder, there is none")
    raise ValueError(f"unknown workload {str(source)!r}; known: {', '.join(NAMES)}, or a file")


def _is_table_or_generator(source) -> bool:
    is_column = isinstance(source, pd.Series | pd.Index)  # they have a method `sample` too
    return isinstance(source, pd.DataFrame) or (hasattr(source, "sample") and not is_column)


def _is_ingested(source) -> bool:
    return isinstance(source, Path) and is_ingested(source)


def stamp(source) -> tuple | None:
    """Which file or folder a path means now and when it was written; None where it means none."""
    if not isinstance(source, str | Path):
        return None
    try:
        found = os.stat(source)
    except (OSError, ValueError):
        return None
    return os.path.abspath(source), found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=2)
def _read_pool(path: Path, written: tuple | None) -> pd.DataFrame:
    try:
        return read(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"a workload must be a table of job records: {error}") from error


@lru_cache(maxsize=2)
def _reference_records(days: int, seed: int, rate: float) -> pd.DataFrame:
    return schema.check(reference.records(days=days, seed=seed, rate=rate))


def _generator(source):
    """Return a generator: the one saved in a directory, or the object given."""
    if not isinstance(source, Path):
        return source
    import generators  # not needed, and torch not imported, unless a generator is asked for

    return generators.load(source)


def _check_positive(name: str, value: float) -> None:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (is_number and np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {name}={value!r}")
