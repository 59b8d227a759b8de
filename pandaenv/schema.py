"""The record table: nine columns with their unit, range and meaning, and the check of a table.

In: any frame that claims to be job records. Out: the nine columns in order with exact dtypes, and
the two of a grouped table where asked for, or a `SchemaError` that states the rule, the column, the
count and one example row.
Source: Park et al. (2024), arXiv 2410.07940, section III (columns), section IV (numerical or not).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
import pandas as pd

from foundations.tables import is_numerical

STATUSES = ("finished", "failed", "closed", "cancelled")
"""The four final states of a PanDA job; the position is the state's code."""


class SchemaError(ValueError):
    """A table is not a record table; the message names rule, column, count and one row."""


@dataclass(frozen=True)
class Column:
    """One column of the record table.

    Attributes:
        dtype: "float64", "int64" or "category" (of strings).
        low, high: inclusive range of a numerical column, in `unit`.
        levels: the only values a categorical column may hold; empty = any non-empty text.
    """

    name: str
    dtype: str
    unit: str
    meaning: str
    low: float = 0.0
    high: float = inf
    levels: tuple[str, ...] = ()

    @property
    def is_numerical(self) -> bool:
        """Whether the column holds numbers rather than categories."""
        return self.dtype != "category"


N_CENTURY_DAYS = 36_525  # seconds mistaken for days lie beyond it
N_EXACT_INTEGERS = 2**53  # integers up to here survive a trip through float64

SCHEMA = (
    Column(
        "creationtime",
        "float64",
        "days",
        "when the job was submitted, counted from the Monday 00:00 UTC on or before the first "
        "record, so that hour and weekday follow from the value",
        high=N_CENTURY_DAYS,
    ),
    Column("ninputdatafiles", "int64", "files", "input files of the job", high=N_EXACT_INTEGERS),
    Column("inputfilebytes", "int64", "bytes", "size of these files", high=N_EXACT_INTEGERS),
    Column(
        "workload",
        "float64",
        "GFLOP",
        "cores x GFLOP/s per core of the site x CPU seconds; known only after the job has run",
    ),
    Column("computingsite", "category", "", "site or queue the job was sent to"),
    Column("project", "category", "", "first field of the input's name, e.g. mc20_13TeV"),
    Column("prodstep", "category", "", "production step of the input, e.g. deriv"),
    Column("datatype", "category", "", "format of the input, e.g. DAOD_PHYS"),
    Column("jobstatus", "category", "", "final state; known only at the end", levels=STATUSES),
)

GROUP_SCHEMA = (
    Column(
        "task",
        "int64",
        "",
        "number of the task the job is of; equal numbers, one task",
        high=N_EXACT_INTEGERS,
    ),
    Column(
        "dataset",
        "int64",
        "",
        "number of the data set the job reads; equal numbers, one data set",
        high=N_EXACT_INTEGERS,
    ),
)
"""What a grouped table has at its end, beyond the nine: which rows belong together."""

GROUPS = tuple(c.name for c in GROUP_SCHEMA)
NUMERICAL = tuple(c.name for c in SCHEMA if c.is_numerical)
CATEGORICAL = tuple(c.name for c in SCHEMA if not c.is_numerical)
COLUMNS = NUMERICAL + CATEGORICAL


def check(frame: pd.DataFrame, *, groups: bool | None = False) -> pd.DataFrame:
    """Return the nine record columns of `frame` in order and with exact dtypes.

    Whole numbers stored as floats become int64 and text becomes `category` (levels sorted); nothing
    else is changed, the input is not touched, columns beyond the nine are left out.

    Args:
        groups: ask for the columns of `GROUPS`, too, and return them behind the nine; None: only if
            the frame has them.

    Raises:
        SchemaError: an empty table, missing or duplicate columns, a wrong dtype, or a value outside
            the schema.
        TypeError: something that is no DataFrame.

    >>> try:
    ...     check(pd.DataFrame({name: ["late"] for name in COLUMNS}))
    ... except SchemaError as error:
    ...     print(error)
    creationtime must be numbers in days, got dtype str
    """
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"a record table must be a pandas.DataFrame, got {type(frame).__name__}")
    if groups is None:
        groups = set(GROUPS) <= set(frame.columns)
    wanted = SCHEMA + GROUP_SCHEMA if groups else SCHEMA
    _check_names(frame, [column.name for column in wanted])
    if not len(frame):
        raise SchemaError("a record table needs at least one row, got 0")
    columns = {c.name: _CHECKS[c.dtype](c, frame[c.name]) for c in wanted}
    return pd.DataFrame(columns, index=frame.index)


