"""How close synthetic rows come to the records they were learned from.

In: train, synthetic and, for the comparison that means something, a holdout of the same origin.
Out: distances and shares. The distance of two rows is
sqrt(sum over numericals of (delta / range in train)^2 + number of differing categoricals).
Source: Park et al. (2024, arXiv 2410.07940), sec. IV.B: the distance of a synthetic record to the
closest train record, averaged; the scaling is ours. A small distance alone shows neither copying
nor safety: compare it with that of unseen real rows.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from foundations import checks

from . import bootstrap, frames, temporal
from .comparisons import Comparison
from .grades import Rule, above, factor
from .measures import OURS, PARK, POSITIVE, SHARE, Measure, Number
from .neighbours import NeighbourIndex
from .scores import Score

if TYPE_CHECKING:
    from .evaluation import Evaluator

FAR = 1e100  # ranges of train beyond which a number is no farther: its square is a float64


class Closest:
    """An index of the rows of a real table, built once and searched for many tables.

    `scale` (d,) divides the numericals, the ranges of the table itself by default.
    """

    def __init__(self, table: pd.DataFrame, scale: np.ndarray | None = None):
        self.view = frames.view_of(table)
        self.table = table = frames.check(frames.plain(self.view, table), "train")
        self.scale = ranges(table) if scale is None else scale
        self._levels = frames.levels(table)
        self._index = NeighbourIndex(*self._arrays(table))

    def distance(self, other: pd.DataFrame, k: int = 1) -> np.ndarray:
        """(n, k) distances of the rows of `other` to the k nearest rows of the table."""
        other = frames.aligned(self.table, frames.plain(self.view, other), "synthetic")
        return self._index.query(*self._arrays(other), k=k)[0]

    def _arrays(self, table: pd.DataFrame) -> frames.Coded:
        data = frames.encode(table, self._levels)
        with np.errstate(over="ignore"):
            numbers = np.clip(data.numbers / self.scale, -FAR, FAR)
        return frames.Coded(numbers, data.codes)


def ranges(table: pd.DataFrame) -> np.ndarray:
    """(d,) range of each numerical column; 1 for a constant one."""
    data = frames.numbers(table)
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

    Train and holdout are drawn down to one size. Its mean is 0.5 for rows that are independent of
    train, provided train and holdout come from one random split.
    """
    train, synthetic, holdout = frames.seen(train, synthetic, holdout)
    return nearer(*matched(train, holdout, seed=seed), synthetic)


def matched(
    train: pd.DataFrame, holdout: pd.DataFrame, *, seed: int = 0
) -> tuple[Closest, Closest]:
    """Indexes of train and holdout drawn down to one size, both scaled by the ranges of train."""
    checks.seed(seed)
    train, holdout = frames.pair(train, holdout, ("train", "holdout"))
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

    `known`: (n,) the distances to the first table, if they were computed before.
    """
    first = to_train.distance(synthetic)[:, 0] if known is None else known
    gap = to_holdout.distance(synthetic)[:, 0] - first
    return 0.5 + 0.5 * np.sign(gap)


def _draw(table: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    return table if n == len(table) else table.iloc[rng.permutation(len(table))[:n]]


def train_index(real: "Evaluator") -> Closest:
    """The index of train."""
    return Closest(real.train_rows)


def matched_indexes(real: "Evaluator") -> tuple[Closest, Closest]:
    """Indexes of train and test, drawn down to one size."""
    if len(real.train_rows) == len(real.test_rows):  # then train itself is the match
        index = real.once(train_index)
        return index, Closest(real.test_rows, index.scale)
    return matched(real.train_rows, real.test_rows, seed=real.seed)


def nearest(comparison: Comparison) -> np.ndarray:
    """(n, 1 or 2) distances to the closest train rows, shared by DCR and NNDR."""
    k = 2 if comparison.real.takes("NNDR") else 1
    return comparison.real.once(train_index).distance(comparison.rows, k=k)


def dcr_of_test(real: "Evaluator") -> Score:
    """The mean distance of the test half to train."""
    return Score({"DCR": float(real.once(train_index).distance(real.test_rows).mean())})


def score_distance(comparison: Comparison) -> Score:
    """The measure "DCR"."""
    real, rows = comparison.real, comparison.rows
    distance = comparison.once(nearest)[:, 0]
    indexes = real.once(matched_indexes)
    known = distance if indexes[0] is real.once(train_index) else None
    is_nearer = nearer(*indexes, rows, known)
    score = Score(
        {
            "DCR": float(distance.mean()),
            "DCR median": float(np.median(distance)),
            "DCR 5%": float(np.quantile(distance, 0.05)),
            "exact share": float(np.mean(distance == 0)),
            "closer to train": float(is_nearer.mean()),
        }
    )
    block = temporal.day_blocks(rows)
    for name, values in (("DCR", distance), ("closer to train", is_nearer)):
        score.interval[name] = bootstrap.block_interval(values, block, seed=real.seed)
    return score


DCR = Measure(
    "DCR",
    score_distance,
    (
        Number(
            "DCR", "floor", POSITIVE,
            "distance of its rows to the closest train record, averaged over rows; below the floor "
            "its rows are too close to train, above it they are off",
            "falls as train grows", PARK,
            Rule(factor, 1.25, 2),
        ),
        Number(
            "DCR median", "floor", POSITIVE,
            "median of that distance",
            "falls as train grows", OURS,
            Rule(factor, 1.25, 2),
        ),
        Number(
            "DCR 5%", "floor", POSITIVE,
            "5 % quantile of that distance",
            "falls as train grows", "Zhao et al. 2021, arXiv 2102.08369",
            Rule(factor, 1.25, 2),
        ),
        Number(
            "exact share", "floor", SHARE,
            "share of its rows that equal a train record",
            "the share of unseen real rows that equal one", OURS,
            Rule(above, 0.02, 0.05),
        ),
        Number(
            "closer to train", "floor", SHARE,
            "share of its rows closer to train than to equally many unseen rows; a tie counts one "
            "half",
            "0.5 for a random split", "Platzer & Reutterer 2021, arXiv 2104.00635",
            Rule(above, 0.02, 0.05),
        ),
    ),
    seconds=0.5,
)  # fmt: skip


def score_ratio(comparison: Comparison) -> Score:
    """The measure "NNDR"."""
    ratio = nndr(comparison.once(nearest))
    score = Score({"NNDR": float(ratio.mean()), "NNDR 5%": float(np.quantile(ratio, 0.05))})
    block = temporal.day_blocks(comparison.rows)
    score.interval["NNDR"] = bootstrap.block_interval(ratio, block, seed=comparison.real.seed)
    return score


NNDR = Measure(
    "NNDR",
    score_ratio,
    (
        Number(
            "NNDR", "floor", SHARE,
            "distance to the closest train record over the distance to the second closest, "
            "averaged over rows; near 0 where its rows lie next to single records",
            "depends on the table", "Zhao et al. 2021, arXiv 2102.08369; Lowe 2004",
            Rule(factor, 1.25, 2),
        ),
        Number(
            "NNDR 5%", "floor", SHARE,
            "5 % quantile of that ratio, which copies lower first",
            "depends on the table", "Zhao et al. 2021, arXiv 2102.08369",
            Rule(factor, 1.25, 2),
        ),
    ),
    seconds=0.3,
    listed_after="DCR",
)  # fmt: skip
