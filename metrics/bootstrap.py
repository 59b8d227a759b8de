"""Confidence intervals by a bootstrap over whole blocks of rows.

In: values or scores of rows, and the block (a day, a task) each row belongs to. Out: a 95 %
percentile interval. Rows of one block are not independent, so they are drawn together (Kuensch
1989; Davison & Hinkley 1997, ch. 3.8). The interval covers which rows were scored, not which
records train and holdout happen to hold.
"""

import numpy as np

from foundations import checks

AT_ONCE = 2**22  # most weights of rows in memory at a time
MOST = 5_000  # blocks of a mean; more are merged at random, which does not change its variance


def block_interval(
    values: np.ndarray, block: np.ndarray, *, seed: int = 0, n_boot: int = 2000
) -> tuple[float, float]:
    """95 % interval of the mean of `values` (n,) over resampled blocks, named by `block` (n,)."""
    _, at = np.unique(block, return_inverse=True)
    rng = np.random.default_rng(checks.seed(seed))
    if at.max() >= MOST:
        at = (rng.permutation(at.max() + 1) % MOST)[at]
    total, count = np.bincount(at, weights=values), np.bincount(at)
    times = rng.multinomial(len(count), np.full(len(count), 1 / len(count)), size=n_boot)
    return _percentiles((times @ total) / (times @ count))


def auc_interval(
    y: np.ndarray, score: np.ndarray, block: np.ndarray, *, seed: int = 0, n_boot: int = 400
) -> tuple[float, float]:
    """95 % interval of the area under the ROC curve of `score` (n,) for labels y (n,) of 0 and 1.

    The blocks of the two classes are drawn separately, because they are two samples.
    """
    order = np.argsort(score, kind="stable")
    y, score, block = y[order], score[order], np.asarray(block)[order]
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    groups = [np.unique(block[y == side], return_inverse=True)[1] for side in (0, 1)]
    rng = np.random.default_rng(checks.seed(seed))
    step = max(1, AT_ONCE // len(y))
    areas = []
    for start in range(0, n_boot, step):
        zeros, ones = (
            _drawn(g, y == s, min(step, n_boot - start), rng) for s, g in enumerate(groups)
        )
        areas.append(_weighted_auc(zeros, ones, ends))
    return _percentiles(np.concatenate(areas))


def _drawn(group: np.ndarray, here: np.ndarray, n: int, rng) -> np.ndarray:
    """(n, rows) how often each row of one class is drawn, 0 for the other class."""
    k = int(group.max()) + 1
    weight = np.zeros((n, here.size))
    weight[:, here] = rng.multinomial(k, np.full(k, 1 / k), size=n)[:, group]
    return weight


def _weighted_auc(zeros: np.ndarray, ones: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(n,) chance that a weighted 1 outranks a weighted 0, ties one half; rows by rising score."""
    below, up_to = np.cumsum(zeros, axis=1)[:, ends], np.cumsum(ones, axis=1)[:, ends]
    tied = np.diff(up_to, axis=1, prepend=0.0)
    before = np.concatenate([np.zeros((len(zeros), 1)), below[:, :-1]], axis=1)
    return (tied * (before + below) / 2).sum(axis=1) / (below[:, -1] * up_to[:, -1])


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
