"""Raw PanDA dumps in any format: rows of CSV, CSV.gz, Parquet or BigPanDA JSON, larger than memory.

In: a file, told by its first bytes, with columns in any order and letter case. Out: its rows in a
DuckDB connection, sorted into kept and dropped by `cascade.classify`. Messages state counts and our
own names of columns; they repeat no value, no name found in a file and no error text of the engine.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from . import cascade
from .cascade import ONE_OF, RAW, REQUIRED


def add(duckdb, connection, path: Path, allow_unknown: bool) -> int:
    """Add a dump's rows to `staged`, classified; return the number of lines nobody can read."""
    with rephrased(duckdb, str(path)), readable(path):
        head, is_gzip = read_head(path)
        if head.startswith(b"PAR1"):
            return _stage_parquet(connection, path, allow_unknown)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
            return _stage_json(connection, path, is_gzip, allow_unknown)
        return _stage_csv(duckdb, connection, path, head, is_gzip, allow_unknown)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise ValueError(f"{path}: the compressed file is damaged") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or 'damaged'})") from None


def read_head(path: Path, n_bytes: int = 1 << 20) -> tuple[bytes, bool]:
    """First bytes of a file, unzipped, and whether it was zipped."""
    with open(path, "rb") as handle:
        is_gzip = handle.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_gzip else open(path, "rb") as handle:
        head = handle.read(n_bytes)
    if not head.strip():
        raise ValueError(f"{path}: no PanDA dump, the file is empty")
    return head, is_gzip


def _stage_parquet(connection, path: Path, allow_unknown: bool) -> int:
    names = _positions(pq.read_schema(path).names, path)
    with _safe_name(path) as name:
        cascade.classify(connection, "read_parquet($path)", names, {"path": name}, allow_unknown)
    return 0


def _stage_csv(
    duckdb, connection, path: Path, head: bytes, is_gzip: bool, allow_unknown: bool
) -> int:
    header, delimiter = _header(head, path)
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(header)))
    relation = (
        f"read_csv($path, columns = {{{columns}}}, delim = $delimiter, compression = $compression, "
        "header = true, auto_detect = false, quote = '\"', escape = '\"', "
        "ignore_errors = true, store_rejects = true, strict_mode = "
    )
    compression = "gzip" if is_gzip else "none"
    with _safe_name(path) as name:
        values = {"path": name, "delimiter": delimiter, "compression": compression}
        work = (_positions(header, path), values, allow_unknown)
        try:
            cascade.classify(connection, relation + "true)", *work)
        except duckdb.InvalidInputException:  # lines that end in different ways
            cascade.classify(connection, relation + "false)", *work)
    return _forget_rejects(connection)


def _forget_rejects(connection) -> int:
    """Lines the last CSV file had rejected; what the engine kept of them is dropped."""
    kept = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'reject_errors'"
    if not connection.execute(kept).fetchone()[0]:
        return 0
    rejected = "SELECT count(DISTINCT (scan_id, file_id, line)) FROM reject_errors"
    n_unreadable = connection.execute(rejected).fetchone()[0]
    connection.execute("DELETE FROM reject_errors")
    return n_unreadable


def _header(head: bytes, path: Path) -> tuple[list[str], str]:
    """Column names of a CSV file and its delimiter: the one that yields most names we know."""
    if b"\0" in head:
        raise ValueError(f"{path}: no PanDA dump, neither CSV nor Parquet nor JSON")
    text = head.decode("utf-8-sig", errors="replace")
    try:
        headers = {d: next(csv.reader(io.StringIO(text, newline=""), delimiter=d)) for d in ",;\t|"}
    except (csv.Error, StopIteration):
        raise ValueError(f"{path}: no PanDA dump, its first line is no CSV header") from None
    delimiter = max(headers, key=lambda d: len(set(_folded(headers[d])) & set(RAW)))
    return headers[delimiter], delimiter


def _positions(names: Sequence[str], path: Path) -> list[str]:
    """Our name of each column of a dump, or "" for those not looked at.

    Names found in a file are never repeated: without a header they are the first record.
    """
    folded = _folded(names)
    _check_columns(set(folded), path)
    for i, name in enumerate(folded):
        if name in folded[:i]:
            raise ValueError(
                f"{path}: column names must be unique but for case; "
                f"columns {folded.index(name) + 1} and {i + 1} share one"
            )
    return [name if name in RAW else "" for name in folded]


def _folded(names: Sequence[str]) -> list[str]:
    return [str(name).strip().lower() for name in names]


def _check_columns(found: set[str], path: Path) -> None:
    missing = [name for name in REQUIRED if name not in found]
    missing += [" or ".join(names) for names in ONE_OF if not found & set(names)]
    if missing:
        raise ValueError(f"{path}: no PanDA dump, it lacks {', '.join(missing)}")


@contextmanager
def _safe_name(path: Path) -> Iterator[str]:
    """A plain name for a file: the engine would read `*`, `?`, `[` and `key=value` as patterns."""
    with tempfile.TemporaryDirectory(prefix="pandaenv-") as folder:
        link = Path(folder) / "dump"
        link.symlink_to(path)
        yield str(link)


@contextmanager
def rephrased(duckdb, what: str) -> Iterator[None]:
    """Turn errors of the engine, whose texts quote rows, into one sentence without them."""
    try:
        yield
    except (RuntimeError, duckdb.InterruptException) as error:
        if "interrupt" not in str(error).lower():
            raise
        raise KeyboardInterrupt from None  # Ctrl-C reaches the engine first
    except duckdb.OutOfMemoryException:
        raise ValueError(f"{what}: not enough memory or disk space to process it") from None
    except (duckdb.Error, pa.ArrowException) as error:
        kind = type(error).__name__
        raise ValueError(f"{what}: damaged, or not what its first bytes say ({kind})") from None