def _check_names(frame: pd.DataFrame, names: list[str]) -> None:
    duplicate = frame.columns[frame.columns.duplicated()].unique()
    if len(duplicate):
        names = ", ".join(map(str, duplicate))
        raise SchemaError(f"column names must be unique; duplicate: {names}")
    missing = [name for name in names if name not in frame.columns]
    if missing:
        needed = ", ".join(names)
        raise SchemaError(
            f"a record table needs the columns {needed}; missing: {', '.join(missing)}"
        )


def _check_float(column: Column, values: pd.Series) -> np.ndarray:
    """Finite float64 inside the column's range. Shape: (n,)."""
    if not _is_real(values.dtype):
        raise SchemaError(f"{column.name} must be numbers{_in(column)}, got dtype {values.dtype}")
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    _refuse(column, values, np.isnan(numbers), "are missing (NaN)")
    _refuse(column, values, np.isinf(numbers), "are infinite")
    _refuse(
        column, values, numbers < column.low, f"are below {column.low:g} {column.unit}".rstrip()
    )
    _refuse(
        column, values, numbers > column.high, f"are above {column.high:g} {column.unit}".rstrip()
    )
    return numbers


def _in(column: Column) -> str:
    return f" in {column.unit}" if column.unit else ""


def _check_int(column: Column, values: pd.Series) -> np.ndarray:
    numbers = _check_float(column, values)
    _refuse(column, values, numbers != np.floor(numbers), "are not whole numbers")
    return numbers.astype(np.int64)


def _check_category(column: Column, values: pd.Series) -> pd.Categorical:
    """Non-empty text of the allowed levels, as a categorical whose levels are those in use."""
    if str(values.dtype).startswith("dictionary<") and len(values):  # Arrow's categories
        values = values.astype(object)
    if not _is_text(values.dtype):
        raise SchemaError(f"{column.name} must be text, got dtype {values.dtype}")
    _refuse(column, values, values.isna().to_numpy(), "are missing")
    _refuse(column, values, ~_is_string(values), "are not text")
    codes, levels = _coded(values)
    _refuse(column, values, (levels == "")[codes], "are empty")
    if column.levels:
        is_bad = ~np.isin(levels, column.levels)[codes]
        _refuse(column, values, is_bad, f"are not one of {', '.join(column.levels)}")
    order = np.argsort(levels.astype(str), kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return pd.Categorical.from_codes(rank[codes], categories=pd.Index(levels[order], dtype="str"))


def _is_string(values: pd.Series) -> np.ndarray:
    """Where a value is a str, (n,) bool; of a categorical only the levels are looked at."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        is_string = np.array([isinstance(v, str) for v in values.cat.categories], dtype=bool)
        return is_string[values.cat.codes.to_numpy()]
    return np.array([isinstance(v, str) for v in values.to_numpy(dtype=object)], dtype=bool)


def _coded(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n,) and the levels in use, unsorted; a categorical keeps its own codes."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        codes, levels = pd.factorize(values.to_numpy(dtype=object))
        return codes, np.asarray(levels, dtype=object)
    used, codes = np.unique(values.cat.codes.to_numpy(), return_inverse=True)
    return codes, values.cat.categories.to_numpy(dtype=object)[used]


_CHECKS = {"float64": _check_float, "int64": _check_int, "category": _check_category}


def _refuse(column: Column, values: pd.Series, is_bad: np.ndarray, rule: str) -> None:
    if is_bad.any():
        row = int(is_bad.argmax())
        value = values.iloc[row]
        example = repr(value.item() if isinstance(value, np.generic) else value)[:60]
        raise SchemaError(
            f"{column.name}: {int(is_bad.sum())} of {len(values)} rows {rule}, "
            f"e.g. row {row} = {example}"
        )


def _is_real(dtype: object) -> bool:
    return is_numerical(dtype) and not pd.api.types.is_complex_dtype(dtype)


def _is_text(dtype: object) -> bool:
    is_category = isinstance(dtype, pd.CategoricalDtype)
    return is_category or pd.api.types.is_string_dtype(dtype) or pd.api.types.is_object_dtype(dtype)
