"""foundations.plain: any table as floats, integers and categories, and back."""

import json

import numpy as np
import pandas as pd
import pytest

from foundations.plain import PlainView
from tests.foundations.odd_tables import odd_table

TABLE = odd_table()
VIEW = PlainView.of(TABLE)
PLAIN = VIEW.to_plain(TABLE)


def test_a_plain_table_has_nothing_that_is_not():
    assert not PLAIN.isna().any().any()
    assert not any(dtype.kind in "mM" for dtype in PLAIN.dtypes)
    assert np.abs(PLAIN.select_dtypes("number").to_numpy(float)).max() <= 2**53


@pytest.mark.parametrize("name", TABLE)
def test_every_column_comes_back_as_it_was(name):
    again = VIEW.restore(PLAIN)
    assert list(again) == list(TABLE)
    pd.testing.assert_series_equal(again[name], TABLE[name], check_exact=True)


def test_the_view_goes_into_json_and_back():
    assert PlainView.from_json(json.loads(json.dumps(VIEW.to_json()))) == VIEW


def test_dates_are_days_since_a_monday():
    table = pd.DataFrame(
        {"t": pd.to_datetime(["2024-01-01 06:00", "2024-01-09 00:00"])}
    )  # a Monday
    days = PlainView.of(table).to_plain(table)["t"]
    assert (days % 7).round(9).tolist() == [0.25, 1.0]
    assert PlainView.of(table).dates == ("t",)
    zoned = pd.DataFrame({"t": table["t"].dt.tz_localize("Asia/Tokyo")})
    hours = PlainView.of(zoned).to_plain(zoned)["t"] % 1 * 24
    assert hours.round(9).tolist() == [21.0, 15.0]  # of UTC


def test_what_is_between_the_grid_lines_goes_to_the_nearest():
    table = pd.DataFrame(
        {"t": pd.to_datetime(["2024-01-01 00:00", "2024-01-01 00:10", "2024-01-02 00:00"])}
    )
    view = PlainView.of(table)
    plain = view.to_plain(table)
    moved = view.restore(plain.assign(t=plain["t"] + [-5.0, 4.9 / 1440, 3.0]))
    assert moved["t"].tolist() == [table["t"][0], table["t"][1], table["t"][2]]


def test_an_integer_beyond_any_float_comes_back_exactly():
    table = pd.DataFrame({"i": [2**60 + 1, 2**60 + 1001, 2**60 + 1]})
    view = PlainView.of(table)
    assert view.to_plain(table)["i"].tolist() == [0.0, 1.0, 0.0]
    assert view.restore(view.to_plain(table))["i"].tolist() == table["i"].tolist()


def test_names_already_taken_are_avoided():
    table = pd.DataFrame(
        {"x": [1.0, None], "x is missing": [True, False], "c": ["(missing)", None]}
    )
    view = PlainView.of(table)
    plain = view.to_plain(table)
    assert list(plain) == ["x is missing_", "x", "x is missing", "c"]
    assert plain["c"].tolist() == ["(missing)", "(missing)_"]
    pd.testing.assert_frame_equal(view.restore(plain), table)


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_a_text_like_that_of_missing_ones_is_not_taken_for_one(dtype):
    table = pd.DataFrame({"c": pd.Series(["a", None, "(missing)_"], dtype=dtype), "x": [1.0, 2, 3]})
    view = PlainView.of(table)
    assert view.to_plain(table)["c"].tolist() == ["a", "(missing)__", "(missing)_"]
    texts = pd.Series(["(missing)__", None, "a", "(missing)___"], dtype=dtype)
    later = view.to_plain(pd.DataFrame({"c": texts}))["c"].tolist()
    assert later == ["(missing)___", "(missing)__", "a", "(missing)___"]
    with pytest.raises(ValueError, match=r"c: '\(missing\)__' was not seen .* None asks for miss"):
        view.plain_where({"c": ["a", "(missing)__"]})


def test_a_column_called_like_a_flag_does_not_replace_it():
    view = PlainView.of(pd.DataFrame({"x": [1.0, None]}))
    later = pd.DataFrame({"x": [None, 1.0], "x is missing": [False, True]})
    assert view.to_plain(later)["x is missing"].tolist() == [True, False]


def test_a_table_that_is_plain_passes_untouched():
    table = pd.DataFrame({"x": [1.5, 2.5], "c": ["a", "b"], "n": [1, 2]})
    view = PlainView.of(table)
    assert view == PlainView() and view.to_plain(table) is table and view.restore(table) is table


def test_conditions_are_scaled_like_the_columns():
    where = {
        "date": ("2024-01-02", None),
        "span": pd.Timedelta("12h"),
        "count_gaps": None,
        "number_gaps": (0, 1),
        "level_gaps": None,
        "plain": (0, 2),
    }
    assert VIEW.plain_where(where) == {
        "date": (19727.0, None),
        "span": 0.5,
        "count_gaps is missing": True,
        "number_gaps is missing": False,
        "number_gaps": (0, 1),
        "level_gaps": "(missing)",
        "plain": (0, 2),
    }
    with pytest.raises(ValueError, match="date: where takes a date, got 'soon'"):
        VIEW.plain_where({"date": "soon"})


def test_a_column_of_another_kind_is_left_for_others_to_refuse():
    other = TABLE.assign(date="yesterday")
    assert VIEW.to_plain(other)["date"].tolist() == ["yesterday"] * len(TABLE)


def test_a_missing_number_gets_one_that_was_seen():
    table = pd.DataFrame({"x": [1.0, 2.0, 5.0, 9.0, None]})
    assert PlainView.of(table).to_plain(table)["x"].tolist() == [1.0, 2.0, 5.0, 9.0, 2.0]


def test_levels_keep_their_dtype_and_may_be_called_like_what_is_missing():
    for levels in ([1, 2], ["a", "(missing)"]):
        table = pd.DataFrame({"c": pd.Categorical([levels[0], None], categories=levels)})
        view = PlainView.of(table)
        pd.testing.assert_frame_equal(view.restore(view.to_plain(table)), table)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"date": None}, "date: no value was missing in training"),
        ({"date": 5}, "date: where takes a date, got 5"),
        ({"span": 3.0}, "span: where takes a span, got 3.0"),
        ({"huge": "many"}, "huge: where takes an integer or a range, got 'many'"),
    ],
)
def test_conditions_that_make_no_sense_get_a_sentence(where, message):
    with pytest.raises(ValueError, match=message):
        VIEW.plain_where(where)


def test_a_date_without_a_zone_is_in_that_of_its_column():
    assert VIEW.plain_where({"zoned": "2024-01-02 01:00"}) == {"zoned": 19727.0}
    assert VIEW.plain_where({"level_gaps": ["a", None]}) == {"level_gaps": ["a", "(missing)"]}
