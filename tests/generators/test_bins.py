"""generators.bins: numbers to bins and back."""

import numpy as np
import pytest

from generators.arrays import pack_columns, unpack_columns
from generators.bins import FINEST, Bins, fit_bins

RNG = np.random.default_rng(4)
N = 4000
COLUMNS = {
    "smooth": RNG.normal(size=N),
    "heavy tail": RNG.lognormal(0, 4, N),
    "spike": np.where(RNG.random(N) < 0.4, 1e11, RNG.lognormal(20, 2, N)),
    "few integers": RNG.poisson(3, N).astype(float),
    "steps of five": 5.0 * RNG.poisson(60, N) + 2,
    "huge integers": RNG.integers(-(2**53), 2**53, N).astype(float),
    "extreme": RNG.choice([-1.7e308, 0.0, 1e-300, 1.7e308], N),
    "minutes": RNG.integers(0, 365 * 1440, N) / 1440,
    "constant": np.full(N, 7.25),
}
DAYS = {"minutes"}


def bins_of(name, n_coarse=16, n_fine=8, **options):
    return fit_bins(COLUMNS[name], n_coarse, n_fine, days=name in DAYS, **options)


@pytest.fixture(params=COLUMNS)
def name(request):
    return request.param


def drawn(bins, x, seed=0):
    coarse, fine = bins.encode(x)
    return coarse, fine, bins.decode(coarse, fine, np.random.default_rng(seed).random(len(x)))


def test_bins_are_ascending_whole_and_of_the_right_sizes(name):
    bins = bins_of(name)
    coarse, fine = bins.encode(np.sort(COLUMNS[name]))
    place = coarse * bins.sizes[1] + fine
    assert (np.diff(place) >= 0).all() and set(np.diff(np.unique(coarse))) <= {1}
    assert bins.sizes == (coarse.max() + 1, fine.max() + 1)
    assert bins.sizes[0] <= 16 and bins.sizes[1] <= 8


def test_a_value_drawn_in_a_bin_lies_in_that_bin(name):
    bins = bins_of(name)
    coarse, fine, y = drawn(bins, COLUMNS[name])
    # a grid may round a value half-way between two cells into the neighbour
    width = max(np.spacing(np.abs(y)).max(), bins.grid[1] / max(bins.grid[2], 1))
    below, above = bins.encode(y - width), bins.encode(y + width)
    place = coarse * bins.sizes[1] + fine
    assert (below[0] * bins.sizes[1] + below[1] <= place).all()
    assert (above[0] * bins.sizes[1] + above[1] >= place).all()


def test_values_stay_in_the_seen_range_and_finite(name):
    x = COLUMNS[name]
    y = drawn(bins_of(name), x)[2]
    assert np.isfinite(y).all() and y.min() >= x.min() and y.max() <= x.max()


def test_every_atom_comes_back_exactly_and_as_often():
    x = COLUMNS["spike"]
    y = drawn(bins_of("spike"), x)[2]
    assert np.mean(y == 1e11) == pytest.approx(np.mean(x == 1e11), abs=0.002)
    counts = COLUMNS["few integers"]
    atoms = [v for v, c in zip(*np.unique(counts, return_counts=True), strict=True) if c >= 20]
    bins = bins_of("few integers")
    for atom in atoms:
        coarse, fine = bins.encode(np.full(50, atom))
        assert (bins.decode(coarse, fine, RNG.random(50)) == atom).all()


def test_values_that_are_no_atoms_are_not_copied():
    x = COLUMNS["smooth"]
    assert np.isin(drawn(bins_of("smooth"), x)[2], x).mean() == 0


@pytest.mark.parametrize(("name", "step"), [("few integers", 1), ("steps of five", 5)])
def test_integers_stay_on_their_grid(name, step):
    y = drawn(bins_of(name, atom=10**9), COLUMNS[name])[2]
    assert ((y - COLUMNS[name].min()) % step == 0).all()


def test_a_time_of_minutes_stays_whole_minutes():
    y = drawn(bins_of("minutes"), COLUMNS["minutes"])[2]
    assert (y == np.rint(y * 1440) / 1440).all()
    assert not np.isin(y, COLUMNS["minutes"]).all()


