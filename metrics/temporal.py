"""When rows happen: rhythms, bursts and gaps of a table with a creation time.

In: creation times in days since a Monday 00:00 UTC, of train and of the table to be scored,
equally many of both, because thinning a stream changes its gaps and its noise. Out: one number
each. Source: profiles by the divergence of Lin (1991); peaks by the periodogram of a point
process (Bartlett 1963), which needs no bins; dispersion from the variance-to-mean ratio F of counts
(Fano 1947; Cox & Lewis 1966, The Statistical Analysis of Series of Events) as (F - 1) / mean, which
thinning at random leaves unchanged in expectation; gaps by the distance of Smirnov (1948).
"""

import numpy as np
import pandas as pd

from foundations import checks
from foundations.tables import is_numerical

from . import frames
from .comparisons import Comparison
from .grades import Rule, factor, relative, times
from .marginals import jsd_counts
from .measures import ANY, POSITIVE, ROOT_N, SHARE, Measure, Number
from .scores import Score

DAYS = "creationtime"
SITE = "computingsite"
WINDOWS = (1, 6, 24, 168)  # hours of the dispersion
PEAKS = {"day peak": 1.0, "week peak": 1 / 7}  # cycles a day


def temporal(train: pd.DataFrame, synthetic: pd.DataFrame, *, seed: int = 0) -> dict[str, float]:
    """All numbers of this file by name, on tables drawn down to one n.

    Needs a numerical column `creationtime`; "site x week JSD" is NaN without `computingsite`.
    """
    checks.seed(seed)
    n = min(len(train), len(synthetic))
    rng = np.random.default_rng(seed)
    (t, site), (u, other) = (_drawn(table, n, rng) for table in (train, synthetic))
    span = whole_days(t)
    return {
        "hour JSD": jsd_counts(hours(t), hours(u)),
        "weekday JSD": jsd_counts(weekdays(t), weekdays(u)),
        **{name: ratio(peak(u, f), peak(t, f)) for name, f in PEAKS.items()},
        **{f"dispersion {h}h": dispersion(u, h, span) for h in WINDOWS},
        "gap KS": ks(np.diff(np.sort(t)), np.diff(np.sort(u))),
        "site x week JSD": site_weeks(t, site, u, other),
    }


def has_days(table) -> bool:
    """Whether the table has its creation times as numbers."""
    return DAYS in table.columns and is_numerical(table.dtypes[DAYS])


def check_days(table) -> None:
    """Raise unless the table has its creation times as numbers."""
    if not has_days(table):
        raise ValueError(
            f"temporal needs a numerical column {DAYS!r} in days since a Monday 00:00 UTC, "
            f"got {list(table.columns)}"
        )


def day_blocks(table: pd.DataFrame) -> np.ndarray:
    """(n,) day of each row, or its own number where the table has no creation time."""
    if not has_days(table):
        return np.arange(len(table))
    return np.floor(table[DAYS].to_numpy(float))


def _drawn(table, n: int, rng: np.random.Generator) -> tuple[np.ndarray, pd.Series | None]:
    """Times and sites of n rows drawn without replacement."""
    check_days(table)
    rows = rng.permutation(len(table))[:n] if n < len(table) else slice(None)
    site = table[SITE].iloc[rows] if SITE in table.columns else None
    return table[DAYS].to_numpy(np.float64)[rows], site


def hours(days: np.ndarray) -> np.ndarray:
    """(24,) rows by hour of the day."""
    return np.bincount(np.floor(days % 1 * 24).astype(np.int64) % 24, minlength=24)


def weekdays(days: np.ndarray) -> np.ndarray:
    """(7,) rows by day of the week, Monday first."""
    return np.bincount(np.floor(days % 7).astype(np.int64) % 7, minlength=7)


def peak(days: np.ndarray, frequency: float) -> float:
    """|mean of exp(2 pi i f t)|, 0..1: strength of the rhythm of `frequency` cycles a day.

    Its square times n is the periodogram; rows without the rhythm give about 1 / sqrt(n).
    """
    phase = 2 * np.pi * ((days * frequency) % 1.0)
    return float(np.hypot(np.cos(phase).mean(), np.sin(phase).mean()))


def ratio(a: float, b: float) -> float:
    """a / b; NaN where b is 0."""
    return a / b if b > 0 else float("nan")


def whole_days(t: np.ndarray) -> tuple[float, float]:
    """Start of the first and end of the last day with a row.

    Dispersion is counted over the days of train alone: a stray row must not add empty windows.
    """
    return float(np.floor(t.min())), float(np.floor(t.max()) + 1)


