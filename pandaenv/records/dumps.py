"""Raw PanDA dumps in any format: CSV, Parquet or JSON, zipped or not, larger than memory.

In: a file or a pipe, whose format its first bytes tell, with columns in any order and letter case.
Out: its rows in the table `staged` of a DuckDB connection, classified by `classification`. Messages
state counts and our own names of columns; they repeat no value, no name found in a file and no
error text of the engine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from .bigpanda import JobStream
from .classification import Leniency, classify
from .delimited import RowStream
from .engine import plain_engine_errors
from .first_bytes import PARQUET, open_once
from .raw_columns import check_columns, match_columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def stage(
    engine: ModuleType,
    connection: DuckDBPyConnection,
    path: Path,
    leniency: Leniency,
    encoding: str | None = None,
) -> int:
    """Add a dump's rows to `staged`, classified; return the number of unreadable lines.

    Args:
        engine: the module `duckdb`.
        encoding: of a text file; by default UTF-8, or UTF-16 where its first bytes say so.

    Raises:
        ValueError: the file is no dump, or damaged.
    """
    with plain_engine_errors(engine, str(path)), open_once(path, encoding) as opened:
        if opened.first.startswith(PARQUET):
            return _stage_parquet(connection, path, leniency)
        text = opened.first_text
        if "\0" in text:
            raise ValueError(f"{path}: no PanDA dump, neither CSV nor Parquet nor JSON")
        is_json = text.lstrip(" \t\r\n")[:1] in ("{", "[")
        stream: JobStream | RowStream
        if is_json:
            stream = JobStream(opened.text(), path)
        else:
            stream = RowStream(opened.text(), path, leniency.all_analysis, leniency.groups)
        for batch in stream.batches():
            connection.register("batch", batch)
            classify(connection, "batch", stream.columns, {}, leniency)
            connection.unregister("batch")
        check_columns(set(stream.columns), path, leniency.all_analysis, leniency.groups)
        return stream.n_unreadable


def _stage_parquet(connection: DuckDBPyConnection, path: Path, leniency: Leniency) -> int:
    if path.is_fifo():
        raise ValueError(f"{path}: Parquet is read from its end, so it must be a file, not a pipe")
    names = match_columns(pq.read_schema(path).names, path, leniency.all_analysis, leniency.groups)
    with _plain_name(path) as name:
        classify(connection, "read_parquet($path)", names, {"path": name}, leniency)
    return 0


@contextmanager
def _plain_name(path: Path) -> Iterator[str]:
    """A plain name for a file: the engine would read `*`, `?`, `[` and `key=value` as patterns."""
    with tempfile.TemporaryDirectory(prefix="pandaenv-") as folder:
        link = Path(folder) / "dump"
        link.symlink_to(path)
        yield str(link)
