"""generators.grouped.rows: what is told of groups and rows, against slow loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.grouped import rows
from generators.grouped.groups import Groups
from generators.grouped.rows import describe_groups, describe_rows, find_shape, tell, untell
from generators.layout import Layout
from tests.generators.grouped.tables import grouped


def prepared(seed=0, extra=3):
    """Shape, groups, times, scores and codes of a table with a category of many levels, too."""
    table = grouped(60, seed=seed)
    rng = np.random.default_rng(seed)
    place = np.cumsum(rng.random(len(table)) < 0.3) % (6 * extra)
    table["place"] = np.char.add("p", place.astype(str))
    layout = Layout.from_table(table.drop(columns=["task", "dataset"]))
    numbers, codes = layout.split(table)
    groups = Groups.of(numbers[:, 0], table["task"].to_numpy(), table["dataset"].to_numpy())
    numbers, codes = numbers[groups.rows], codes[groups.rows]
    shape = find_shape(0, groups, numbers, codes)
    return shape, groups, numbers[:, 0], shape.scored(numbers), codes


def test_columns_are_told_apart():
    shape, *_ = prepared()
    assert shape.shared == shape.kinds == (0,)  # the colour
    assert shape.changing == (1, 2) and shape.numbers == (1, 2)  # state, place; level, count
    assert shape.levels == (2, 0) and shape.step and shape.per_day == 86_400
    assert np.isfinite(shape.long)


def test_groups_are_told_as_by_a_slow_loop():
    shape, groups, time, scores, codes = prepared()
    found = describe_groups(shape, groups, time, scores, codes)
    for g, (a, b) in enumerate(zip(groups.first[:-1], groups.first[1:], strict=True)):
        second = np.rint(time[a:b] * 86_400)
        assert found["size"][g] == b - a and found["start"][g] == time[a]
        assert found["span"][g] == second[-1] - second[0]
        assert found["bouts"][g] == 1 + (np.diff(second) > shape.long).sum()
        assert found["changes 2"][g] == (np.diff(codes[a:b, 2]) != 0).sum()
        assert found["share 1 0"][g] == pytest.approx((codes[a:b, 1] == 0).mean())
        middle = np.sort(scores[a:b, 0])[(b - a - 1) // 2]
        assert found["centre 0"][g] == middle
        assert found["spread 0"][g] == pytest.approx(
            np.sqrt(((scores[a:b, 0] - middle) ** 2).mean())
        )


def test_rows_are_told_as_by_a_slow_loop():
    shape, groups, time, scores, codes = prepared()
    parents = describe_groups(shape, groups, time, scores, codes)
    found = describe_rows(shape, groups, parents, time, scores, codes)
    for g, (a, b) in enumerate(zip(groups.first[:-1], groups.first[1:], strict=True)):
        second, code = np.rint(time[a:b] * 86_400), codes[a:b, 2]
        usual = int(parents["usual 2"][g])
        begun, since, changes, last, other = 0, -1, 0, usual, usual
        for k in range(b - a):
            at = a + k
            assert found["rows left"][at] == b - a - k and found["rank"][at] == k
            assert found["bouts left"][at] == parents["bouts"][g] - 1 - begun
            assert found["span left"][at] == second[-1] - second[max(k - 1, 0)]
            assert found["since"][at] == since + 1 and found["last 2"][at] == last
            assert found["changes left 2"][at] == parents["changes 2"][g] - changes
            bads = (codes[at:b, 1] == 0).sum()
            assert found["left 1 0"][at] == pytest.approx(bads / (b - a - k))
            told = found["new 2"][[at]], np.array([last]), np.array([usual]), np.array([other])
            assert untell(*told)[0] == code[k]
            gap = second[k] - second[max(k - 1, 0)]
            assert found["gap"][at] == gap
            begun += gap > shape.long
            since = 0 if gap > shape.long or k == 0 else since + 1
            changes += k > 0 and code[k] != last
            other, last = (last if code[k] != last else other), code[k]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(codes=st.lists(st.tuples(*[st.integers(0, 5)] * 4), min_size=1, max_size=40))
def test_what_is_told_is_understood(codes):
    code, last, usual, other = np.array(codes).T
    assert (untell(tell(code, last, usual, other), last, usual, other) == code).all()


def test_gaps_are_parted_between_bursts():
    rng = np.random.default_rng(0)
    short, long = rng.integers(0, 60, 900), rng.integers(5_000, 9_000, 100)
    assert 59 >= rows.part_gaps(np.r_[short, long].astype(float)) > 40
    assert rows.part_gaps(np.full(5, 3.0)) == np.inf
    assert rows.part_gaps(np.empty(0)) == np.inf
