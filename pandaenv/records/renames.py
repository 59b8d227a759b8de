"""Names that changed over the years: sites renamed or merged, formats spelled anew.

In: a TOML or JSON file with a table for each column, old name to new name. Out: the names in use
today in the table `kept` of a connection.

    [computingsite]
    "OLD-SITE" = "NEW-SITE"
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from pandaenv import schema

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NAMED = tuple(name for name in schema.CATEGORICAL if name != "jobstatus")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,63}")

Renames = dict[str, dict[str, str]]


def read(path: str | Path | None) -> Renames:
    """The checked names of a mapping file, by column; none without a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is neither TOML nor JSON, or an entry breaks a rule; one sentence.
    """
    if path is None:
        return {}
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: no readable TOML or JSON file: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: must hold a table for each column, got {type(found).__name__}")
    for column, names in found.items():
        _check(path, column, names)
    return found


def _check(path: Path, column: str, names: object) -> None:
    if column not in NAMED:
        raise ValueError(f"{path}: a table must be one of {', '.join(NAMED)}, got {column!r}")
    if not isinstance(names, dict):
        raise ValueError(f"{path}: {column} must hold old = new names, got {names!r}")
    for new in names.values():
        if not isinstance(new, str) or not NAME.fullmatch(new):
            raise ValueError(f"{path}: {column}: a new name must be one word, got {new!r}")
        if new in names:
            raise ValueError(f"{path}: {column}: {new!r} must not be both a new and an old name")


def apply(connection: DuckDBPyConnection, renames: Renames) -> dict[str, dict[str, int]]:
    """Rename in `kept`; returns the rows of each old name, by column."""
    rows: dict[str, dict[str, int]] = {}
    for column, names in renames.items():
        connection.execute("CREATE OR REPLACE TEMP TABLE renames (old VARCHAR, new VARCHAR)")
        if names:
            connection.executemany("INSERT INTO renames VALUES (?, ?)", list(names.items()))
        old = f"SELECT {column}, count(*) FROM kept JOIN renames ON {column} = old GROUP BY 1"
        rows[column] = dict.fromkeys(names, 0) | dict(connection.execute(old).fetchall())
        set_new = f"UPDATE kept SET {column} = new FROM renames WHERE {column} = old"
        connection.execute(set_new).fetchall()
    return rows
