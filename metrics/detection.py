"""Can a classifier separate synthetic rows from real ones?

In: real rows the generator never saw, and synthetic rows. Out: the area under the ROC curve of a
gradient-boosting classifier on rows it was not trained on: 0.5 is chance, 1 is perfect.
It is below 0.5 where both tables hold the same rows, because a row and its copy have different
labels. Source: classifier two-sample tests, Lopez-Paz & Oquab (2017, arXiv 1610.06545), with AUC
instead of accuracy.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from foundations import checks

from . import bootstrap, frames, temporal
from .comparisons import Comparison
from .grades import Rule, plain
from .measures import SHARE, Measure, Number
from .scores import Score

CAP = 50_000  # rows of each table
MAX_LEVELS = 255  # categories a histogram tree can hold; the rarest share the last
FEW = 100_000  # rows below which one thread is faster


def c2st(real: pd.DataFrame, synthetic: pd.DataFrame, *, seed: int = 0, n_folds: int = 5) -> float:
    """Mean out-of-fold AUC over `n_folds` folds, each with real and synthetic in one proportion.

    NaN where a table has fewer rows than there are folds.
    """
    return two_sample_test(real, synthetic, seed=seed, n_folds=n_folds).auc


class TwoSampleTest(NamedTuple):
    """The AUC, averaged over folds, and the held-out score of every row.

    Shapes: is_synthetic, rank (rows,), real rows first; rank is the rank of the score within
    its fold, 0..1, because scores of two classifiers are not comparable.
    """

    auc: float
    is_synthetic: np.ndarray
    rank: np.ndarray


def two_sample_test(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    *,
    seed: int = 0,
    n_folds: int = 5,
    in_order: bool = False,
) -> TwoSampleTest:
    """The classifier two-sample test with the scores an interval needs; see `c2st`.

    in_order: rows follow each other in time. A fold is then a stretch of each table, because a row
    whose neighbours were learned from would be known by them.
    """
    checks.seed(seed, bits=32)  # scikit-learn's take no more
    real, synthetic = frames.pair(real, synthetic, ("real", "synthetic"))
    y = np.repeat([0, 1], [len(real), len(synthetic)])
    rank = np.full(len(y), np.nan)
    if min(len(real), len(synthetic)) < n_folds:
        return TwoSampleTest(float("nan"), y, rank)
    x, n_categorical = _features(real, synthetic)
    rng = np.random.default_rng(seed)
    fold = np.concatenate(
        [
            np.arange(len(t)) * n_folds // len(t) if in_order else rng.permutation(len(t)) % n_folds
            for t in (real, synthetic)
        ]
    )
    areas = []
    for f in range(n_folds):
        score = _held_out(x, y, fold == f, n_categorical, seed)
        rank[fold == f] = pd.Series(score).rank(pct=True)
        areas.append(auc(y[fold == f], score))
    return TwoSampleTest(float(np.mean(areas)), y, rank)


def _features(real, synthetic) -> tuple[np.ndarray, int]:
    """(n, d + 2c) numbers, ranks by falling frequency, and the same ranks as categories.

    The trees ignore categories of fewer than ten rows, so they get the rank as a number as well.
    """
    (a, b), known = frames.coded(real, synthetic)
    codes = np.concatenate([a.codes, b.codes])
    for j, levels in enumerate(known):
        rank = np.empty(len(levels), np.int64)
        by_count = np.argsort(-np.bincount(codes[:, j], minlength=len(levels)), kind="stable")
        rank[by_count] = np.arange(len(levels))
        codes[:, j] = rank[codes[:, j]]
    numbers = np.concatenate([a.numbers, b.numbers])
    return np.hstack([numbers, codes, np.minimum(codes, MAX_LEVELS - 1)]), len(known)


def _held_out(x, y, held, n_categorical: int, seed: int) -> np.ndarray:
    """Scores of the held rows by a classifier trained on the others."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    names = range(x.shape[1] - n_categorical, x.shape[1])
    model = HistGradientBoostingClassifier(
        categorical_features=list(names) or None, early_stopping=False, random_state=seed
    )
    with threadpool_limits(1 if len(x) < FEW else None):
        return model.fit(x[~held], y[~held]).predict_proba(x[held])[:, 1]


def auc(y: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a 1 outranks a 0, ties one half."""
    ones = int(np.sum(y == 1))
    rank_sum = pd.Series(score).rank().to_numpy()[y == 1].sum()
    return float((rank_sum - ones * (ones + 1) / 2) / (ones * (len(y) - ones)))


def score_detection(comparison: Comparison) -> Score:
    """The measure "C2ST"."""
    real = comparison.real
    unseen, made = real.subsample(real.test_rows, CAP), real.subsample(comparison.rows, CAP)
    runs = [two_sample_test(unseen, made, seed=seed) for seed in real.seeds]
    score = Score()
    score.add_runs("C2ST", [run.auc for run in runs])
    if np.isfinite(runs[0].auc):
        block = np.concatenate([temporal.day_blocks(unseen), temporal.day_blocks(made)])
        score.interval["C2ST"] = bootstrap.auc_interval(
            runs[0].is_synthetic, runs[0].rank, block, seed=real.seed
        )
    return score


C2ST = Measure(
    "C2ST",
    score_detection,
    (
        Number(
            "C2ST", "lower", SHARE,
            "AUC of a classifier that separates its rows from unseen real rows; 0.5 cannot, "
            "1 always can",
            "0.5", "Lopez-Paz & Oquab 2017, arXiv 1610.06545",
            Rule(plain, 0.6, 0.8),
        ),
    ),
    seconds=3.0,
    cap=CAP,
)  # fmt: skip
