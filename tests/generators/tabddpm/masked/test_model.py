"""TabDDPM with the masked process: what it learns, fills in and finds odd."""

import numpy as np
import pandas as pd
import pytest
import torch

import generators
from generators.tabddpm import MaskedTabDDPM
from tests.generators.contracts import assert_resumes
from tests.generators.laws import CONDITIONS, assert_alike, dependent, holding

SMALL = {"d_trunk": 48, "d_head": 32, "n_coarse": 24, "n_fine": 4}
TABLE = dependent()
BIAS = 0.1  # that a model of a few seconds may be off, see `assert_alike`


@pytest.fixture(scope="module")
def fitted():
    return MaskedTabDDPM(**SMALL).fit(dependent(40_000, 7), steps=1000, progress=False)


def test_it_learns_the_law(fitted):
    sample, fresh = fitted.sample(20_000, seed=4), dependent(20_000, seed=9)
    assert_alike(sample, fresh, bias=0.03)
    for name, value in (("a", "work"), ("b", "v")):
        one, other = (t[t[name] == value] for t in (sample, fresh))
        assert_alike(one, other, bias=BIAS)


@pytest.mark.parametrize("where", CONDITIONS, ids=str)
def test_where_is_obeyed_and_the_rest_follows_the_law(fitted, where):
    given, fresh = fitted.sample(4000, seed=1, where=where), dependent(200_000, seed=2)
    assert holding(given, where).all()
    assert_alike(given, fresh[holding(fresh, where)], bias=BIAS)


def test_a_condition_that_no_row_holds_gets_a_sentence():
    table = pd.DataFrame({"a": ["p", "q"] * 500, "b": ["r", "s"] * 500})
    model = MaskedTabDDPM(**SMALL, shuffled=0.0).fit(table, steps=1, progress=False)
    model.net_.base_0.copy_(torch.tensor([[0.0, -200.0]]))
    model.net_.used.fill_(False)
    with pytest.raises(ValueError, match=r"where: 0 of \d+ drawn rows hold the condition"):
        model.sample(1, where={"a": "q"})


def test_missing_values_are_drawn_given_what_is_there(fitted):
    fresh = dependent(12_000, seed=5)
    table = fresh.astype({"spike": float})
    gaps = np.random.default_rng(0).random((len(table), 4)) < 0.3
    for name, gap in zip(["a", "b", "x", "spike"], gaps.T, strict=True):
        table.loc[gap, name] = None
    filled = fitted.impute(table, seed=1)
    pd.testing.assert_series_equal(filled.dtypes, TABLE.dtypes)
    assert filled.equals(fitted.impute(table, seed=1)) and not filled.isna().any().any()
    for name, gap in zip(["a", "b", "x", "spike"], gaps.T, strict=True):
        assert filled[name][~gap].equals(fresh[name][~gap])
        assert_alike(filled[gap], fresh[gap], bias=BIAS)
        if name != "a":
            known = gap & ~gaps[:, 0] & (fresh["a"] == "work")
            assert_alike(filled[known], fresh[known], bias=BIAS)


def test_rows_without_gaps_and_numbers_outside_the_range_stay(fitted):
    table = TABLE.iloc[5:9].assign(x=[-99.0, 0.123, 99.0, 1.0])
    assert fitted.impute(table).equals(table)
    nothing_known = pd.DataFrame(None, range(500), TABLE.columns, dtype=object)
    assert_alike(fitted.impute(nothing_known, seed=3), fitted.sample(20_000, seed=4))


def test_a_category_never_seen_is_not_taken_for_a_gap(fitted):
    with pytest.raises(ValueError, match="a: 'never' was not seen in training"):
        fitted.impute(TABLE.assign(a="never"))


