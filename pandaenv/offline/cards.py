"""The card of an offline data set: what is in it, how it was made, how it is loaded.

In: the attributes and arrays of its file. Out: the text of NAME.md beside NAME.hdf5, the same for
the same file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from foundations.pages import card, markdown

FRONT: dict[str, str | list[str]] = {
    "task_categories": ["reinforcement-learning"],
    "tags": ["offline-reinforcement-learning", "safe-reinforcement-learning", "pandaenv"],
}
TOLD = ("env_id", "env_arguments", "policy_mix", "seed", "format", "env_stream_sha256", "versions")
"""Attributes of a file that its card tells as they are."""


def beside(path: Path) -> Path:
    """Where the card of a file lies."""
    return path.with_suffix(".md")


def with_front(name: str, body: str) -> str:
    """A page on a data set as a card."""
    return card({"pretty_name": name} | FRONT, body)


def data_set_card(name: str, made: Mapping[str, Any], arrays: Mapping[str, Any]) -> str:
    """The card of the file of this name.

    Args:
        made: attributes of the file.
        arrays: by name, each with a shape and a dtype.
    """
    title = made.get("name") or Path(name).stem
    rows = [[f"`{key}`", _each(array.shape), str(array.dtype)] for key, array in arrays.items()]
    spread = [
        [key, f"{made[f'min_{key}']:.2f}", f"{made[f'max_{key}']:.2f}"]
        for key in ("return", "cost")
    ]
    parts = [
        f"# {title}",
        f"{made['n_episodes']:,} episodes, {len(arrays['rewards']):,} steps in all.",
        markdown(["an episode", "least", "largest"], spread),
        f'```python\nfrom pandaenv import offline\n\ndata = offline.load("{name}")\n```',
        markdown(["array", "of a step", "dtype"], rows),
        markdown(
            ["attribute", "value"], [[k, f"`{made[k]}`"] for k in TOLD if made.get(k, "") != ""]
        ),
    ]
    return with_front(title, "\n\n".join(part.strip() for part in parts) + "\n")


def _each(shape: tuple[int, ...]) -> str:
    return "a number" if len(shape) == 1 else f"{int(np.prod(shape[1:])):,} numbers"
