"""metrics.association: against slow restatements of Pearson, eta and Theil's U."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mutual_info_score

from metrics import diff_corr
from metrics.association import DENSE_PAIRS, Tables, association, matrix_difference


def table(n=600, seed=0):
    rng = np.random.default_rng(seed)
    site = rng.choice(["BNL", "CERN", "RAL", "pic"], n, p=[0.5, 0.3, 0.15, 0.05])
    x = rng.normal(size=n) + 2 * (site == "BNL")
    return pd.DataFrame(
        {
            "site": site,
            "x": x,
            "y": x + rng.normal(size=n),
            "k": rng.integers(0, 1_000_000, n),
            "tier": np.where(site == "CERN", "T0", rng.choice(["T1", "T2"], n)),
        }
    )


def eta(category, values):
    """Correlation ratio: root of between-group over total sum of squares."""
    groups = pd.Series(values).groupby(np.asarray(category))
    between = sum(len(g) * (g.mean() - np.mean(values)) ** 2 for _, g in groups)
    return np.sqrt(between / np.sum((values - np.mean(values)) ** 2))


def entropy(values):
    """In nats, of the shares of each value."""
    p = np.unique(values, return_counts=True)[1] / len(values)
    return -np.sum(p * np.log(p))


def theils_u(row, column):
    """Share of the row's entropy that the column explains: 1 - H(row|column) / H(row)."""
    p = pd.Series(row).value_counts(normalize=True)
    entropy = -np.sum(p * np.log(p))
    joint = pd.crosstab(row, column, normalize=True)
    given = joint / joint.sum(axis=0)
    conditional = -np.nansum(joint * np.log(given.where(given > 0)))
    return 1 - conditional / entropy


def test_numericals_come_first_and_entries_are_pearson_eta_and_u():
    t = table()
    m = association(t)
    assert list(m.columns) == ["x", "y", "k", "site", "tier"]
    assert m.loc["x", "y"] == pytest.approx(np.corrcoef(t["x"], t["y"])[0, 1], abs=1e-12)
    for number in ("x", "y", "k"):
        assert m.loc["site", number] == pytest.approx(eta(t["site"], t[number]), abs=1e-9)
        assert m.loc["site", number] == m.loc[number, "site"]
    assert m.loc["site", "tier"] == pytest.approx(theils_u(t["site"], t["tier"]), abs=1e-9)
    assert m.loc["tier", "site"] == pytest.approx(theils_u(t["tier"], t["site"]), abs=1e-9)
    assert m.loc["tier", "site"] != pytest.approx(m.loc["site", "tier"], abs=1e-3)
    assert (np.diag(m) == 1).all()


def test_u_agrees_with_scikit_learns_mutual_information():
    t = table(seed=1)
    shared = mutual_info_score(t["site"], t["tier"])
    p = t["site"].value_counts(normalize=True)
    expected = shared / -np.sum(p * np.log(p))
    assert association(t).loc["site", "tier"] == pytest.approx(expected, abs=1e-9)


def test_a_category_that_decides_another_explains_it_whole():
    t = pd.DataFrame({"queue": list("abcd") * 5, "cloud": list("xxyy") * 5})
    m = association(t)
    assert m.loc["cloud", "queue"] == pytest.approx(1, abs=1e-12)
    assert m.loc["queue", "cloud"] == pytest.approx(0.5, abs=1e-12)


def test_constants_have_no_correlation_and_are_explained():
    t = pd.DataFrame({"x": [0.1] * 7, "y": range(7), "c": ["a"] * 7, "d": list("abababa")})
    m = association(t)
    assert (m.loc["x", ["y", "c", "d"]] == 0).all()
    assert (m.loc["c", ["d"]] == 1).all() and m.loc["d", "c"] == 0
    assert np.isfinite(m.to_numpy()).all()


def test_large_offsets_and_scales_do_not_cancel():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 1000))
    near = association(pd.DataFrame({"x": x, "y": x + noise})).loc["x", "y"]
    far = association(pd.DataFrame({"x": 1e11 + 1e3 * x, "y": 1e-200 * (x + noise)})).loc["x", "y"]
    assert far == pytest.approx(near, abs=1e-9)


def test_many_levels_are_counted_sparsely_with_the_same_result():
    codes = np.random.default_rng(0).integers(0, (3, 50, 7), (600, 3))
    dense, sparse = Tables([3, 50, 7]), Tables([3, 50, 7], most=200)
    for block in np.split(codes, 4):
        dense.add(block)
        sparse.add(block)
    assert (len(dense.sparse), len(sparse.sparse)) == (0, 1)
    for pair in dense.pairs:
        one, other = (t.joint(pair) for t in (dense, sparse))
        np.testing.assert_array_equal(other[other > 0], one[one > 0])


def test_pairs_too_many_for_an_array_agree_with_the_plain_u():
    rng = np.random.default_rng(1)
    user = np.char.add("u", rng.integers(0, 4_500, 30_000).astype(str))
    file = np.char.add("f", rng.integers(0, 4_500, 30_000).astype(str))
    m = association(pd.DataFrame({"user": user, "file": file}))
    total, one, other = (entropy(x) for x in (np.char.add(user, file), user, file))
    assert len(set(user)) * len(set(file)) > DENSE_PAIRS
    assert m.loc["user", "file"] == pytest.approx((one + other - total) / one, abs=1e-9)


def test_diff_corr_is_the_root_mean_square_off_the_diagonal():
    train, synthetic = table(seed=2), table(seed=3)
    delta = association(synthetic).to_numpy() - association(train).to_numpy()
    off = delta[~np.eye(5, dtype=bool)]
    assert diff_corr(train, synthetic) == pytest.approx(np.sqrt(np.mean(off**2)), abs=1e-12)
    forms = matrix_difference(association(train), association(synthetic))
    assert forms["diff-CORR MAE"] == pytest.approx(np.abs(off).mean())
    assert forms["diff-CORR Frobenius"] == pytest.approx(np.sqrt(np.sum(delta**2)))
    assert forms["diff-CORR L2"] == pytest.approx(np.sqrt((delta**2).sum(axis=1)).mean())


def test_diff_corr_of_a_table_and_its_shuffle_is_zero():
    t = table()
    assert diff_corr(t, t.sample(frac=1, random_state=1)) == pytest.approx(0, abs=1e-12)


def test_one_column_has_no_pairs():
    assert np.isnan(diff_corr(pd.DataFrame({"x": [1, 2]}), pd.DataFrame({"x": [3, 4]})))


def test_a_table_of_many_blocks_has_the_matrix_of_one():
    t = table(n=140_000, seed=8)
    m = association(t)
    assert m.loc["x", "y"] == pytest.approx(np.corrcoef(t["x"], t["y"])[0, 1], abs=1e-12)
    assert m.loc["site", "k"] == pytest.approx(eta(t["site"], t["k"]), abs=1e-9)
    assert m.loc["site", "tier"] == pytest.approx(theils_u(t["site"], t["tier"]), abs=1e-9)
