"""generators.counts: exact counts in parts, whatever the parts."""

import numpy as np
import pytest

from generators.counts import Counts, Grid, Histogram, count, thin

RNG = np.random.default_rng(1)
N = 6000
COLUMNS = {
    "smooth": RNG.normal(size=N),
    "atoms": np.where(RNG.random(N) < 0.3, RNG.integers(0, 5, N) * 0.25, RNG.random(N)),
    "integers": RNG.integers(0, 40, N) * 15.0 + 3,
    "minutes": RNG.integers(0, 9 * 1440, N) / 1440,
    "zeros of both signs": np.where(RNG.random(N) < 0.5, -0.0, 0.0),
}


@pytest.fixture(params=COLUMNS)
def x(request):
    return COLUMNS[request.param]


def counted(x, folder, parts, held):
    counts = Counts(folder, held)
    for part in np.array_split(x, parts):
        counts.add(*count(part))
    return counts


@pytest.mark.parametrize(("parts", "held"), [(1, 10**6), (7, 10**6), (13, 500), (40, 60)])
def test_counts_in_parts_and_runs_are_those_of_the_whole(x, tmp_path, parts, held):
    counts = counted(x, tmp_path / "runs", parts, held)
    found = list(counts.blocks())
    value, rows = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    wanted = np.unique(x, return_counts=True)
    assert np.array_equal(value, wanted[0]) and np.array_equal(rows, wanted[1])
    assert not np.signbit(value[value == 0]).any()
    assert max(len(v) for v, _ in found) <= max(held, len(wanted[0]) if parts == 1 else held)
    assert counts.n == N and (counts.low, counts.high) == (x.min(), x.max())
    assert [counts.at(r) for r in (0, N // 3, N - 1)] == list(np.sort(x)[[0, N // 3, N - 1]])
    assert counts.runs or len(wanted[0]) <= held
    whole = Grid()
    whole.add(wanted[0])
    for days in (False, True):
        assert np.array_equal(counts.grid.lines(x.min(), days), whole.lines(x.min(), days))


def test_a_thinned_histogram_keeps_atoms_ends_and_ranks(x, tmp_path):
    groups, atom = 64, 20
    value, rows, is_atom = thin([count(x)], N, atom, most=100, groups=groups)
    wanted = np.unique(x, return_counts=True)
    assert rows.sum() == N and (value[0], value[-1]) == (wanted[0][0], wanted[0][-1])
    heavy = wanted[1] >= atom
    assert np.array_equal(value[is_atom], wanted[0][heavy])
    assert np.array_equal(rows[is_atom], wanted[1][heavy])
    below = np.searchsorted(np.sort(x), value[1:])  # rows below each value are exact
    assert np.array_equal(np.cumsum(rows)[:-1], below)
    if len(wanted[0]) > 100:
        assert len(value) <= groups + 2 * heavy.sum() + 3


def test_thinning_does_not_depend_on_the_blocks(x, tmp_path):
    whole = thin([count(x)], N, 20, most=100, groups=64)
    blocks = counted(x, tmp_path, 11, 300).blocks()
    for one, other in zip(whole, thin(blocks, N, 20, most=100, groups=64), strict=True):
        assert np.array_equal(one, other)


def test_the_histogram_of_a_column_is_the_same_counted_in_parts(x, tmp_path):
    one, other = Histogram.of(x, 20), counted(x, tmp_path, 9, 200).histogram(20)
    assert one.n == other.n == N
    for name in ("value", "rows", "is_atom"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
