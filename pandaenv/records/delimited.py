"""A CSV dump as a stream of rows: each line is a row, or counted as unreadable.

In: text, comma-, semicolon-, tab- or bar-separated, with a header line. Out: tables of text with
the columns used. A line that opens a quote goes on in the next lines only where these are no rows
by themselves, so that a stray quote costs its own line and no other.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.csv

from .raw_columns import RAW, fold_names, match_columns

DELIMITERS = ",;\t|"


class RowStream:
    """The rows of a CSV file as Arrow tables of text, never all in memory."""

    CHUNK = 1 << 24  # characters
    LIMIT = 1 << 26  # no line is longer
    ROWS = 400_000
    JOINED = 100  # lines that one quoted value may span

    def __init__(
        self, handle: TextIO, path: Path, all_analysis: bool = False, groups: bool = False
    ):
        self.handle, self.path = handle, path
        self.text = ""
        header, self.delimiter = self._read_header()
        self.names = match_columns(header, path, all_analysis, groups)
        self.used = [i for i, name in enumerate(self.names) if name]
        self.n_unreadable = 0

    @property
    def columns(self) -> list[str]:
        """Our names of the tables' columns."""
        return [self.names[i] for i in self.used]

    def batches(self) -> Iterator[pa.Table]:
        """All rows in tables of at least `ROWS` rows but for the last."""
        held: list[pa.Table] = []
        for lines, is_last in self._blocks():
            held += self._to_tables(lines, is_last)
            if sum(map(len, held)) >= self.ROWS:
                yield pa.concat_tables(held)
                held = []
        if held:
            yield pa.concat_tables(held)

    def _read_header(self) -> tuple[list[str], str]:
        """Column names and delimiter; blank lines and comments may stand before them."""
        self._read_more()
        while (line := self._next_line()).strip().startswith("#") or not line.strip():
            if not (self.text or self._read_more()):
                break
        return header_of(line, self.path)

    def _next_line(self) -> str:
        while "\n" not in self.text and self._read_more():
            pass
        line, _, self.text = self.text.partition("\n")
        return line

    def _read_more(self) -> bool:
        if len(self.text) > self.LIMIT:
            raise ValueError(f"{self.path}: no PanDA dump, a line exceeds {self.LIMIT:,} letters")
        chunk = self.handle.read(self.CHUNK)
        self.text += chunk
        return bool(chunk)

    def _blocks(self) -> Iterator[tuple[list[str], bool]]:
        """Whole lines that are not blank, some at a time, and whether they are the last."""
        while True:
            is_last = not self._read_more()
            block, newline, rest = self.text.rpartition("\n")
            if is_last:
                block, rest = self.text, ""
            self.text = rest
            if newline or is_last:
                yield [line for line in block.split("\n") if line.strip(" ")], is_last
            if is_last:
                return

    def _to_tables(self, lines: list[str], is_last: bool) -> list[pa.Table]:
        is_quoted = ['"' in line for line in lines]
        if not any(is_quoted):
            return self._plain(lines)
        plain, rows, at = [], [], 0
        while at < len(lines):
            if not is_quoted[at]:
                plain.append(lines[at])
                at += 1
                continue
            row, n_lines = self._joined(lines[at : at + self.JOINED])
            if row is None and at + self.JOINED > len(lines) and not is_last and n_lines:
                self.text = "\n".join([*lines[at:], self.text])  # it may go on in the next block
                break
            if row is None:
                self.n_unreadable += 1
            else:
                rows.append(row)
            at += n_lines if row else 1
        return self._plain(plain) + self._quoted(rows)

    def _joined(self, lines: list[str]) -> tuple[list[str] | None, int]:
        """A row and its number of lines; None and 0 where no further line can mend it."""
        for n_lines in range(1, len(lines) + 1):
            if n_lines > 1 and self._split(lines[n_lines - 1])[0] is not None:
                return None, 0
            row, is_open = self._split("\n".join(lines[:n_lines]))
            if row is not None or not is_open:
                return row, n_lines if row is not None else 0
        return None, len(lines)

    def _split(self, text: str) -> tuple[list[str] | None, bool]:
        """The values of a row, None where they do not fit the header; whether a quote is open."""
        try:
            (row,) = csv.reader([text], delimiter=self.delimiter, strict=True)
        except csv.Error as error:
            return None, "unexpected end" in str(error)
        return (row if len(row) == len(self.names) else None), False

    def _plain(self, lines: list[str]) -> list[pa.Table]:
        """The rows of lines without a quote."""
        if not lines:
            return []
        text = ("\n".join(lines) + "\n").encode()
        names = [str(i) for i in range(len(self.names))]
        used = [names[i] for i in self.used]
        table = pa.csv.read_csv(
            pa.BufferReader(text),
            pa.csv.ReadOptions(column_names=names, block_size=len(text) + 1),
            pa.csv.ParseOptions(
                delimiter=self.delimiter, quote_char=False, invalid_row_handler=self._refuse
            ),
            pa.csv.ConvertOptions(
                include_columns=used,
                column_types=dict.fromkeys(used, pa.string()),
                strings_can_be_null=False,
            ),
        )
        return [table.rename_columns(self.columns)]

    def _quoted(self, rows: list[list[str]]) -> list[pa.Table]:
        columns = {
            self.names[i]: pa.array([row[i] for row in rows], pa.string()) for i in self.used
        }
        return [pa.table(columns)] if rows else []

    def _refuse(self, row: object) -> str:
        self.n_unreadable += 1
        return "skip"


def header_of(text: str, path: Path) -> tuple[list[str], str]:
    """Column names of the first line and its delimiter: the one that yields most names we know."""
    try:
        headers = {d: next(csv.reader(io.StringIO(text), delimiter=d)) for d in DELIMITERS}
    except (csv.Error, StopIteration):
        raise ValueError(f"{path}: no PanDA dump, its first line is no CSV header") from None
    delimiter = max(headers, key=lambda d: len(set(fold_names(headers[d])) & set(RAW)))
    return headers[delimiter], delimiter
