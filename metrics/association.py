"""Association of each pair of columns, and how far a synthetic table is from it.

In: a table. Out: a full matrix, numericals first, then categoricals: Pearson's r between numbers,
the correlation ratio eta (not squared) between a number and a category, Theil's U(row given column)
between categories, which is not symmetric. Source: Park et al. (2024, arXiv 2410.07940), sec. IV.B
and Fig. 5, who draw the lower triangle and average an L2 distance; the headline here is the root
mean square over all off-diagonal entries.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numba import njit

from . import frames
from .comparisons import Comparison
from .grades import Rule, times
from .measures import OURS, PARK, POSITIVE, ROOT_N, Measure, Number
from .scores import Score

if TYPE_CHECKING:
    from .evaluation import Evaluator

FORMS = ("diff-CORR", "diff-CORR MAE", "diff-CORR Frobenius", "diff-CORR L2")
DENSE_PAIRS = 1 << 24  # cells of a two-way count kept as a plain array


def association(table: pd.DataFrame) -> pd.DataFrame:
    """Association matrix of a table, labelled; entries in [-1, 1], diagonal 1.

    A constant number has r = eta = 0 with everything. A constant category is fully explained by any
    column: U = 1 in its row. Two passes over blocks of rows, so a table on disk may be of any size.
    """
    table = frames.check(*frames.seen(table), "table")
    numerical, categorical = frames.split(table)
    known = frames.levels(table)
    names = numerical + categorical
    return pd.DataFrame(_matrix(table, known, numerical), index=names, columns=names)


def diff_corr(train: pd.DataFrame, synthetic: pd.DataFrame) -> float:
    """Root mean square off-diagonal difference of two association matrices, 0..2, 0 is best.

    NaN for a table of one column, which has no pairs.
    """
    train, synthetic = frames.pair(train, synthetic)
    return matrix_difference(association(train), association(synthetic))["diff-CORR"]


def matrix_difference(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, float]:
    """diff-CORR (root mean square), mean absolute, Frobenius and mean row L2 difference."""
    delta = b.to_numpy() - a.to_numpy()
    off = delta[~np.eye(len(delta), dtype=bool)]
    if off.size == 0:
        return dict.fromkeys(FORMS, float("nan"))
    rms, mae = np.sqrt(np.mean(off**2)), np.mean(np.abs(off))
    rows = np.linalg.norm(delta, axis=1)
    return dict(zip(FORMS, map(float, (rms, mae, np.linalg.norm(delta), rows.mean())), strict=True))


class Tables:
    """Counts of pairs of categories, filled block by block; arrays of cells where they fit."""

    def __init__(self, n_levels: list[int], most: int = DENSE_PAIRS):
        self.n_levels = n_levels
        self.pairs = [(a, b) for a in range(len(n_levels)) for b in range(a)]
        cells = {(a, b): n_levels[a] * n_levels[b] for a, b in self.pairs}
        self.dense = {p: np.zeros(n, np.int64) for p, n in cells.items() if n <= most}
        self.sparse: dict = {p: ([], []) for p in self.pairs if p not in self.dense}

    def add(self, codes: np.ndarray) -> None:
        """Count the rows of a block, (n, c) codes."""
        for a, b in self.pairs:
            if (a, b) in self.dense:
                _tally(self.dense[a, b], codes, a, b, self.n_levels[b])
            else:
                key = codes[:, a] * self.n_levels[b] + codes[:, b]
                held, count = self.sparse[a, b]
                new, n = np.unique(key, return_counts=True)
                held.append(new)
                count.append(n)

    def joint(self, pair: tuple[int, int]) -> np.ndarray:
        """Count of every cell that was met (dense ones with zeros)."""
        if pair in self.dense:
            return self.dense[pair]
        keys, at = np.unique(np.concatenate(self.sparse[pair][0]), return_inverse=True)
        return np.bincount(at, np.concatenate(self.sparse[pair][1]), len(keys)).astype(np.int64)


def _matrix(table, known: list[dict], numerical: list) -> np.ndarray:
    """Pearson, eta and U from sums over blocks: means first, then products about the means."""
    n_levels = [len(k) for k in known]
    c, d = len(n_levels), len(numerical)
    low, high, mean = _moments(table, numerical)
    scale = np.maximum(np.abs(low), np.abs(high))
    scale = np.where(low == high, np.inf, scale)  # constants become 0: their rounding correlates
    gram, tables = np.zeros((d, d)), Tables(n_levels)
    sums = [np.zeros((k, d)) for k in n_levels]
    count = [np.zeros(k, np.int64) for k in n_levels]
    for data in frames.blocks(table, known):
        z = (data.numbers - mean) / scale
        gram += z.T @ z
        tables.add(data.codes)
        for j in range(c):
            _add(sums[j], count[j], data.codes, j, z)
    matrix = np.eye(d + c)
    variance = np.diag(gram)
    size = np.sqrt(np.outer(variance, variance))
    matrix[:d, :d] = np.clip(_over(gram, size), -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    for j in range(c):
        between = np.sum(sums[j] ** 2 / count[j][:, None], axis=0)
        eta = np.sqrt(np.minimum(1.0, _over(between, variance)))
        matrix[d + j, :d] = matrix[:d, d + j] = eta
    entropy = [_entropy(k) for k in count]
    for a, b in tables.pairs:
        shared = _mutual(tables.joint((a, b)), entropy[a], entropy[b])
        matrix[d + a, d + b] = shared / entropy[a] if entropy[a] > 0 else 1.0
        matrix[d + b, d + a] = shared / entropy[b] if entropy[b] > 0 else 1.0
    return matrix


def _moments(table, numerical: list) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(min, max, mean) of the numbers, in one pass."""
    low, high = np.full(len(numerical), np.inf), np.full(len(numerical), -np.inf)
    total, n = np.zeros(len(numerical)), 0
    if not numerical:
        return low, high, total
    for part in frames.parts(table, numerical):
        for i, name in enumerate(numerical):
            x = part[name].to_numpy(np.float64)
            low[i], high[i] = min(low[i], x.min()), max(high[i], x.max())
            total[i] += x.sum()
        n += len(part)
    return low, high, total / n


