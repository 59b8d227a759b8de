"""The quantile map of the numericals: what goes in comes back, and single values hold no mass."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.tabddpm.uniform.scales import Scales, fit_scale

RNG = np.random.default_rng(5)


def _there_and_back(x, n_cells=1, **options):
    scales = Scales.fit(x[:, None], [n_cells], **options)
    atom, below, upto = scales.encode(x[:, None])
    share = (below + upto) / 2
    scale = scales.scales[0]
    cell = np.minimum((share * scale.n_cells).astype(int), scale.n_cells - 1)
    code = np.where(atom >= 0, atom, len(scale.atoms) + cell)
    assert code.max() < scale.n_codes
    return scales.decode(code, share * scale.n_cells - cell)[:, 0]


numbers = st.one_of(
    st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=80),
    st.lists(st.integers(-3, 3), min_size=1, max_size=80),
    st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=80),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(numbers, st.sampled_from([1, 4, 64]), st.sampled_from([0.05, 1.0]))
def test_scales_invert_exactly_where_every_value_is_a_knot(values, n_cells, atom_share):
    x = np.array(values, dtype=np.float64)
    back = _there_and_back(x, n_cells=n_cells, atom_share=atom_share)
    np.testing.assert_allclose(back, x, rtol=1e-12, atol=1e-12 * max(1.0, np.ptp(x)))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.sampled_from([16, 100]))
def test_scales_invert_between_knots(seed, n_knots):
    x = np.random.default_rng(seed).lognormal(3, 2, 500)
    np.testing.assert_allclose(_there_and_back(x, n_knots=n_knots), x, rtol=1e-9)


def test_a_constant_is_one_atom_and_needs_no_category():
    scale = fit_scale(np.full(9, 3.5))
    assert (
        scale.n_codes == 1
        and scale.place(np.zeros(4, int), np.random.rand(4)).tolist() == [3.5] * 4
    )


def test_atoms_are_the_values_that_hold_much_of_the_mass():
    x = np.concatenate([np.zeros(300), np.full(200, 1e11), RNG.lognormal(20, 1, 500)])
    assert fit_scale(x, atom_share=0.1).atoms.tolist() == [0.0, 1e11]


def test_shares_of_a_column_are_uniform_with_ties_spread():
    x = RNG.poisson(3, 20_000).astype(float)
    _, below, upto = fit_scale(x).encode(x)
    u = below + (upto - below) * RNG.random(len(x))
    assert np.abs(np.sort(u) - (np.arange(len(u)) + 0.5) / len(u)).max() < 0.02


def test_a_value_seen_once_holds_no_mass_so_samples_do_not_repeat_it():
    x = RNG.normal(size=200)
    scale = fit_scale(x)
    drawn = scale.place(np.zeros(2000, int), RNG.random(2000))
    inside = drawn[(drawn > x.min()) & (drawn < x.max())]
    assert not np.isin(inside, x).any()


def test_values_outside_the_seen_range_go_to_its_ends():
    scale = fit_scale(np.arange(10.0))
    _, below, upto = scale.encode(np.array([-5.0, 50.0]))
    assert scale.place(np.zeros(2, int), (below + upto) / 2).tolist() == [0.0, 9.0]


def test_scales_survive_arrays():
    scales = Scales.fit(RNG.normal(size=(50, 2)), [4, 4], atom_share=0.5)
    again = Scales.from_arrays(scales.to_arrays(), 2)
    codes, shares = RNG.integers(0, 4, (9, 2)), RNG.random((9, 2))
    np.testing.assert_array_equal(again.decode(codes, shares), scales.decode(codes, shares))
