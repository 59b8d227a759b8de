"""The split of a record table into train (80 %) and test (20 %), at random or by time.

In: a record table, or its number of rows. Out: two tables, or a mask of the test rows.
Source: Park et al. (2024), arXiv 2410.07940, section IV (80/20 at random).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from foundations import checks

SPLITS = ("random", "time")
TEST_SHARE = 0.2


def split(
    records: pd.DataFrame, *, by: str = "random", seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a record table into train (80 %) and test (20 %), rows in their given order.

    Args:
        by: "random", or "time": no test record is older than a train record.
        seed: of the random split.

    Raises:
        ValueError: an unknown way to split, or a seed that is not a whole number of at least 0.
    """
    checks.known("split", by, SPLITS)
    checks.seed(seed)
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
