"""BigPanDA's JSON as a stream of jobs, never all of them in memory.

In: a file with `{"jobs": [...]}` or `[...]`, zipped or not. Out: its jobs in the table `staged`.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import pyarrow as pa

from .classification import classify
from .raw_columns import RAW, check_columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def stage_json(
    connection: DuckDBPyConnection, path: Path, is_gzip: bool, allow_unknown: bool
) -> int:
    """Add the jobs of a JSON file to `staged`; return the number of entries that are no job."""
    opened = gzip.open if is_gzip else open
    with opened(path, "rt", encoding="utf-8-sig", errors="replace") as handle:
        jobs = JobStream(handle, path)
        for batch in jobs.batches():
            connection.register("batch", batch)
            classify(connection, "batch", list(RAW), {}, allow_unknown)
            connection.unregister("batch")
    check_columns(jobs.found, path)
    return jobs.n_unreadable


class JobStream:
    """The jobs of `{"jobs": [...]}` or `[...]` as Arrow tables of text, never all in memory."""

    CHUNK = 1 << 22  # characters
    LIMIT = 1 << 26  # no single value is longer
    ROWS = 50_000

    def __init__(self, handle: TextIO, path: Path):
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
        """Columns met so far."""
        return set(self.keys)

    def batches(self) -> Iterator[pa.Table]:
        """The jobs in tables of at least `ROWS` rows but for the last, with the columns `RAW`."""
        jobs: list[dict] = []
        for values in self._jobs():
            found = [value for value in values if isinstance(value, dict)]
            self.n_unreadable += len(values) - len(found)
            for job in found:
                if not job.keys() <= self.seen:
                    self._match_keys(job)
            jobs += found
            if len(jobs) >= self.ROWS:
                yield self._to_table(jobs)
                jobs = []
        if jobs:
            yield self._to_table(jobs)

    def _to_table(self, jobs: list[dict]) -> pa.Table:
        keys = zip(RAW, self.wanted, strict=True)
        return pa.table({name: _text_array([job.get(key) for job in jobs]) for name, key in keys})

    def _match_keys(self, job: dict) -> None:
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
            yield from self._values_of_array()
        else:
            yield from self._jobs_of_object()
        if self._peek():
            raise self._damaged()

    def _jobs_of_object(self) -> Iterator[list]:
        has_jobs = False
        self._expect("{")
        while self._peek() != "}":
            key = self._next_value()
            self._expect(":")
            if key == "jobs" and self._peek() == "[":
                has_jobs = True
                yield from self._values_of_array()
            else:
                self._next_value()
            if self._peek() != "}":
                self._expect(",")
        self._expect("}")
        if not has_jobs:
            raise ValueError(f'{self.path}: no PanDA dump, the JSON has no list "jobs"')

    def _values_of_array(self) -> Iterator[list]:
        """The array's values, some at a time."""
        self._expect("[")
        if self._peek() == "]":
            return self._expect("]")
        while True:
            yield self._values_at_once() or [self._next_value()]
            mark = self._peek()
            self.at += 1
            if mark == "]":
                return
            if mark != ",":
                raise self._damaged()

    def _values_at_once(self) -> list:
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
            if not self._read_more():
                return ""

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise self._damaged()
        self.at += 1

    def _next_value(self) -> object:
        self._peek()
        value, end = self._decode_next()
        # What ends at the buffer's end may go on beyond it (a number cut in two).
        while end == len(self.text):
            if len(self.text) - self.at > self.LIMIT or not self._read_more():
                break
            value, end = self._decode_next()
        if value is _CUT:
            raise self._damaged()
        self.at = end
        return value

    def _decode_next(self) -> tuple[object, int]:
        try:
            return self.decoder.raw_decode(self.text, self.at)
        except (ValueError, RecursionError):
            return _CUT, len(self.text)

    def _read_more(self) -> bool:
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
