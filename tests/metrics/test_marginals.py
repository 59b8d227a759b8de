"""metrics.marginals: laws of the distances, and the same numbers as scipy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from metrics import jsd, marginals, wd

floats = st.floats(-1e6, 1e6, allow_subnormal=False)
samples = st.lists(floats, min_size=1, max_size=40).map(np.array)
counts = st.lists(st.integers(0, 50), min_size=1, max_size=12).map(np.array)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(samples, samples)
def test_w1_equals_scipy_for_any_sizes(x, y):
    expected = wasserstein_distance(x, y)
    assert marginals.w1(x, y) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert marginals.w1(x, y) == marginals.w1(y, x)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(samples, st.permutations(range(5)), st.integers(1, 4))
def test_w1_of_a_sample_and_its_copies_is_zero(x, order, times):
    assert marginals.w1(x, np.tile(x, times)[::-1]) == 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(samples, st.integers(-1000, 1000))
def test_w1_of_a_shift_by_c_is_c(x, c):
    assert marginals.w1(x, x + c) == pytest.approx(abs(c), rel=1e-9, abs=1e-9)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(counts, st.data())
def test_jsd_equals_scipy_and_stays_in_its_bounds(a, data):
    b = np.array(data.draw(st.lists(st.integers(0, 50), min_size=len(a), max_size=len(a))))
    if a.sum() == 0 or b.sum() == 0:
        return
    value = marginals.jsd_counts(a, b)
    assert value == pytest.approx(jensenshannon(a, b, base=2) ** 2, abs=1e-9)
    assert 0 <= value <= 1
    assert value == pytest.approx(marginals.jsd_counts(b, a), abs=1e-12)
    assert marginals.jsd_counts(a, 3 * a) == 0


def table(n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.normal(size=n) + shift,
            "k": rng.integers(0, 9, n),
            "site": pd.Categorical(rng.choice(["BNL", "CERN", "RAL"], n)),
            "done": rng.random(n) < 0.3,
        }
    )


def test_wd_is_the_mean_over_numericals_of_w1_over_the_range_in_train():
    train, synthetic = table(400, 0), table(300, 1, shift=0.5)
    expected = [
        wasserstein_distance(train[c], synthetic[c]) / (train[c].max() - train[c].min())
        for c in ("x", "k")
    ]
    assert wd(train, synthetic) == pytest.approx(np.mean(expected), rel=1e-9)
    by_column = marginals.numerical(train, synthetic)
    in_sd = expected[0] * np.ptp(train["x"]) / train["x"].std(ddof=0)
    assert by_column["WD/sd"]["x"] == pytest.approx(in_sd, rel=1e-9)
    log = [np.sign(t["x"]) * np.log1p(np.abs(t["x"])) for t in (train, synthetic)]
    assert by_column["WD log"]["x"] == pytest.approx(wasserstein_distance(*log), rel=1e-9)


def test_jsd_counts_categories_that_train_never_saw():
    train = pd.DataFrame({"site": ["a", "b"]})
    assert jsd(train, pd.DataFrame({"site": ["c", "d"]})) == 1
    half = jsd(train, pd.DataFrame({"site": ["a", "c"]}))
    assert half == pytest.approx(jensenshannon([1, 1, 0], [1, 0, 1], base=2) ** 2)
    assert marginals.categorical(train, train)["JSD root"]["site"] == 0


def test_a_table_is_at_distance_zero_of_itself_in_any_order():
    train = table(500, 2)
    assert wd(train, train.sample(frac=1, random_state=0)) == 0
    assert jsd(train, train.sample(frac=1, random_state=0)) == 0


def test_a_constant_column_counts_in_its_own_unit():
    assert wd(pd.DataFrame({"x": [2.0, 2.0]}), pd.DataFrame({"x": [5.0]})) == 3


def test_without_columns_of_a_kind_the_mean_is_undefined():
    numbers, words = pd.DataFrame({"x": [1.0]}), pd.DataFrame({"s": ["a"]})
    assert np.isnan(wd(words, words)) and np.isnan(jsd(numbers, numbers))


@pytest.mark.parametrize("dtype", ["category", "object", "str", "bool"])
def test_words_and_truths_are_categories_whatever_their_dtype(dtype):
    values = [True, False, True] if dtype == "bool" else ["a", "b", "a"]
    train = pd.DataFrame({"c": pd.Series(values).astype(dtype)})
    assert jsd(train, train) == 0 and np.isnan(wd(train, train))


def test_the_order_of_columns_does_not_matter():
    train, synthetic = table(100, 3), table(100, 4)
    assert wd(train, synthetic) == wd(train, synthetic[synthetic.columns[::-1]])
    assert jsd(train, synthetic) == jsd(train, synthetic[synthetic.columns[::-1]])


@pytest.mark.parametrize("score", [wd, jsd])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.assign(x=np.nan), "column 'x': 20 of 20 values are missing, e.g. row 0"),
        (lambda t: t.assign(x=[1.0, np.inf] * 10), "column 'x': 10 of 20 values are infinite"),
        (lambda t: t.assign(site=None), "synthetic: column 'site': 20 of 20 values are missing"),
        (lambda t: t.drop(columns="x"), r"missing \['x'\] and unknown \[\]"),
        (lambda t: t.assign(y=1), r"missing \[\] and unknown \['y'\]"),
        (lambda t: t.iloc[:0], "one row and one column, got 0 rows and 4 columns"),
        (lambda t: t[["x", "k", "site", "done", "x"]], "must differ, got 'x' more than once"),
        (lambda t: t.assign(x="word"), "column 'x' must be of one kind everywhere"),
        (lambda t: t.assign(x=pd.Timestamp("2024-01-01")), "give times as numbers"),
        (lambda t: t.to_numpy(), "synthetic must be a pandas DataFrame, got ndarray"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_sentence(score, spoil, message):
    train = table(20, 5)
    with pytest.raises(ValueError, match=message) as error:
        score(train, spoil(train))
    assert "\n" not in str(error.value)


def test_large_values_and_many_rows_do_not_overflow():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=30_000), rng.normal(size=30_000) + 0.1
    small, large = (marginals.w1(x * s, y * s) / s for s in (1.0, 2.0**990))
    assert large == pytest.approx(small, rel=1e-12)
    frames = [pd.DataFrame({"x": v * 2.0**990}) for v in (x, y)]
    by_column = marginals.numerical(*frames).loc["x"]
    assert by_column["WD/sd"] == pytest.approx(small / x.std(), rel=1e-9)
