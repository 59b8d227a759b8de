"""metrics.neighbours: the distances of brute force, to the last bit, on every kind of table."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics import neighbours
from metrics.neighbours import NeighbourIndex


def brute_force(index, query, k, weights, p, exclude_self=False):
    """(m, k) distances by comparing all pairs, terms summed as documented: categories, numbers."""
    (x, a), (y, b) = index, query
    cost = np.zeros((len(y), len(x)))
    for j in range(a.shape[1]):
        cost = cost + (b[:, j][:, None] != a[:, j]) * weights[j]
    for i in range(x.shape[1]):
        delta = np.abs(y[:, i][:, None] - x[:, i])
        cost = cost + (delta if p == 1 else delta * delta)
    if exclude_self:
        np.fill_diagonal(cost, np.inf)
    cost = np.hstack([np.sort(cost, axis=1), np.full((len(y), k), np.inf)])[:, :k]
    return np.sqrt(cost) if p == 2 else cost


def random_table(rng, n, d, c, n_values, n_levels, magnitude=1.0):
    numbers = rng.normal(size=(n, d)) if n_values == 0 else rng.integers(0, n_values, (n, d)) / 3
    return numbers.astype(float) * magnitude, rng.integers(0, n_levels, (n, c))


WEIGHTS = (
    [0.0, 0.1, 0.3, 1.7],
    [0.0, -0.0, 1.0],
    [1e-300, 1e-17, 1.0, 1e15],
    [1.0, 2.0**53, 2.0**53 + 2],  # whole numbers whose sums are rounded
    [1e300],
)


@st.composite
def problems(draw):
    """Index, query and settings: ties, one group, all-distinct categories, no columns of a kind."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    d, c = draw(st.integers(0, 4)), draw(st.integers(0, 6))
    n_values, n_levels = draw(st.sampled_from([0, 1, 3])), draw(st.sampled_from([1, 2, 5, 10_000]))
    n, m = draw(st.integers(1, 120)), draw(st.integers(0, 40))
    magnitude = draw(st.sampled_from([1.0, 1.0, -1e-200, 1e-9, 1e9, 1e150]))
    index = random_table(rng, n, d, c, n_values, n_levels, magnitude)
    query = random_table(rng, m, d, c, n_values, n_levels + 1, magnitude)
    weights = np.ones(c) if draw(st.booleans()) else rng.choice(draw(st.sampled_from(WEIGHTS)), c)
    return index, query, draw(st.integers(1, 6)), weights, draw(st.sampled_from([1, 2]))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(problems())
def test_distances_equal_brute_force(problem):
    index, query, k, weights, p = problem
    distance, row = NeighbourIndex(*index, weights, p).query(*query, k=k)
    assert np.array_equal(distance, brute_force(index, query, k, weights, p))
    assert all(len(set(r[r >= 0])) == (r >= 0).sum() for r in row)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems())
def test_leave_one_out_equals_brute_force(problem):
    index, _, k, weights, p = problem
    distance, row = NeighbourIndex(*index, weights, p).query(*index, k=k, exclude_self=True)
    assert np.array_equal(distance, brute_force(index, index, k, weights, p, exclude_self=True))
    assert (row != np.arange(len(row))[:, None]).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems())
def test_rows_lie_at_the_distances_given(problem):
    index, query, k, weights, p = problem
    distance, row = NeighbourIndex(*index, weights, p).query(*query, k=k)
    everything = brute_pairs(index, query, weights, p)
    for q, r in zip(*np.nonzero(row >= 0), strict=True):
        assert everything[q, row[q, r]] == distance[q, r]


def brute_pairs(index, query, weights, p):
    one_by_one = [
        brute_force((index[0][i : i + 1], index[1][i : i + 1]), query, 1, weights, p)
        for i in range(len(index[0]))
    ]
    return np.hstack(one_by_one)


@pytest.mark.parametrize("n_columns", [11, 20])
@pytest.mark.parametrize("weight", [1.0, 0.7])
def test_many_categories_fall_back_openly_and_stay_exact(n_columns, weight):
    rng = np.random.default_rng(0)
    index, query = (random_table(rng, n, 2, n_columns, 0, 3) for n in (1_000, 100))
    weights = np.full(n_columns, weight)
    search = NeighbourIndex(*index, weights)
    distance, _ = search.query(*query, k=3)
    assert np.array_equal(distance, brute_force(index, query, 3, weights, 2))
    assert search.work.fallback > 0
    scan = neighbours.PAIR * 100 * 1_000
    assert (search.work.subsets - 1) * neighbours.VISIT * 1_000 < scan


