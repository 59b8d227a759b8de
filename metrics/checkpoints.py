"""Scores of an interrupted evaluation, kept so that the next one continues from there.

In: a folder, and what a score depends on. Out: one JSON file for each measure, named by a hash of
the contents of the tables and the settings, written whole or not at all, and sealed: what was
changed since is computed again. Numbers survive to the last bit.
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from foundations.files import write
from foundations.seals import is_sealed, sealed
from foundations.tables import is_numerical, row_hashes
from foundations.versions import version

from .frames import OnDisk
from .report import plain
from .scores import Score

LIBRARIES = ("numpy", "pandas", "scikit-learn", "catboost")  # another version, another number
FORM = 2  # raised when a definition changes, so that no old number is taken for a new one


class Checkpoints:
    """Scores kept in `folder`; None keeps nothing."""

    def __init__(self, folder: Path | str | None, *settings: Any):
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            _make(self.folder)
            self.settings = [digest(s) if _is_table(s) else s for s in settings]

    def __bool__(self) -> bool:
        return self.folder is not None

    def score(self, name: str, key: str, compute: Callable[[], Score]) -> Score:
        """The kept score of a measure for a table with the digest `key`, else `compute()`."""
        if not self:
            return compute()
        path = self._path(name, key)
        kept = _read(path)
        if kept is None:
            kept = compute()
            write(path, _to_text(kept))
        return kept

    def _path(self, name: str, key: str) -> Path:
        versions = [FORM, *(version(library) for library in LIBRARIES)]
        content = json.dumps([name, key, self.settings, versions], default=str)
        stem = "".join(c if c.isalnum() else "-" for c in name)
        return self.folder / f"{stem}-{hashlib.sha256(content.encode()).hexdigest()[:16]}.json"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(
            f"resume must be a folder that can be written, got {folder}: {error.strerror}"
        ) from error


def _is_table(value: Any) -> bool:
    return isinstance(value, (pd.DataFrame, OnDisk))


def digest(table: Any) -> str:
    """A hash of names, dtypes, values and order; of the bytes of the file for a table on disk."""
    total = hashlib.sha256()
    if isinstance(table, OnDisk):
        with open(table.path, "rb") as file:
            hashlib.file_digest(file, lambda: total)
        total.update(repr(table.names).encode())
        total.update(b"" if table.rows is None else np.ascontiguousarray(table.rows).tobytes())
        return total.hexdigest()
    total.update(repr([(str(c), is_numerical(table[c])) for c in table]).encode())
    total.update(row_hashes(table))
    return total.hexdigest()


def _to_text(score: Score) -> str:
    held = asdict(score) | {"association": None}
    if score.association is not None:
        held["association"] = {
            "names": [str(name) for name in score.association.columns],
            "values": score.association.to_numpy().tolist(),
        }
    return json.dumps(sealed(plain(held)), allow_nan=False)


def _read(path: Path) -> Score | None:
    """None for a file that is not there, not whole or changed since."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return _score(held) if is_sealed(held) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _score(held: dict) -> Score:
    score = Score(_numbers(held["values"]), _numbers(held["spread"]))
    score.interval = {
        k: tuple(math.nan if v is None else v for v in ends) for k, ends in held["interval"].items()
    }
    score.columns = {k: _numbers(column) for k, column in held["columns"].items()}
    if held["association"]:
        names = held["association"]["names"]
        score.association = pd.DataFrame(held["association"]["values"], names, names)
    return score


def _numbers(held: dict) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in held.items()}
