"""The rare end of every number, and rows that train says cannot be.

In: two tables of one schema. Out: relative errors of high quantiles, and shares of rows that break
rules read off train: whole numbers stay whole, numbers stay inside the range seen, categories were
seen, pairs of categories were seen. Unseen rows break the last rules too, rarely: their share is
the floor.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from metrics import columns

QUANTILES = {"tail q99": 0.99, "tail q99.9": 0.999}


def tails(train: pd.DataFrame, synthetic: pd.DataFrame) -> pd.DataFrame:
    """Per numerical column: |q_synthetic - q_train| / |q_train| of two quantiles, and "above q99".

    Divided by the range of train where the quantile of train is 0. "above q99" is the share of
    rows above train's 99 % quantile; .01 or a little less, where many rows share one value.
    """
    columns.check(train, "train")
    synthetic = columns.aligned(train, synthetic, "synthetic")
    names = columns.split(train)[0]
    rows = [_tail_row(_f(train[name]), _f(synthetic[name])) for name in names]
    return pd.DataFrame(rows, index=names, columns=[*QUANTILES, "above q99"], dtype=float)


def _tail_row(x: np.ndarray, y: np.ndarray) -> list[float]:
    real, made = (np.quantile(v, list(QUANTILES.values())) for v in (x, y))
    scale = np.where(real == 0, np.ptp(x) or 1.0, np.abs(real))
    return [*np.abs(made - real) / scale, float(np.mean(y > real[0]))]


def _f(column: pd.Series) -> np.ndarray:
    return column.to_numpy(np.float64)


def validity(train: pd.DataFrame, synthetic: pd.DataFrame) -> dict[str, float]:
    """"invalid share", "unseen pair share" and "missing categories", each 0..1.

    The pair share is NaN with fewer than two categoricals, the last one without any.
    """
    columns.check(train, "train")
    synthetic = columns.aligned(train, synthetic, "synthetic")
    numerical, categorical = columns.split(train)
    invalid = np.zeros(len(synthetic), bool)
    for name in numerical:
        invalid |= _impossible(_f(train[name]), _f(synthetic[name]))
    codes, missing = {}, []
    for name in categorical:
        codes[name] = real, made, n_levels = _codes(train[name], synthetic[name])
        n_known = int(real.max()) + 1  # levels of train are numbered first
        invalid |= made >= n_known
        missing.append(1 - np.unique(made[made < n_known]).size / n_known)
    pairs = list(combinations(categorical, 2))
    unseen = np.zeros(len(synthetic), bool)
    for a, b in pairs:
        unseen |= _unseen_pairs(codes[a], codes[b])
    return {
        "invalid share": float(invalid.mean()),
        "unseen pair share": float(unseen.mean()) if pairs else float("nan"),
        "missing categories": float(np.mean(missing)) if missing else float("nan"),
    }


def _impossible(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    bad = (y < x.min()) | (y > x.max())
    return bad | (y != np.rint(y)) if (x == np.rint(x)).all() else bad


def _codes(real: pd.Series, made: pd.Series) -> tuple[np.ndarray, np.ndarray, int]:
    tables = real.to_frame(), made.to_frame()
    (a, b), (levels,) = columns.coded(*tables)
    return a.codes[:, 0], b.codes[:, 0], len(levels)


def _unseen_pairs(a, b) -> np.ndarray:
    """Rows whose pair of codes train never has; all rows have a number, seen or not."""
    real, made = (a[i] * b[2] + b[i] for i in (0, 1))
    return ~np.isin(made, np.unique(real))
