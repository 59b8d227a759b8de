"""A table in Parquet files, larger than memory: one file, or several of one schema.

In: a path: a file, a folder of files, or a pattern such as `2019-*.parquet`. Out: a `Dataset`,
whose rows come in the order of the files' names, a batch at a time. In memory is one batch.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

SUFFIXES = (".parquet", ".pq")
BATCH_ROWS = 1 << 16


class Dataset:
    """Rows of Parquet files, read when they are asked for.

    Args:
        path: a file, a folder (all its Parquet files; where it holds a file `part`, that one alone)
            or a pattern.
        part: name of the file that stands for a folder.
        names: the columns wanted, in their order; all by default.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is no Parquet table, or two files disagree in their columns; one sentence
            that names file and column.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        part: str = "train.parquet",
        names: Sequence[str] | None = None,
    ):
        self.path = Path(path)
        self.files = find(path, part)
        described = [_described(file) for file in self.files]
        self.schema = described[0][0]
        self.n_rows = sum(n for _, n in described)
        for file, (schema, _) in zip(self.files, described, strict=True):
            _check_agrees(self.files[0], self.schema, file, schema)
        self.columns = columns_of(self.schema) if names is None else list(names)
        missing = [name for name in self.columns if name not in self.schema.names]
        if missing:
            raise ValueError(
                f"{self.path.name} must have the columns {self.columns}, got missing {missing}"
            )

    def __len__(self) -> int:
        return self.n_rows

    def batches(
        self, names: Sequence[str] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[pd.DataFrame]:
        """At most `rows` rows at a time; text comes as categories, each batch with its own."""
        names = self.columns if names is None else list(names)
        for file in self.files:
            with plain_parquet_errors(file), pq.ParquetFile(file, **_options(file)) as opened:
                for batch in opened.iter_batches(batch_size=rows, columns=names):
                    table = pa.Table.from_batches([batch]).select(names)
                    if table.num_rows:
                        yield table.to_pandas(ignore_metadata=True)

    def frame(self) -> pd.DataFrame:
        """All rows in memory, as `pandas.read_parquet` gives them."""
        return pd.read_parquet([str(file) for file in self.files], columns=self.columns)

    def dtypes(self) -> pd.Series:
        """dtype by column as in `frame`, where nothing is missing; categories are not known yet."""
        return self.schema.empty_table().to_pandas()[self.columns].dtypes

    def check_types(self) -> None:
        """Refuse columns that hold neither numbers, times, text nor truths, by name."""
        for name in self.columns:
            kind = self.schema.field(name).type
            if not _is_plain(kind):
                raise ValueError(
                    f"{name}: a column must hold numbers, times, text or truths, got {kind}"
                )


def is_path(table: object) -> bool:
    """Whether a table is given by where it lies."""
    return isinstance(table, str | os.PathLike | Dataset)


def as_dataset(table: str | os.PathLike | Dataset) -> Dataset:
    """The data set at a path, or the one given."""
    return table if isinstance(table, Dataset) else Dataset(table)


def find(path: str | os.PathLike, part: str) -> tuple[Path, ...]:
    """The Parquet files of a path, by name: the file, those of the folder or of the pattern.

    Raises: FileNotFoundError where there is none.
    """
    path = Path(path)
    if path.is_file():
        return (path,)
    if (path / part).is_file():
        return (path / part,)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if _is_visible_table(file))
    else:
        found = sorted(Path(file) for file in glob.glob(str(path)) if Path(file).is_file())
    if not found:
        what = "a folder without Parquet files" if path.is_dir() else "no file"
        raise FileNotFoundError(f"a data set must be Parquet files, {path} is {what}")
    return tuple(found)


def _is_visible_table(file: Path) -> bool:
    return file.is_file() and file.suffix in SUFFIXES and not file.name.startswith(".")


def columns_of(schema: pa.Schema) -> list[str]:
    """Names without the index a frame may have been written with."""
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in schema.names if name not in index]


def unreadable(path: Path, error: Exception) -> ValueError:
    """The error of a file that is no whole Parquet table, as one sentence."""
    why = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ValueError(f"{path.name}: no readable Parquet table: {why}")


@contextmanager
def plain_parquet_errors(path: Path) -> Iterator[None]:
    """A block in which errors of Arrow about a file become one sentence."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _described(path: Path) -> tuple[pa.Schema, int]:
    """Schema and number of rows of a file, from its footer."""
    with plain_parquet_errors(path), pq.ParquetFile(path) as file:
        return file.schema_arrow, file.metadata.num_rows


def _options(path: Path) -> dict[str, list[str]]:
    """How a file is read: text as dictionaries, which cost a byte or two a row."""
    schema, _ = _described(path)
    return {"read_dictionary": [f.name for f in schema if _is_text(f.type)]}


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _check_agrees(first: Path, wanted: pa.Schema, file: Path, schema: pa.Schema) -> None:
    """Raise a ValueError that names file and column where two files disagree."""
    here, there = columns_of(schema), columns_of(wanted)
    missing = [name for name in there if name not in here]
    extra = [name for name in here if name not in there]
    if missing or extra:
        lacking, having, name = (file, first, missing[0]) if missing else (first, file, extra[0])
        raise ValueError(
            f"the files of a data set must have the same columns, but {lacking.name} lacks "
            f"{name!r}, which {having.name} has"
        )
    for name in there:
        kinds = _kind(wanted.field(name).type), _kind(schema.field(name).type)
        if kinds[0] != kinds[1]:
            raise ValueError(
                f"the files of a data set must have one type for a column, but {name!r} is "
                f"{kinds[1]} in {file.name} and {kinds[0]} in {first.name}"
            )


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    tests = ("integer", "floating", "boolean", "timestamp", "duration", "null")
    return _is_text(kind) or any(getattr(pa.types, f"is_{test}")(kind) for test in tests)


def _kind(kind: pa.DataType) -> str:
    """The type of a column as far as rows of two files must share it."""
    if pa.types.is_dictionary(kind):
        return "string" if _is_text(kind.value_type) else str(kind.value_type)
    return "string" if _is_text(kind) else str(kind)