def _over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, 0 where b is."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


@njit(cache=True)
def _tally(cells, codes, a, b, n_b):
    for r in range(len(codes)):
        cells[codes[r, a] * n_b + codes[r, b]] += 1


@njit(cache=True)
def _add(sums, count, codes, j, z):
    """Sum the numbers and count the rows of each category of column j."""
    for r in range(len(codes)):
        k = codes[r, j]
        count[k] += 1
        for i in range(z.shape[1]):
            sums[k, i] += z[r, i]


def _entropy(count: np.ndarray) -> float:
    """In nats; exactly 0 for a constant."""
    p = count[count > 0] / count.sum()
    return float(-np.sum(p * np.log(p))) if p.size > 1 else 0.0


def _mutual(joint: np.ndarray, entropy_a: float, entropy_b: float) -> float:
    """Mutual information in nats, 0..min of the entropies."""
    return min(max(0.0, entropy_a + entropy_b - _entropy(joint)), entropy_a, entropy_b)


def of_train(real: "Evaluator") -> pd.DataFrame:
    """The association matrix of train."""
    return association(real.train)


def score_association(comparison: Comparison) -> Score:
    """The measure "diff-CORR"."""
    matrix = association(comparison.table)
    return Score(matrix_difference(comparison.real.once(of_train), matrix), association=matrix)


DIFF_CORR = Measure(
    "diff-CORR",
    score_association,
    (
        Number(
            "diff-CORR", "lower", "0 to 2",
            "difference of its association matrix from that of train: root mean square over pairs "
            "of columns",
            ROOT_N, f"Pearson, correlation ratio, Theil's U; {PARK}",
            Rule(times, 2, 10),
        ),
        Number(
            "diff-CORR MAE", "lower", "0 to 2",
            "mean absolute difference over the same pairs",
            ROOT_N, OURS,
        ),
        Number(
            "diff-CORR Frobenius", "lower", POSITIVE,
            "Frobenius norm of the difference of the matrices",
            ROOT_N, OURS,
        ),
        Number(
            "diff-CORR L2", "lower", POSITIVE,
            "L2 norm of each row of that difference, averaged over rows",
            ROOT_N, PARK,
        ),
    ),
    seconds=0.2,
    exact=True,
)  # fmt: skip
