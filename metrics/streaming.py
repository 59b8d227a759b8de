"""A table that stays on disk: Parquet read a row group at a time, or one column at a time.

In: the path of a Parquet file. Out: `Stored`, which answers what the exact metrics ask of a frame:
names, dtypes, length, one column, batches of rows, a selection of rows. In memory are at most one
row group, one column (two for the pairs of tails and temporal), and 8 bytes a row for a selection.
"""

import copy
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from foundations.tables import check_shape

from . import frames


class Stored(frames.OnDisk):
    """Rows of a Parquet file, read when they are asked for.

    Args:
        path: the file; strings are read as categories.
        names: columns in the order wanted, all by default.
        rows: (n,) positions of the rows wanted, in the order `frame` gives them; all by default.

    Raises: ValueError in one sentence for a file that is no Parquet table.
    """

    def __init__(
        self,
        path: Path | str,
        names: Sequence[Hashable] | None = None,
        rows: np.ndarray | None = None,
    ):
        self.path, self.rows = Path(path), rows
        self._state = _state(self.path)
        self._schema, self._file_rows, self._words = _described(self.path)
        self.names = list(_columns(self._schema) if names is None else names)
        missing = [name for name in self.names if name not in self._schema.names]
        if missing:
            raise ValueError(
                f"{self.path.name} must have the columns {self.names}, got missing {missing}"
            )
        self._checked = False

    def __len__(self) -> int:
        return self._file_rows if self.rows is None else len(self.rows)

    @property
    def columns(self) -> pd.Index:
        return pd.Index(self.names)

    @property
    def dtypes(self) -> pd.Series:
        """dtype by column, as a frame read from the file has it."""
        empty = self._schema.empty_table().select(self.names).to_pandas(ignore_metadata=True)
        return empty.dtypes

    def __getitem__(self, name) -> pd.Series:
        """One whole column, in the order of the file."""
        parts = list(self._arrow([name]))
        column = pa.concat_tables(parts).unify_dictionaries().column(0)
        return column.to_pandas().rename(name)

    def select(self, names: list) -> "Stored":
        """The same rows with these columns."""
        return self._like(names, self.rows)

    def take(self, at: np.ndarray) -> "Stored":
        """The rows at these positions of this selection."""
        return self._like(self.names, at if self.rows is None else self.rows[at])

    def _like(self, names, rows) -> "Stored":
        other = copy.copy(self)
        other.names, other.rows = list(names), rows
        return other

    def batches(self) -> Iterator[pd.DataFrame]:
        """The selected rows of one row group after the other, in the order of the file."""
        for part in self._arrow(self.names):
            if part.num_rows:
                yield part.to_pandas(ignore_metadata=True)

    def frame(self, most: int, seed: int) -> pd.DataFrame:
        """At most `most` rows in memory, drawn with the seed, in the order of the selection."""
        if len(self) > most:
            drawn = np.random.default_rng([seed, 5]).permutation(len(self))[:most]
            return self.take(drawn).frame(most, seed)
        table = pa.concat_tables(list(self._arrow(self.names))).unify_dictionaries()
        frame = table.to_pandas(ignore_metadata=True)
        if self.rows is None:
            return frame
        place = np.empty(len(self), np.int64)
        place[np.argsort(self.rows, kind="stable")] = np.arange(len(self))
        return frame.iloc[place].reset_index(drop=True)

    def check(self, what: str) -> "Stored":
        """Refuse what `frames.check` refuses of a frame, reading the file once."""
        if not self._checked:
            self._check(what)
            self._checked = True
        return self

    def _check(self, what: str) -> None:
        empty = self._schema.empty_table().select(self.names).to_pandas(ignore_metadata=True)
        check_shape(self.columns, len(self), what)
        start = 0
        for part in self.batches():
            for name in empty:
                frames.check_column(part[name], what, start)
            start += len(part)

    def _arrow(self, names: list) -> Iterator[pa.Table]:
        """Selected rows of each row group."""
        if _state(self.path) != self._state:
            raise ValueError(f"{self.path.name} must not change while it is scored, but it did")
        try:
            yield from self._groups(names)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self.path, error) from error

    def _groups(self, names: list) -> Iterator[pa.Table]:
        wanted = None if self.rows is None else np.sort(self.rows)
        with pq.ParquetFile(self.path, read_dictionary=self._words) as file:
            start = 0
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                at = None
                if wanted is not None:
                    lo, hi = np.searchsorted(wanted, [start, end])
                    at = wanted[lo:hi] - start
                if at is None or at.size:
                    part = file.read_row_group(group, columns=names).select(names)
                    yield part if at is None else part.take(pa.array(at))
                start = end


def _described(path: Path) -> tuple[pa.Schema, int, list[str]]:
    """Schema with strings as dictionaries, number of rows, names of the string columns."""
    try:
        with pq.ParquetFile(path) as file:
            schema, n = file.schema_arrow, file.metadata.num_rows
        words = [
            f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
        ]
        with pq.ParquetFile(path, read_dictionary=words) as file:
            return file.schema_arrow, n, words
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ValueError:
    why = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ValueError(f"{path.name}: no readable Parquet table: {why}")


def _state(path: Path) -> tuple[int, int] | None:
    """What changes with the file; None where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def exceeds(path: Path, most: int) -> bool:
    """Whether a file is Parquet with more than `most` rows."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        if file.read(4) != b"PAR1":
            return False
    return len(Stored(path)) > most


def _columns(schema: pa.Schema) -> list[str]:
    """Names without the index a frame may have been written with."""
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in schema.names if name not in index]


def open_table(table: Any, most: int, what: str) -> Any:
    """A frame as it is; the Parquet file at a path as a frame if it has at most `most` rows."""
    if isinstance(table, (str, Path)):
        table = Stored(table)
        if len(table) <= most:
            check_shape(table.columns, len(table), what)
            return table.frame(most, 0)
    return table


def take(table: Any, at: np.ndarray) -> Any:
    """Rows of a frame or of a stored table."""
    return table.take(at) if isinstance(table, Stored) else table.iloc[at]


def in_memory(table: Any, most: int, seed: int) -> pd.DataFrame:
    """A frame as it is, at most `most` rows of a stored table."""
    return table.frame(most, seed) if isinstance(table, Stored) else table
