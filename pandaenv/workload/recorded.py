"""Tasks, data sets and core counts that a record table itself tells.

In: a record table with some of PanDA's columns `jeditaskid`, `proddblock` and `corecount`, or with
`task` and `dataset` of a grouped table (`pandaenv.schema`). Out: `Tasks` and core counts, None
where the table does not tell them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .tasks import Tasks

COLUMNS = {
    "task": ("jeditaskid", "task"),
    "dataset": ("proddblock", "dataset"),
    "cores": ("corecount",),
}
"""Columns on tasks that a record table may have beyond the nine: PanDA's name of each, and that of
a grouped table. Where both are there, PanDA's counts."""


def columns_on_tasks(table: pd.DataFrame) -> pd.DataFrame:
    """The columns on tasks of a record table."""
    known = [name for names in COLUMNS.values() for name in names]
    return table[[name for name in known if name in table.columns]]


def recorded_tasks(table: pd.DataFrame, site: np.ndarray) -> Tasks | None:
    """The tasks of a record table, without core counts; None where it has no column for them.

    Without a column of data sets each task reads its own; without one of tasks each data set is
    one.

    Raises:
        ValueError: a column with missing values.
    """
    found = {name: _complete(table, name) for name in ("task", "dataset") if _has(table, name)}
    if not found:
        return None
    numbers = {name: _number(values) for name, values in found.items()}
    task = numbers.get("task", numbers.get("dataset"))
    return Tasks(task, numbers.get("dataset", task), site)


def _number(values: pd.Series) -> np.ndarray:
    """Numbers from 0 for the values of a column, in the order first met."""
    try:
        return pd.factorize(values)[0].astype(np.int64)
    except TypeError as error:
        raise ValueError(f"{values.name} must hold single values: {error}") from None


def recorded_cores(table: pd.DataFrame) -> np.ndarray | None:
    """The core counts of a record table, (N,) int64; None where it has no column of them.

    Raises:
        ValueError: counts that are missing, not whole or below 1.
    """
    return _check_core_counts(_complete(table, "cores")) if _has(table, "cores") else None


def _column(table: pd.DataFrame, name: str) -> str | None:
    """The column of a table that tells what is asked for."""
    return next((column for column in COLUMNS[name] if column in table.columns), None)


def _has(table: pd.DataFrame, name: str) -> bool:
    return _column(table, name) is not None


def _complete(table: pd.DataFrame, name: str) -> pd.Series:
    """A column without missing values."""
    values = table[_column(table, name)]
    if values.isna().any():
        row = int(values.isna().to_numpy().argmax())
        raise ValueError(f"{values.name} must be there for every record, not so in row {row}")
    return values


def _check_core_counts(values: pd.Series) -> np.ndarray:
    is_truth = pd.api.types.is_bool_dtype(values)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
    is_good = (numbers >= 1) & (numbers == np.floor(numbers)) & (numbers < 2**31) & (not is_truth)
    if not is_good.all():
        row = int(np.argmin(is_good))
        raise ValueError(
            f"{values.name} must be a whole number of at least 1 and less than 2^31, got "
            f"{values.iloc[row]} in row {row}"
        )
    return numbers.astype(np.int64)
