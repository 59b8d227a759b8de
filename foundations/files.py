"""Files that appear whole or not at all.

In: the path a file is to have. Out: a draft beside it, which takes the path in one move when the
block that wrote it ends well; when it does not, the file is as it was and no draft is left. The
draft is on the disk before it is moved, so a power cut leaves the old file or the new one. A
process killed meanwhile leaves a hidden folder `.NAME.*.draft`, which the next run of the same file
removes.

    with whole("records.parquet") as draft:
        table.to_parquet(draft)
"""

import glob
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".draft"  # of the hidden folder a draft is written in
JUST_MADE_S = 10  # a folder so young may be without its lock yet
MOST_BYTES = 1 << 36  # no model of ours is larger


@contextmanager
def whole(path: Path | str, *, parents: bool = True) -> Iterator[Path]:
    """A place to write the file to, named as it will be; parents are made, if wanted.

    Raises: OSError where the folder cannot be written, or the path is a folder.
    """
    path = Path(path)
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        remove_dead_drafts(path)
        place = tempfile.TemporaryDirectory(SUFFIX, f".{path.name}.", path.parent)
    except OSError as error:  # it names the draft; the user knows the file
        raise type(error)(error.errno, error.strerror, str(path)) from None
    with place as folder, _held(folder), _named_errors(path):
        draft = Path(folder) / path.name
        yield draft
        _flush(draft)
        os.replace(draft, path)


def write(path: Path | str, content: bytes | str, *, parents: bool = True) -> Path:
    """Write bytes, or text as UTF-8."""
    with whole(path, parents=parents) as draft:
        draft.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Path(path)


def remove_drafts(folder: Path | str, pattern: str = "*") -> None:
    """Remove what killed processes left in a folder of drafts whose names match a glob pattern."""
    for draft in Path(folder).glob(f".{pattern}.????????{SUFFIX}"):
        shutil.rmtree(draft, ignore_errors=True)


def remove_dead_drafts(path: Path) -> None:
    """Remove the drafts of a file that killed processes left; one that lives holds a lock on its.

    Where there are no such locks, nothing is removed.
    """
    _remove_dead(path.parent.glob(f".{glob.escape(path.name)}.????????{SUFFIX}"))


def remove_all_dead_drafts(folder: Path) -> None:
    """The same of all files in a folder and below."""
    _remove_dead(list(folder.rglob(f".*.????????{SUFFIX}")))


def _remove_dead(drafts: Iterable[Path]) -> None:
    for draft in drafts:
        is_new = not any(draft.iterdir()) and time.time() - draft.stat().st_mtime < JUST_MADE_S
        with suppress(OSError), _held(draft) as is_mine:
            if is_mine and not is_new:
                shutil.rmtree(draft, ignore_errors=True)


def read_regular(path: Path | str, most: int = MOST_BYTES) -> bytes:
    """The bytes of a file that is none but a regular one, in the folder it is named in.

    Raises: ValueError for a link out of the folder, a device, a pipe or more than `most` bytes.
    """
    path = Path(path)
    if path.resolve().parent != path.parent.resolve() or not path.is_file():
        raise ValueError(f"{path} must be a regular file in its folder")
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"{path} must have at most {most:,} bytes, got {size:,}")
    return path.read_bytes()


def digest(path: Path | str) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_all(paths: Iterable[Path | str]) -> str:
    """SHA-256 of the bytes of several files, one after the other in the order given."""
    total = hashlib.sha256()
    for path in paths:
        total.update(Path(path).read_bytes())
    return total.hexdigest()


@contextmanager
def _held(folder: Path | str) -> Iterator[bool]:
    """Whether a lock on a folder could be had, which lasts for the block and ends with a kill."""
    if fcntl is None:
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_mine = True
        except OSError:
            is_mine = False
        yield is_mine
    finally:
        os.close(handle)


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Errors of the system that name no file, such as a full disk, name the one to be written."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from None


def _flush(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())
