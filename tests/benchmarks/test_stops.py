"""benchmarks.stops: dates with time zone and gaps survive, numbers of stops do not."""

import pandas as pd

from benchmarks.stops import stops


def test_dates_are_local_gaps_stay_and_no_number_of_a_stop():
    raw = pd.DataFrame(
        {
            "rownames": [6823, 6824],
            "idNum": ["17-000003", "17-000007"],
            "date": ["2017-01-01T06:00:42Z", "2017-07-01T05:30:00Z"],
            "race": ["Black", None],
            "policePrecinct": [1, 3],
            "lat": [44.97, 44.98],
            "long": [-93.25, -93.27],
        }
    )
    table = stops(raw)
    assert list(table) == ["date", "race", "policePrecinct", "lat", "long"]
    assert list(table["date"].dt.hour) == [0, 0] and str(table["date"].dt.tz) == "America/Chicago"
    assert table["race"].isna().tolist() == [False, True]
    assert table["policePrecinct"].tolist() == ["1", "3"]
    assert (table.dtypes[["race", "policePrecinct"]] == "category").all()
