"""Alpha-precision and beta-recall: do the rows lie where real rows lie, and cover all of them?

Title: How Faithful is Your Synthetic Data? Sample-level Metrics for Evaluating and Auditing
Generative Models. Alaa, van Breugel, Saveliev, van der Schaar (2022), arXiv 2102.08921.
In: train (which fixes the embedding), real rows unseen in training, synthetic rows. Out: two
integrated scores in 0..1, 1 is best; other unseen real rows give the floor.

Embedding: a number becomes its normal score, the standard normal quantile of its mid-rank in train
(straight lines between the values of train, so that no two numbers become one), divided by the
standard deviation of these scores; a categorical becomes a one-hot vector times
1 / sqrt(1 - sum of squared shares in train), so that each column has total variance 1. Distances
are Euclidean. A number beyond the range of train stands at its end: how far beyond, WD and tails
say. # DIFF: the paper learns a one-class embedding; ours is fixed, so that scores compare.

| symbol | here |
|---|---|
| S_r^alpha | ball about the mean of the real rows that holds the share alpha of them |
| S_s^beta | ball about the mean of the synthetic rows that holds the share beta of them |
| P_alpha | share of synthetic rows in S_r^alpha |
| R_beta | share of real rows whose closest synthetic row lies in S_s^beta, no farther than K real |
| IP_alpha, IR_beta | 1 - 2 integral over 0..1 of abs(P_alpha - alpha), abs(R_beta - beta) |

"No farther than K real": than the K-th closest of the other real rows.
# DIFF: K = 5 where the authors' code has 1: honest rows reach a share 1 - 2^-K of the real ones,
# so .97 and not .5.
# DIFF: S_s^beta holds the share beta of all synthetic rows, as the paper says; the authors' code
# takes the share of the rows that are closest to some real row.
A copy of train scores like unseen real rows here; `privacy` and `membership` detect it.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri

from . import frames
from .comparisons import Comparison
from .grades import Rule, below
from .measures import SHARE, Measure, Number
from .neighbours import NeighbourIndex
from .scores import Score

CAP = 20_000  # rows of each table
K = 5
LEVELS = (np.arange(200) + 0.5) / 200  # of alpha and beta: midpoints of 200 equal steps


class Points(NamedTuple):
    """Embedded rows: numbers (n, d), codes (n, c), weight (c,), the square of a one-hot's size."""

    numbers: np.ndarray
    codes: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def index(self) -> NeighbourIndex:
        """A mismatch moves two coordinates, so it costs twice the weight."""
        return NeighbourIndex(self.numbers, self.codes, 2 * self.weight)


def embed(train: pd.DataFrame, *tables: pd.DataFrame) -> list[Points]:
    """The rows of each table in the embedding of train."""
    train, *tables = frames.seen(train, *tables)
    frames.check(train, "train")
    tables = tuple(frames.aligned(train, table, "table") for table in tables)
    known = frames.levels(train, *tables)
    base = frames.encode(train, known)
    weight = np.array([1 / _variance(code) for code in base.codes.T])
    scores = [_normal_scores(np.sort(x)) for x in base.numbers.T]
    out = []
    for table in tables:
        data = frames.encode(table, known)
        z = [score(x) for score, x in zip(scores, data.numbers.T, strict=True)]
        out.append(Points(np.array(z).reshape(-1, len(table)).T.copy(), data.codes, weight))
    return out


def _variance(code: np.ndarray) -> float:
    """1 - sum of squared shares; 1 for a constant, which then tells only unseen categories."""
    share = np.bincount(code) / code.size
    return float(1 - np.sum(share**2)) if share.max() < 1 else 1.0


