"""Seals: whether what a file says is still what was written.

In: the entries of a JSON object. Out: the same with a hash of all others, by which a reader knows
that nothing was changed. It keeps no secret: it guards against an editor, not against a forger.
"""

import hashlib
import json
from typing import Any

SEAL = "seal"


def sealed(entries: dict[str, Any]) -> dict[str, Any]:
    """The entries with the hash of all of them but an old seal."""
    rest = {key: value for key, value in entries.items() if key != SEAL}
    text = json.dumps(rest, sort_keys=True)
    return {**rest, SEAL: hashlib.sha256(text.encode()).hexdigest()}


def is_sealed(entries: Any) -> bool:
    """Whether it is an object whose seal is that of its entries."""
    return isinstance(entries, dict) and SEAL in entries and entries == sealed(entries)
