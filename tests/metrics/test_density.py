"""metrics.density: the embedding's distances, the curves by hand, and what they catch."""

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import interp1d
from scipy.spatial.distance import cdist
from scipy.stats import norm, rankdata

from metrics import density
from metrics.density import LEVELS, Points, alpha_beta, distance_to_mean, embed


def table(n, seed):
    rng = np.random.default_rng(seed)
    site = rng.choice(["BNL", "CERN", "RAL"], n, p=[0.6, 0.3, 0.1])
    x = rng.lognormal(0, 2, n) * (1 + (site == "RAL"))
    return pd.DataFrame(
        {
            "x": x,
            "k": rng.integers(0, 4, n),
            "site": pd.Categorical(site),
            "done": rng.random(n) < 0.3,
        }
    )


def normal_scores(values):
    """The map to normal quantiles of mid-ranks among `values`, with straight lines between them."""
    ranks = norm.ppf((rankdata(values) - 0.5) / len(values))
    line = interp1d(*np.unique(np.array([values, ranks], float), axis=1))
    return lambda x: line(np.clip(x, values.min(), values.max()))


def written_out(train, *tables):
    """The embedding as a plain matrix with one-hot columns."""
    out = []
    for t in tables:
        parts = []
        for name in ("x", "k"):
            z = normal_scores(train[name])
            parts.append(z(t[name]) / z(train[name]).std())
        for name in ("site", "done"):
            share = train[name].value_counts(normalize=True)
            size = 1 / np.sqrt(1 - np.sum(share**2))
            parts += [size * (t[name] == v).to_numpy(float) for v in share.index]
        out.append(np.column_stack(parts))
    return out


def test_distances_and_centres_are_those_of_the_matrix_written_out():
    train, a, b = table(400, 0), table(120, 1), table(100, 2)
    p, q = embed(train, a, b)
    m, n = written_out(train, a, b)
    np.testing.assert_allclose(
        distance_to_mean(p, q), np.linalg.norm(m - n.mean(0), axis=1), atol=1e-9
    )
    nearest = np.sort(cdist(m, n), axis=1)[:, :3]
    np.testing.assert_allclose(q.index().query(p.numbers, p.codes, k=3)[0], nearest, atol=1e-9)


def test_curves_agree_with_a_plain_restatement():
    train, a, b = table(300, 3), table(150, 4), table(150, 5)
    m, n = written_out(train, a, b)
    r, s = embed(train, a, b)
    radius = np.quantile(np.linalg.norm(m - m.mean(0), axis=1), LEVELS)
    out = np.linalg.norm(n - m.mean(0), axis=1)
    precision = [(out <= x).mean() for x in radius]
    np.testing.assert_allclose(density.precision(r, s), precision, atol=1e-12)
    own, across = (np.round(cdist(m, x), 12) for x in (m, n))  # rows at one distance stay there
    centre = np.linalg.norm(n - n.mean(0), axis=1)
    reached = across.min(axis=1) <= np.sort(own, axis=1)[:, density.K]
    place = centre[across.argmin(axis=1)]
    curve = [np.mean(reached & (place <= x + 1e-12)) for x in np.quantile(centre, LEVELS)]
    np.testing.assert_allclose(density.recall(r, s), curve, atol=1e-12)
    expected = [1 - 2 * np.mean(np.abs(np.array(c) - LEVELS)) for c in (precision, curve)]
    np.testing.assert_allclose(alpha_beta(train, a, b), expected, atol=1e-12)


@pytest.mark.parametrize(("k", "expected"), [(1, 0.5), (5, 1 - 2**-5)])
def test_honest_rows_reach_the_share_of_real_rows_that_k_says(k, expected):
    """Real and synthetic rows are as likely to be the next closest: K real ones first is 2^-K."""
    columns = ["x", "k"]
    train, real, made = (table(n, s)[columns] for n, s in ((2_000, 30), (1_500, 31), (1_500, 32)))
    reached = density.recall(*embed(train, real, made), k=k)[-1]
    assert reached == pytest.approx(expected, abs=0.05)


def test_a_train_copy_is_not_for_these_two_to_catch():
    train, real = table(1_500, 33), table(700, 34)
    copy, honest = (alpha_beta(train, real, made) for made in (train[:700], table(700, 35)))
    np.testing.assert_allclose(copy, honest, atol=0.08)


def test_real_rows_score_near_one():
    precision, recall = alpha_beta(table(3_000, 6), table(1_000, 7), table(1_000, 8))
    assert precision > 0.93 and recall > 0.85


def test_one_row_repeated_covers_nothing():
    honest = alpha_beta(table(1_000, 9), table(500, 10), table(500, 11))
    single = table(500, 12).iloc[[3] * 500]
    precision, recall = alpha_beta(table(1_000, 9), table(500, 10), single)
    assert recall < 0.2 < honest[1] and precision < 0.6 < honest[0]


def test_only_typical_rows_are_precise_in_the_core_and_recall_little():
    train, real = table(2_000, 13), table(800, 14)
    many = table(4_000, 15)
    (points,) = embed(train, many)
    core = many.iloc[np.argsort(distance_to_mean(points, points))[:800]]
    honest = alpha_beta(train, real, many.iloc[:800])
    narrow = alpha_beta(train, real, core)
    assert narrow[0] < honest[0] - 0.2 and narrow[1] < honest[1] - 0.2


def test_a_category_never_seen_is_as_far_as_any_mismatch():
    train = table(100, 16)
    a, b = embed(train, train, train.assign(site="nowhere"))
    distance = a.index().query(b.numbers, b.codes)[0]
    assert (distance >= np.sqrt(2 * a.weight[0]) - 1e-12).all()


def test_tables_of_one_kind_and_constants_are_scored():
    for names in (["x"], ["site"], ["k", "done"]):
        parts = [table(200, s)[names] for s in (17, 18, 19)]
        assert np.isfinite(alpha_beta(*parts)).all()
    same = pd.DataFrame({"x": [1.0] * 9, "s": ["a"] * 9})
    assert np.isfinite(alpha_beta(same, same, same)).all()
    assert np.isnan(alpha_beta(same, same[:1], same)).all()


def test_the_integral_is_one_on_the_diagonal_and_zero_at_nothing():
    assert density.integrated(LEVELS) == 1
    assert density.integrated(np.zeros(200)) == pytest.approx(0, abs=1e-12)


def test_points_count_their_rows():
    assert len(Points(np.zeros((3, 1)), np.zeros((3, 0), int), np.zeros(0))) == 3
