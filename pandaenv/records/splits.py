"""The split of a record table into train (80 %) and test (20 %): at random, by time or by task.

In: a record table, or its number of rows or tasks. Out: two tables, or a mask of the test rows.
Source: Park et al. (2024), arXiv 2410.07940, section IV (80/20 at random).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from foundations import checks

SPLITS = ("random", "time", "task")
TEST_SHARE = 0.2


def split(
    records: pd.DataFrame, *, by: str = "random", seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a record table into train (80 %) and test (20 %), rows in their given order.

    Args:
        by: "random"; "time": no test record is older than a train record; "task": no task (column
            `task`) has rows in both, and the test has the whole tasks nearest to 20 % of the rows.
        seed: of the random splits.

    Raises:
        ValueError: an unknown way to split, a seed that is not a whole number of at least 0, or a
            split by task of a table without two tasks.
    """
    checks.known("split", by, SPLITS)
    checks.seed(seed)
    if by == "task":
        is_test = mark_test_tasks(_tasks(records), seed)
        return records[~is_test], records[is_test]
    is_test = mark_test_rows(len(records), by, seed)
    if by == "time":
        order = np.argsort(records["creationtime"].to_numpy(), kind="stable")
        is_test[order] = is_test.copy()
    return records[~is_test], records[is_test]


def mark_test_rows(n: int, by: str, seed: int) -> np.ndarray:
    """Mark the test rows, `TEST_SHARE` of n rows sorted by time. Shape: (n,) bool."""
    is_test = np.zeros(n, dtype=bool)
    is_test[n - round(TEST_SHARE * n) :] = True
    if by == "random":
        np.random.default_rng(seed).shuffle(is_test)
    return is_test


def mark_test_tasks(task: np.ndarray, seed: int, share: float = TEST_SHARE) -> np.ndarray:
    """Mark the rows of tasks drawn at random, in all nearest to `share` of the rows.

    Only which rows share a task counts, not its number. Shape: task (n,) any integers; (n,) bool.

    Raises: ValueError for fewer than two tasks.
    """
    place = pd.factorize(task)[0]  # by first row, so that other numbers give the same split
    size = np.bincount(place)
    if len(size) < 2:
        raise ValueError(f"a split by task needs at least two tasks, got {len(size)}")
    order = np.random.default_rng(seed).permutation(len(size))
    total = np.cumsum(size[order])
    last = int(np.abs(total - share * len(task)).argmin())
    is_test = np.zeros(len(size), dtype=bool)
    is_test[order[: min(last + 1, len(size) - 1)]] = True
    return is_test[place]


def _tasks(records: pd.DataFrame) -> np.ndarray:
    """The column of tasks, checked; (n,)."""
    if "task" not in records.columns:
        raise ValueError("a split by task needs a column 'task'; ingest keeps it with --groups")
    if records["task"].isna().any():
        row = int(records["task"].isna().to_numpy().argmax())
        raise ValueError(f"a split by task needs the task of every row, missing in row {row}")
    return records["task"].to_numpy()
