"""Machine-learning efficacy: is a regressor trained on synthetic rows as good as one on real rows?

In: train, synthetic and real test rows, and a numerical target. Out: the difference of two mean
squared errors on the test rows, 0 is best, negative possible.
Source: Park et al. (2024, arXiv 2410.07940), secs. IV.B and V: CatBoost, 200 iterations of depth 10
at learning rate 1.0, RMSE loss on the natural logarithm of the target.
"""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from metrics import columns

FEW = 10_000  # rows below which threads wait for each other longer than they work
TRANSFORMS = {  # name: (function, whether a value is in its domain)
    "ln": (np.log, lambda y: y > 0),
    "log1p": (np.log1p, lambda y: y >= 0),
    "identity": (np.asarray, np.isfinite),
}


@dataclass(frozen=True)
class Regressor:
    """Settings of CatBoost; the defaults are the paper's."""

    iterations: int = 200
    depth: int = 10
    learning_rate: float = 1.0
    max_ctr_complexity: int | None = None  # 1 is a fast mode that is not the paper's: label it so
    thread_count: int | None = None  # all cores, one for few rows; the result is the same


def diff_mlef(
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    test: pd.DataFrame,
    target: str,
    *,
    seed: int = 0,
    regressor: Regressor = Regressor(),
) -> float:
    """MSE on `test` of a regressor trained on n synthetic rows minus one trained on n train rows.

    n is the smaller of the two tables; the other is drawn down to it. The target's transform is
    `transform_for(train, test, target)`.
    """
    columns.check(train, "train")
    synthetic = columns.aligned(train, synthetic, "synthetic")
    transform = transform_for(train, test, target)
    n = min(len(train), len(synthetic))
    rng = np.random.default_rng(seed)
    on_synthetic, on_train = (
        mlef(table.iloc[np.sort(rng.permutation(len(table))[:n])], test, target, transform,
             seed=seed, regressor=regressor)
        for table in (synthetic, train)
    )  # fmt: skip
    return on_synthetic - on_train


def transform_for(train: pd.DataFrame, test: pd.DataFrame, target: str) -> str:
    """"ln" where the real target is positive, "log1p" where it may be zero, else "identity"."""
    numerical = columns.split(train)[0]
    if target not in numerical:
        raise ValueError(f"target must be a numerical column, got {target!r}; known: {numerical}")
    low = min(train[target].min(), test[target].min())
    if low > 0:
        return "ln"
    return "log1p" if low == 0 else "identity"


def mlef(
    table: pd.DataFrame,
    test: pd.DataFrame,
    target: str,
    transform: str,
    *,
    seed: int = 0,
    regressor: Regressor = Regressor(),
) -> float:
    """MSE of the transformed target on `test` by a regressor trained on `table`.

    A synthetic target outside the domain of the transform is raised to the smallest value in test.
    """
    test = columns.aligned(columns.check(table, "table"), test, "test")
    known = columns.levels(table, test)
    x, y = _design(table, target, known)
    x_test, y_test = _design(test, target, known)
    y_hat = _predict(x, _apply(transform, y, y_test.min()), x_test, len(known), seed, regressor)
    return float(np.mean((y_hat - _apply(transform, y_test, y_test.min())) ** 2))


def _design(table: pd.DataFrame, target: str, known: list[dict]) -> tuple[pd.DataFrame, np.ndarray]:
    """Features, categorical columns last and as codes, and the target."""
    rest = [name for name in columns.split(table)[0] if name != target]
    codes = columns.encode(table, known).codes
    x = {f"n{i}": table[name].to_numpy(np.float64) for i, name in enumerate(rest)}
    x |= {f"c{j}": codes[:, j] for j in range(len(known))}
    return pd.DataFrame(x, index=range(len(table))), table[target].to_numpy(np.float64)


def _apply(transform: str, y: np.ndarray, low: float) -> np.ndarray:
    function, inside = TRANSFORMS[transform]
    return function(np.where(inside(y), y, low))


def _predict(x, y, x_test, n_categorical: int, seed: int, regressor: Regressor) -> np.ndarray:
    """CatBoost's prediction; the mean where nothing can be learned, which CatBoost refuses."""
    if y.min() == y.max() or all(x[name].nunique() < 2 for name in x):
        return np.full(len(x_test), y.mean())
    from catboost import CatBoostRegressor

    settings = {k: v for k, v in asdict(regressor).items() if v is not None}
    settings.setdefault("thread_count", 1 if len(x) < FEW else -1)
    model = CatBoostRegressor(
        loss_function="RMSE",
        random_seed=seed,
        cat_features=list(x.columns[len(x.columns) - n_categorical :]),
        allow_writing_files=False,
        verbose=False,
        **settings,
    )
    return model.fit(x, y).predict(x_test)
