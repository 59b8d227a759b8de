"""Files that appear whole or not at all.

In: the path a file is to have. Out: a draft beside it, which takes the path in one move when the
block that wrote it ends well; when it does not, the file is as it was and no draft is left. The
draft is on the disk before it is moved, so a power cut leaves the old file or the new one. A
process killed meanwhile leaves a hidden folder `.NAME.*.draft`, which `remove_drafts` removes.

    with whole("records.parquet") as draft:
        table.to_parquet(draft)
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIX = ".draft"  # of the hidden folder a draft is written in


@contextmanager
def whole(path: Path | str, *, parents: bool = True) -> Iterator[Path]:
    """A place to write the file to, named as it will be; parents are made, if wanted.

    Raises: OSError where the folder cannot be written, or the path is a folder.
    """
    path = Path(path)
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(SUFFIX, f".{path.name}.", path.parent)
    except OSError as error:  # it names the draft; the user knows the file
        raise type(error)(error.errno, error.strerror, str(path)) from None
    with place as folder:
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


def _flush(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())
