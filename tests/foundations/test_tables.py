"""foundations.tables and .versions: what counts as a table, and hashes that know what changed."""

import pandas as pd
import pytest

from foundations import tables, versions

TABLE = pd.DataFrame({"x": [1.0, 2.0], "c": ["a", "b"]})


def test_truths_are_no_numbers():
    kinds = pd.DataFrame({"i": [1], "f": [0.5], "b": [True], "s": ["a"]})
    assert [tables.is_numerical(kinds[c]) for c in kinds] == [True, True, False, False]
    assert tables.is_numerical(kinds["i"].dtype)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ([1, 2], "t must be a pandas DataFrame, got list"),
        (TABLE[:0], "t must have at least one row and one column, got 0 rows and 2 columns"),
        (TABLE.set_axis(["x", "x"], axis=1), "t: column names must differ, got 'x' more than once"),
    ],
)
def test_what_is_no_table_is_refused(table, sentence):
    with pytest.raises(ValueError, match=sentence):
        tables.check_frame(table, "t")


def test_a_digest_knows_values_order_and_names():
    digests = {
        tables.digest(TABLE),
        tables.digest(TABLE[::-1]),
        tables.digest(TABLE.rename(columns={"x": "y"})),
        tables.digest(TABLE.assign(x=[1.0, 3.0])),
        tables.digest(TABLE, TABLE),
    }
    assert len(digests) == 5
    assert tables.digest(TABLE.copy()) in digests
    renamed = TABLE.rename(columns={"x": "y"})
    assert tables.rows_digest(TABLE) == tables.rows_digest(renamed)


def test_versions_leave_out_what_is_not_installed():
    found = versions.versions(("numpy", "no-such-library"))
    assert set(found) == {"python", "numpy"} and versions.version("no-such-library") is None
