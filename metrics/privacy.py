"""How close synthetic rows come to the records they were learned from.

In: train, synthetic and, for the comparison that means something, a holdout of the same origin.
Out: distances and shares. The distance of two rows is
sqrt(sum over numericals of (delta / range in train)^2 + number of differing categoricals).
Source: Park et al. (2024, arXiv 2410.07940), sec. IV.B: the distance of a synthetic record to the
closest train record, averaged; the scaling is ours. A small distance alone shows neither copying
nor safety: compare with real rows in the synthetic table's place.
"""

import numpy as np
import pandas as pd

from metrics.neighbours import NeighbourIndex

from . import columns

FAR = 1e100  # ranges of train beyond which a number is no farther: its square is a float64


class Closest:
    """A real table as a searchable index, built once and asked by many tables.

    `scale` (d,) divides the numericals, the ranges of the table itself by default.
    """

    def __init__(self, table: pd.DataFrame, scale: np.ndarray | None = None):
        self.table = columns.check(table, "train")
        self.scale = ranges(table) if scale is None else scale
        self._levels = columns.levels(table)
        self._index = NeighbourIndex(*self._arrays(table))

    def distance(self, other: pd.DataFrame, k: int = 1) -> np.ndarray:
        """(n, k) distances of the rows of `other` to the k nearest rows of the table."""
        other = columns.aligned(self.table, other, "synthetic")
        return self._index.query(*self._arrays(other), k=k)[0]

    def _arrays(self, table: pd.DataFrame) -> columns.Coded:
        data = columns.encode(table, self._levels)
        with np.errstate(over="ignore"):
            numbers = np.clip(data.numbers / self.scale, -FAR, FAR)
        return columns.Coded(numbers, data.codes)


def ranges(table: pd.DataFrame) -> np.ndarray:
    """(d,) range of each numerical column; 1 for a constant one."""
    data = columns.numbers(table)
    width = data.max(axis=0) - data.min(axis=0)
    return np.where(width > 0, width, 1.0)


def dcr(train: pd.DataFrame, synthetic: pd.DataFrame) -> np.ndarray:
    """(n,) distance of each synthetic row to the nearest row of the full train table.

    Depends on the size of train: never compare across sizes.
    """
    return Closest(train).distance(synthetic)[:, 0]


def nndr(nearest: np.ndarray) -> np.ndarray:
    """(n,) closest over second closest distance of (n, 2) `nearest`, 0..1.

    1 where both are 0: the row copies a record that train holds twice, so it points at nobody. NaN
    where train has one row. Source: Zhao et al. (2021, arXiv 2102.08369), after the ratio test of
    Lowe (2004, Int. J. Computer Vision 60).
    """
    first, second = nearest[:, 0], nearest[:, 1]
    out = np.divide(first, second, out=np.ones(len(first)), where=second > 0)
    return np.where(np.isfinite(second), out, np.nan)


def closer_to_train(
    train: pd.DataFrame, synthetic: pd.DataFrame, holdout: pd.DataFrame, *, seed: int = 0
) -> np.ndarray:
    """(n,) 1 where a synthetic row is nearer to train than to the holdout, 0 where not, ties 0.5.

    Train and holdout are drawn down to one size. Its mean is 0.5 for rows that owe train nothing,
    provided train and holdout come from one random split.
    """
    return nearer(*matched(train, holdout, seed=seed), synthetic)


def matched(
    train: pd.DataFrame, holdout: pd.DataFrame, *, seed: int = 0
) -> tuple[Closest, Closest]:
    """Indexes of train and holdout drawn down to one size, both scaled by the ranges of train."""
    columns.check(train, "train")
    holdout = columns.aligned(train, holdout, "holdout")
    n = min(len(train), len(holdout))
    rng = np.random.default_rng(seed)
    scale = ranges(train)
    return Closest(_draw(train, n, rng), scale), Closest(_draw(holdout, n, rng), scale)


def nearer(
    to_train: Closest,
    to_holdout: Closest,
    synthetic: pd.DataFrame,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """(n,) 1 where a row is nearer to the first table than to the second, 0 where not, ties 0.5.

    `known` (n,) are the distances to the first table, where somebody has them already.
    """
    first = to_train.distance(synthetic)[:, 0] if known is None else known
    gap = to_holdout.distance(synthetic)[:, 0] - first
    return 0.5 + 0.5 * np.sign(gap)


def _draw(table: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    return table if n == len(table) else table.iloc[rng.permutation(len(table))[:n]]
