"""SMOTE-NC: new rows lie between a row and one of its nearest."""

import json

import numpy as np
import pandas as pd
import pytest

from generators import smote
from generators.base import CARD, sealed
from generators.smote import SMOTE, SMOTEConfig, interpolate, neighbours, shuffled, vote
from tests.generators.laws import holding


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


@pytest.mark.parametrize("where", [{"c": "rare", "d": "b"}, {"x": (0.5, 1.5), "d": ["a", "b"]}])
def test_rows_under_a_condition_are_mixtures_of_the_rows_that_hold_it(where):
    table = grouped()
    model = SMOTE().fit(table)
    given = model.sample(300, seed=1, where=where)
    assert holding(given, where).all()
    alone = SMOTE().fit(table[holding(table, where)]).sample(300, seed=1)
    pd.testing.assert_frame_equal(given, alone, check_exact=True)


def sparse(n=6000):
    """Levels that no neighbour has: of one row in 400, of three rows, of one, and gaps of a few."""
    rng = np.random.default_rng(5)
    level = np.where(rng.random(n) < 1 / 400, "seldom", rng.choice(list("abc"), n)).astype(object)
    level[:3], level[3] = "three", "once"
    x = rng.normal(size=n)
    x[4:16] = np.nan
    others = {f"y{i}": rng.normal(size=n) for i in range(6)}  # so many that all rows are far apart
    return pd.DataFrame({"x": x, "c": level} | others)


def test_rare_levels_keep_their_shares():
    table = sparse()
    model = SMOTE().fit(table)
    made = model.sample(len(table), seed=3)  # every row is mixed once
    expected = table["c"].value_counts()
    for level in ("seldom", "three", "once"):
        assert (made["c"] == level).sum() == expected[level]
    assert made["x"].isna().sum() == 12
    assert model.sample(50, seed=0, where={"c": "once"})["c"].eq("once").all()
    assert model.sample(50, seed=0, where={"c": "seldom", "x": (0, None)})["x"].min() >= 0
    voted = SMOTE(rare=0.0).fit(table).sample(len(table), seed=3)
    assert (voted["c"] == "seldom").sum() < expected["seldom"] / 2
    assert not voted["c"].isin(["three", "once"]).any()


def test_frequent_levels_are_voted_as_in_the_paper():
    table = grouped()
    ours, paper = (SMOTE(rare=r).fit(table).sample(3000, seed=1) for r in (0.005, 0.0))
    pd.testing.assert_frame_equal(ours, paper)


def test_a_condition_that_no_row_holds_may_be_held_by_a_mixture():
    table = pd.DataFrame({"x": np.tile([0.25, 0.75], 20), "c": ["a", "b"] * 20})
    where = {"x": (0.4, 0.6)}
    made = SMOTE(k=25).fit(table).sample(20, seed=1, where=where)
    assert made["x"].between(0.4, 0.6).all()


def test_a_model_saved_before_there_was_a_choice_votes(tmp_path):
    SMOTE().fit(sparse(600)).save(tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    del card["config"]["rare"]
    (tmp_path / CARD).write_text(json.dumps(sealed(card)))
    assert SMOTE.load(tmp_path).config == SMOTEConfig(rare=0.0)


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
