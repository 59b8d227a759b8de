"""Finished work that an interrupted run finds again: keys of what a result depends on, and a cache.

In: whatever determines a result (settings, seeds, versions, hashes of data and code). Out: a name
for it, or the result itself, from a file where an earlier run wrote one.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .provenance import write_json


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
        if path.exists():
            found = json.loads(path.read_text())
            if found["identity"] == self.identity:
                return found["result"]
        result = make()
        write_json(path, {"identity": self.identity, "result": result})
        return result
