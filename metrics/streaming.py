"""A table that stays on disk: Parquet read a row group at a time, or one column at a time.

In: where Parquet files of one schema lie. Out: `Stored`, which answers what the exact metrics ask
of a frame: names, dtypes, length, one column, batches of rows, a selection of rows. In memory are
at most one row group, one column (two for the pairs of tails and temporal), and 8 bytes a row for a
selection.
"""

import copy
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from foundations.parquet import Dataset, as_dataset, plain_parquet_errors
from foundations.tables import check_shape

from . import frames


class Stored(frames.OnDisk):
    """Rows of Parquet files, read when they are asked for.

    Args:
        path: a file, a folder or a pattern (`foundations.parquet`); strings are read as categories.
        names: columns in the order wanted, all by default.
        rows: (n,) positions of the rows wanted, in the order `frame` gives them; all by default.

    Raises: ValueError in one sentence for a file that is no Parquet table, or files that disagree.
    """

    def __init__(
        self,
        path: Path | str | Dataset,
        names: Sequence[Hashable] | None = None,
        rows: np.ndarray | None = None,
    ):
        data = as_dataset(path)
        self.path, self.files, self.rows = data.path, data.files, rows
        self._state = _state(self.files)
        self._schema, self._words = _described(self.files[0])
        self._file_rows = len(data)
        self.names = list(data.columns if names is None else names)
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
        if _state(self.files) != self._state:
            raise ValueError(f"{self.path.name} must not change while it is scored, but it did")
        wanted, start = None if self.rows is None else np.sort(self.rows), 0
        for path in self.files:
            options = {"read_dictionary": self._words}
            with plain_parquet_errors(path), pq.ParquetFile(path, **options) as file:
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


def _described(path: Path) -> tuple[pa.Schema, list[str]]:
    """Schema with strings as dictionaries, and names of the string columns."""
    with plain_parquet_errors(path):
        schema = pq.read_schema(path)
        words = [
            f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
        ]
        with pq.ParquetFile(path, read_dictionary=words) as file:
            return file.schema_arrow, words


def _state(paths: Sequence[Path]) -> list[tuple[int, int] | None]:
    """What changes with the files; None for one that is gone."""
    return [_state_of(path) for path in paths]


def _state_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def open_table(table: Any, most: int, what: str) -> Any:
    """A frame as it is; Parquet files at a path as a frame if they have at most `most` rows."""
    if isinstance(table, (str, Path, Dataset)):
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
