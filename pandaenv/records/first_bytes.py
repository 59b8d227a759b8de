"""A data file opened once: its first bytes, which tell its format, then all of it, as text or not.

In: a path to a file or a pipe. Out: the unzipped bytes from the first on; errors of damaged files
as one sentence that names the file.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

PARQUET = b"PAR1"
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
N_FIRST = 1 << 20


@dataclass
class Opened:
    """An open file: `first` are its first unzipped bytes, `stream` yields all of them."""

    first: bytes
    stream: BinaryIO
    encoding: str

    @property
    def first_text(self) -> str:
        """The first bytes as text, without a byte order mark."""
        decoder = codecs.getincrementaldecoder(self.encoding)(errors="replace")
        return decoder.decode(self.first)

    def text(self) -> io.TextIOWrapper:
        """All of the file as text whose lines end in a newline; bytes amiss become U+FFFD."""
        return io.TextIOWrapper(self.stream, self.encoding, errors="replace", newline=None)


@contextmanager
def open_once(path: Path, encoding: str | None = None) -> Iterator[Opened]:
    """Open a file or a pipe, zipped or not.

    Args:
        encoding: of its text; by default what its first bytes say, UTF-8 if they say nothing.

    Raises: ValueError for an empty file and an unknown encoding.
    """
    with plain_file_errors(path), open(path, "rb") as file:
        stream = _again(*_read_first(file, 2))
        if stream.peek(2)[:2] == b"\x1f\x8b":
            stream = io.BufferedReader(gzip.GzipFile(fileobj=stream))
        first, rest = _read_first(stream, N_FIRST)
        if not first.strip():
            raise ValueError(f"{path}: the file is empty")
        name = check_encoding(encoding) or ("utf-16" if first.startswith(UTF16) else "utf-8-sig")
        yield Opened(first, cast(BinaryIO, _again(first, rest)), name)


def check_encoding(encoding: str | None) -> str | None:
    """Return the name of an encoding of text; a ValueError where there is none of this name."""
    try:
        "".encode(encoding or "utf-8")
    except LookupError:
        raise ValueError(f"unknown encoding {encoding!r}; known are utf-8, latin-1, ...") from None
    return encoding


def what_is_there(path: Path) -> str:
    """Why a path is no file: the end of a sentence."""
    if path.is_dir():
        return "is a folder"
    return "is a link that leads nowhere" if path.is_symlink() else "does not exist"


@contextmanager
def plain_file_errors(path: Path) -> Iterator[None]:
    """Turn read errors of a file into a ValueError of one sentence."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise ValueError(f"{path}: the compressed file is damaged") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or 'damaged'})") from None


def _read_first(stream: io.BufferedIOBase, n_bytes: int) -> tuple[bytes, io.BufferedIOBase]:
    """The first bytes, fewer only at the end of the stream, and the stream behind them."""
    return stream.read(n_bytes), stream


def _again(first: bytes, rest: io.BufferedIOBase) -> io.BufferedReader:
    return io.BufferedReader(_Again(first, rest), buffer_size=1 << 20)


class _Again(io.RawIOBase):
    """The bytes read from a stream, and then those left in it: pipes cannot be rewound."""

    def __init__(self, first: bytes, rest: io.BufferedIOBase):
        self.first, self.rest = memoryview(first), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if not self.first:
            return self.rest.readinto1(buffer)
        n_bytes = min(len(buffer), len(self.first))
        buffer[:n_bytes], self.first = self.first[:n_bytes], self.first[n_bytes:]
        return n_bytes
