"""metrics.utility: the ratio written out plainly, relations kept and relations lost."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import balanced_accuracy_score

from metrics import Evaluator
from metrics.utility import FOREST, utility


def table(n, seed):
    rng = np.random.default_rng(seed)
    site = rng.integers(0, 3, n)
    size = rng.lognormal(site, 0.3)
    kind = np.where(size > np.e, "large", "small")
    return pd.DataFrame({"site": np.array(["a", "b", "c"])[site], "size": size, "kind": kind})


def shuffled(rows, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: rng.permutation(rows[name]) for name in rows})


def test_a_column_has_the_ratio_of_what_two_forests_find():
    train, made, test = table(300, 0), shuffled(table(300, 1)), table(200, 2)
    codes = {"a": 0, "b": 1, "c": 2, "large": 0, "small": 1}
    order = np.random.default_rng(0).permutation(300)
    found = {}
    for who, rows in (("made", made.iloc[np.sort(order)]), ("real", train)):
        x, y = (
            t.assign(site=t["site"].map(codes), kind=t["kind"].map(codes)) for t in (rows, test)
        )
        told = RandomForestClassifier(**FOREST, random_state=0)
        told.fit(x[["size", "kind"]].to_numpy(float), x["site"])
        share = balanced_accuracy_score(
            y["site"], told.predict(y[["size", "kind"]].to_numpy(float))
        )
        line = RandomForestRegressor(**FOREST, random_state=0)
        line.fit(x[["site", "kind"]].to_numpy(float), np.log(x["size"]))
        off = line.predict(y[["site", "kind"]].to_numpy(float)) - np.log(y["size"])
        found[who] = share, 1 / np.sqrt(np.mean(off**2))
    values = utility(train, made, test)
    assert values["site"] == pytest.approx(found["made"][0] / found["real"][0], rel=0.1)
    assert values["size"] == pytest.approx(found["made"][1] / found["real"][1], rel=0.1)


def test_train_itself_has_utility_one_and_shuffled_columns_little():
    train, test = table(400, 0), table(400, 1)
    assert np.allclose(utility(train, train, test), 1)
    assert (utility(train, shuffled(train), test) < 0.8).all()


def test_neither_the_order_of_columns_nor_the_seed_of_others_matters():
    train, made, test = table(200, 0), table(200, 1), table(200, 2)
    turned = utility(train, made[["kind", "size", "site"]], test[["size", "site", "kind"]])
    assert utility(train, made, test).equals(turned)


def test_the_measure_gives_mean_and_worst_beside_a_floor():
    train, holdout = table(600, 0), table(600, 1)
    real = Evaluator(train, holdout, only=["utility"], target=None)
    good, bad = (real.score(rows).values for rows in (table(300, 2), shuffled(train)))
    assert 0.8 < real.floor.values["global utility"] < 1.2
    assert bad["worst utility"] <= bad["global utility"] < 0.7 < good["worst utility"]


def test_a_table_of_one_column_has_nothing_to_predict_from():
    one = table(20, 0)[["size"]]
    with pytest.raises(ValueError, match=r"utility needs two columns .* got \['size'\]"):
        utility(one, one, one)
