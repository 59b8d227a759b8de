"""How columns depend on each other, and how far a synthetic table is from that.

In: a table. Out: a full matrix, numericals first, then categoricals: Pearson's r between numbers,
the correlation ratio eta (not squared) between a number and a category, Theil's U(row given column)
between categories, which is not symmetric. Source: Park et al. (2024, arXiv 2410.07940), sec. IV.B
and Fig. 5, who draw the lower triangle and average an L2 distance; the headline here is the root
mean square over all off-diagonal entries.
"""

import numpy as np
import pandas as pd

from metrics import columns

FORMS = ("diff-CORR", "diff-CORR MAE", "diff-CORR Frobenius", "diff-CORR L2")
DENSE_PAIRS = 1 << 24  # cells of a two-way count kept as a plain array


def association(table: pd.DataFrame) -> pd.DataFrame:
    """Association matrix of a table, labelled; entries in [-1, 1], diagonal 1.

    A constant number has r = eta = 0 with everything. A constant category is fully explained by any
    column: U = 1 in its row.
    """
    columns.check(table, "table")
    (data,), levels = columns.coded(table)
    numerical, categorical = columns.split(table)
    names = numerical + categorical
    return pd.DataFrame(_matrix(data, [len(k) for k in levels]), index=names, columns=names)


def diff_corr(train: pd.DataFrame, synthetic: pd.DataFrame) -> float:
    """Root mean square off-diagonal difference of two association matrices, 0..2, 0 is best.

    NaN for a table of one column, which has no pairs.
    """
    columns.check(train, "train")
    synthetic = columns.aligned(train, synthetic, "synthetic")
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


def _matrix(data: columns.Coded, n_levels: list[int]) -> np.ndarray:
    d, c = data.numbers.shape[1], data.codes.shape[1]
    z = np.apply_along_axis(_standard, 0, data.numbers) if d else data.numbers
    matrix = np.eye(d + c)
    matrix[:d, :d] = np.clip(z.T @ z / len(z), -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    entropy = [_entropy(np.bincount(code)) for code in data.codes.T]
    for a in range(c):
        code, k = data.codes[:, a], n_levels[a]
        for i in range(d):
            matrix[d + a, i] = matrix[i, d + a] = _eta(code, z[:, i], k)
        for b in range(a):
            shared = _mutual(code, data.codes[:, b], k, n_levels[b], entropy[a], entropy[b])
            matrix[d + a, d + b] = shared / entropy[a] if entropy[a] > 0 else 1.0
            matrix[d + b, d + a] = shared / entropy[b] if entropy[b] > 0 else 1.0
    return matrix


def _standard(x: np.ndarray) -> np.ndarray:
    """(x - mean) / sd; zeros for a constant, whose rounding errors would correlate."""
    if x.min() == x.max():
        return np.zeros_like(x)
    x = x / np.abs(x).max()
    x = x - x.mean()
    return x / np.sqrt(np.mean(x**2))


def _eta(code: np.ndarray, z: np.ndarray, k: int) -> float:
    """Correlation ratio of standardised z on a category: sd of the category means, in [0, 1]."""
    total = np.bincount(code, weights=z, minlength=k)
    count = np.bincount(code, minlength=k)
    some = count > 0
    return float(np.sqrt(min(1.0, np.sum(total[some] ** 2 / count[some]) / len(z))))


def _entropy(count: np.ndarray) -> float:
    """In nats; exactly 0 for a constant."""
    p = count[count > 0] / count.sum()
    return float(-np.sum(p * np.log(p))) if p.size > 1 else 0.0


def _mutual(a, b, n_a: int, n_b: int, entropy_a: float, entropy_b: float) -> float:
    """Mutual information in nats, 0..min of the entropies."""
    pair = a * n_b + b
    dense = n_a * n_b <= DENSE_PAIRS
    joint = np.bincount(pair) if dense else np.unique(pair, return_counts=True)[1]
    return min(max(0.0, entropy_a + entropy_b - _entropy(joint)), entropy_a, entropy_b)
