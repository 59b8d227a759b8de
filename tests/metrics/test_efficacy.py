"""metrics.efficacy: the regressor of the paper, what it learns, and what it cannot."""

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from sklearn.metrics import accuracy_score, log_loss
from sklearn.utils.class_weight import compute_sample_weight

from metrics import diff_mlef
from metrics.efficacy import Classifier, Regressor, diff_skill, mlef, skill, transform_for

QUICK = Regressor(iterations=20, depth=4, learning_rate=0.5, thread_count=1)


def table(n, seed, noise=0.1):
    rng = np.random.default_rng(seed)
    site = rng.choice(["BNL", "CERN", "RAL"], n)
    files = rng.integers(1, 50, n)
    log = np.log(files) + (site == "BNL") + noise * rng.normal(size=n)
    return pd.DataFrame({"files": files, "site": pd.Categorical(site), "workload": np.exp(log)})


def shuffled(frame, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({c: frame[c].iloc[rng.permutation(len(frame))].array for c in frame})


def test_the_paper_settings_are_the_default():
    assert (Regressor().iterations, Regressor().depth, Regressor().learning_rate) == (200, 10, 1.0)


def test_mlef_is_the_mean_squared_error_of_that_regressor():
    train, test = table(300, 0), table(200, 1)
    model = CatBoostRegressor(
        iterations=20,
        depth=4,
        learning_rate=0.5,
        thread_count=1,
        random_seed=5,
        verbose=False,
        loss_function="RMSE",
        allow_writing_files=False,
        cat_features=["site"],
    )
    code = {value: i for i, value in enumerate(train["site"].cat.categories)}
    x, x_test = (t[["files"]].assign(site=[code[s] for s in t["site"]]) for t in (train, test))
    error = model.fit(x, np.log(train["workload"])).predict(x_test) - np.log(test["workload"])
    value = mlef(train, test, "workload", "ln", seed=5, regressor=QUICK)
    assert value == pytest.approx(np.mean(error**2), rel=1e-9)


def test_good_rows_cost_nothing_and_shuffled_rows_much():
    train, test = table(1_500, 2), table(500, 3)
    good, bad = (
        diff_mlef(train, synthetic, test, "workload", regressor=QUICK)
        for synthetic in (table(1_500, 4), shuffled(train))
    )
    assert abs(good) < 0.05 < 0.5 < bad


def test_the_same_seed_gives_the_same_number():
    train, test = table(400, 5), table(100, 6)
    first, second = (
        diff_mlef(train, table(300, 7), test, "workload", seed=3, regressor=QUICK) for _ in "ab"
    )
    assert first == second


def test_both_regressors_get_equally_many_rows():
    """Of the larger table as many rows as the smaller one has, in order, drawn from the seed."""
    train, synthetic, test = table(400, 8), table(250, 9), table(50, 10)
    rng = np.random.default_rng(3)
    rng.permutation(250)
    fewer = train.iloc[np.sort(rng.permutation(400)[:250])]
    on_synthetic, on_fewer = (
        mlef(t, test, "workload", "ln", seed=3, regressor=QUICK) for t in (synthetic, fewer)
    )
    found = diff_mlef(train, synthetic, test, "workload", seed=3, regressor=QUICK)
    assert found == on_synthetic - on_fewer


@pytest.mark.parametrize(("low", "name"), [(1, "ln"), (0, "log1p"), (-1, "identity")])
def test_the_transform_follows_the_real_target(low, name):
    train = pd.DataFrame({"y": [low, 5], "x": [1, 2]})
    assert transform_for(train, train, "y") == name


def test_a_synthetic_target_outside_the_logarithm_is_raised_to_the_least_real_one():
    train, test = table(200, 11), table(100, 12)
    spoiled = train.assign(workload=-1.0)
    value = mlef(spoiled, test, "workload", "ln", regressor=QUICK)
    low = np.log(test["workload"].min())
    assert value == pytest.approx(np.mean((np.log(test["workload"]) - low) ** 2))


def test_where_nothing_can_be_learned_the_mean_is_predicted():
    test = table(50, 13)
    alone = pd.DataFrame({"y": [1.0, 3.0]})
    assert mlef(alone, alone, "y", "identity") == 1
    constant = test.assign(files=1, site="BNL")
    expected = np.var(np.log(test["workload"]))
    assert mlef(constant, test, "workload", "ln") == pytest.approx(expected)


def test_categories_unseen_in_training_are_scored():
    train, test = table(200, 14), table(100, 15)
    other = train.assign(site="TRIUMF")
    assert np.isfinite(diff_mlef(train, other, test, "workload", regressor=QUICK))


def test_no_file_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mlef(table(100, 16), table(50, 17), "workload", "ln", regressor=QUICK)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["site", "nope"])
def test_a_target_that_is_no_number_is_refused(target):
    with pytest.raises(ValueError, match=r"numerical column, got .*; known: \['files'"):
        diff_mlef(table(10, 18), table(10, 19), table(10, 20), target)


FAST = Classifier(iterations=15, depth=3, thread_count=1)


def test_skill_is_accuracy_and_macro_log_loss_of_that_classifier():
    train, test = table(400, 20), table(200, 21)
    model = CatBoostClassifier(
        iterations=15,
        depth=3,
        learning_rate=0.5,
        thread_count=1,
        random_seed=2,
        verbose=False,
        loss_function="MultiClass",
        allow_writing_files=False,
        max_ctr_complexity=1,
    )
    x, x_test = (t[["files", "workload"]].astype(float) for t in (train, test))
    order = list(train["site"].cat.categories)  # CatBoost's number depends on the order of classes
    label = [order.index(s) for s in test["site"]]
    p = model.fit(x, train["site"].cat.codes).predict_proba(x_test)
    found = skill(train, test, "site", seed=2, classifier=FAST)
    assert found.accuracy == pytest.approx(accuracy_score(label, p.argmax(axis=1)), abs=1e-12)
    alike = compute_sample_weight("balanced", label)
    assert found.log_loss == pytest.approx(log_loss(label, p, sample_weight=alike), rel=1e-9)


def test_shuffled_rows_teach_a_classifier_little_and_good_ones_as_much():
    train, test = table(1_500, 22), table(600, 23)
    good, bad = (
        diff_skill(train, rows, test, "site", classifier=FAST)
        for rows in (table(1_500, 24), shuffled(train))
    )
    assert abs(good.accuracy) < 0.06 and bad.accuracy < -0.2
    assert abs(good.log_loss) < 0.2 < bad.log_loss


def test_a_class_the_table_never_has_costs_the_least_probability():
    test = pd.DataFrame({"x": [1.0, 2.0], "s": ["a", "b"]})
    found = skill(pd.DataFrame({"x": [1.0, 2.0], "s": ["a", "a"]}), test, "s")
    assert found.accuracy == 0.5 and found.log_loss == pytest.approx(-np.log(1e-6) / 2)


def test_a_label_must_be_categorical():
    with pytest.raises(ValueError, match="label must be a categorical column, got 'files'"):
        skill(table(20, 25), table(20, 26), "files")


def test_a_synthetic_target_too_large_for_the_regressor_is_set_to_the_least_real_one():
    train, test = table(60, 27), table(40, 28).assign(workload=lambda t: t["workload"] - 5)
    value = mlef(train.assign(workload=1e300), test, "workload", "identity", regressor=QUICK)
    expected = np.mean((test["workload"] - test["workload"].min()) ** 2)
    assert value == pytest.approx(expected, rel=1e-9)
