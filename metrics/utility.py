"""Global utility: every column in turn is predicted from the others, by a model of synthetic rows.

Jiang et al. (2025), arXiv 2509.11950 (TabStruct): one target says whether its own relations are
kept, all columns in turn whether those of the table are. In: train, a synthetic table and unseen
real rows. Out: for each column, how well a model trained on the synthetic rows predicts it on the
unseen ones, over how well one trained on as many train rows does: 1 is as good.

- A category: the ratio of the balanced accuracies, the mean over its classes of the share found.
- A number: the inverse ratio of the root mean squared errors, after `efficacy.transform_for`.

DIFF: TabStruct tunes several predictors for each column and averages them; here it is one random
forest for all, since a ratio needs both models to be alike and not to be the best there are.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from foundations import checks

from . import efficacy, frames
from .comparisons import Comparison
from .grades import Rule, below
from .measures import POSITIVE, Measure, Number
from .scores import Score

if TYPE_CHECKING:
    from .evaluation import Evaluator

CAP = 20_000  # rows the forests are trained on
FOREST = {"n_estimators": 60, "min_samples_leaf": 2, "max_features": 0.5}
TINY = 1e-9  # an error below it is none


def utility(
    train: pd.DataFrame, synthetic: pd.DataFrame, test: pd.DataFrame, *, seed: int = 0
) -> pd.Series:
    """Utility of a synthetic table for each column, 0 or more, 1 where it is as good as train.

    n is the smaller of the two tables; the other is drawn down to it.

    Raises: ValueError for tables that cannot be compared, or of one column.
    """
    train, synthetic, test = frames.seen(train, synthetic, test)
    test = frames.aligned(train, test, "test")
    made, real = (
        powers(rows[list(train.columns)], train, test, seed)
        for rows in efficacy.equally_many(train, synthetic, seed)
    )
    return pd.Series(made / real, index=_names(train))


def powers(
    rows: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, seed: int = 0
) -> np.ndarray:
    """(columns,) inverse errors, then balanced accuracies, on `test` of forests grown on `rows`."""
    checks.seed(seed, bits=32)
    names, (numerical, _) = _names(train), frames.split(train)
    if len(names) < 2:
        raise ValueError(f"utility needs two columns to predict one from the other, got {names}")
    known = frames.levels(rows, test)
    x, y = (np.column_stack(frames.encode(table, known)) for table in (rows, test))
    found = []
    for j, name in enumerate(names):
        if j < len(numerical):
            transform = efficacy.transform_for(train, test, name)
            low = y[:, j].min()
            a, b = (efficacy.transformed(transform, table[:, j], low) for table in (x, y))
            found.append(_inverse_error(_others(x, j), a, _others(y, j), b, seed))
        else:
            found.append(_share_found(_others(x, j), x[:, j], _others(y, j), y[:, j], seed))
    return np.array(found)


def _names(table: pd.DataFrame) -> list:
    """The columns in the order of their powers: numbers first."""
    numerical, categorical = frames.split(table)
    return numerical + categorical


def _others(x: np.ndarray, j: int) -> np.ndarray:
    return np.delete(x, j, axis=1)


def _inverse_error(x, a, y, b, seed: int) -> float:
    forest = RandomForestRegressor(**FOREST, random_state=seed).fit(x, a)
    return 1 / max(float(np.sqrt(np.mean((forest.predict(y) - b) ** 2))), TINY)


def _share_found(x, a, y, b, seed: int) -> float:
    """Mean over the classes of b of the share of their rows that are told."""
    told = RandomForestClassifier(**FOREST, random_state=seed).fit(x, a).predict(y) == b
    return max(float(pd.Series(told).groupby(b).mean().mean()), TINY)


def score_utility(comparison: Comparison) -> Score:
    """The measure "utility"."""
    real, score = comparison.real, Score()
    made = _powers(real.subsample(comparison.rows, CAP), real)
    by_column = made / real.once(_powers_of_train)
    score.add_runs("global utility", by_column.mean(axis=1))
    score.add_runs("worst utility", by_column.min(axis=1))
    means = by_column.mean(axis=0).tolist()
    score.columns["global utility"] = dict(zip(_names(real.train), means, strict=True))
    return score


def _powers(rows: pd.DataFrame, real: "Evaluator") -> np.ndarray:
    """(n_seeds, columns)."""
    train, test = real.in_memory(real.train), real.test_rows
    return np.array([powers(rows, train, test, seed) for seed in real.seeds])


def _powers_of_train(real: "Evaluator") -> np.ndarray:
    return _powers(real.train_sample(real.sizes["utility"]), real)


_JIANG = "global utility, Jiang et al. 2025, arXiv 2509.11950"

UTILITY = Measure(
    "utility",
    score_utility,
    (
        Number(
            "global utility", "higher", POSITIVE,
            "how well each column is predicted from the others by a model trained on it, over one "
            "trained on train rows, averaged over columns",
            "1", _JIANG,
            Rule(below, 0.05, 0.2),
        ),
        Number(
            "worst utility", "higher", POSITIVE,
            "the same of the column that suffers most",
            "1 or less", _JIANG,
            Rule(below, 0.1, 0.4),
        ),
    ),
    seconds=12.0,
    cap=CAP,
    default=False,
    listed_after="diff-MLEF lr 0.1",
)  # fmt: skip
