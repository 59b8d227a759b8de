"""What holds of any table here: it is a frame with rows, distinct names, numbers and categories.

In: a `pandas.DataFrame`. Out: the table checked, or a hash of what is in it.
"""

import hashlib
from typing import Any

import pandas as pd
from pandas.api import types


def is_numerical(column: Any) -> bool:
    """Whether a column, or a dtype, counts as numbers: numeric dtypes do, truths do not."""
    dtype = getattr(column, "dtype", column)
    return types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype)


def check_frame(table: Any, what: str = "the table") -> pd.DataFrame:
    """Return a DataFrame with at least one row and one column and no name twice.

    Raises: ValueError that names the first rule broken and what came.
    """
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"{what} must be a pandas DataFrame, got {type(table).__name__}")
    check_shape(table.columns, len(table), what)
    return table


def check_shape(names: pd.Index, n: int, what: str) -> None:
    """Raise a ValueError for no rows, no columns, or two columns of one name."""
    if len(names) == 0 or n == 0:
        raise ValueError(
            f"{what} must have at least one row and one column, "
            f"got {n} rows and {len(names)} columns"
        )
    twice = names[names.duplicated()]
    if len(twice):
        raise ValueError(f"{what}: column names must differ, got {twice[0]!r} more than once")


def digest(*tables: pd.DataFrame) -> str:
    """SHA-256 of names and values of tables, in order; dtypes do not count."""
    total = hashlib.sha256()
    for table in tables:
        total.update(repr(list(table.columns)).encode())
        total.update(row_hashes(table))
    return total.hexdigest()


def rows_digest(table: pd.DataFrame) -> str:
    """SHA-256 of the values of a table, whatever its columns are called."""
    return hashlib.sha256(row_hashes(table)).hexdigest()


def row_hashes(table: pd.DataFrame) -> bytes:
    """A hash of each row, 8 bytes each."""
    return pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()
