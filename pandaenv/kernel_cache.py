"""Compiled kernels, kept on disk for as long as the sources they were compiled from stay the same.

In: a function to compile. Out: the compiled function, read from disk where another process has
compiled it from the same sources.

Numba compares only the file in which a function stands. Compiled code also contains the kernels
that it calls and the values of constants from other files. This cache therefore compares the
contents of all files that hold kernels, and of the files these import from. Dates of files do not
count. Nothing is deleted: a function is compiled again when it is next called, and replaces what
was kept. Where a package cannot be written, numba's choice of another folder applies.
"""

import hashlib
import re
from functools import cache, partial
from pathlib import Path

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

HOLDS_KERNELS = re.compile(r"^(from|import) .*(numba|kernel)", re.MULTILINE)
IMPORTED = re.compile(r"^from (\.*)([\w.]*) import", re.MULTILINE)


def cached_njit(function=None, **options):
    """`numba.njit` with a `KernelCache`; takes the same options."""
    if function is None:
        return partial(cached_njit, **options)
    compiled = njit(**options)(function)
    if isinstance(compiled, Dispatcher):  # with NUMBA_DISABLE_JIT it is the function itself
        compiled._cache = KernelCache(function)
    return compiled


class KernelCache(FunctionCache):
    """Numba's cache of a function, valid for the present sources of its package and of this one."""

    def __init__(self, function):
        super().__init__(function)
        file = Path(function.__code__.co_filename)
        stamp = [sources_digest(package_of(path)) for path in (file, Path(__file__))]
        self._cache_file = CacheFiles(self.cache_path, self._impl.filename_base, stamp)


class CacheFiles(IndexDataCacheFile):
    """Index and compiled code, each with the sources and the arguments that it belongs to.

    Processes that compile at the same time may replace each other's files. One that finds an index
    and code that do not belong together compiles for itself.
    """

    def save(self, key, data):
        super().save(key, (self._source_stamp, key, data))

    def load(self, key):
        found = super().load(key)
        if found is None or found[:2] != (self._source_stamp, key):
            return None
        return found[2]


def package_of(file: Path) -> Path:
    """The outermost package around a file, or the file itself if it is in none."""
    package = file
    while (package.parent / "__init__.py").exists():
        package = package.parent
    return package


@cache
def sources_digest(package: Path) -> str:
    """SHA-256 of the files on which the kernels of a package, or of a single file, depend."""
    files = sorted(package.rglob("*.py")) if package.is_dir() else [package]
    texts = {file: file.read_bytes().decode() for file in files if file.exists()}
    holding = {file for file, text in texts.items() if HOLDS_KERNELS.search(text)}
    imported = set().union(*(_imported(package, file, texts[file]) for file in holding))
    total = hashlib.sha256()
    for file in sorted(holding | imported):
        total.update(f"{file.relative_to(package.parent)}\n".encode())
        total.update(file.read_bytes())
    return total.hexdigest()


def _imported(package: Path, file: Path, text: str) -> set[Path]:
    """Files of this package, or of packages beside it, from which a file imports names."""
    found = set()
    for dots, name in IMPORTED.findall(text):
        base = file.parents[len(dots) - 1] if dots else package.parent
        module = base.joinpath(*name.split(".")) if name else base
        found |= {module.with_suffix(".py"), module / "__init__.py"}
    return {path for path in found if path.is_file()}
