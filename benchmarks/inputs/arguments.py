"""What a command takes and how it ends: checked numbers and files, and one sentence on what broke.

In: words of a command line. Out: numbers and paths that argparse refuses with the rule before any
work is done; or, from `command`, a command whose errors are a line on stderr and not a traceback.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

from gymnasium.error import Error


def whole(low: int) -> Callable[[str], int]:
    """A type for argparse: whole numbers of at least `low`."""

    def number(word: str) -> int:
        try:
            value = int(word)
        except ValueError:
            value = low - 1
        if value < low:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {low}, got {word!r}"
            )
        return value

    return number


def positive(word: str) -> float:
    """A type for argparse: finite numbers above 0."""
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number, got {word!r}")
    return value


def new_file(word: str) -> Path:
    """A type for argparse: a file that can be written; folders that are missing come later."""
    path = Path(word)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a file; {path} is a folder")
    return _writable(path, path.parent)


def new_folder(word: str) -> Path:
    """A type for argparse: a folder to write into, or one that can be made."""
    path = Path(word)
    return _writable(path, path)


def _writable(path: Path, parent: Path) -> Path:
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise argparse.ArgumentTypeError(f"must be where one can write; {parent} is not, {path}")
    return path


def command(main: Callable[[], int | None]) -> None:
    """Run a command and leave: what breaks is one sentence, and an interrupt says so."""
    try:
        sys.exit(main())
    except (ValueError, OSError, ImportError, Error) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
