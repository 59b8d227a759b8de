"""metrics.detection: AUC as scikit-learn's, blind to real rows, sharp on shuffled ones."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import metrics
from metrics import c2st
from metrics.detection import auc


def table(n, seed):
    rng = np.random.default_rng(seed)
    site = rng.integers(0, 300, n)
    x = rng.normal(size=n) + site / 50
    return pd.DataFrame(
        {
            "x": x,
            "y": x**2 + rng.normal(size=n),
            "site": pd.Categorical(site.astype(str)),
        }
    )


def test_auc_equals_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    y, score = rng.integers(0, 2, 500), rng.integers(0, 20, 500)
    assert auc(y, score) == pytest.approx(roc_auc_score(y, score), abs=1e-12)


@pytest.mark.parametrize("seed", [2**32, -1, 1.5])
def test_every_function_of_the_metrics_refuses_a_seed_in_a_sentence(seed):
    one = table(30, 0)
    calls = [
        lambda: c2st(one, one, seed=seed),
        lambda: metrics.diff_mlef(one, one, one, "x", seed=seed),
        lambda: metrics.efficacy.skill(one, one, "site", seed=seed),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=rf"seed must be .* below 2\*\*32, got {seed}"):
            call()
    for call in (metrics.privacy.closer_to_train, metrics.temporal.temporal):
        with pytest.raises(ValueError, match=r"seed must be .* below 2\*\*64, got -2"):
            call(one, one, *([one] if call is metrics.privacy.closer_to_train else []), seed=-2)


def test_real_rows_cannot_be_told_from_real_rows():
    assert abs(c2st(table(1_500, 1), table(1_500, 2)) - 0.5) < 0.05


def test_independent_columns_are_seen_through():
    real, fake = table(1_500, 3), table(1_500, 4)
    rng = np.random.default_rng(0)
    for name in fake:
        fake[name] = fake[name].iloc[rng.permutation(len(fake))].array
    assert c2st(real, fake) > 0.9


def test_a_category_real_rows_never_have_gives_it_away():
    real, fake = table(300, 5), table(300, 6)
    assert c2st(real, fake.assign(site="nowhere")) > 0.95


def test_the_same_seed_gives_the_same_number_and_sizes_may_differ():
    real, fake = table(400, 7), table(200, 8)
    assert c2st(real, fake, seed=1) == c2st(real, fake, seed=1)


def test_tables_of_one_kind_of_column_are_scored():
    real, fake = table(200, 9), table(200, 10)
    assert np.isfinite(c2st(real[["x", "y"]], fake[["x", "y"]]))
    assert np.isfinite(c2st(real[["site"]], fake[["site"]]))


def test_fewer_rows_than_folds_are_undefined():
    assert np.isnan(c2st(table(4, 11), table(50, 12)))


def test_it_is_the_mean_area_of_that_classifier_over_the_folds():
    real, fake = (t[["x", "y"]] for t in (table(150, 13), table(150, 14)))
    x = np.vstack([real, fake + 0.3])
    y = np.repeat([0, 1], 150)
    rng = np.random.default_rng(4)
    fold = np.concatenate([rng.permutation(150) % 3, rng.permutation(150) % 3])
    areas = []
    for f in range(3):
        model = HistGradientBoostingClassifier(early_stopping=False, random_state=4)
        model.fit(x[fold != f], y[fold != f])
        areas.append(roc_auc_score(y[fold == f], model.predict_proba(x[fold == f])[:, 1]))
    found = c2st(real, fake + 0.3, seed=4, n_folds=3)
    assert found == pytest.approx(np.mean(areas), abs=1e-9)
