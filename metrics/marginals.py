"""One-column distances: Wasserstein between numbers, Jensen-Shannon between categories.

In: two tables of one schema, train and synthetic. Out: one number each, 0 is best.
Source: W1 is the area between two distribution functions (Vallender 1973); the Jensen-Shannon
divergence is Lin (1991), here in bits, so at most 1. Park et al. (2024, arXiv 2410.07940), sec.
IV.B, name both without formulas; the scaling by the range in train is ours.
"""

import numpy as np
import pandas as pd
from numba import njit

from . import frames
from .comparisons import Comparison
from .grades import Rule, times
from .measures import PARK, POSITIVE, ROOT_N, SHARE, Measure, Number
from .scores import Score


def wd(train: pd.DataFrame, synthetic: pd.DataFrame) -> float:
    """Mean over numerical columns of W1 / (range in train); NaN if there is none.

    A column that is constant in train is divided by 1. Unbounded above if values leave the range.
    """
    table = numerical(train, synthetic)
    return float(table["WD"].mean()) if len(table) else float("nan")


def jsd(train: pd.DataFrame, synthetic: pd.DataFrame) -> float:
    """Mean over categorical columns of the divergence in bits, 0..1; NaN if there is none."""
    table = categorical(train, synthetic)
    return float(table["JSD"].mean()) if len(table) else float("nan")


def numerical(train: pd.DataFrame, synthetic: pd.DataFrame) -> pd.DataFrame:
    """Per numerical column: WD (W1/range), WD/sd (W1/standard deviation), WD log (W1 of log1p).

    The logarithm keeps the sign, sign(x) log(1 + |x|), so that heavy tails do not decide alone.
    """
    train, synthetic = frames.pair(train, synthetic)
    names = frames.split(train)[0]
    rows = [
        _wd_row(np.sort(frames.floats(train[c])), np.sort(frames.floats(synthetic[c])))
        for c in names
    ]
    return pd.DataFrame(rows, index=names, columns=["WD", "WD/sd", "WD log"], dtype=float)


def _wd_row(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    w = w1_sorted(x, y)
    spread = x[-1] - x[0]
    sd = spread * (x / spread).std() if spread > 0 else 0.0  # squares of 1e300 would overflow
    return w / (spread or 1.0), w / (sd or 1.0), w1_sorted(_log(x), _log(y))


def _log(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.log1p(np.abs(x))


def w1(x: np.ndarray, y: np.ndarray) -> float:
    """Wasserstein-1 distance of two samples of any sizes, in their unit."""
    return w1_sorted(np.sort(np.asarray(x, float)), np.sort(np.asarray(y, float)))


@njit(cache=True)
def w1_sorted(x, y):
    """The integral of |F_x - F_y| by merging two sorted samples.

    Equal values are taken together, so that wd(x, x) is 0 and not a rounding error.
    """
    i = j = 0
    area = 0.0
    share = 1.0 / (x.size * y.size)
    before = min(x[0], y[0])
    while i < x.size or j < y.size:
        here = x[i] if j == y.size or (i < x.size and x[i] <= y[j]) else y[j]
        area += abs(i * y.size - j * x.size) * share * (here - before)
        before = here
        while i < x.size and x[i] == here:
            i += 1
        while j < y.size and y[j] == here:
            j += 1
    return area


def categorical(train: pd.DataFrame, synthetic: pd.DataFrame) -> pd.DataFrame:
    """Per categorical column: JSD in bits over the union of categories, and its square root."""
    train, synthetic = frames.pair(train, synthetic)
    names = frames.split(train)[1]
    values = [_jsd_column(frames.counts(train, c), frames.counts(synthetic, c)) for c in names]
    return pd.DataFrame({"JSD": values, "JSD root": np.sqrt(values)}, index=names, dtype=float)


def _jsd_column(a: dict, b: dict) -> float:
    levels = list(a | b)
    return jsd_counts(*(np.array([counts.get(v, 0) for v in levels]) for counts in (a, b)))


def jsd_counts(a: np.ndarray, b: np.ndarray) -> float:
    """Jensen-Shannon divergence in bits of two count vectors over the same categories.

    Summed as (KL(p|m) + KL(q|m)) / 2, whose terms vanish one by one where p = q.
    """
    p, q = a / a.sum(), b / b.sum()
    m = (p + q) / 2
    return float(min(1.0, max(0.0, (_kl(p, m) + _kl(q, m)) / 2)))


def _kl(p: np.ndarray, m: np.ndarray) -> float:
    """KL(p | m) in bits."""
    some = p > 0
    return float(np.sum(p[some] * np.log2(p[some] / m[some])))


def score_numbers(comparison: Comparison) -> Score:
    """The measure "WD"."""
    return Score.of_columns(numerical(comparison.real.train, comparison.table), ["WD"])


WD = Measure(
    "WD",
    score_numbers,
    (
        Number(
            "WD", "lower", POSITIVE,
            "distance between the distributions of its numbers and those of train: mean shift of "
            "a value over the range in train, averaged over columns",
            ROOT_N, f"Wasserstein-1, Vallender 1973; {PARK}; the scaling is ours",
            Rule(times, 2, 10),
        ),
        Number(
            "WD/sd", "lower", POSITIVE,
            "WD over the standard deviation in train instead of the range",
            ROOT_N, "Vallender 1973",
        ),
        Number(
            "WD log", "lower", POSITIVE,
            "WD of the logarithms, log(1 + size), for heavy tails",
            ROOT_N, "Vallender 1973",
        ),
    ),
    seconds=0.1,
    exact=True,
)  # fmt: skip


def score_categories(comparison: Comparison) -> Score:
    """The measure "JSD"."""
    return Score.of_columns(categorical(comparison.real.train, comparison.table), ["JSD"])


JSD = Measure(
    "JSD",
    score_categories,
    (
        Number(
            "JSD", "lower", SHARE,
            "Jensen-Shannon divergence between its category shares and those of train, in bits, "
            "averaged over columns",
            "falls as 1/n, grows with the number of categories",
            f"Jensen-Shannon divergence, Lin 1991; {PARK}",
            Rule(times, 2, 10),
        ),
        Number(
            "JSD root", "lower", SHARE,
            "square root of the JSD, which is a distance, averaged over columns",
            ROOT_N, "Endres & Schindelin 2003",
        ),
    ),
    seconds=0.1,
    exact=True,
)  # fmt: skip
