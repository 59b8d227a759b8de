"""Pools of surrogate records on disk: the bundled ones by name, and any file by its path.

In: a name or a path. Out: the file or folder it means, its records, and an identity by which a file
written anew is told from the one before.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import pandas as pd

from pandaenv.records import RECORDS, read, table_path

BUNDLED = {
    name: Path(__file__).parent.parent / "data" / name / "pool.parquet"
    for name in ("tabddpm", "tabar", "masked")
}
"""The surrogates that come with the package, and the rows drawn from each: the uniform TabDDPM in
which all published worlds stand, TabAR, and the masked TabDDPM that is the default generator."""
NAMES = ("reference", *BUNDLED)
"""Workloads known by name."""


def find_source(source: str | Path) -> Path:
    """The path a name or a path means; of a folder written by `ingest` its records.

    Raises: ValueError where there is no such name, file or folder.
    """
    path = BUNDLED.get(source) or Path(source)
    if (path / RECORDS).is_file():
        return table_path(path, RECORDS)
    if path.exists():
        return path
    if source in BUNDLED:
        raise ValueError(f"the bundled pool must lie at {path}, nothing there: reinstall pandaenv")
    if path.suffix:
        raise ValueError(f"workload={str(source)!r} must be a file or a folder, there is none")
    raise ValueError(f"unknown workload {str(source)!r}; known: {', '.join(NAMES)}, or a file")


@lru_cache(maxsize=2)
def read_pool(path: Path, identity: tuple | None) -> pd.DataFrame:
    """The records of a file, kept for the next reader as long as the file is the same.

    Raises: ValueError where the file is no record table.
    """
    try:
        return read(path, groups=None)
    except (OSError, ValueError) as error:
        raise ValueError(f"a workload must be a table of job records: {error}") from error


def file_identity(source: object) -> tuple | None:
    """Which file or folder a path means now and when it was written; None where it means none."""
    if not isinstance(source, str | Path):
        return None
    try:
        found = os.stat(source)
    except (OSError, ValueError):
        return None
    return os.path.abspath(source), found.st_mtime_ns, found.st_size, found.st_ino
