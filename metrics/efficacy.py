"""Machine-learning efficacy: is a model trained on synthetic rows as good as one on real rows?

In: train, synthetic and real test rows, and a target. Out: for a numerical target the difference of
two mean squared errors on the test rows, 0 is best, negative possible; for a categorical one the
differences of accuracy and of log loss.
Source: Park et al. (2024, arXiv 2410.07940), secs. IV.B and V: CatBoost, 200 iterations of depth 10
at learning rate 1.0, RMSE loss on the natural logarithm of the target. Classifiers, trained on
synthetic and tested on real rows: Esteban et al. (2017, arXiv 1706.02633).
"""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from foundations import checks

from . import frames
from .comparisons import Comparison
from .grades import Rule, above, below, error
from .measures import ANY, OURS, PARK, POSITIVE, Measure, Number
from .scores import Score

if TYPE_CHECKING:
    from .evaluation import Evaluator

CAP = 20_000  # rows the classifiers of the measure "MLE" are trained on
FEW = 10_000  # rows below which one thread is faster
LARGEST = 1e38  # CatBoost holds a target as float32
LEAST = 1e-6  # probability below which a log loss does not grow
TRANSFORMS = {  # name: (function, whether a value is in its domain)
    "ln": (np.log, lambda y: y > 0),
    "log1p": (np.log1p, lambda y: y >= 0),
    "identity": (np.asarray, lambda y: np.abs(y) <= LARGEST),
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
    train, synthetic, test = frames.seen(train, synthetic, test)
    transform = transform_for(train, test, target)
    on_synthetic, on_train = (
        mlef(rows, test, target, transform, seed=seed, regressor=regressor)
        for rows in equally_many(train, synthetic, seed)
    )
    return on_synthetic - on_train


def equally_many(train: pd.DataFrame, synthetic: pd.DataFrame, seed: int) -> list[pd.DataFrame]:
    """Rows of the synthetic table and of train, as many as the smaller of them has."""
    checks.seed(seed, bits=32)
    train, synthetic = frames.pair(train, synthetic)
    n, rng = min(len(train), len(synthetic)), np.random.default_rng(seed)
    return [t.iloc[np.sort(rng.permutation(len(t))[:n])] for t in (synthetic, train)]


def transform_for(train: pd.DataFrame, test: pd.DataFrame, target: str) -> str:
    """ "ln" where the real target is positive, "log1p" where it may be zero, else "identity".

    A few zeros must not turn a heavy tail into squares of its raw unit, hence log1p.
    """
    train, test = frames.seen(train, test)
    numerical = frames.split(train)[0]
    if target not in numerical:
        raise ValueError(f"target must be a numerical column, got {target!r}; known: {numerical}")
    low = min(train[target].min(), test[target].min())
    if low > 0:
        return "ln"
    if low < 0 and max(np.abs(t[target].to_numpy(float)).max() for t in (train, test)) > LARGEST:
        raise ValueError(
            f"a target with negative values must stay below {LARGEST:g} in size, "
            f"column {target!r} does not"
        )
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

    A synthetic target outside the domain of the transform is set to the smallest value in test.
    """
    checks.seed(seed, bits=32)
    table, test = frames.pair(table, test, ("table", "test"))
    known = frames.levels(table, test)
    x, y = _design(table, target, known)
    x_test, y_test = _design(test, target, known)
    y_hat = _predict(
        x, transformed(transform, y, y_test.min()), x_test, len(known), seed, regressor
    )
    return float(np.mean((y_hat - transformed(transform, y_test, y_test.min())) ** 2))


def _design(table: pd.DataFrame, target: str, known: list[dict]) -> tuple[pd.DataFrame, np.ndarray]:
    """Features, categorical columns last and as codes, and the target, as code if it is one."""
    numerical, categorical = frames.split(table)
    codes = frames.encode(table, known).codes
    x = {f"n{i}": table[n].to_numpy(np.float64) for i, n in enumerate(numerical) if n != target}
    x |= {f"c{j}": codes[:, j] for j, n in enumerate(categorical) if n != target}
    if target in categorical:
        y = codes[:, categorical.index(target)]
    else:
        y = table[target].to_numpy(np.float64)
    return pd.DataFrame(x, index=range(len(table))), y


def transformed(transform: str, y: np.ndarray, low: float) -> np.ndarray:
    """A target after its transform; what lies outside of its domain is set to `low`."""
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


@dataclass(frozen=True)
class Classifier:
    """Settings of CatBoost for a categorical target: small, because there may be 100 classes."""

    iterations: int = 30
    depth: int = 4
    learning_rate: float = 0.5
    thread_count: int | None = None  # all cores, one for few rows; the result is the same


class Skill(NamedTuple):
    """Of a classifier on real rows: accuracy 0..1, log loss in nats with every class alike."""

    accuracy: float
    log_loss: float


def diff_skill(
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    test: pd.DataFrame,
    target: str,
    *,
    seed: int = 0,
    classifier: Classifier = Classifier(),
) -> Skill:
    """Skill of a classifier trained on n synthetic rows minus that of one trained on n train rows.

    n is the smaller of the two tables; the other is drawn down to it.
    """
    made, real = (
        skill(rows, test, target, seed=seed, classifier=classifier)
        for rows in equally_many(train, synthetic, seed)
    )
    return Skill(made.accuracy - real.accuracy, made.log_loss - real.log_loss)


def skill(
    table: pd.DataFrame,
    test: pd.DataFrame,
    target: str,
    *,
    seed: int = 0,
    classifier: Classifier = Classifier(),
) -> Skill:
    """Accuracy and macro log loss on `test` of a classifier of `target` trained on `table`.

    The log loss is the mean over the classes of test of their mean -ln p(true class), p not below
    `LEAST`, so that a rare state of a job counts like a frequent one and a class the table never
    has costs -ln(LEAST) = 13.8.
    """
    checks.seed(seed, bits=32)
    table, test = frames.pair(table, test, ("table", "test"))
    categorical = frames.split(table)[1]
    if target not in categorical:
        raise ValueError(
            f"label must be a categorical column, got {target!r}; known: {categorical}"
        )
    known = frames.levels(table, test)
    n_classes = len(known[categorical.index(target)])
    (x, y), (x_test, y_test) = (_design(t, target, known) for t in (table, test))
    p = _probabilities(x, y, x_test, len(known) - 1, n_classes, seed, classifier)
    loss = -np.log(np.maximum(p[np.arange(len(y_test)), y_test], LEAST))
    by_class = pd.Series(loss).groupby(y_test).mean()
    return Skill(float(np.mean(p.argmax(axis=1) == y_test)), float(by_class.mean()))


def _probabilities(x, y, x_test, n_categorical, n_classes, seed, classifier) -> np.ndarray:
    """(n, n_classes); the shares of the classes where nothing can be learned."""
    out = np.zeros((len(x_test), n_classes))
    if np.unique(y).size < 2 or all(x[name].nunique() < 2 for name in x):
        return out + np.bincount(y, minlength=n_classes) / len(y)
    from catboost import CatBoostClassifier

    settings = {k: v for k, v in asdict(classifier).items() if v is not None}
    settings.setdefault("thread_count", 1 if len(x) < FEW else -1)
    model = CatBoostClassifier(
        loss_function="MultiClass",
        random_seed=seed,
        cat_features=list(x.columns[len(x.columns) - n_categorical :]) if n_categorical else None,
        max_ctr_complexity=1,
        allow_writing_files=False,
        verbose=False,
        **settings,
    )
    model.fit(x, y)
    out[:, model.classes_.astype(np.int64)] = model.predict_proba(x_test)
    return out


def score_regression(comparison: Comparison) -> Score:
    """The measure "diff-MLEF"."""
    real, score = comparison.real, Score()
    runs = _errors(comparison.large_rows, real, real.settings.regressor)
    score.add_runs("MLEF", runs)
    score.add_runs("diff-MLEF", runs - real.once(_errors_of_train))
    return score


def _errors(table: pd.DataFrame, real: "Evaluator", regressor: Regressor) -> np.ndarray:
    """(n_seeds,) error of the regressor trained on a table."""
    target, transform = real.settings.target, real.transform
    runs = [
        mlef(table, real.test_rows, target, transform, seed=seed, regressor=regressor)
        for seed in real.seeds
    ]
    return np.array(runs)


def _errors_of_train(real: "Evaluator") -> np.ndarray:
    return _errors(real.train_sample(real.n_mlef), real, real.settings.regressor)


DIFF_MLEF = Measure(
    "diff-MLEF",
    score_regression,
    (
        Number(
            "diff-MLEF", "lower", ANY,
            "its MLEF minus that of as many train rows",
            "0", PARK,
            Rule(error, 0.1, 1.0),
        ),
        Number(
            "MLEF", "lower", POSITIVE,
            "mean squared error, on unseen real rows, of a regressor trained on it",
            "what cannot be predicted, falls with n", PARK,
        ),
    ),
    seconds=8.0,
    rows="n_mlef",
    needs="target",
)  # fmt: skip


def score_slow_regression(comparison: Comparison) -> Score:
    """The measure "diff-MLEF lr 0.1"."""
    real, score = comparison.real, Score()
    runs = _errors(comparison.large_rows, real, _slow(real))
    score.add_runs("diff-MLEF lr 0.1", runs - real.once(_slow_errors_of_train))
    return score


def _slow_errors_of_train(real: "Evaluator") -> np.ndarray:
    return _errors(real.train_sample(real.n_mlef), real, _slow(real))


def _slow(real: "Evaluator") -> Regressor:
    return replace(real.settings.regressor, learning_rate=0.1)


DIFF_MLEF_SLOW = Measure(
    "diff-MLEF lr 0.1",
    score_slow_regression,
    (
        Number(
            "diff-MLEF lr 0.1", "lower", ANY,
            "diff-MLEF with a learning rate of 0.1 instead of 1",
            "0", OURS,
        ),
    ),
    seconds=8.0,
    rows="n_mlef",
    needs="target",
    default=False,
    listed_after="diff-MLEF",
)  # fmt: skip


def score_classification(comparison: Comparison) -> Score:
    """The measure "MLE"."""
    real, score = comparison.real, Score()
    made = _skills(real.subsample(comparison.rows, CAP), real)
    train = real.once(_skills_of_train)
    by_column = {label: made[label] - train[label] for label in real.labels}
    for i, name in enumerate(("diff-accuracy", "diff-log-loss")):
        score.add_runs(name, np.mean([delta[:, i] for delta in by_column.values()], axis=0))
        score.columns[name] = {c: float(delta[:, i].mean()) for c, delta in by_column.items()}
    return score


def _skills(table: pd.DataFrame, real: "Evaluator") -> dict[str, np.ndarray]:
    """By label (n_seeds, 2) skill of its classifier trained on a table."""
    classifier = real.settings.classifier
    return {
        label: np.array(
            [
                skill(table, real.test_rows, label, seed=seed, classifier=classifier)
                for seed in real.seeds
            ]
        )
        for label in real.labels
    }


def _skills_of_train(real: "Evaluator") -> dict[str, np.ndarray]:
    return _skills(real.train_sample(real.sizes["MLE"]), real)


_ESTEBAN = "train on synthetic, test on real, Esteban et al. 2017, arXiv 1706.02633"

MLE = Measure(
    "MLE",
    score_classification,
    (
        Number(
            "diff-accuracy", "higher", "-1 to 1",
            "accuracy of classifiers trained on it minus that of classifiers trained on train "
            "rows, averaged over the predicted columns",
            "0", _ESTEBAN,
            Rule(below, 0.02, 0.1),
        ),
        Number(
            "diff-log-loss", "lower", ANY,
            "log loss of those classifiers minus that of the others, averaged over classes",
            "0", _ESTEBAN,
            Rule(above, 0.1, 0.5),
        ),
    ),
    seconds=6.0,
    cap=CAP,
    needs="labels",
    default=False,
)  # fmt: skip
