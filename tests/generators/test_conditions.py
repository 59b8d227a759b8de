"""generators.conditions: what `where` says, in codes and ranges."""

from math import inf

import numpy as np
import pandas as pd
import pytest

from generators.conditions import Given, parse, reject
from generators.layout import Layout

LAYOUT = Layout.from_table(
    pd.DataFrame({"site": ["b", "a", "c"], "files": [1, 5, 9], "ok": [True, False, True]})
)


@pytest.mark.parametrize(
    ("where", "given"),
    [
        ({}, Given()),
        ({"site": "b"}, Given(codes={0: (1,)})),
        ({"site": ["c", "a", "c"], "ok": True}, Given(codes={0: (0, 2), 1: (1,)})),
        ({"site": {"a"}, "files": 5}, Given(codes={0: (0,)}, ranges={0: (5.0, 5.0)})),
        ({"files": (2, None)}, Given(ranges={0: (2.0, inf)})),
        ({"files": (None, np.float32(2.5))}, Given(ranges={0: (-inf, 2.5)})),
    ],
)
def test_categories_become_codes_and_numbers_ranges(where, given):
    assert parse(LAYOUT, where) == given


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"nope": 1}, r"where takes the columns \['site', 'files', 'ok'\], got 'nope'"),
        ({"site": ["a", "z"]}, "site: 'z' was not seen in training"),
        ({"site": ()}, "site: where needs at least one category"),
        ({"files": [1, 2]}, r"files: where takes a number or a range \(low, high\), got \[1, 2\]"),
        ({"files": None}, "files: where takes a number or a range .* got None"),
        ({"files": (float("nan"), 2)}, "files: a range must not end before it begins"),
        ({"files": (9, 1)}, "files: a range must not end before it begins"),
        ({"files": (10, 20)}, r"files: no value in \[10, 20\] was seen in training, only \[1, 9\]"),
    ],
)
def test_what_cannot_be_asked_gets_a_sentence(where, message):
    with pytest.raises(ValueError, match=message):
        parse(LAYOUT, where)


def test_rejection_keeps_rows_as_they_come():
    given = Given(codes={0: (1, 2)}, ranges={0: (0.5, inf)})

    def draw(n, seed):
        rng = np.random.default_rng(seed)
        return rng.random((n, 1)), rng.integers(0, 3, (n, 1))

    numbers, codes = reject(draw, 700, 0, given, batch=500)
    assert given.held_by(numbers, codes).all() and len(numbers) == 700
    first = draw(500, 0)
    held = given.held_by(*first)
    assert (numbers[: held.sum()] == first[0][held]).all()
    with pytest.raises(ValueError, match="where: 0 of 20000 drawn rows hold the condition"):
        reject(draw, 1, 0, Given(ranges={0: (2.0, 3.0)}), batch=100)
