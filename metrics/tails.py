"""Tails of the distributions of numbers, and rows that break rules read off train.

In: two tables of one schema. Out: relative errors of high quantiles, and shares of rows that break
rules read off train: whole numbers stay whole, numbers stay inside the range seen, categories were
seen, pairs of categories were seen. Unseen real rows break the last rules, too, but rarely: their
share is the floor.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from . import frames
from .comparisons import Comparison
from .grades import Rule, above, apart
from .measures import OURS, POSITIVE, ROOT_N, SHARE, Measure, Number
from .scores import Score

DENSE = 1 << 26  # cells of a pair of categories held as flags
QUANTILES = {"tail q99": 0.99, "tail q99.9": 0.999}


def tails(train: pd.DataFrame, synthetic: pd.DataFrame) -> pd.DataFrame:
    """Per numerical column: |q_synthetic - q_train| / |q_train| of two quantiles, and "above q99".

    Divided by the range of train where the quantile of train is 0. "above q99" is the share of
    rows above train's 99 % quantile; .01 or a little less, where many rows share one value.
    """
    train, synthetic = frames.pair(train, synthetic)
    names = frames.split(train)[0]
    rows = [_tail_row(frames.floats(train[name]), frames.floats(synthetic[name])) for name in names]
    return pd.DataFrame(rows, index=names, columns=[*QUANTILES, "above q99"], dtype=float)


def _tail_row(x: np.ndarray, y: np.ndarray) -> list[float]:
    real, made = (np.quantile(v, list(QUANTILES.values())) for v in (x, y))
    scale = np.where(real == 0, np.ptp(x) or 1.0, np.abs(real))
    return [*np.abs(made - real) / scale, float(np.mean(y > real[0]))]


def validity(train: pd.DataFrame, synthetic: pd.DataFrame) -> dict[str, float]:
    """ "invalid share", "unseen pair share" and "missing categories", each 0..1.

    The pair share is NaN with fewer than two categoricals, the last one without any. Both tables
    are read in blocks, so they may lie on disk.
    """
    train, synthetic = frames.pair(train, synthetic)
    known = frames.levels(train, synthetic)
    rules = Rules(train, known)
    invalid = unseen = 0
    met = [np.zeros(len(levels), bool) for levels in known]
    for data in frames.blocks(synthetic, known):
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
        self.n_known = [len(levels) for levels in frames.levels(train)]  # train's come first
        self.sizes = [len(levels) for levels in known]
        pairs = combinations(range(len(known)), 2)
        self.seen: dict = {(a, b): Cells(self.sizes[a] * self.sizes[b]) for a, b in pairs}
        d = len(frames.split(train)[0])
        self.low, self.high, self.whole = np.full(d, np.inf), np.full(d, -np.inf), np.ones(d, bool)
        for data in frames.blocks(train, known):
            x = data.numbers
            self.low, self.high = np.minimum(self.low, x.min(0)), np.maximum(self.high, x.max(0))
            self.whole &= (x == np.rint(x)).all(axis=0)
            for pair, cells in self.seen.items():
                cells.add(self._key(data, pair))

    def invalid(self, data: frames.Coded) -> np.ndarray:
        """(n,) whether a row breaks a rule of one column."""
        x = data.numbers
        bad = (x < self.low) | (x > self.high) | (self.whole & (x != np.rint(x)))
        strange = data.codes >= np.array(self.n_known, np.int64)
        return bad.any(axis=1) | strange.any(axis=1)

    def unseen_pairs(self, data: frames.Coded) -> np.ndarray:
        """(n,) whether a row has a pair of categories train never has."""
        unseen = np.zeros(len(data), bool)
        for pair, cells in self.seen.items():
            unseen |= ~cells.has(self._key(data, pair))
        return unseen

    def _key(self, data: frames.Coded, pair: tuple[int, int]) -> np.ndarray:
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


def score_tails(comparison: Comparison) -> Score:
    """The measure "tails"."""
    by_column = tails(comparison.real.train, comparison.table)
    return Score.of_columns(by_column, list(by_column))


TAILS = Measure(
    "tails",
    score_tails,
    (
        Number(
            "tail q99", "lower", POSITIVE,
            "relative error of its 99 % quantile, averaged over columns",
            ROOT_N, OURS,
            Rule(above, 0.05, 0.25),
        ),
        Number(
            "tail q99.9", "lower", POSITIVE,
            "relative error of its 99.9 % quantile, averaged over columns",
            ROOT_N, OURS,
            Rule(above, 0.1, 0.5),
        ),
        Number(
            "above q99", "floor", SHARE,
            "share of its rows above the 99 % quantile of train",
            "0.01, less where many rows share that value", OURS,
            Rule(apart, 0.002, 0.01),
        ),
    ),
    seconds=0.1,
    exact=True,
)  # fmt: skip


def score_validity(comparison: Comparison) -> Score:
    """The measure "validity"."""
    return Score(validity(comparison.real.train, comparison.table))


VALIDITY = Measure(
    "validity",
    score_validity,
    (
        Number(
            "invalid share", "lower", SHARE,
            "share of its rows with a fraction in a whole-number column, a number outside the "
            "range of train, or a category that train lacks",
            "near 0", OURS,
            Rule(above, 0.002, 0.02),
        ),
        Number(
            "unseen pair share", "floor", SHARE,
            "share of its rows with a pair of categories that train lacks",
            "falls as train grows", OURS,
            Rule(apart, 0.01, 0.05),
        ),
        Number(
            "missing categories", "floor", SHARE,
            "share of train's categories that it lacks, averaged over columns",
            "falls with n", OURS,
            Rule(apart, 0.02, 0.1),
        ),
    ),
    seconds=0.2,
    exact=True,
)  # fmt: skip
