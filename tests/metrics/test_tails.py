"""metrics.tails: quantiles by numpy, rules by hand."""

import numpy as np
import pandas as pd
import pytest

from metrics.tails import tails, validity


def test_relative_errors_of_the_quantiles_by_hand():
    train = pd.DataFrame({"x": np.arange(1001.0), "flat": np.zeros(1001)})
    found = tails(train, train.assign(x=train["x"] * 1.1, flat=2.0))
    assert found.loc["x", "tail q99"] == pytest.approx(0.1)
    assert found.loc["x", "tail q99.9"] == pytest.approx(0.1)
    assert found.loc["x", "above q99"] == np.mean(np.arange(1001.0) * 1.1 > 990)
    assert found.loc["flat", "tail q99"] == 2 and found.loc["flat", "above q99"] == 1


def test_clipped_tails_are_seen_where_the_mean_hardly_moves():
    x = np.random.default_rng(0).lognormal(0, 2, 20_000)
    train = pd.DataFrame({"x": x})
    clipped = train.clip(upper=np.quantile(x, 0.985))
    found = tails(train, clipped).loc["x"]
    assert found["tail q99.9"] > 0.5 and found["above q99"] == 0


def rows(**changes):
    base = {
        "files": [1, 2, 3, 4],
        "work": [0.5, 1.5, 2.5, 3.5],
        "site": list("abab"),
        "tier": list("xyxy"),
    }
    return pd.DataFrame(base | changes)


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({}, 0),
        ({"files": [1.0, 2.5, 3.0, 4.0]}, 0.25),
        ({"work": [9.0, 1.5, -1.0, 1.7]}, 0.5),
        ({"site": list("abzz")}, 0.5),
        ({"files": [1, 2, 3, 9], "site": list("abaz")}, 0.25),
    ],
)
def test_rows_that_cannot_be_are_counted_once(changes, share):
    assert validity(rows(), rows(**changes))["invalid share"] == share


def test_pairs_never_seen_are_counted():
    assert validity(rows(), rows(tier=list("yyxy")))["unseen pair share"] == 0.25
    assert validity(rows(), rows())["unseen pair share"] == 0


def test_dropped_categories_are_missed():
    found = validity(rows(), rows(site=list("aaaa"), tier=list("xxxx")))
    assert found["missing categories"] == 0.5


def test_tables_without_pairs_or_categories_leave_them_undefined():
    one = validity(rows()[["site"]], rows()[["site"]])
    none = validity(rows()[["work"]], rows()[["work"]])
    assert np.isnan(one["unseen pair share"]) and one["missing categories"] == 0
    assert np.isnan(none["missing categories"]) and none["invalid share"] == 0