def test_log_prob_is_that_of_samples():
    table = pd.DataFrame({"a": list("xyz") * 40, "b": list("pq") * 60, "c": list("rrst") * 30})
    model = MaskedTabDDPM(**SMALL).fit(table, steps=30, progress=False)
    index = pd.MultiIndex.from_product([list("xyz"), list("pq"), list("rst")], names=list("abc"))
    every = index.to_frame(index=False)
    p = np.exp(model.log_prob(every))
    assert p.sum() == pytest.approx(1, abs=1e-5)
    sample = model.sample(50_000, seed=0).value_counts(normalize=True).reindex(index).fillna(0)
    np.testing.assert_allclose(sample.to_numpy(), p, atol=0.01)
    assert model.log_prob(every.assign(a="never")).max() == -np.inf


def test_broken_rows_are_more_anomalous_than_whole_ones(fitted):
    fresh = dependent(500, seed=6)
    usual = np.quantile(fitted.anomaly_score(fresh), 0.9)
    broken = fresh.assign(x=-fresh["x"])
    assert np.mean(fitted.anomaly_score(broken) > usual) > 0.9
    assert (fitted.anomaly_score(fresh.assign(a="never")) > usual).all()
    outside = fitted.anomaly_score(fresh.assign(x=[1e3] * 250 + [1e4] * 250))
    assert outside[250:].min() > outside[:250].max() > usual


def test_several_columns_a_step_are_faster_to_say_and_know_less(fitted):
    at_once = fitted.sample(20_000, seed=1, steps=1)
    assert_alike(at_once, dependent(20_000, seed=9), bias=0.1)  # each column by itself is right
    assert np.mean(at_once["b"][at_once["a"] == "work"] == "u") < 0.8  # .9 where they are seen
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1, got 0"):
        fitted.sample(5, steps=0)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path):
    assert_resumes(lambda: MaskedTabDDPM(**SMALL), TABLE, tmp_path / "run", steps=30, stop=17)


def test_a_saved_model_does_all_that_it_did(fitted, tmp_path):
    again = generators.load(fitted.save(tmp_path))
    where = {"x": (0, 11), "b": "u"}
    assert again.sample(50, seed=1, where=where).equals(fitted.sample(50, seed=1, where=where))
    assert (again.anomaly_score(TABLE[:50]) == fitted.anomaly_score(TABLE[:50])).all()
    assert again.impute(TABLE[:9].assign(b=None)).equals(fitted.impute(TABLE[:9].assign(b=None)))


GRID = pd.DataFrame(
    {
        "cents": np.tile(np.arange(1000) / 100, 3),
        "quarter": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(3000) * 15, unit="min"),
        "c": ["a", "b", "c"] * 1000,
    }
)


@pytest.fixture(scope="module")
def gridded():
    return MaskedTabDDPM(**SMALL).fit(GRID, steps=3, progress=False)


@pytest.mark.parametrize(
    ("where", "name", "n"),
    [
        ({"cents": (3.10, 3.14)}, "cents", 5),
        ({"cents": 3.14}, "cents", 1),
        ({"quarter": ("2024-01-02 00:00", "2024-01-02 00:45")}, "quarter", 4),
        ({"quarter": "2024-01-02 00:15"}, "quarter", 1),
    ],
)
def test_the_ends_of_a_range_come_as_often_as_its_middle(gridded, where, name, n):
    share = gridded.sample(4000, seed=1, where=where)[name].value_counts(normalize=True)
    assert len(share) == n and np.abs(share * n - 1).max() < 0.2


def test_what_is_known_stays_to_the_last_bit(gridded):
    table = pd.DataFrame(
        {
            "cents": [0.123456, None],
            "quarter": pd.to_datetime(["2030-05-05 00:07", "2024-01-03 03:17"]),
            "c": [None, "b"],
        }
    )
    filled = gridded.impute(table)
    assert filled["cents"][0] == 0.123456 and filled["c"][1] == "b"
    assert filled["quarter"].tolist() == table["quarter"].tolist()
    whole = MaskedTabDDPM(**SMALL).fit(GRID.assign(n=range(3000)), steps=1, progress=False)
    with pytest.raises(ValueError, match="n: 2.5 does not fit int64"):
        whole.impute(table.assign(n=[2.5, 3.0]))
