"""Layout and Numericals: what goes in comes back, and what cannot be learned is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.transform import Layout, Numericals, check, fit_scale, to_normal

RNG = np.random.default_rng(5)
N = 600
MIXED = pd.DataFrame(
    {
        "normal": RNG.normal(size=N),
        "poisson": RNG.poisson(3, N),
        "huge": RNG.integers(0, 2**53, N),
        "spike": np.where(RNG.random(N) < 0.3, 1e11, RNG.lognormal(20, 1, N)),
        "constant": 7,
        "float32": RNG.random(N).astype("float32"),
        "cents": np.round(RNG.random(N), 2),
        "nullable": pd.array(RNG.integers(0, 9, N), dtype="Int64"),
        "category": pd.Categorical(RNG.choice(list("xyz"), N), categories=list("wxyz")),
        "ordered": pd.Categorical(RNG.choice([3, 1, 2], N), categories=[3, 1, 2], ordered=True),
        "text": RNG.choice(["p", "q<b>"], N),
        "object": pd.Series(RNG.choice(np.array(["p", 1], dtype=object), N), dtype=object),
        "flag": RNG.random(N) < 0.5,
    }
)


def test_layout_gives_the_frame_back():
    layout = Layout.of(MIXED)
    pd.testing.assert_frame_equal(layout.join(*layout.split(MIXED)), MIXED)


def test_layout_survives_json():
    layout = Layout.of(MIXED)
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout


def test_layout_codes_unseen_categories_as_minus_one():
    layout = Layout.of(MIXED[["category", "text"]])
    _, codes = layout.split(pd.DataFrame({"category": ["w", "x"], "text": ["p", "new"]}))
    assert codes.tolist() == [[-1, 0], [0, -1]]


def test_layout_names_the_missing_column():
    with pytest.raises(ValueError, match="missing .'poisson'"):
        Layout.of(MIXED).split(MIXED.drop(columns="poisson"))


def test_layout_cuts_numbers_to_the_seen_range_and_grid():
    layout = Layout.of(MIXED[["poisson", "cents"]])
    joined = layout.join(np.array([[-4.0, 0.123], [99.4, 7.0]]), np.empty((2, 0), np.int64))
    assert joined["poisson"].tolist() == [MIXED["poisson"].min(), MIXED["poisson"].max()]
    assert joined["cents"].tolist() == [0.12, MIXED["cents"].max()]


def test_unused_levels_of_a_categorical_are_kept_but_never_coded():
    column = Layout.of(MIXED[["category"]]).columns[0]
    assert column.categories == ("x", "y", "z") and column.levels == ("w", "x", "y", "z")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (MIXED.iloc[:0], "must have rows and columns"),
        (pd.DataFrame(index=range(3)), "must have rows and columns"),
        (pd.concat([MIXED, MIXED[["text"]]], axis=1), "unique, got 'text' 2 times"),
        (MIXED.rename(columns={"text": 3}), "names must be strings, got 3"),
        (MIXED.assign(normal=[np.nan, *MIXED["normal"][1:]]), "normal: 1 of 600 .* row 0"),
        (MIXED.assign(normal=[*MIXED["normal"][:-1], np.inf]), "normal: .* finite.* row 599 = inf"),
        (MIXED.assign(text=[None, *MIXED["text"][1:]]), "text: 1 of 600 rows are missing"),
        (MIXED.assign(huge=2**53 + 2), r"huge: .* beyond 2\*\*53"),
        (MIXED.assign(normal=pd.Timestamp("2024-01-01")), "normal: dtype .* got datetime64"),
        (MIXED.assign(normal=1j), "normal: dtype .* got complex"),
        (MIXED.assign(object=[(1,)] * N), "object: categories must be .* got tuple"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_one_sentence(table, sentence):
    with pytest.raises(ValueError, match=sentence):
        check(table)


def test_what_is_no_frame_is_refused():
    with pytest.raises(TypeError, match="got dict"):
        check({"a": [1]})


def _there_and_back(x, **options):
    scales = Numericals.fit(x[:, None], **options)
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
def test_numericals_invert_exactly_where_every_value_is_a_knot(values, n_cells, atom_share):
    x = np.array(values, dtype=np.float64)
    back = _there_and_back(x, n_cells=n_cells, atom_share=atom_share)
    np.testing.assert_allclose(back, x, rtol=1e-12, atol=1e-12 * max(1.0, np.ptp(x)))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.sampled_from([16, 100]))
def test_numericals_invert_between_knots(seed, n_knots):
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


def test_to_normal_has_finite_ends():
    assert np.isfinite(to_normal(np.array([0.0, 0.5, 1.0]), 100)).all()


def test_numericals_survive_arrays():
    scales = Numericals.fit(RNG.normal(size=(50, 2)), n_cells=4, atom_share=0.5)
    again = Numericals.from_arrays(scales.to_arrays(), 2)
    codes, shares = RNG.integers(0, 4, (9, 2)), RNG.random((9, 2))
    np.testing.assert_array_equal(again.decode(codes, shares), scales.decode(codes, shares))
