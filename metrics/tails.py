"""The rare end of every number, and rows that train says cannot be.

In: two tables of one schema. Out: relative errors of high quantiles, and shares of rows that break
rules read off train: whole numbers stay whole, numbers stay inside the range seen, categories were
seen, pairs of categories were seen. Unseen rows break the last rules too, rarely: their share is
the floor.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from . import columns

DENSE = 1 << 26  # cells of a pair of categories held as flags
QUANTILES = {"tail q99": 0.99, "tail q99.9": 0.999}


def tails(train: pd.DataFrame, synthetic: pd.DataFrame) -> pd.DataFrame:
    """Per numerical column: |q_synthetic - q_train| / |q_train| of two quantiles, and "above q99".

    Divided by the range of train where the quantile of train is 0. "above q99" is the share of
    rows above train's 99 % quantile; .01 or a little less, where many rows share one value.
    """
    columns.check(train, "train")
    synthetic = columns.aligned(train, synthetic, "synthetic")
    names = columns.split(train)[0]
    rows = [_tail_row(_f(train[name]), _f(synthetic[name])) for name in names]
    return pd.DataFrame(rows, index=names, columns=[*QUANTILES, "above q99"], dtype=float)


def _tail_row(x: np.ndarray, y: np.ndarray) -> list[float]:
    real, made = (np.quantile(v, list(QUANTILES.values())) for v in (x, y))
    scale = np.where(real == 0, np.ptp(x) or 1.0, np.abs(real))
    return [*np.abs(made - real) / scale, float(np.mean(y > real[0]))]


def _f(column: pd.Series) -> np.ndarray:
    return column.to_numpy(np.float64)


def validity(train: pd.DataFrame, synthetic: pd.DataFrame) -> dict[str, float]:
    """ "invalid share", "unseen pair share" and "missing categories", each 0..1.

    The pair share is NaN with fewer than two categoricals, the last one without any. Both tables
    are read in blocks, so they may lie on disk.
    """
    columns.check(train, "train")
    synthetic = columns.aligned(train, synthetic, "synthetic")
    known = columns.levels(train, synthetic)
    rules = Rules(train, known)
    invalid = unseen = 0
    met = [np.zeros(len(levels), bool) for levels in known]
    for data in columns.blocks(synthetic, known):
        invalid += int(rules.invalid(data).sum())
        unseen += int(rules.unseen_pairs(data).sum())
        for j, here in enumerate(met):
            here[data.codes[:, j]] = True
    missing = [1 - here[:k].mean() for here, k in zip(met, rules.n_known, strict=True)]
    n = len(synthetic)
    return {
        "invalid share": invalid / n,
        "unseen pair share": unseen / n if len(known) > 1 else float("nan"),
        "missing categories": float(np.mean(missing)) if missing else float("nan"),
    }


class Rules:
    """What no row of train breaks: range and wholeness of numbers, categories, pairs of them."""

    def __init__(self, train, known: list[dict]):
        self.n_known = [len(levels) for levels in columns.levels(train)]  # train's come first
        self.sizes = [len(levels) for levels in known]
        pairs = combinations(range(len(known)), 2)
        self.seen: dict = {(a, b): Cells(self.sizes[a] * self.sizes[b]) for a, b in pairs}
        d = len(columns.split(train)[0])
        self.low, self.high, self.whole = np.full(d, np.inf), np.full(d, -np.inf), np.ones(d, bool)
        for data in columns.blocks(train, known):
            x = data.numbers
            self.low, self.high = np.minimum(self.low, x.min(0)), np.maximum(self.high, x.max(0))
            self.whole &= (x == np.rint(x)).all(axis=0)
            for pair, cells in self.seen.items():
                cells.add(self._key(data, pair))

    def invalid(self, data: columns.Coded) -> np.ndarray:
        """(n,) whether a row breaks a rule of one column."""
        x = data.numbers
        bad = (x < self.low) | (x > self.high) | (self.whole & (x != np.rint(x)))
        strange = data.codes >= np.array(self.n_known, np.int64)
        return bad.any(axis=1) | strange.any(axis=1)

    def unseen_pairs(self, data: columns.Coded) -> np.ndarray:
        """(n,) whether a row has a pair of categories train never has."""
        unseen = np.zeros(len(data), bool)
        for pair, cells in self.seen.items():
            unseen |= ~cells.has(self._key(data, pair))
        return unseen

    def _key(self, data: columns.Coded, pair: tuple[int, int]) -> np.ndarray:
        return data.codes[:, pair[0]] * self.sizes[pair[1]] + data.codes[:, pair[1]]


class Cells:
    """A set of numbers below n: a flag for each where they fit, else a sorted array."""

    def __init__(self, n: int):
        self.flags = np.zeros(n, bool) if n <= DENSE else None
        self.sorted = np.empty(0, np.int64)

    def add(self, keys: np.ndarray) -> None:
        if self.flags is not None:
            self.flags[keys] = True
        else:
            self.sorted = np.union1d(self.sorted, keys)

    def has(self, keys: np.ndarray) -> np.ndarray:
        return self.flags[keys] if self.flags is not None else np.isin(keys, self.sorted)
