"""Arguments of command lines: numbers and paths that argparse checks before any work.

In: words of a command line. Out: numbers and paths, or argparse's error with the rule; and, from
`command`, a command whose errors are one sentence on stderr instead of a traceback.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path


def command_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The parser of `python -m benchmarks.NAME`; the description keeps its line breaks."""
    return argparse.ArgumentParser(
        f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_reference_options(parser: argparse.ArgumentParser) -> None:
    """Add --days and --rate of the reference workload."""
    from pandaenv import reference  # a second of imports, for which not all have a use

    parser.add_argument(
        "--days", type=whole(1), default=150, help="of the reference workload (default %(default)s)"
    )
    parser.add_argument(
        "--rate", type=positive, default=reference.RATE, help="jobs a day (default %(default)s)"
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add --device, where generators learn and draw."""
    parser.add_argument(
        "--device",
        type=_device,
        default="auto",
        help="where to learn and draw: cpu, cuda, cuda:N (default: an accelerator if there is one)",
    )


def _device(word: str) -> str:
    from generators.devices import resolve

    try:
        return str(resolve(word))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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


def site_catalogue(word: str) -> int | str:
    """A type for argparse: a number of sites, the name of a catalogue, or a CSV file."""
    return int(word) if word.isdigit() else word


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
    """A type for argparse: a file that can be written; missing folders are made later."""
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
        raise argparse.ArgumentTypeError(f"must be in a writable folder; {parent} is not, {path}")
    return path


def command(main: Callable[[], int | None]) -> None:
    """Run a command and exit; an error is one sentence on stderr, and so is an interrupt."""
    from foundations.errors import one_sentence

    try:
        with one_sentence():
            sys.exit(main())
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
