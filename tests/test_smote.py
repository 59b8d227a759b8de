"""SMOTE-NC: new rows lie between a row and one of its nearest."""

import numpy as np
import pandas as pd

from generators.smote import SMOTE, interpolate, neighbours, vote


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
