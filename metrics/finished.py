"""What a killed evaluation had finished, kept so that the next one goes on from there.

In: a folder, and what a score depends on. Out: scores by group, one JSON file each, named by a hash
of the tables' contents and the settings, and written whole or not at all. Numbers survive to the
last bit.
"""

import hashlib
import json
import math
import os
import tempfile
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

from metrics.report import Score, plain

from . import columns

LIBRARIES = ("numpy", "pandas", "scikit-learn", "catboost")  # another version, another number
FORM = 2  # raised when a definition changes, so that no old number is taken for a new one


class Finished:
    """Scores kept in `folder`; None keeps nothing."""

    def __init__(self, folder: Path | str | None, *settings):
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            _make(self.folder)
            self.settings = [digest(s) if _is_table(s) else s for s in settings]

    def __bool__(self) -> bool:
        return self.folder is not None

    def score(self, group: str, table, measure) -> Score:
        """The kept score of `group` for a table (or its digest), else `measure()`, then kept."""
        if not self:
            return measure()
        path = self._path(group, table)
        kept = _read(path)
        if kept is None:
            kept = measure()
            _write(path, _to_text(kept))
        return kept

    def has(self, group: str, table) -> bool:
        """Whether that score is kept."""
        return bool(self) and self._path(group, table).is_file()

    def _path(self, group: str, table) -> Path:
        versions = [FORM, *(version(library) for library in LIBRARIES)]
        key = json.dumps([group, table, self.settings, versions], default=str)
        name = "".join(c if c.isalnum() else "-" for c in group)
        return self.folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(
            f"resume must be a folder that can be written, got {folder}: {error.strerror}"
        ) from error


@cache
def version(library: str) -> str:
    """The installed version of a library."""
    return metadata.version(library)


def _is_table(value) -> bool:
    return isinstance(value, (pd.DataFrame, columns.OnDisk))


def digest(table) -> str:
    """A hash of names, dtypes, values and order; of the bytes of the file for a table on disk."""
    total = hashlib.sha256()
    if isinstance(table, columns.OnDisk):
        with open(table.path, "rb") as file:
            while chunk := file.read(1 << 20):
                total.update(chunk)
        total.update(repr(table.names).encode())
        total.update(b"" if table.rows is None else np.ascontiguousarray(table.rows).tobytes())
        return total.hexdigest()
    total.update(repr([(str(c), columns.is_numerical(table[c])) for c in table]).encode())
    total.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return total.hexdigest()


def _to_text(score: Score) -> str:
    held = asdict(score) | {"association": None}
    if score.association is not None:
        held["association"] = {
            "names": [str(name) for name in score.association.columns],
            "values": score.association.to_numpy().tolist(),
        }
    return json.dumps(plain(held), allow_nan=False)


def _read(path: Path) -> Score | None:
    """None for a file that is not there or not whole."""
    try:
        return _score(json.loads(path.read_text(encoding="utf-8")))
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


def _write(path: Path, text: str) -> None:
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
