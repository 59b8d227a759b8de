"""Raw PanDA dumps in any format: CSV, CSV.gz, Parquet or BigPanDA JSON, larger than memory.

In: a file, whose format its first bytes tell, with columns in any order and letter case. Out: its
rows in the table `staged` of a DuckDB connection, classified by `classification`. Messages state
counts and our own names of columns; they repeat no value, no name found in a file and no error text
of the engine.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from .bigpanda import stage_json
from .classification import classify
from .engine import plain_engine_errors
from .first_bytes import PARQUET, plain_file_errors, read_first_bytes
from .raw_columns import RAW, fold_names, match_columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def stage(
    engine: ModuleType, connection: DuckDBPyConnection, path: Path, allow_unknown: bool
) -> int:
    """Add a dump's rows to `staged`, classified; return the number of unreadable lines.

    Args:
        engine: the module `duckdb`.
        allow_unknown: keep rows without project or production step.

    Raises:
        ValueError: the file is no dump, or damaged.
    """
    with plain_engine_errors(engine, str(path)), plain_file_errors(path):
        first, is_gzip = read_first_bytes(path)
        if first.startswith(PARQUET):
            return _stage_parquet(connection, path, allow_unknown)
        if first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
            return stage_json(connection, path, is_gzip, allow_unknown)
        return _stage_csv(engine, connection, path, first, is_gzip, allow_unknown)


def _stage_parquet(connection: DuckDBPyConnection, path: Path, allow_unknown: bool) -> int:
    names = match_columns(pq.read_schema(path).names, path)
    with _plain_name(path) as name:
        classify(connection, "read_parquet($path)", names, {"path": name}, allow_unknown)
    return 0


def _stage_csv(
    engine: ModuleType,
    connection: DuckDBPyConnection,
    path: Path,
    first: bytes,
    is_gzip: bool,
    allow_unknown: bool,
) -> int:
    header, delimiter = _read_header(first, path)
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(header)))
    relation = (
        f"read_csv($path, columns = {{{columns}}}, delim = $delimiter, compression = $compression, "
        "header = true, auto_detect = false, quote = '\"', escape = '\"', "
        "ignore_errors = true, store_rejects = true, strict_mode = "
    )
    compression = "gzip" if is_gzip else "none"
    with _plain_name(path) as name:
        values = {"path": name, "delimiter": delimiter, "compression": compression}
        work = (match_columns(header, path), values, allow_unknown)
        try:
            classify(connection, relation + "true)", *work)
        except engine.InvalidInputException:  # lines that end in different ways
            classify(connection, relation + "false)", *work)
    return _count_rejects(connection)


def _count_rejects(connection: DuckDBPyConnection) -> int:
    """Number of lines the last CSV file had rejected; what the engine kept of them is dropped."""
    kept = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'reject_errors'"
    if not connection.execute(kept).fetchone()[0]:
        return 0
    rejected = "SELECT count(DISTINCT (scan_id, file_id, line)) FROM reject_errors"
    n_unreadable = connection.execute(rejected).fetchone()[0]
    connection.execute("DELETE FROM reject_errors")
    return n_unreadable


def _read_header(first: bytes, path: Path) -> tuple[list[str], str]:
    """Column names of a CSV file and its delimiter: the one that yields most names we know."""
    if b"\0" in first:
        raise ValueError(f"{path}: no PanDA dump, neither CSV nor Parquet nor JSON")
    text = first.decode("utf-8-sig", errors="replace")
    try:
        headers = {d: next(csv.reader(io.StringIO(text, newline=""), delimiter=d)) for d in ",;\t|"}
    except (csv.Error, StopIteration):
        raise ValueError(f"{path}: no PanDA dump, its first line is no CSV header") from None
    delimiter = max(headers, key=lambda d: len(set(fold_names(headers[d])) & set(RAW)))
    return headers[delimiter], delimiter


@contextmanager
def _plain_name(path: Path) -> Iterator[str]:
    """A plain name for a file: the engine would read `*`, `?`, `[` and `key=value` as patterns."""
    with tempfile.TemporaryDirectory(prefix="pandaenv-") as folder:
        link = Path(folder) / "dump"
        link.symlink_to(path)
        yield str(link)
