"""JSON dumps as a stream of jobs, never all of them in memory.

In: the text of `{"jobs": [...]}` (BigPanDA), `{"data": [...]}`, `[...]`, one job or JSON lines.
Out: its jobs as tables of text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from .raw_columns import RAW

LISTS = ("jobs", "data")
"""Names under which the jobs of a document may stand."""


class JobStream:
    """The jobs of a JSON text as Arrow tables of text, never all in memory."""

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
    def columns(self) -> list[str]:
        """Our names of the tables' columns, "" for those that no job had so far."""
        return [name if name in self.keys else "" for name in RAW]

    def batches(self) -> Iterator[pa.Table]:
        """The jobs in tables of at least `ROWS` rows but for the last, with the columns `RAW`.

        Raises: ValueError for damaged text.
        """
        jobs: list[dict] = []
        for values in self._jobs():
            found = [value for value in values if isinstance(value, dict)]
            self.n_unreadable += len(values) - len(found)
            for job in found:
                new = [key for key in job if key not in self.seen]
                if new:
                    self._match_keys(new)
            jobs += found
            if len(jobs) >= self.ROWS:
                yield self._to_table(jobs)
                jobs = []
        if jobs:
            yield self._to_table(jobs)

    def _to_table(self, jobs: list[dict]) -> pa.Table:
        keys = zip(RAW, self.wanted, strict=True)
        return pa.table({name: _text_array([job.get(key) for job in jobs]) for name, key in keys})

    def _match_keys(self, new: list[str]) -> None:
        self.seen.update(new)
        for key in new:
            name = key.strip().lower()
            if name in self.keys:
                raise ValueError(
                    f"{self.path}: column names must be unique but for case; {name} occurs twice"
                )
            if name in RAW:
                self.keys[name] = key
                self.wanted[RAW.index(name)] = key

    def _jobs(self) -> Iterator[list]:
        if self._peek() == "[":
            yield from self._values_of_array()
            if self._peek():
                raise self._damaged()
            return
        has_jobs = yield from self._jobs_of_object()
        while self._peek():  # JSON lines
            if has_jobs:
                raise self._damaged()
            yield [self._next_value()]

    def _jobs_of_object(self) -> Generator[list, None, bool]:
        """The jobs in an object's list, or else the object; returns whether it has such a list."""
        has_jobs, job = False, {}
        self._expect("{")
        while self._peek() != "}":
            key = self._next_value()
            self._expect(":")
            if key in LISTS and self._peek() == "[":
                has_jobs = True
                yield from self._values_of_array()
            else:
                value = self._next_value()
                if isinstance(key, str) and key.strip().lower() in RAW:
                    job[key] = value
            if self._peek() != "}":
                self._expect(",")
        self._expect("}")
        if not has_jobs and not job:
            raise ValueError(
                f'{self.path}: no PanDA dump, the JSON has no list "jobs" or "data", and is no job'
            )
        if not has_jobs:
            yield [job]
        return has_jobs

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
