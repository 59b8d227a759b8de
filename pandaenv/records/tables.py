"""Record tables as files: read from Parquet or CSV and checked, written whole or not at all.

In: a path, or a record table. Out: the table with the columns of `pandaenv.schema`, or the file.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from foundations.files import whole
from pandaenv import schema

from .first_bytes import PARQUET, plain_file_errors, read_first_bytes


def read(path: str | Path) -> pd.DataFrame:
    """Read a record table from Parquet, CSV or CSV.gz and check it against the schema.

    Raises:
        FileNotFoundError: there is no such file.
        SchemaError: the table breaks a rule of `schema`.
        ValueError: the file is no readable table.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"a record table must be a file; {path} {what}")
    with plain_file_errors(path):
        first, _ = read_first_bytes(path, n_bytes=64)
        frame = _read_parquet(path) if first.startswith(PARQUET) else _read_csv(path)
    try:
        return schema.check(frame)
    except schema.SchemaError as error:
        raise schema.SchemaError(f"{path}: {error}") from None


def write(records: pd.DataFrame, path: str | Path) -> Path:
    """Write a table as Parquet, or as CSV where the name ends so; all of it or nothing.

    Raises: OSError where the file cannot be written.
    """
    with whole(path) as draft:
        if draft.name.lower().endswith((".csv", ".csv.gz")):
            records.to_csv(draft, index=False)
        else:
            records.to_parquet(draft, index=False)
    return Path(path)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (pa.ArrowException, OSError):
        raise ValueError(f"{path}: the Parquet file is damaged") from None


def _read_csv(path: Path) -> pd.DataFrame:
    # "NA" is a name like any other in a text column.
    text = dict.fromkeys(schema.CATEGORICAL, str)
    missing = dict.fromkeys(schema.NUMERICAL, ["", "NA", "NaN", "nan", "null"])
    try:
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=missing)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        raise ValueError(f"{path}: no readable CSV table") from None