def test_the_distribution_survives(name):
    x = COLUMNS[name]
    rows = RNG.integers(0, N, 20 * N)
    y = drawn(bins_of(name), x[rows])[2]
    shares = np.linspace(0.02, 0.98, 25)
    below, upto = (
        np.searchsorted(np.sort(x), np.quantile(y, shares), side=side) / N
        for side in ("left", "right")
    )
    assert (below <= shares + 0.02).all() and (upto >= shares - 0.02).all()


def test_a_blurred_value_says_little_about_any_one_row():
    x = np.sort(COLUMNS["smooth"])
    near = {}
    for blur in (1, 16):
        y = drawn(bins_of("smooth", blur=blur), x)[2]
        at = np.clip(np.searchsorted(x, y), 1, N - 1)
        gap = x[at] - x[at - 1]
        near[blur] = np.mean(np.minimum(y - x[at - 1], x[at] - y)[gap > 0] / gap[gap > 0])
    assert near[1] == pytest.approx(0.25, abs=0.02)
    assert near[16] == pytest.approx(0.25, abs=0.02)
    mean_gap = {}
    for blur in (1, 16):
        y = drawn(bins_of("smooth", blur=blur), x)[2]
        fresh = np.sort(np.random.default_rng(9).normal(size=N))
        closer = np.abs(x[np.clip(np.searchsorted(x, y), 0, N - 1)] - y)
        other = np.abs(fresh[np.clip(np.searchsorted(fresh, y), 0, N - 1)] - y)
        mean_gap[blur] = np.mean(closer < other)
    assert mean_gap[16] < mean_gap[1]


def test_a_column_of_many_rows_has_no_more_pieces_than_the_finest():
    many = np.random.default_rng(0).normal(size=3 * FINEST * 8)
    bins = fit_bins(many, 64, 32)
    assert FINEST * 0.8 < len(bins.upto) <= FINEST + len(bins.first)
    assert (np.diff(bins.upto, prepend=0.0) <= 2 * 24).all()
    assert len(fit_bins(many, 64, 32, days=True).upto) > 2.5 * FINEST


def test_values_never_seen_go_to_the_bins_around_them(name):
    x = COLUMNS[name]
    bins = bins_of(name)
    for value, cell in ((-np.inf, 0), (np.inf, -1)):
        coarse, fine = bins.encode(np.array([value]))
        assert (coarse[0], fine[0]) == (bins.coarse[cell], bins.fine[cell])
    assert len(x) == bins.upto[-1]


def test_one_row_is_an_exact_column():
    bins = fit_bins(np.array([3.5]), 8, 4)
    assert bins.sizes == (1, 1)
    assert bins.decode(np.zeros(3, int), np.zeros(3, int), RNG.random(3)).tolist() == [3.5] * 3


def test_arrays_give_the_bins_back(name):
    bins = bins_of(name)
    (again,) = unpack_columns(Bins, "bins", pack_columns("bins", [bins]), 1)
    for key, value in vars(bins).items():
        assert np.array_equal(getattr(again, key), value)


def test_a_range_holds_the_share_of_rows_that_lie_in_it(name):
    x = COLUMNS[name]
    bins = bins_of(name)
    low, high = np.quantile(x, [0.21, 0.83])
    begin, end = bins.inside(low, high)
    assert ((begin >= 0) & (end <= 1) & (begin <= end)).all()
    n_coarse, n_fine = bins.sizes
    rng = np.random.default_rng(0)
    cell = rng.integers(0, len(begin), 20_000)
    drawn = bins.decode(bins.coarse[cell], bins.fine[cell], u := rng.random(20_000))
    inside = (begin[cell] <= u) & (u < end[cell])
    half = 0.5 * bins.grid[1] / bins.grid[2] if bins.grid[1] else 0.0
    assert (drawn[inside] >= low - half - 1e-9).all() and (drawn[inside] <= high + half).all()
    assert ((drawn[~inside] <= low + half) | (drawn[~inside] >= high - half)).all()
    share = (bins.rows() * (end - begin)).sum() / len(x)
    assert share == pytest.approx(np.mean((x >= low) & (x <= high)), abs=0.03)
