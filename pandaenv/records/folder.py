"""The folder that `ingest` writes: the names of its four files, which appear together.

In: the output folder, or a path that may be one. Out: paths of the tables in it, and a private
workspace whose finished files replace those of the folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RECORDS, TRAIN, TEST = TABLES = ("records.parquet", "train.parquet", "test.parquet")
CASCADE = "cascade.json"
OUTPUTS = (*TABLES, CASCADE)


def table_path(path: str | Path, name: str) -> Path:
    """The path of a table: the path itself, or the file `name` in it where it is a folder."""
    path = Path(path)
    return path / name if path.is_dir() else path


def is_ingested(table: Path) -> bool:
    """Whether `ingest` wrote this table: a cascade lies beside it."""
    return (table.parent / CASCADE).is_file()


def check_target(out: Path, dumps: list[Path]) -> None:
    """Raise a ValueError where the four files cannot be written or would overwrite a dump."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"the output must be a folder; {out} is a file")
    clash = {(out / name).resolve() for name in OUTPUTS} & set(dumps)
    if clash:
        raise ValueError(f"the output would overwrite the dump {clash.pop()}")
    folders = [out / name for name in OUTPUTS if (out / name).is_dir()]
    if folders:
        raise ValueError(f"the output must be a file; {folders[0]} is a folder")


@contextmanager
def workspace(out: Path) -> Iterator[Path]:
    """A private folder on the output's file system for files and spills, removed at the end."""
    parent = next(p for p in (out, *out.resolve().parents) if p.is_dir())
    with tempfile.TemporaryDirectory(prefix=".ingest-", dir=parent) as work:
        yield Path(work)


def publish(work: Path, out: Path) -> None:
    """Move the four finished files from the workspace to the output folder.

    The cascade comes last and an old one is removed first, so that a cascade never stands beside
    tables of another run.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / CASCADE).unlink(missing_ok=True)
    for name in OUTPUTS:
        os.replace(work / name, out / name)
