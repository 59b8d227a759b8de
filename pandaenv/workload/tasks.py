"""Tasks: which jobs came in one burst and read one data set, and where that data set lies.

In: job records, of which surrogates are independent rows that carry no task. Out: `Tasks`, a task
and a data set for each row; arrivals in bursts; replicas; core counts. Same seed, same bytes.

How rows are gathered (`gather`): rows of one format at one site are sorted by time, in a few parts,
these by input bytes, and parts of those by work, so that neighbours are alike in all three; rows
that did not finish are strewn among the others, since a task's failures are no tasks of their own.
The sorted rows are cut into tasks of drawn sizes. A data set that is not used up at its site goes
on to the format's next one, at few sites in all; a quarter of the tasks read the data set of the
one before. Large tasks need more rows than are alike: in tasks of the bundled pool the variance of
log bytes and of log work is still 0.8 of that inside a format; in true tasks it is far less.

How they are moved (`arrive`): a task begins at a random place of the week in which one of its rows,
drawn at random, was created, on a clock that runs as fast as jobs come by hour and weekday; its
jobs follow by `pandaenv.reference.bursts`. So the profile over the week is kept in expectation, and
the totals of the weeks, but rows move far: half of those of the bundled pool by more than 24 days,
one in twenty by more than 100, since one format at one site takes that long to bring a task
together.

Sources: task sizes from an extract of 1.23 M ATLAS jobs of 8,680 tasks; popularity, sites and
replicas of data sets from published studies of DAOD popularity. Users are not modelled.

Units: seconds since Monday 00:00 UTC, bytes, GFLOP; N rows, T tasks, D data sets, S sites.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit

from pandaenv.reference import bursts
from pandaenv.reference.bursts import JOBS_PER_TASK
from pandaenv.sites import Catalogue

from .folding import in_whole_tasks
from .stream import DAY_S, WEEK_S

SIZE_SPREAD, SIZE_TOP, MAX_MEDIAN = 2.6, 40.0, 70.0
"""Jobs a task: a lognormal with this spread, cut off at 0.5-1 times SIZE_TOP medians; the median,
at most MAX_MEDIAN, is set so that the mean is 142. The shape is ASSUMED, fitted to the share of
jobs on the top 1 % and 10 % of data sets (published: 15 % and 63 %)."""
TIME_POWER, BYTES_POWER = 0.2, 0.4
"""Rows that make n tasks are sorted by time in n ** 0.2 parts, each by bytes in n ** 0.4, and these
by work, so that tasks are told apart by size rather than by day; ASSUMED."""
REUSE = 0.25
"""Chance that a task reads the data set of the one before; ASSUMED."""
LAST_SITE, MAX_SITES = 0.35, 7
"""Chance that a data set is not used beyond a site of its, and sites it may have (published: 65 %
at one site, mean 1.56, max 7); most end before by their size."""
FEW, FEW_SHARE = 20, 0.02
"""A site named by fewer rows of a format than both is forgotten: there a surrogate has slipped, or
nothing is to be gathered. ASSUMED."""
EIGHT_CORE_SHARE = 0.03
"""Share of user-analysis jobs with eight cores; 97 % have one (ATLAS, 2024)."""
MEAN_REPLICAS, REPLICA_SHAPE, MAX_REPLICAS = 4.4, 2.0, 21
"""Replicas of requested DAODs, median 4; the shape of their gamma-Poisson spread is ASSUMED."""
COLUMNS = {"task": "jeditaskid", "dataset": "proddblock", "cores": "corecount"}
"""What a record table may tell of tasks beyond the nine columns, by PanDA's names."""


@dataclass(frozen=True, eq=False)
class Tasks:
    """What belongs together."""

    task: np.ndarray
    """(N,) int64 in [0, T)."""
    dataset: np.ndarray
    """(N,) int64 in [0, D)."""
    site: np.ndarray
    """(N,) int64 row of the catalogue, -1 where the recorded site is not in it."""
    cores: np.ndarray | None = None
    """(N,) int64, None where nobody knows."""
    replicas: np.ndarray | None = None
    """(D, S) bool, sites known to hold each data set; None for those of its rows."""
    n_replicas: np.ndarray | None = None
    """(D,) int64 sites that hold each in all, None where nobody knows."""

    def take(self, rows: np.ndarray) -> Tasks:
        """The tasks of some rows, tasks and data sets numbered anew."""
        task = np.unique(self.task[rows], return_inverse=True)[1]
        kept, dataset = np.unique(self.dataset[rows], return_inverse=True)
        cores, *of_sets = (
            None if part is None else part[index]
            for part, index in ((self.cores, rows), (self.replicas, kept), (self.n_replicas, kept))
        )
        return Tasks(task, dataset, self.site[rows], cores, *of_sets)