def spoiled(kind, n, rng):
    """A table made to be slow: numbers (n, 4) and codes (n, 5), or none of a kind."""
    uniform = rng.random((n, 4)), rng.integers(0, [150, 25, 4, 80, 4], (n, 5))
    own = rng.permutation(9 * n)[:n]
    return {
        "uniform random rows": uniform,
        "one giant group": (uniform[0], np.zeros((n, 5), int)),
        "every category its own": (uniform[0], np.tile(own, (5, 1)).T),
        "an id among the columns": (uniform[0], np.c_[uniform[1][:, :4], own]),
        "no numericals": (np.empty((n, 0)), uniform[1]),
        "no categoricals": (uniform[0], np.empty((n, 0), int)),
        "all rows equal": (np.full((n, 4), rng.random()), np.full((n, 5), rng.integers(9))),
        "far apart": (uniform[0] * 1e3, uniform[1]),
    }[kind]


KINDS = (
    "uniform random rows",
    "one giant group",
    "every category its own",
    "an id among the columns",
    "no numericals",
    "no categoricals",
    "all rows equal",
    "far apart",
)


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_tables_are_exact_without_a_scan(kind):
    rng = np.random.default_rng(6)
    index, query = spoiled(kind, 16_000, rng), spoiled(kind, 16_000, rng)
    search = NeighbourIndex(*index)
    distance, _ = search.query(*query, k=2)
    assert search.work.fallback < 100 and search.work.subsets <= 32
    some = rng.choice(16_000, 60, replace=False)
    expected = brute_force(index, (query[0][some], query[1][some]), 2, np.ones(5), 2)
    assert np.array_equal(distance[some], expected)


def test_one_index_serves_many_queries():
    rng = np.random.default_rng(7)
    index = random_table(rng, 800, 2, 12, 0, 3)
    shared, queries = NeighbourIndex(*index), [random_table(rng, 50, 2, 12, 0, 4) for _ in "abc"]
    for k, query in enumerate([*queries, index], start=1):
        fresh = NeighbourIndex(*index).query(*query, k=k, exclude_self=query is index)
        again = shared.query(*query, k=k, exclude_self=query is index)
        assert all(np.array_equal(a, b) for a, b in zip(fresh, again, strict=True))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread is all there is")
@pytest.mark.parametrize("n_columns", [3, 14])
def test_threads_do_not_change_the_rows_found(n_columns):
    rng = np.random.default_rng(8)
    index, query = (random_table(rng, 3_000, 2, n_columns, 3, 3) for _ in "ab")
    threads, found = numba.get_num_threads(), []
    for n in (1, 2):
        numba.set_num_threads(n)
        found.append(NeighbourIndex(*index).query(*query, k=5))
    numba.set_num_threads(threads)
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


def test_distances_beyond_float64_are_infinite():
    far = NeighbourIndex(np.array([[1e200]]), np.zeros((1, 0))).query(
        np.array([[-1e200]]), np.zeros((1, 0))
    )
    assert far[0].item() == np.inf and far[1].item() == -1


def test_cardinalities_whose_product_overflows_are_compressed():
    rng = np.random.default_rng(1)
    index, query = (random_table(rng, n, 1, 7, 0, 2_000) for n in (2_000, 100))
    index[1][:100] = query[1]
    distance, row = NeighbourIndex(*index).query(*query)
    assert 2_000**7 > neighbours.MAX_KEY
    assert np.array_equal(distance, brute_force(index, query, 1, np.ones(7), 2))


def test_codes_may_be_any_integers():
    index = NeighbourIndex(np.zeros((2, 0)), np.array([[-(2**62), 7], [2**62, -7]]))
    distance, row = index.query(np.zeros((2, 0)), np.array([[2**62, 0], [0, 0]]))
    assert row[0, 0] == 1
    assert distance.ravel().tolist() == [1.0, np.sqrt(2.0)]


