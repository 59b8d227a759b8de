"""metrics.privacy: distances as scikit-learn's, copies caught, intervals that cover."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from metrics import dcr
from metrics.bootstrap import block_interval
from metrics.privacy import Closest, closer_to_train, nndr, ranges


def table(n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "creationtime": rng.uniform(0, 10, n),
            "bytes": rng.lognormal(20, 1, n) + shift,
            "site": pd.Categorical(rng.choice(["BNL", "CERN", "RAL"], n)),
            "status": rng.choice(["finished", "failed"], n, p=[0.9, 0.1]),
        }
    )


def slow_distances(train, synthetic):
    """Euclid's distances where a mismatch of categories moves two coordinates by the root of ½."""
    both = pd.concat([train, synthetic]).astype({"site": str})
    numbers = both[["creationtime", "bytes"]]
    first = numbers.iloc[: len(train)]
    words = [
        (both[c] == v) * np.sqrt(0.5) for c in ("site", "status") for v in sorted(set(both[c]))
    ]
    points = np.column_stack([numbers / (first.max() - first.min()), *words])
    return np.sort(cdist(points[len(train) :], points[: len(train)]), axis=1)


def test_dcr_and_the_ratio_equal_scipys_brute_force():
    train, synthetic = table(800, 0), table(300, 1)
    expected = slow_distances(train, synthetic)
    np.testing.assert_allclose(dcr(train, synthetic), expected[:, 0], rtol=1e-9)
    ratio = nndr(Closest(train).distance(synthetic, k=2))
    np.testing.assert_allclose(ratio, expected[:, 0] / expected[:, 1], rtol=1e-9)


def test_the_nearer_side_is_that_of_brute_force():
    train, synthetic, holdout = table(200, 20), table(150, 21), table(200, 22)
    near, far = (slow_nearest(t, synthetic, train) for t in (train, holdout))
    expected = np.where(near < far, 1.0, np.where(near > far, 0.0, 0.5))
    np.testing.assert_array_equal(closer_to_train(train, synthetic, holdout), expected)


def slow_nearest(real, synthetic, train):
    """Closest rows of a table, scaled by the ranges of train."""
    total = np.zeros((len(synthetic), len(real)))
    for name in ("creationtime", "bytes"):
        delta = synthetic[name].to_numpy()[:, None] - real[name].to_numpy()[None]
        total += (delta / np.ptp(train[name])) ** 2
    for name in ("site", "status"):
        total += synthetic[name].to_numpy(str)[:, None] != real[name].to_numpy(str)[None]
    return np.sqrt(total.min(axis=1))


def test_dcr_by_hand():
    train = pd.DataFrame({"x": [0.0, 10.0], "site": ["a", "b"]})
    synthetic = pd.DataFrame({"x": [1.0, 10.0, 5.0, 20.0], "site": ["a", "b", "c", "a"]})
    expected = [0.1, 0.0, np.sqrt(0.25 + 1), np.sqrt(2)]
    np.testing.assert_allclose(dcr(train, synthetic), expected, rtol=1e-12)


def test_a_copy_is_at_distance_zero_and_nothing_else_is():
    train = table(500, 2)
    assert (dcr(train, train.sample(frac=1, random_state=0)) == 0).all()
    moved = train.assign(bytes=np.nextafter(train["bytes"], np.inf))
    assert (dcr(train, moved) > 0).mean() > 0.4


def test_a_constant_column_is_measured_in_its_own_unit():
    train = pd.DataFrame({"x": [3.0, 3.0]})
    assert ranges(train).tolist() == [1.0]
    assert dcr(train, pd.DataFrame({"x": [5.0]})).tolist() == [2.0]


def test_an_index_is_built_once_and_asked_often():
    train = table(300, 3)
    index = Closest(train)
    for seed in (4, 5):
        other = table(50, seed)
        assert np.array_equal(index.distance(other)[:, 0], dcr(train, other))
    assert index.distance(table(50, 4), k=2).shape == (50, 2)


def test_honest_rows_are_as_near_to_train_as_to_the_holdout():
    share = closer_to_train(table(4_000, 6), table(2_000, 7), table(2_000, 8)).mean()
    assert abs(share - 0.5) < 0.04


def test_memorised_rows_are_nearer_to_train_and_ties_count_half():
    train, holdout = table(1_000, 9), table(1_000, 10)
    assert closer_to_train(train, train, holdout).mean() == 1
    assert closer_to_train(train, holdout, holdout).mean() == 0
    assert (closer_to_train(train, table(100, 11), train) == 0.5).all()


def test_a_small_train_table_draws_the_holdout_down():
    share = closer_to_train(table(500, 12), table(2_000, 13), table(4_000, 14)).mean()
    assert abs(share - 0.5) < 0.06


def test_rows_of_one_block_widen_the_interval():
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(40), 50)
    values = np.repeat(rng.normal(size=40), 50)
    low, high = block_interval(values, day)
    naive_low, naive_high = block_interval(values, np.arange(len(values)))
    assert low < values.mean() < high
    assert high - low > 4 * (naive_high - naive_low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        values = rng.normal(size=(40, 1)) + rng.normal(size=(40, 5))
        low, high = block_interval(values.ravel(), np.repeat(np.arange(40), 5), n_boot=400)
        hits += low <= 0 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_a_holdout_of_other_columns_is_refused():
    train = table(20, 15)
    with pytest.raises(ValueError, match=r"holdout must have the columns of train, got missing"):
        closer_to_train(train, train, train.drop(columns="site"))


def test_the_ratio_of_the_two_nearest_by_hand():
    nearest = np.array([[1.0, 2.0], [0.0, 3.0], [0.0, 0.0], [1.0, np.inf]])
    np.testing.assert_array_equal(nndr(nearest), [0.5, 0.0, 1.0, np.nan])


def test_a_copy_has_ratio_zero_and_an_honest_row_has_not():
    train = table(800, 18)
    index = Closest(train)
    assert nndr(index.distance(train, k=2)).max() == 0
    assert 0.6 < nndr(index.distance(table(400, 19), k=2)).mean() < 0.95


def test_many_blocks_cost_no_memory_and_keep_the_width():
    values = np.random.default_rng(5).normal(size=60_000)
    tracemalloc.start()
    low, high = block_interval(values, np.arange(60_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6  # 2,000 drawings of 60,000 blocks would be 960 MB
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(60_000), rel=0.08)