def _normal_scores(sorted_train: np.ndarray):
    """The map of a column to its normal scores, standardised on train."""
    n = sorted_train.size
    values, count = np.unique(sorted_train, return_counts=True)
    z = ndtri((np.cumsum(count) - count / 2) / n)
    values, z = np.append(values, np.inf), np.append(z, z[-1])

    def score(x: np.ndarray) -> np.ndarray:  # np.interp forms slopes, which overflow
        x = np.clip(x, values[0], values[-2])
        i = np.searchsorted(values, x, "right") - 1
        return z[i] + (x - values[i]) / (values[i + 1] - values[i]) * (z[i + 1] - z[i])

    sd = score(sorted_train).std()
    return lambda x: score(x) / (sd if sd > 0 else 1.0)


def alpha_beta(
    train: pd.DataFrame, real: pd.DataFrame, synthetic: pd.DataFrame
) -> tuple[float, float]:
    """(alpha-precision, beta-recall), integrated, of equally many real and synthetic rows.

    Both 0..1. NaN for fewer than 2 real rows; fewer than K + 1 take the farthest of them.
    """
    r, s = embed(train, real, synthetic)
    if len(r) < 2:
        return float("nan"), float("nan")
    return integrated(precision(r, s)), integrated(recall(r, s))


def precision(real: Points, synthetic: Points) -> np.ndarray:
    """(200,) P_alpha for alpha in `LEVELS`."""
    radius = np.quantile(distance_to_mean(real, real), LEVELS)
    return _share_within(distance_to_mean(synthetic, real), radius)


def recall(real: Points, synthetic: Points, k: int = K) -> np.ndarray:
    """(200,) R_beta for beta in `LEVELS`."""
    k = min(k, len(real) - 1)
    to_real = real.index().query(real.numbers, real.codes, k=k, exclude_self=True)[0][:, -1]
    to_synthetic, row = synthetic.index().query(real.numbers, real.codes)
    out = distance_to_mean(synthetic, synthetic)
    reached = np.where(to_synthetic[:, 0] <= to_real, out[row[:, 0]], np.inf)
    return _share_within(reached, np.quantile(out, LEVELS))


def distance_to_mean(points: Points, other: Points) -> np.ndarray:
    """(n,) distance of `points` to the mean of `other`, without forming a one-hot vector."""
    total = ((points.numbers - other.numbers.mean(axis=0)) ** 2).sum(axis=1)
    for j, weight in enumerate(points.weight):
        n_levels = max(points.codes[:, j].max(), other.codes[:, j].max()) + 1
        share = np.bincount(other.codes[:, j], minlength=n_levels) / len(other)
        total += weight * (1 - 2 * share[points.codes[:, j]] + np.sum(share**2))
    return np.sqrt(np.maximum(total, 0.0))


def _share_within(distance: np.ndarray, radius: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.sort(distance), radius, "right") / distance.size


def integrated(curve: np.ndarray) -> float:
    """1 - 2 integral |curve - level|: 1 on the diagonal, 0 where the curve is 0 throughout."""
    return float(1 - 2 * np.abs(curve - LEVELS).mean())


def score_density(comparison: Comparison) -> Score:
    """The measure "density"."""
    real = comparison.real
    unseen, made = real.subsample(real.test_rows, CAP), real.subsample(comparison.rows, CAP)
    n = min(len(unseen), len(made))
    values = alpha_beta(real.train_rows, unseen.iloc[:n], made.iloc[:n])
    return Score(dict(zip(("alpha-precision", "beta-recall"), values, strict=True)))


_ALAA = "Alaa et al. 2022, arXiv 2102.08921"

DENSITY = Measure(
    "density",
    score_density,
    (
        Number(
            "alpha-precision", "higher", SHARE,
            "whether its rows lie where real rows lie, typical ones as often as real ones "
            "(integrated)",
            "near 1", _ALAA,
            Rule(below, 0.03, 0.1),
        ),
        Number(
            "beta-recall", "higher", SHARE,
            "whether its rows cover the real rows, including rare ones (integrated)",
            "0.97 where no rows repeat", _ALAA,
            Rule(below, 0.03, 0.1),
        ),
    ),
    seconds=1.0,
    cap=CAP,
)  # fmt: skip
