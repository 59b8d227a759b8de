"""The first bytes of a data file, which tell its format, and its read errors in plain words.

In: a path. Out: the bytes, unzipped; errors of damaged files as one sentence that names the file.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARQUET = b"PAR1"


def read_first_bytes(path: Path, n_bytes: int = 1 << 20) -> tuple[bytes, bool]:
    """The first bytes of a file, unzipped, and whether it was zipped.

    Raises: ValueError for an empty file.
    """
    with open(path, "rb") as handle:
        is_gzip = handle.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_gzip else open(path, "rb") as handle:
        first = handle.read(n_bytes)
    if not first.strip():
        raise ValueError(f"{path}: no PanDA dump, the file is empty")
    return first, is_gzip


@contextmanager
def plain_file_errors(path: Path) -> Iterator[None]:
    """Turn read errors of a file into a ValueError of one sentence."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise ValueError(f"{path}: the compressed file is damaged") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or 'damaged'})") from None