def test_a_million_equal_rows_do_not_cost_a_scan_each():
    numbers, codes = np.ones((200_000, 2)), np.zeros((200_000, 1), np.int64)
    distance, row = NeighbourIndex(numbers, codes).query(numbers, codes, k=2, exclude_self=True)
    assert not distance.any()
    assert (row != np.arange(len(row))[:, None]).all()


def test_unseen_categories_everywhere_do_not_cost_a_scan_each():
    rng = np.random.default_rng(2)
    numbers, codes = np.zeros((30_000, 0)), rng.integers(0, 9, (30_000, 20))
    distance, _ = NeighbourIndex(numbers, codes).query(numbers, codes + 100)
    assert (distance == np.sqrt(20)).all()


def test_the_same_query_gives_the_same_rows():
    rng = np.random.default_rng(3)
    table = random_table(rng, 5_000, 2, 2, 3, 3)
    first, second = (NeighbourIndex(*table).query(*table, k=5) for _ in range(2))
    assert np.array_equal(first[1], second[1])


def test_fewer_candidates_than_k_leave_inf_and_minus_one():
    distance, row = NeighbourIndex(np.zeros((1, 1)), np.zeros((1, 1))).query(
        np.ones((1, 1)), np.ones((1, 1)), k=3
    )
    assert distance.tolist() == [[np.sqrt(2.0), np.inf, np.inf]]
    assert row.tolist() == [[0, -1, -1]]


def test_tables_are_not_changed():
    rng = np.random.default_rng(4)
    numbers, codes = random_table(rng, 100, 2, 2, 0, 3)
    before = numbers.copy(), codes.copy()
    NeighbourIndex(numbers, codes).query(numbers, codes, k=2)
    assert np.array_equal(numbers, before[0]) and np.array_equal(codes, before[1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x, c: NeighbourIndex(x[:0], c[:0]), "at least one row"),
        (lambda x, c: NeighbourIndex(x, c[:1]), "equally many rows"),
        (lambda x, c: NeighbourIndex(x * np.nan, c), "index: numbers must be finite, got nan"),
        (lambda x, c: NeighbourIndex(x, c, p=3), "p must be 1 or 2, got p=3"),
        (lambda x, c: NeighbourIndex(x, c, weights=[-1.0, 1.0]), "weights must be 2 finite"),
        (lambda x, c: NeighbourIndex(x, c, weights=[1e308, 1e308]), "weights must be 2 finite"),
        (
            lambda x, c: NeighbourIndex(x, c).query(x, c, k=0),
            "k must be a whole number of at least 1, got 0",
        ),
        (lambda x, c: NeighbourIndex(x, c).query(x[:, :1], c), "query must have 2 numbers"),
        (lambda x, c: NeighbourIndex(x, c).query(x * np.inf, c), "query: numbers must be finite"),
        (lambda x, c: NeighbourIndex(x, c).query(x[:1], c[:1], exclude_self=True), "3 rows"),
    ],
)
def test_wrong_arguments_are_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make(np.ones((3, 2)), np.zeros((3, 2), np.int64))


def test_an_index_asked_again_and_again_answers_every_table_alone():
    rng = np.random.default_rng(6)
    table = lambda n, top: (rng.random((n, 2)), rng.integers(0, top, (n, 2)))  # noqa: E731
    rows = table(400, 3)
    index = NeighbourIndex(*rows)
    for n, top in ((300, 3), (1, 3), (5, 9), (300, 4)):  # many queries, few, categories never seen
        query = table(n, top)
        expected = brute_force(rows, query, 2, np.ones(2), 2)
        assert np.array_equal(index.query(*query, k=2)[0], expected)


@pytest.mark.slow
def test_a_quarter_million_rows_equal_a_sampled_brute_force():
    rng = np.random.default_rng(5)
    n = 250_000
    index = rng.random((n, 4)), np.minimum(rng.zipf(1.5, (n, 5)), 100)
    query = rng.random((n, 4)), np.minimum(rng.zipf(1.5, (n, 5)), 120)
    distance, _ = NeighbourIndex(*index).query(*query, k=2)
    some = rng.choice(n, 100, replace=False)
    expected = brute_force(index, (query[0][some], query[1][some]), 2, np.ones(5), 2)
    assert np.array_equal(distance[some], expected)
