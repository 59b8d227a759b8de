"""Versions of installed libraries, as results and files name what they were made with."""

import platform
from collections.abc import Iterable
from functools import cache
from importlib import metadata


@cache
def version(library: str) -> str | None:
    """The installed version of a library, None where it is not installed."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Python's version and those of the libraries that are installed, by name."""
    found = {"python": platform.python_version()}
    return found | {name: text for name in libraries if (text := version(name))}
