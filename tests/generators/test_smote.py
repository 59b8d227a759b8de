"""SMOTE-NC: new rows lie between a row and one of its nearest."""

import numpy as np
import pandas as pd
import pytest

from generators import smote
from generators.smote import SMOTE, interpolate, neighbours, shuffled, vote


def test_neighbours_are_those_of_the_paper_s_distance():
    rng = np.random.default_rng(0)
    numbers, codes = rng.normal(size=(60, 3)) * [1.0, 50.0, 1e9], rng.integers(0, 3, (60, 2))
    scaled = numbers / numbers.std(0)
    d2 = ((scaled[:, None] - scaled) ** 2).sum(2) + (codes[:, None] != codes).sum(2)
    np.fill_diagonal(d2, np.inf)
    found = neighbours(numbers, codes, 5)
    np.testing.assert_allclose(np.take_along_axis(d2, found, 1), np.sort(d2, 1)[:, :5])


def test_a_constant_numerical_does_not_break_the_distance():
    numbers = np.column_stack([np.full(20, 3.0), np.arange(20.0)])
    assert set(neighbours(numbers, np.empty((20, 0), int), 1)[0]) == {1}


def test_interpolation_ends_at_the_row_and_at_its_mate():
    numbers = np.array([[0.0, 10.0], [4.0, 20.0]])
    gap = np.array([[0.0], [0.5], [1.0]])
    out = interpolate(numbers, np.zeros(3, int), np.ones(3, int), gap)
    assert out.tolist() == [[0.0, 10.0], [2.0, 15.0], [4.0, 20.0]]


def test_vote_takes_the_most_frequent_and_splits_ties():
    rng = np.random.default_rng(0)
    ballots = np.tile(np.array([[[3, 1], [3, 2], [5, 2], [3, 1], [0, 9]]]), (4000, 1, 1))
    won = vote(ballots, rng)
    assert set(won[:, 0]) == {3} and set(won[:, 1]) == {1, 2}
    assert abs((won[:, 1] == 1).mean() - 0.5) < 0.05


def test_numbers_are_interpolated_and_every_row_is_used_once():
    table = pd.DataFrame({"x": [0.0, 1.0, 100.0, 101.0], "c": ["a", "a", "b", "b"]})
    sample = SMOTE(k=1).fit(table).sample(4, seed=0)
    assert sample["x"].between(0, 1).sum() == 2 and sample["x"].between(100, 101).sum() == 2
    assert (sample["c"] == np.where(sample["x"] < 50, "a", "b")).all()


def test_the_order_of_the_table_does_not_show():
    table = pd.DataFrame({"x": np.arange(500.0), "c": ["a"] * 250 + ["b"] * 250})
    x = SMOTE().fit(table).sample(500, seed=0)["x"]
    assert abs(np.corrcoef(x, np.arange(500))[0, 1]) < 0.15


def test_rows_are_used_equally_often_up_to_one():
    used = np.bincount(shuffled(np.arange(7), 25, np.random.default_rng(0)), minlength=7)
    assert used.sum() == 25 and used.max() - used.min() == 1
    assert shuffled(np.arange(0), 0, np.random.default_rng(0)).tolist() == []


def grouped(n=3000):
    """A rare class of 1 %, in a table sorted by class."""
    rng = np.random.default_rng(1)
    rare = np.arange(n) < n // 100
    return pd.DataFrame(
        {
            "x": rng.normal(size=n) + 9 * rare,
            "y": rng.integers(0, 100, n),
            "c": np.where(rare, "rare", "common"),
            "d": rng.choice(list("abc"), n),
        }
    )


def test_no_class_structure_shows_in_the_order_of_rows():
    sample = SMOTE().fit(grouped()).sample(9000, seed=3)
    rare = np.flatnonzero(sample["c"] == "rare")
    assert 60 < len(rare) < 120
    assert np.abs(np.quantile(rare / 9000, [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.15
    same = (sample["c"].iloc[1:].to_numpy() == "rare") & (sample["c"].iloc[:-1] == "rare")
    assert same.sum() < 6  # 0.9 if independent


def test_rows_given_a_class_are_those_of_all_rows_that_hold_it():
    model = SMOTE().fit(grouped())
    given = model.sample(300, seed=1, where={"c": "rare", "d": "b"})
    everything = model.sample(90_000, seed=2)
    alike = everything[(everything["c"] == "rare") & (everything["d"] == "b")]
    assert (given["c"] == "rare").all() and (given["d"] == "b").all()
    assert abs(given["x"].mean() - alike["x"].mean()) < 4 * alike["x"].std() / 300**0.5


def test_chunks_do_not_show():
    model = SMOTE().fit(grouped())
    n = 2 * smote.CHUNK + 1000
    sample = model.sample(n, seed=0)
    assert sample["x"].between(-5, 14).all() and 0.005 < sample["c"].eq("rare").mean() < 0.017
    starts = [0, smote.CHUNK, 2 * smote.CHUNK]
    means = [sample["x"].iloc[k : k + 1000].mean() for k in starts]
    assert np.ptp(means) < 0.15 * 4 * sample["x"].std()
    one_by_one = model.numbers_[np.argsort(model.numbers_[:, 0]), 0]
    assert np.abs(np.quantile(sample["x"], 0.5) - np.quantile(one_by_one, 0.5)) < 0.1


def test_more_rows_than_fit_in_memory_are_refused_in_one_sentence():
    model = SMOTE().fit(grouped(100))
    with pytest.raises(ValueError, match="n=10000000000000 rows of 4 columns need about .* GiB"):
        model.sample(10**13)
