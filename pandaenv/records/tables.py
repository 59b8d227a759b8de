"""Record tables as files: read from Parquet or CSV and checked, written whole or not at all.

In: a path, or a record table. Out: the table with the columns of `pandaenv.schema`, or the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from foundations.files import whole
from foundations.parquet import Dataset
from pandaenv import schema

from .delimited import header_of
from .first_bytes import PARQUET, Opened, open_once, what_is_there
from .folder import table_path


def read(
    path: str | Path, *, groups: bool | None = False, also: Iterable[str] = ()
) -> pd.DataFrame:
    """Read a record table and check it against the schema.

    Parquet or CSV, zipped or not, with commas, semicolons, tabs or bars; columns in any order and
    letter case. Columns beyond the nine are not read, but for those of `also` that are there.

    Args:
        groups: ask for the columns `task` and `dataset`, too; False leaves them out, None takes
            them where both are there.

    Raises:
        FileNotFoundError: there is no such file.
        SchemaError: the table breaks a rule of `schema`.
        ValueError: the file is no readable table.
    """
    path = Path(path)
    if not (path.is_file() or path.is_fifo()):
        raise FileNotFoundError(f"a record table must be a file; {path} {what_is_there(path)}")
    with open_once(path) as opened:
        is_parquet = opened.first.startswith(PARQUET)
        names = [*schema.COLUMNS, *(() if groups is False else schema.GROUPS), *also]
        frame = _read_parquet(path, names) if is_parquet else _read_csv(opened, path, names)
    try:
        checked = schema.check(frame, groups=groups)
        more = [name for name in also if name in frame and name not in checked]
        return checked.join(frame[more]) if more else checked
    except schema.SchemaError as error:
        raise schema.SchemaError(f"{path}: {error}") from None


def opened(path: str | Path, part: str, in_memory: int) -> pd.DataFrame | Dataset:
    """A checked record table; Parquet files of more rows than `in_memory` stay where they are.

    Args:
        path: a file, a folder or a pattern of Parquet files (`foundations.parquet`).
        part: the file that stands for a folder written by `ingest`.

    Raises: as `read`; ValueError for files that disagree in their columns, by file and column.
    """
    file = table_path(path, part)
    is_pattern = not Path(path).exists() and bool(set(str(path)) & set("*?["))
    is_years = Path(path).is_dir() and not file.is_file() and any(Path(path).glob("*.parquet"))
    if not (is_pattern or is_years or is_parquet(file)):
        return read(file)
    data = Dataset(path, part, schema.COLUMNS)
    if len(data) > in_memory:
        return data
    return read(data.files[0]) if len(data.files) == 1 else schema.check(data.frame())


def check_rows(data: Dataset) -> Dataset:
    """Read all rows once, batch after batch; SchemaError for one that breaks a rule of `schema`."""
    for rows in data.batches():
        schema.check(rows)
    return data


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def write(records: pd.DataFrame, path: str | Path) -> Path:
    """Write a table as Parquet, or as CSV where the name ends so; all of it or nothing.

    Raises: OSError where the file cannot be written.
    """
    with whole(path) as draft:
        if draft.name.lower().endswith((".csv", ".csv.gz")):
            records.to_csv(draft, index=False)
        else:
            _write_parquet(records, draft, path)
    return Path(path)


def _write_parquet(records: pd.DataFrame, draft: Path, path: str | Path) -> None:
    """Write numbers in the dtypes that Parquet has: dense, of the machine's order, 64 bits."""
    plain = {}
    for name, column in records.items():
        dtype = column.dtype
        if isinstance(dtype, pd.SparseDtype):
            plain[name] = column.sparse.to_dense()
        elif isinstance(dtype, np.dtype) and dtype.kind in "iuf":
            plain[name] = column.astype("f8" if dtype.itemsize > 8 else dtype.newbyteorder("="))
    table = records.assign(**plain)
    try:
        table.to_parquet(draft, index=False)
    except (pa.ArrowException, TypeError, ValueError):
        odd = [str(name) for name in table if not _fits_parquet(table[[name]])]
        raise ValueError(
            f"{path}: Parquet has one type a column, {', '.join(odd)} cannot be written; "
            "give a name that ends in .csv"
        ) from None


def _fits_parquet(column: pd.DataFrame) -> bool:
    try:
        pa.Table.from_pandas(column, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError):
        return False
    return True


def _read_parquet(path: Path, names: list[str]) -> pd.DataFrame:
    """The columns that are ours; what pandas noted of others may name types it cannot make."""
    try:
        with pq.ParquetFile(path) as file:
            ours = _our_names(file.schema_arrow.names, names)
            table = file.read(columns=list(ours))
    except (pa.ArrowException, OSError):
        raise ValueError(f"{path}: the Parquet file is damaged") from None
    return table.to_pandas(ignore_metadata=True).rename(columns=ours)


def _our_names(found: list[str], names: list[str]) -> dict[str, str]:
    """Our name of each column that is ours but for letter case and outer spaces."""
    folded = {name: str(name).strip().lower() for name in found}
    return {name: ours for name, ours in folded.items() if ours in names}


def _read_csv(opened: Opened, path: Path, names: list[str]) -> pd.DataFrame:
    try:
        header, delimiter = header_of(opened.first_text.lstrip("\r\n"), path)
        ours = _our_names(header, names)
        # "NA" is a name like any other in a text column.
        text = {name: str for name, our in ours.items() if our in schema.CATEGORICAL}
        missing = {name: ["", "NA", "NaN", "nan", "null"] for name in ours if name not in text}
        frame = pd.read_csv(
            opened.text(), sep=delimiter, dtype=text, keep_default_na=False, na_values=missing
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        raise ValueError(f"{path}: no readable CSV table") from None
    return frame.rename(columns=ours)
