"""Mode-specific normalisation: what goes in comes back, and the modes are where the mass is."""

import numpy as np
import pandas as pd
import pytest

from generators.layout import Layout
from generators.modes import Encoding, ModeOptions, Modes, fit_modes, skewness

RNG = np.random.default_rng(4)
N = 3000
COLUMNS = {
    "two modes": np.where(RNG.random(N) < 0.3, RNG.normal(-5, 0.5, N), RNG.normal(4, 1.0, N)),
    "uniform": RNG.random(N) * 150,
    "heavy tail": RNG.standard_cauchy(N) * 1e6,
    "lognormal": RNG.lognormal(20, 2, N),
    "counts": RNG.poisson(4, N).astype(float),
    "spike": np.where(RNG.random(N) < 0.2, 1e11, RNG.lognormal(20, 2, N)),
    "up to 2**53": RNG.integers(-(2**53), 2**53, N).astype(float),
    "extreme": RNG.choice([0.0, 1e-300, 1.5, 1e300], N),
    "both ends of float64": RNG.choice([-1.7e308, 0.0, 1.7e308], N),
    "smallest floats": RNG.choice([0.0, 5e-324, 1e-320], N),
    "constant": np.full(N, 7.0),
}
ALL = ModeOptions(atom_share=0.02, long_tails=True, general=True)
OPTIONS = {"plain": ModeOptions(), "all": ALL}


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def fitted():
    return {(c, o): fit_modes(x, OPTIONS[o], rng()) for c, x in COLUMNS.items() for o in OPTIONS}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("column", COLUMNS)
def test_decode_inverts_encode(column, options, fitted):
    x, m = COLUMNS[column], fitted[column, options]
    code, alpha = m.encode(x, rng(1).random(N))
    assert code.min() >= 0 and code.max() < max(m.n_codes, 1) and np.abs(alpha).max() <= 1
    # halves, because the range may be beyond float64
    back, slack = m.decode(code, alpha) / 2, 1e-12 * (x.max() / 2 - x.min() / 2) + 1e-290
    assert np.all(np.abs(back - x / 2) <= slack)


@pytest.mark.parametrize("column", COLUMNS)
def test_any_place_in_any_mode_lies_in_the_seen_range(column, fitted):
    x, m = COLUMNS[column], fitted[column, "all"]
    slack = 1e-12 * (x.max() / 2 - x.min() / 2) + 1e-290
    for alpha in (-1.0, -0.95, -0.3, 0.0, 0.5, 0.9, 1.0):
        back = m.decode(np.arange(m.n_codes), np.full(m.n_codes, alpha)) / 2
        assert back.min() >= x.min() / 2 - slack and back.max() <= x.max() / 2 + slack


def test_no_two_values_are_encoded_alike(fitted):
    """Clipped at four deviations, the tail of a Cauchy would come back as a few values."""
    x, m = COLUMNS["heavy tail"], fitted["heavy tail", "plain"]
    code, alpha = m.encode(x, rng(1).random(N))
    assert len(set(zip(code.tolist(), alpha.tolist(), strict=True))) == len(np.unique(x))


def test_the_ends_of_a_mode_decode_to_the_ends_of_the_range(fitted):
    for column in ("two modes", "uniform", "heavy tail"):
        x, m = COLUMNS[column], fitted[column, "plain"]
        low, high = m.ends.T
        np.testing.assert_allclose(m.decode(np.arange(m.n_codes), low), x.min(), atol=1e-9)
        np.testing.assert_allclose(m.decode(np.arange(m.n_codes), high), x.max(), rtol=1e-9)


def test_modes_are_where_the_mass_is(fitted):
    m = fitted["two modes", "plain"]
    code, _ = m.encode(COLUMNS["two modes"], rng(1).random(N))
    middle = m.mean * m.unit + m.centre
    left = np.isin(code, np.flatnonzero(middle < 0))
    np.testing.assert_array_equal(left, COLUMNS["two modes"] < -1)
    assert m.weight.sum() == pytest.approx(1) and 2 <= len(m.mean) <= 10


def test_a_mode_is_drawn_by_its_share_of_the_density():
    m = Modes(
        np.empty(0),
        np.array([-1.0, 0.5]),
        np.array([1.0, 2.0]),
        np.array([0.3, 0.7]),
        0.0,
        1.0,
        np.nan,
        -9.0,
        9.0,
    )
    density = m.weight / m.std * np.exp(-0.5 * ((0.2 - m.mean) / m.std) ** 2)
    code, _ = m.encode(np.full(100_000, 0.2), rng().random(100_000))
    assert code.mean() == pytest.approx(density[1] / density.sum(), abs=0.006)


