"""Rows without tasks gathered into tasks: rows that are alike, in sizes drawn by a published law.

In: job records. Out: a task and a data set for each row. Same seed, same bytes.

Rows of one format at one site are sorted by time, in a few parts, these by input bytes, and parts
of those by work, so that neighbours are alike in all three; rows that did not finish are strewn
among the others, since a task's failures are no tasks of their own. The sorted rows are cut into
tasks of drawn sizes. A data set that is not used up at its site goes on to the format's next one,
at few sites in all; a quarter of the tasks read the data set of the one before. Large tasks need
more rows than are alike: in tasks of the bundled pool the variance of log bytes and of log work is
still 0.8 of that inside a format; in true tasks it is far less.

Sources: task sizes from an extract of 1.23 M ATLAS jobs of 8,680 tasks; popularity and sites of
data sets from published studies of DAOD popularity.

Units: seconds since Monday 00:00 UTC, bytes, GFLOP; N rows.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numba import njit

from foundations.units import DAY_S
from pandaenv.reference.bursts import JOBS_PER_TASK

from .tasks import Tasks

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
RARE_ROWS, RARE_SHARE = 20, 0.02
"""A site named by fewer rows of a format than both counts as unknown: the surrogate erred there, or
there are too few rows for a task. ASSUMED."""


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
    cell, group_of = _number_cells(group, site)
    order = _sort_rows(
        cell,
        time,
        records["inputfilebytes"].to_numpy(),
        records["workload"].to_numpy(),
        (records["jobstatus"] == "finished").to_numpy(),
        rng,
    )
    task, dataset = np.empty((2, len(time)), np.int64)
    task[order], dataset[order] = _draw_tasks(cell[order], group_of, rng)
    return Tasks(task, dataset, site, gathered=True)


def drop_rare_sites(format_: np.ndarray, site: np.ndarray) -> np.ndarray:
    """Replace by -1 the site of rows whose format names that site too seldom. Shape: (N,)."""
    n_sites = site.max() + 2
    pair = format_ * n_sites + site + 1
    count, n_format = np.bincount(pair)[pair], np.bincount(format_)[format_]
    return np.where((count < RARE_ROWS) & (count < RARE_SHARE * n_format), -1, site)


def _number_cells(group: np.ndarray, site: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def _sort_rows(
    cell: np.ndarray,
    time: np.ndarray,
    nbytes: np.ndarray,
    work: np.ndarray,
    is_finished: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Rows sorted so that neighbours of a cell are alike in time, bytes and work. Shape: (N,)."""
    n_tasks = np.bincount(cell) / JOBS_PER_TASK
    key = cell
    for values, power in ((time, TIME_POWER), (nbytes, BYTES_POWER)):
        parts = np.ceil(n_tasks**power).astype(np.int64)
        key = key * parts.max() + (_rank_in_key(key, values) * parts[cell]).astype(np.int64)
    place = rng.random(len(cell))
    place[is_finished] = _rank_in_key(key[is_finished], work[is_finished])
    return np.lexsort((place, key))


def _rank_in_key(key: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each value stands among those of its key, in (0, 1). Shape: (N,)."""
    order = np.lexsort((values, key))
    is_first = np.r_[True, np.diff(key[order]) != 0]
    first = np.flatnonzero(is_first)
    number = np.cumsum(is_first) - 1
    size = np.diff(np.r_[first, len(key)])
    place = np.empty(len(key))
    place[order] = (np.arange(len(key)) - first[number] + 0.5) / size[number]
    return place


def _draw_tasks(
    cell: np.ndarray, group_of: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Task and data set of sorted rows; the median size is found by halving."""
    n = len(cell)
    size = np.exp(SIZE_SPREAD * rng.standard_normal(n))
    size = np.minimum(size, SIZE_TOP * rng.uniform(0.5, 1, n))
    is_new = rng.random(n) >= REUSE
    n_sites = np.minimum(rng.geometric(LAST_SITE, n), MAX_SITES)
    low, high = 1.0, MAX_MEDIAN
    for _ in range(12):
        median = np.sqrt(low * high)
        task, dataset = _cut_kernel(cell, group_of, np.ceil(median * size), is_new, n_sites)
        low, high = (median, high) if n < JOBS_PER_TASK * (task[-1] + 1) else (low, median)
    return task, dataset


@njit(cache=True)
def _cut_kernel(cell, group_of, size, is_new, n_sites):
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
