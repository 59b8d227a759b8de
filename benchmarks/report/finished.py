"""Finished work that an interrupted run finds again: keys of what a result depends on, and a cache.

In: whatever determines a result (settings, seeds, versions, hashes of data and code). Out: a name
for it, or the result itself, from a file where an earlier run wrote one. Such files are sealed:
what was changed since is made again. A folder of a run is that of one run alone.
"""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from foundations import files
from foundations.seals import is_sealed, sealed

from .provenance import write_json, write_text

RUN = "run.json"
SEAL_OF_TABLE = "# SHA-256 of the lines above: "
OF_A_RUN = ("table1.json", "rows", "models")  # what earlier versions left, without a RUN


def result_key(parts: Any, sort_keys: bool = False) -> str:
    """Sixteen hexadecimal digits that name what a result depends on."""
    text = json.dumps(parts, sort_keys=sort_keys, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class ResultCache:
    """Results by name in a folder, valid for one identity; without a folder nothing is stored.

    Args:
        identity: what all results depend on, besides their names; JSON.
    """

    def __init__(self, folder: Path | None, identity: dict):
        self.folder, self.identity = folder, identity

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """The stored result of this name and identity; otherwise it is made and stored."""
        if self.folder is None:
            return make()
        path = self.folder / f"{name}.json"
        found = read_sealed(path)
        if found is not None and found.get("identity") == self.identity:
            return found["result"]
        result = make()
        write_sealed(path, {"identity": self.identity, "result": result})
        return result


def read_sealed(path: Path) -> dict[str, Any] | None:
    """What `write_sealed` wrote; None where there is no such file, or it was changed since."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if is_sealed(found) else None


def write_sealed(path: Path, entries: dict[str, Any]) -> None:
    """Write entries so that a change is found."""
    write_json(path, sealed(entries))


def read_sealed_table(path: Path) -> pd.DataFrame | None:
    """What `write_sealed_table` wrote; None where there is none, or it was changed since."""
    try:
        text, mark, seal = path.read_text(encoding="utf-8").rpartition(SEAL_OF_TABLE)
    except (OSError, ValueError):
        return None
    return pd.read_csv(io.StringIO(text)) if mark and seal.strip() == _digest(text) else None


def write_sealed_table(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Write a table as CSV, with a last line by which a change is found; returns it as read."""
    text = table.to_csv(index=False)
    write_text(path, f"{text}{SEAL_OF_TABLE}{_digest(text)}\n")
    return pd.read_csv(io.StringIO(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def check_run(folder: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """What a folder says of the run in it; nothing where it is free.

    Raises: ValueError where it holds another run, naming what differs.
    """
    path = folder / RUN
    if not path.exists():
        if any((folder / name).exists() for name in OF_A_RUN):
            raise ValueError(f"{folder} holds a run that does not say its options: {_WAY_OUT}")
        return {}
    found = read_sealed(path)
    if found is None:
        raise ValueError(f"{path} is damaged, or was changed after it was written: {_WAY_OUT}")
    other = [_difference(k, found[k], v) for k, v in identity.items() if found.get(k, v) != v]
    if other:
        raise ValueError(f"{folder} holds another run, with {', '.join(other)}: {_WAY_OUT}")
    return found


def claim_run(folder: Path, identity: dict[str, Any]) -> None:
    """Make a folder that of one run, and remove the drafts that it left where it was killed.

    Args:
        identity: what the run is, JSON. Entries that the folder has not had yet are added.

    Raises: ValueError where it holds another run.
    """
    identity = json.loads(json.dumps(identity, default=str))
    found = check_run(folder, identity)
    files.remove_all_dead_drafts(folder)
    if sealed(found | identity) != found:
        write_sealed(folder / RUN, found | identity)


_WAY_OUT = "name another folder, or remove this one"


def _difference(name: str, there: Any, now: Any) -> str:
    """What differs, with its values where they are short."""
    values = f" {there!r} instead of {now!r}"
    return name + values if len(values) < 45 else f"other {name}"