# --- rows gathered into tasks ---------------------------------------------------------------------


def gather(
    records: pd.DataFrame, site: np.ndarray, rng: np.random.Generator, span_s: float = np.inf
) -> Tasks:
    """Give each record a task and a data set.

    Args:
        records: checked records.
        site: (N,) row of the catalogue, -1 unknown.
        span_s: seconds a task may last; the rows of one span of the clock are gathered apart.
    """
    time = records["creationtime"].to_numpy() * DAY_S
    format_ = records["datatype"].cat.codes.to_numpy().astype(np.int64)
    span = (time // span_s).astype(np.int64) if span_s < np.inf else np.zeros(len(time), np.int64)
    span -= span.min(initial=0)
    group = np.unique(format_ * (span.max(initial=0) + 1) + span, return_inverse=True)[1]
    cell, group_of = _cells(group, site)
    order = _order(
        cell,
        time,
        records["inputfilebytes"].to_numpy(),
        records["workload"].to_numpy(),
        (records["jobstatus"] == "finished").to_numpy(),
        rng,
    )
    task, dataset = np.empty((2, len(time)), np.int64)
    task[order], dataset[order] = _tasks(cell[order], group_of, rng)
    return Tasks(task, dataset, site)


def forget(format_: np.ndarray, site: np.ndarray) -> np.ndarray:
    """Replace by -1 the site of rows whose format names that site too seldom. Shape: (N,)."""
    n_sites = site.max() + 2
    pair = format_ * n_sites + site + 1
    count, n_format = np.bincount(pair)[pair], np.bincount(format_)[format_]
    return np.where((count < FEW) & (count < FEW_SHARE * n_format), -1, site)


def _cells(group: np.ndarray, site: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the pairs of group and site, group by group, its largest first: (N,) and their group.

    The sites of a group follow each other in the order in which a data set may go on to the next.
    """
    n_sites = site.max() + 2
    pairs, cell, count = np.unique(
        group * n_sites + site + 1, return_inverse=True, return_counts=True
    )
    order = np.lexsort((-count, pairs // n_sites))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[cell], (pairs // n_sites)[order]


def _order(cell, time, nbytes, work, is_finished, rng) -> np.ndarray:
    """Rows sorted so that neighbours of a cell are alike in time, bytes and work. Shape: (N,)."""
    n_tasks = np.bincount(cell) / JOBS_PER_TASK
    key = cell
    for values, power in ((time, TIME_POWER), (nbytes, BYTES_POWER)):
        parts = np.ceil(n_tasks**power).astype(np.int64)
        key = key * parts.max() + (_place(key, values) * parts[cell]).astype(np.int64)
    place = rng.random(len(cell))
    place[is_finished] = _place(key[is_finished], work[is_finished])
    return np.lexsort((place, key))


def _place(key: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each value stands among those of its key, in (0, 1). Shape: (N,)."""
    order = np.lexsort((values, key))
    is_first = np.r_[True, np.diff(key[order]) != 0]
    first = np.flatnonzero(is_first)
    number = np.cumsum(is_first) - 1
    size = np.diff(np.r_[first, len(key)])
    place = np.empty(len(key))
    place[order] = (np.arange(len(key)) - first[number] + 0.5) / size[number]
    return place


def _tasks(cell: np.ndarray, group_of: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Task and data set of sorted rows; the median size is found by halving."""
    n = len(cell)
    size = np.exp(SIZE_SPREAD * rng.standard_normal(n))
    size = np.minimum(size, SIZE_TOP * rng.uniform(0.5, 1, n))
    is_new = rng.random(n) >= REUSE
    n_sites = np.minimum(rng.geometric(LAST_SITE, n), MAX_SITES)
    low, high = 1.0, MAX_MEDIAN
    for _ in range(12):
        median = np.sqrt(low * high)
        task, dataset = _cut(cell, group_of, np.ceil(median * size), is_new, n_sites)
        low, high = (median, high) if n < JOBS_PER_TASK * (task[-1] + 1) else (low, median)
    return task, dataset


@njit(cache=True)
def _cut(cell, group_of, size, is_new, n_sites):
    """Cut sorted rows into tasks of the sizes given, and number their data sets."""
    n = len(cell)
    task, dataset = np.empty(n, np.int64), np.empty(n, np.int64)
    k, d, n_here, left = -1, -1, 0, 0.0
    for row in range(n):
        begins = row == 0 or group_of[cell[row]] != group_of[cell[row - 1]]
        if not begins and cell[row] != cell[row - 1]:
            n_here += 1
            begins = n_here > n_sites[d]
        if begins or left <= 0:
            k += 1
            left = size[k]
            if begins or is_new[k]:
                d, n_here = d + 1, 1
        task[row], dataset[row] = k, d
        left -= 1
    return task, dataset


def given(table: pd.DataFrame, site: np.ndarray) -> Tasks | None:
    """The tasks a record table tells, without core counts; None where it has no column for them.

    Without a column of data sets each task reads its own; without one of tasks each data set is
    one.

    Raises:
        ValueError: a column with missing values.
    """
    found = {name: _whole(table, name) for name in ("task", "dataset") if _has(table, name)}
    if not found:
        return None
    numbers = {name: _numbered(values) for name, values in found.items()}
    task = numbers.get("task", numbers.get("dataset"))
    return Tasks(task, numbers.get("dataset", task), site)


def _numbered(values: pd.Series) -> np.ndarray:
    """Numbers from 0 for the values of a column, in the order first met."""
    try:
        return pd.factorize(values)[0].astype(np.int64)
    except TypeError as error:
        raise ValueError(f"{values.name} must hold single values: {error}") from None


def given_cores(table: pd.DataFrame) -> np.ndarray | None:
    """The core counts a record table tells, (N,) int64; None where it has no column of them.

    Raises:
        ValueError: counts that are missing, not whole or below 1.
    """
    return _core_counts(_whole(table, "cores")) if _has(table, "cores") else None


def _has(table: pd.DataFrame, name: str) -> bool:
    return COLUMNS[name] in table.columns


def _whole(table: pd.DataFrame, name: str) -> pd.Series:
    """A column that must be there for every record."""
    values = table[COLUMNS[name]]
    if values.isna().any():
        row = int(values.isna().to_numpy().argmax())
        raise ValueError(f"{COLUMNS[name]} must be there for every record, not so in row {row}")
    return values


def _core_counts(values: pd.Series) -> np.ndarray:
    is_truth = pd.api.types.is_bool_dtype(values)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
    is_good = (numbers >= 1) & (numbers == np.floor(numbers)) & (numbers < 2**31) & (not is_truth)
    if not is_good.all():
        row = int(np.argmin(is_good))
        raise ValueError(
            f"{COLUMNS['cores']} must be a whole number of at least 1 and less than 2^31, got "
            f"{values.iloc[row]} in row {row}"
        )
    return numbers.astype(np.int64)


# --- tasks that arrive in bursts ------------------------------------------------------------------


def arrive(time: np.ndarray, task: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move the rows of each task into a burst; see the top of this file. Shape: (N,) s.

    Hours and weekdays keep their shares in expectation, nothing leaves the span of the records.
    Times are whole seconds, as PanDA writes them.
    """
    order = np.lexsort((time, task))  # within a task the first stay first
    jobs = np.bincount(task)
    first = np.cumsum(jobs) - jobs
    drawn = order[first + (rng.random(len(jobs)) * jobs).astype(np.int64)]
    clock = _clock(time)
    low, high = _to_weeks(np.array([time.min() // 3600, time.max() // 3600 + 1]) * 3600, clock)
    week = np.floor(_to_weeks(time[drawn], clock))
    begin, end = np.maximum(week, low), np.minimum(week + 1, high)
    start = begin + rng.random(len(jobs)) * (end - begin)
    offset = bursts.submit(rng, np.zeros(len(jobs)), jobs, bursts.pace(rng, len(jobs)))["second"]
    place = np.empty(len(time))
    place[order] = np.repeat(start, jobs) + offset / WEEK_S
    return np.floor(_to_seconds(low + (place - low) % (high - low), clock))


def _clock(time: np.ndarray) -> np.ndarray:
    """Share of a week's jobs that came before each hour of the week, (169,), from 0 to 1.

    The product of the shares by weekday and by hour, each weekday by the days it was seen.
    """
    day = np.floor(time / DAY_S).astype(np.int64)
    seen = np.bincount(np.arange(day.min(), day.max() + 1) % 7, minlength=7)
    by_day = np.bincount(day % 7, minlength=7) / np.maximum(seen, 1)
    by_hour = np.bincount((time % DAY_S // 3600).astype(np.int64), minlength=24)
    share = np.cumsum(np.outer(by_day, by_hour).ravel())
    return np.r_[0.0, share] / share[-1]


def _to_weeks(time: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """Seconds as weeks on the clock that runs as fast as jobs come."""
    week = np.floor(time / WEEK_S)
    return week + np.interp((time - week * WEEK_S) / 3600, np.arange(169), clock)


def _to_seconds(weeks: np.ndarray, clock: np.ndarray) -> np.ndarray:
    week = np.floor(weeks)
    return week * WEEK_S + np.interp(weeks - week, clock, np.arange(169)) * 3600


# --- what a data set and a task share -------------------------------------------------------------


def placed(tasks: Tasks, catalogue: Catalogue, rng) -> np.ndarray:
    """Site of each row: its own, or one drawn by disk for its data set. Shape: (N,) int64."""
    share = disk_share(catalogue)
    u = rng.random(tasks.dataset.max() + 1)
    drawn = np.searchsorted(np.cumsum(share)[:-1], u, side="right")
    return np.where(tasks.site >= 0, tasks.site, drawn[tasks.dataset])


def replicas(tasks: Tasks, site: np.ndarray, catalogue: Catalogue, rng) -> np.ndarray:
    """Sites that hold each data set, bool (D, S).

    Those known to, else those where its jobs ran, and others drawn by disk without repetition up to
    the number there are. A draw without repetition is the largest of log weight + Gumbel noise
    (Efraimidis and Spirakis, 2006, in logarithms).

    Args:
        site: (N,) where the rows ran.
    """
    held = np.zeros((tasks.dataset.max() + 1, catalogue.n_sites), bool)
    if tasks.replicas is not None:
        held |= tasks.replicas
    is_bare = ~held.any(axis=1)[tasks.dataset]
    held[tasks.dataset[is_bare], site[is_bare]] = True
    own = held.sum(axis=1)
    count = tasks.n_replicas if tasks.n_replicas is not None else own + _extra(own, rng)
    count = np.minimum(count, min(MAX_REPLICAS, catalogue.n_sites))
    return _filled(held, np.maximum(count, own), catalogue, rng)


def _extra(own: np.ndarray, rng) -> np.ndarray:
    """Replicas beyond a data set's own sites, such that there are 4.4 on average. Shape: (D,)."""
    mean = max(MEAN_REPLICAS - own.mean(), 0.1)
    return rng.negative_binomial(REPLICA_SHAPE, REPLICA_SHAPE / (REPLICA_SHAPE + mean), len(own))


def _filled(held: np.ndarray, count: np.ndarray, catalogue: Catalogue, rng) -> np.ndarray:
    """Add sites drawn by disk until each data set has `count`; sites without disk get none."""
    with np.errstate(divide="ignore"):
        log_share = np.log(disk_share(catalogue))
    full = np.empty_like(held)
    for rows in np.array_split(np.arange(len(held)), 1 + len(held) // 50_000):
        key = log_share + rng.gumbel(size=(len(rows), catalogue.n_sites))
        key[held[rows]] = np.inf
        least = np.sort(key, axis=1)[np.arange(len(rows)), -count[rows]]
        full[rows] = (key >= least[:, None]) & (key > -np.inf)
    return full


def disk_share(catalogue: Catalogue) -> np.ndarray:
    """Share of all disk by site, (S,); the same for all where there is none."""
    total = catalogue.disk.sum()
    return (
        catalogue.disk / total if total > 0 else np.full(catalogue.n_sites, 1 / catalogue.n_sites)
    )


def core_counts(task: np.ndarray, day: np.ndarray, rng) -> np.ndarray:
    """One core, or eight for the jobs of some tasks. Shape: (N,) int64.

    Args:
        task: (N,) numbered from 0. day: (N,) of each row.
    """
    cores = np.ones(len(task), np.int64)
    first = np.zeros(task.max() + 1)
    first[task[::-1]] = day[::-1]
    n_eight = round(EIGHT_CORE_SHARE * len(task))
    cores[in_whole_tasks(task, first, n_eight, rng)] = 8
    return cores
