"""Pages in Markdown: tables, and cards of the files they lie beside.

In: what a page says. Out: text. A card begins with what hubs of models and data index, as YAML
between lines of dashes. It is written again with its files, unless its mark was taken out: then it
is the user's own.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from . import files

MARK = "<!-- Written again with the files beside it, unless this line is removed. -->"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def card(front: Mapping[str, str | list[str]], body: str) -> str:
    """A page with its front matter; every value is quoted, so that any text is YAML."""
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in front.items()), "---"]
    return "\n".join([*lines, MARK, "", body])


def write_card(path: Path, text: str) -> None:
    """Write a card, unless a file without the mark is in its place.

    Raises: OSError where it cannot be written.
    """
    with suppress(FileNotFoundError):
        if MARK.encode() not in path.read_bytes():
            return
    files.write(path, text.encode("utf-8", "replace"), parents=False)  # half a surrogate: a "?"
