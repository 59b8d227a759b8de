"""benchmarks.flights: a public mixed table of known shape."""

import pytest

from benchmarks.flights import flights


@pytest.fixture(scope="module")
def table():
    return flights()


def test_it_has_five_numericals_and_four_categoricals(table):
    assert len(table) == 200_000
    assert list(table.select_dtypes("number")) == [
        "time",
        "distance",
        "air_time",
        "dep_delay",
        "arr_delay",
    ]
    assert list(table.select_dtypes("category")) == ["dest", "carrier", "origin", "status"]
    assert [table[c].nunique() for c in ("dest", "carrier", "origin", "status")] == [104, 16, 3, 4]


def test_time_is_days_of_2013_and_nothing_is_missing(table):
    assert table["time"].between(0, 365).all()
    assert not table.isna().any().any()


def test_cancelled_flights_have_no_times_of_their_own(table):
    cancelled = table[table["status"] == "cancelled"]
    assert (cancelled[["air_time", "dep_delay", "arr_delay"]] == 0).all().all()
    late = table[table["status"] == "late"]["arr_delay"]
    assert late.min() > 15 and late.max() <= 60