def dispersion(days: np.ndarray, hours: float, span: tuple[float, float]) -> float:
    """(F - 1) / mean of the counts in windows of `hours` that lie whole in `span`; 0 for Poisson.

    F is variance over mean, the variance with n - 1. NaN with fewer than two windows or no row.
    """
    first, last = span
    n_windows = int((last - first) * 24 / hours + 1e-9)
    if n_windows < 2:
        return float("nan")
    window = np.floor((days - first) * 24 / hours)
    inside = (window >= 0) & (window < n_windows)
    count = np.unique(window[inside], return_counts=True)[1]  # empty windows: there may be many
    mean = count.sum() / n_windows
    variance = (np.sum(count**2) - n_windows * mean**2) / (n_windows - 1)
    return float((variance / mean - 1) / mean) if mean > 0 else float("nan")


def ks(x: np.ndarray, y: np.ndarray) -> float:
    """Largest distance of two empirical distribution functions, 0..1; NaN for an empty sample."""
    if x.size == 0 or y.size == 0:
        return float("nan")
    x, y = np.sort(x), np.sort(y)
    both = np.concatenate([x, y])
    below = np.searchsorted(x, both, "right") / x.size - np.searchsorted(y, both, "right") / y.size
    return float(np.abs(below).max())


def site_weeks(t: np.ndarray, site, u: np.ndarray, other) -> float:
    """JSD in bits of the shares of the pairs (site, week); NaN without sites."""
    if site is None or other is None:
        return float("nan")
    known = frames.levels(site.to_frame(), other.to_frame())
    code = np.concatenate([frames.encode(s.to_frame(), known).codes[:, 0] for s in (site, other)])
    week = np.unique(np.floor(np.concatenate([t, u]) / 7), return_inverse=True)[1]
    pair = np.unique(week * len(known[0]) + code, return_inverse=True)[1]
    count = [np.bincount(part, minlength=pair.max() + 1) for part in np.split(pair, [len(t)])]
    return jsd_counts(*count)


def score_times(comparison: Comparison) -> Score:
    """The measure "temporal"."""
    real = comparison.real
    return Score(temporal(real.train, comparison.table, seed=real.seed))


_INDEPENDENT = "falls as 1/n where rows are independent"
_RHYTHM = "periodogram of a point process, Bartlett 1963"
_FANO = "Fano 1947; Cox & Lewis 1966"

TEMPORAL = Measure(
    "temporal",
    score_times,
    (
        Number(
            "hour JSD", "lower", SHARE,
            "Jensen-Shannon divergence of its rows by hour of the day, in bits",
            _INDEPENDENT, "Lin 1991",
            Rule(times, 2, 10),
        ),
        Number(
            "weekday JSD", "lower", SHARE,
            "Jensen-Shannon divergence of its rows by day of the week, in bits",
            _INDEPENDENT, "Lin 1991",
            Rule(times, 2, 10),
        ),
        Number(
            "day peak", "floor", POSITIVE,
            "strength of its daily rhythm over that of train",
            "1", _RHYTHM,
            Rule(factor, 1.5, 3),
        ),
        Number(
            "week peak", "floor", POSITIVE,
            "strength of its weekly rhythm over that of train",
            "1", _RHYTHM,
            Rule(factor, 1.5, 3),
        ),
        Number(
            "dispersion 1h", "floor", ANY,
            "burstiness of its rows per hour: (variance/mean - 1)/mean, 0 for a Poisson stream",
            "that of train", _FANO,
            Rule(relative, 0.5, 1.5),
        ),
        Number(
            "dispersion 6h", "floor", ANY,
            "burstiness of its rows per 6 hours",
            "that of train", _FANO,
            Rule(relative, 0.5, 1.5),
        ),
        Number(
            "dispersion 24h", "floor", ANY,
            "burstiness of its rows per day",
            "that of train", _FANO,
            Rule(relative, 0.5, 1.5),
        ),
        Number(
            "dispersion 168h", "floor", ANY,
            "burstiness of its rows per week",
            "that of train", _FANO,
            Rule(relative, 0.5, 1.5),
        ),
        Number(
            "gap KS", "lower", SHARE,
            "Kolmogorov-Smirnov distance of the times between consecutive rows",
            ROOT_N, "Kolmogorov-Smirnov, Smirnov 1948",
            Rule(times, 2, 10),
        ),
        Number(
            "site x week JSD", "lower", SHARE,
            "Jensen-Shannon divergence of its rows by site and week, in bits",
            _INDEPENDENT, "Lin 1991",
            Rule(times, 2, 10),
        ),
    ),
    seconds=0.1,
    exact=True,
    needs="times",
)  # fmt: skip
