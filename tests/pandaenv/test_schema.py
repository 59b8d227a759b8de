"""The check of a record table: what it lets through unchanged and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandaenv import schema
from pandaenv.schema import CATEGORICAL, COLUMNS, NUMERICAL, SchemaError, check


def table(n: int = 5) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "creationtime": np.arange(n) / 3,
            "ninputdatafiles": np.arange(n) + 1,
            "inputfilebytes": np.full(n, 10**9),
            "workload": np.linspace(0, 1e5, n),
            "computingsite": ["BNL-ATLAS", "CERN-PROD", "BNL-ATLAS", "pic", "pic"][:n],
            "project": "mc20_13TeV",
            "prodstep": "deriv",
            "datatype": "DAOD_PHYS",
            "jobstatus": "finished",
        }
    )


def with_value(column: str, value, row: int = 3) -> pd.DataFrame:
    values = table()[column].tolist()
    values[row] = value
    return table().assign(**{column: pd.Series(values, dtype=pd.Series(values).dtype)})


def test_columns_are_the_papers_nine():
    assert NUMERICAL == ("creationtime", "ninputdatafiles", "inputfilebytes", "workload")
    assert COLUMNS == NUMERICAL + CATEGORICAL and len(COLUMNS) == 9


def test_every_column_has_a_meaning_and_every_number_a_unit():
    assert all(c.meaning for c in schema.SCHEMA)
    assert all(c.unit for c in schema.SCHEMA if c.is_numerical)


def test_checked_table_has_exact_dtypes_in_order_and_passes_again():
    checked = check(table().sample(frac=1, axis=1, random_state=0).assign(extra=1))
    assert list(checked) == list(COLUMNS)
    assert [str(t) for t in checked.dtypes] == [c.dtype for c in schema.SCHEMA]
    pd.testing.assert_frame_equal(check(checked), checked)


def test_groups_are_kept_behind_the_nine_where_they_are_asked_for():
    grouped = table().assign(dataset=[0, 0, 1, 1, 2], task=[5, 5, 6, 6, 2**53])
    checked = check(grouped, groups=True)
    assert list(checked) == [*COLUMNS, *schema.GROUPS]
    assert (checked[list(schema.GROUPS)].dtypes == np.int64).all()
    assert list(check(grouped)) == list(COLUMNS)
    with pytest.raises(SchemaError, match="missing: task$"):
        check(grouped.drop(columns="task"), groups=True)
    with pytest.raises(SchemaError, match="^task must be numbers, got dtype object$"):
        check(grouped.assign(task=pd.Series(["a"] * 5, dtype=object)), groups=True)
    with pytest.raises(SchemaError, match="^dataset: 1 of 5 rows are below 0, e.g. row 4 = -1$"):
        check(grouped.assign(dataset=[0, 0, 0, 0, -1]), groups=True)


def test_check_does_not_touch_its_input():
    frame, before = table(), table()
    check(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("dtype", ["int32", "float32", "uint8", "Int64", "Float64", "float64"])
def test_whole_numbers_of_any_numeric_dtype_become_int64(dtype):
    checked = check(table().astype({"ninputdatafiles": dtype}))
    assert checked["ninputdatafiles"].tolist() == [1, 2, 3, 4, 5]
    assert checked["ninputdatafiles"].dtype == np.int64


@pytest.mark.parametrize("dtype", ["category", "object", "str", "string[pyarrow]"])
def test_text_of_any_dtype_becomes_a_category_of_the_levels_in_use(dtype):
    checked = check(table().astype({"computingsite": dtype}).iloc[:3])
    assert list(checked["computingsite"].cat.categories) == ["BNL-ATLAS", "CERN-PROD"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table().iloc[:0], "a record table needs at least one row, got 0"),
        (table().drop(columns=["workload", "project"]), "missing: workload, project$"),
        (
            pd.concat([table(), table()[["project"]]], axis=1),
            "column names must be unique; duplicate: project",
        ),
        (with_value("workload", np.nan), r"workload: 1 of 5 rows are missing \(NaN\), e.g. row 3"),
        (with_value("workload", np.inf), "workload: 1 of 5 rows are infinite, e.g. row 3 = inf"),
        (
            with_value("workload", -2.5),
            "workload: 1 of 5 rows are below 0 GFLOP, e.g. row 3 = -2.5",
        ),
        (with_value("ninputdatafiles", 1.5), "ninputdatafiles: 1 of 5 rows are not whole numbers"),
        (with_value("inputfilebytes", 1e30), "inputfilebytes: 1 of 5 rows are above 9.007"),
        (with_value("creationtime", 1.7e9), "creationtime: 1 of 5 rows are above 36525 days"),
        (with_value("jobstatus", "running"), "not one of finished, failed, .* row 3 = 'running'"),
        (with_value("jobstatus", None), "jobstatus: 1 of 5 rows are missing"),
        (with_value("project", ""), "project: 1 of 5 rows are empty, e.g. row 3 = ''"),
        (with_value("project", 7), "project: 1 of 5 rows are not text, e.g. row 3 = 7"),
        (with_value("project", ["a"]), "project: 1 of 5 rows are not text"),
        (table().assign(datatype=1), "datatype must be text, got dtype int64"),
        (table().assign(workload="12"), "workload must be numbers in GFLOP, got dtype str"),
        (table().assign(workload=True), "workload must be numbers in GFLOP, got dtype bool"),
        (table().assign(workload=1j), "workload must be numbers in GFLOP, got dtype complex128"),
        (
            table().assign(creationtime=pd.Timestamp("2024-01-01")),
            "creationtime must be numbers in days, got dtype datetime64",
        ),
        (
            table().assign(workload=pd.array([1, None, 3, 4, None], dtype="Int64")),
            "workload: 2 of 5 rows are missing",
        ),
    ],
)
def test_a_broken_rule_is_named_with_column_count_and_row(frame, message):
    with pytest.raises(SchemaError, match=message):
        check(frame)


def test_what_is_no_frame_is_refused():
    with pytest.raises(TypeError, match="must be a pandas.DataFrame, got dict"):
        check({"creationtime": [1.0]})


@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=30), st.integers(0, 2**53))
def test_values_inside_the_schema_come_back_unchanged(workloads, size):
    frame = pd.concat([table(1)] * len(workloads)).assign(workload=workloads, inputfilebytes=size)
    checked = check(frame)
    assert checked["workload"].tolist() == workloads
    assert set(checked["inputfilebytes"]) == {size}