# --- BigPanDA JSON, as a stream -------------------------------------------------------------------


def _stage_json(connection, path: Path, is_gzip: bool, allow_unknown: bool) -> int:
    opened = gzip.open if is_gzip else open
    with opened(path, "rt", encoding="utf-8-sig", errors="replace") as handle:
        jobs = JobStream(handle, path)
        for batch in jobs.batches():
            connection.register("batch", batch)
            cascade.classify(connection, "batch", list(RAW), {}, allow_unknown)
            connection.unregister("batch")
    _check_columns(jobs.found, path)
    return jobs.n_unreadable


class JobStream:
    """The jobs of `{"jobs": [...]}` or `[...]` as Arrow tables of text, never all in memory."""

    CHUNK = 1 << 22  # characters
    LIMIT = 1 << 26  # no single value is longer
    ROWS = 50_000

    def __init__(self, handle, path: Path):
        self.handle, self.path = handle, path
        self.text, self.at = "", 0
        self.is_split = False  # the buffer's last brace is inside a value, or beyond the array
        self.decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
        self.keys: dict[str, str] = {}  # column -> the key that means it in this file
        self.seen: set[str] = set()
        self.wanted: list[str | None] = [None] * len(RAW)
        self.n_unreadable = 0

    @property
    def found(self) -> set[str]:
        return set(self.keys)

    def batches(self) -> Iterator[pa.Table]:
        jobs: list[dict] = []
        for values in self._jobs():
            found = [value for value in values if isinstance(value, dict)]
            self.n_unreadable += len(values) - len(found)
            for job in found:
                if not job.keys() <= self.seen:
                    self._learn(job)
            jobs += found
            if len(jobs) >= self.ROWS:
                yield self._table(jobs)
                jobs = []
        if jobs:
            yield self._table(jobs)

    def _table(self, jobs: list[dict]) -> pa.Table:
        keys = zip(RAW, self.wanted, strict=True)
        return pa.table({name: _text_array([job.get(key) for job in jobs]) for name, key in keys})

    def _learn(self, job: dict) -> None:
        for key in job.keys() - self.seen:
            name = key.strip().lower()
            if name in self.keys:
                raise ValueError(
                    f"{self.path}: column names must be unique but for case; {name} occurs twice"
                )
            if name in RAW:
                self.keys[name] = key
        self.seen |= job.keys()
        self.wanted = [self.keys.get(name) for name in RAW]

    def _jobs(self) -> Iterator[list]:
        if self._peek() == "[":
            yield from self._array()
        else:
            yield from self._jobs_of_object()
        if self._peek():
            raise self._damaged()

    def _jobs_of_object(self) -> Iterator[list]:
        has_jobs = False
        self._take("{")
        while self._peek() != "}":
            key = self._value()
            self._take(":")
            if key == "jobs" and self._peek() == "[":
                has_jobs = True
                yield from self._array()
            else:
                self._value()
            if self._peek() != "}":
                self._take(",")
        self._take("}")
        if not has_jobs:
            raise ValueError(f'{self.path}: no PanDA dump, the JSON has no list "jobs"')

    def _array(self) -> Iterator[list]:
        """The array's values, some at a time."""
        self._take("[")
        if self._peek() == "]":
            return self._take("]")
        while True:
            yield self._many() or [self._value()]
            mark = self._peek()
            self.at += 1
            if mark == "]":
                return
            if mark != ",":
                raise self._damaged()

    def _many(self) -> list:
        """All values up to the buffer's last brace in one go; none where that splits a value."""
        end = self.text.rfind("}", self.at) + 1
        if end <= self.at or self.is_split:
            return []
        try:
            values = self.decoder.decode(f"[{self.text[self.at : end]}]")
        except (ValueError, RecursionError):
            self.is_split = True
            return []
        self.at = end
        return values

    def _peek(self) -> str:
        """The next character that is not blank, '' at the end."""
        while True:
            self.at = _BLANK.match(self.text, self.at).end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                return ""

    def _take(self, character: str) -> None:
        if self._peek() != character:
            raise self._damaged()
        self.at += 1

    def _value(self) -> object:
        self._peek()
        value, end = self._decode()
        # What ends at the buffer's end may go on beyond it (a number cut in two).
        while end == len(self.text):
            if len(self.text) - self.at > self.LIMIT or not self._more():
                break
            value, end = self._decode()
        if value is _CUT:
            raise self._damaged()
        self.at = end
        return value

    def _decode(self) -> tuple[object, int]:
        try:
            return self.decoder.raw_decode(self.text, self.at)
        except (ValueError, RecursionError):
            return _CUT, len(self.text)

    def _more(self) -> bool:
        chunk = self.handle.read(self.CHUNK)
        self.text, self.at, self.is_split = self.text[self.at :] + chunk, 0, False
        return bool(chunk)

    def _damaged(self) -> ValueError:
        return ValueError(f"{self.path}: the JSON is damaged or cut short")


_BLANK = re.compile(r"[ \t\r\n]*")
_CUT = object()


def _text_array(values: list) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except (TypeError, UnicodeEncodeError, pa.ArrowException):
        return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _text(value: object) -> str:
    """Any JSON value as valid UTF-8 text (JSON may hold halves of a surrogate pair)."""
    return str(value).encode("utf-8", "replace").decode("utf-8")
