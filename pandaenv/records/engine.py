"""The query engine DuckDB: loaded only where it is needed, with bounded memory, and discreet.

In: a folder for spills. Out: a connection; errors of the engine, whose texts quote rows, as one
sentence without them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY_LIMIT = "1GB"  # beyond it sorts spill, encrypted, to the workspace
MAX_THREADS = 4


def load() -> ModuleType:
    """The module `duckdb`.

    Raises: ImportError that names the missing extra.
    """
    try:
        import duckdb
    except ImportError as error:
        raise ImportError(
            "reading PanDA dumps needs DuckDB: pip install 'pandaenv[ingest]'"
        ) from error
    return duckdb


@contextmanager
def connect(engine: ModuleType, work: Path) -> Iterator[DuckDBPyConnection]:
    """A connection to an empty database in memory; it spills into the folder `work`."""
    config = {
        "memory_limit": MEMORY_LIMIT,
        "threads": min(MAX_THREADS, os.cpu_count() or 1),
        "temp_directory": str(work / "spill"),
        "preserve_insertion_order": False,  # the output is sorted by its values
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,
    }
    with engine.connect(":memory:", config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET temp_file_encryption = true")
        connection.execute("SET enable_progress_bar = false")  # it would go to stdout
        yield connection


@contextmanager
def plain_engine_errors(engine: ModuleType, what: str) -> Iterator[None]:
    """Turn errors of the engine, whose texts quote rows, into one sentence without them."""
    try:
        yield
    except (RuntimeError, engine.InterruptException) as error:
        if "interrupt" not in str(error).lower():
            raise
        raise KeyboardInterrupt from None  # Ctrl-C reaches the engine first
    except engine.OutOfMemoryException:
        raise ValueError(f"{what}: not enough memory or disk space to process it") from None
    except (engine.Error, pa.ArrowException) as error:
        kind = type(error).__name__
        raise ValueError(f"{what}: damaged, or not what its first bytes say ({kind})") from None