def test_vectorised_encoding_is_the_loop_over_rows(fitted):
    x, m = COLUMNS["two modes"][:200], fitted["two modes", "plain"]
    u = rng(3).random(200)
    code, alpha = m.encode(x, u)
    for i in range(200):
        z = (x[i] - m.centre) / m.unit
        density = m.weight / m.std * np.exp(-0.5 * ((z - m.mean) / m.std) ** 2)
        k = int(np.searchsorted(np.cumsum(density) / density.sum(), u[i]))
        t = (z - m.mean[k]) / m.std[k]
        assert code[i] == k
        assert abs(t) > 3.6 or alpha[i] == pytest.approx(t / 4, abs=1e-9)


def test_values_that_hold_much_of_the_mass_are_atoms_and_come_back_exactly(fitted):
    x, m = COLUMNS["spike"], fitted["spike", "all"]
    assert m.atoms.tolist() == [1e11]
    code, alpha = m.encode(x, rng().random(N))
    on = x == 1e11
    assert (code[on] == 0).all() and (alpha[on] == 0).all() and (code[~on] > 0).all()
    assert (m.decode(code, alpha)[on] == 1e11).all()


def test_a_column_of_atoms_alone_has_no_modes(fitted):
    m = fitted["extreme", "all"]
    assert m.atoms.tolist() == [0.0, 1e-300, 1.5, 1e300] and not len(m.mean)


def test_one_gaussian_is_scaled_to_its_range():
    x = RNG.normal(3.0, 2.0, N)
    m = fit_modes(x, ALL, rng())
    assert m.n_codes == 1
    _, alpha = m.encode(x, rng().random(N))
    assert (alpha[x.argmin()], alpha[x.argmax()]) == pytest.approx((-1, 1))
    assert fit_modes(COLUMNS["two modes"], ALL, rng()).n_codes > 1


def test_a_long_tail_is_encoded_by_its_logarithm(fitted):
    assert fitted["lognormal", "all"].offset == 0 and np.isnan(fitted["uniform", "all"].offset)
    shifted = fit_modes(COLUMNS["lognormal"] - 1e12, ALL, rng())
    assert shifted.offset < COLUMNS["lognormal"].min() - 1e12
    assert skewness(COLUMNS["lognormal"]) > 3 > abs(skewness(np.log(COLUMNS["lognormal"])))


def test_integers_come_back_as_they_were_and_ends_are_not_favoured():
    table = pd.DataFrame({"files": RNG.poisson(2, 4000), "x": RNG.random(4000).round(2)})
    layout = Layout.from_table(table)
    numbers, codes = layout.split(table)
    encoding = Encoding.fit(layout, numbers, ModeOptions(), rng())
    back = layout.join(*encoding.decode(*encoding.encode(numbers, codes, rng())))
    pd.testing.assert_frame_equal(back, table, check_exact=True)
    assert encoding.modes[1].low * encoding.modes[1].unit + encoding.modes[1].centre < 0


TABLES = {
    "mixed": pd.DataFrame({"x": COLUMNS["two modes"], "k": 1, "c": RNG.choice(list("ab"), N)}),
    "no numericals": pd.DataFrame({"c": RNG.choice(list("ab"), N), "d": "only"}),
    "no categoricals": pd.DataFrame({"x": COLUMNS["spike"], "k": 1.5}),
    "all constant": pd.DataFrame({"k": [1.5] * 9, "d": "only"}),
    "one row": pd.DataFrame({"x": [0.5], "c": ["a"]}),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_table_comes_back(table, options):
    layout = Layout.from_table(table)
    numbers, codes = layout.split(table)
    encoding = Encoding.fit(layout, numbers, options, rng())
    alpha, x = encoding.encode(numbers, codes, rng())
    assert alpha.shape[1] == len(encoding.smooth) and x.shape[1] == len(encoding.Ks)
    assert (x < np.array(encoding.Ks)).all() and encoding.ends(x).shape == (*alpha.shape, 2)
    again = Encoding.from_arrays(encoding.to_arrays(), layout)
    for one in (encoding, again):
        back_numbers, back_codes = one.decode(alpha, x)
        np.testing.assert_allclose(back_numbers, numbers, rtol=1e-9)
        np.testing.assert_array_equal(back_codes, codes)


def test_quantiles_of_many_rows_stand_for_them():
    x = np.where(RNG.random(60_000) < 0.3, RNG.normal(-5, 0.5, 60_000), RNG.normal(4, 1, 60_000))
    z = (x - x.mean()) / x.std()

    def likelihood(m):
        t = ((z - z.mean())[:, None] - m.mean) / m.std
        return np.log((m.weight / m.std * np.exp(-0.5 * t * t)).sum(1)).mean()

    few = fit_modes(x, ModeOptions(), rng())
    many = fit_modes(x, ModeOptions(n_points=20_000), rng())
    assert likelihood(few) > likelihood(many) - 0.01
