"""A stream of jobs as a file that other simulators read: SWF, or the job CSV of CGSim.

In: a `Stream`. Out: the file, and beside it its companion `FILE.json`; from both the same stream
is read back bit for bit. A new format is a module with `to_text` and `from_text`, and one entry of
`FORMATS`.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from types import ModuleType

import numpy as np

from foundations import checks, files
from pandaenv.records import read_trace
from pandaenv.sites import COLUMNS, Catalogue

from ..base import MIN_WORK, seconds_of
from ..folding import span
from ..scaling import capacity
from ..stream import Stream
from ..trace import Trace
from . import cgsim, swf
from .companion import (
    companion_path,
    describe_stream,
    read_bytes,
    read_companion,
    rebuild_catalogue,
    rebuild_stream,
)

FORMATS: dict[str, ModuleType] = {"swf": swf, "cgsim": cgsim}
UNWRITABLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, halves of characters and ends of lines."""


def write(stream: Stream, path: str | Path, kind: str) -> tuple[Path, Path]:
    """Write the stream in one of the `FORMATS`; returns the file and its companion.

    Raises:
        ValueError: an unknown format, a folder for a file, a name that would break a line; for SWF
            a time below 0. Nothing is written then.
    """
    path = Path(path)
    checks.known("format", kind, FORMATS)
    _check_names("site", stream.catalogue.names)
    _check_names("data format", stream.formats)
    if path.is_dir():
        raise ValueError(f"the output must be a file; {path} is a folder")
    text, jobs = FORMATS[kind].to_text(stream)
    companion = describe_stream(stream, kind, text, jobs)
    _check_pairs(kind, stream.catalogue.names)
    if kind == "cgsim":
        for beside, content in cgsim.files_beside(stream, path.absolute()).items():
            files.write(beside, content)
    files.write(path, text)
    return path, files.write(companion_path(path), json.dumps(companion))


def read(path: str | Path) -> Stream:
    """Read a stream that `write` wrote, or a trace of another grid without a companion.

    A trace (SWF or GWF, see `pandaenv.records.read_trace`) is played as recorded on the sites it
    tells of, as large as it tells them.

    Raises:
        ValueError: the file or its companion is missing, damaged or not of the other.
    """
    path = Path(path)
    text = read_bytes(path)
    if not companion_path(path).exists() and not text.startswith(b"pandaid,"):
        return _read_trace(path)
    companion = read_companion(path, text)
    kind = checks.known("format", companion["kind"], FORMATS)
    catalogue = rebuild_catalogue(companion)
    jobs = FORMATS[kind].from_text(text, companion, catalogue)
    return rebuild_stream(companion, jobs, catalogue)


def _read_trace(path: Path) -> Stream:
    """The stream of a trace on its own grid, nothing scaled."""
    trace = read_trace(path)
    told = {name: trace.sites[name].to_numpy() for name in COLUMNS if name not in ("name", "cloud")}
    grid = Catalogue(tuple(trace.sites["name"]), cloud=tuple(trace.sites["cloud"]), **told)
    recorded = Trace(trace.records)
    work = np.maximum(recorded.records["workload"].to_numpy(), MIN_WORK).sum()
    seconds = span(seconds_of(recorded.records))
    return recorded.stream(grid, rate=None, load=float(work / seconds / capacity(grid)))


def _check_pairs(kind: str, names: tuple[str, ...]) -> None:
    """Refuse names that CGSim's pairs of sites would be cut at."""
    odd = [name for name in names if kind == "cgsim" and ":" in name]
    if odd:
        raise ValueError(f"CGSim's sites must have no colon in their names, got {odd[0]!r}")


def _check_names(what: str, names: tuple[str, ...]) -> None:
    for name in names:
        if any(unicodedata.category(letter) in UNWRITABLE for letter in name):
            raise ValueError(f"a {what} must have a name without control characters, got {name!r}")
