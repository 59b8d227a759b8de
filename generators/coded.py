"""Rows as small indices of fields, one or two bytes each, in memory or in a mapped file.

In: rows as indices (m, F), part after part. Out: `CodedRows`, from which batches are gathered, on
whatever device it lies. Of a mapped file the system keeps in memory what fits there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .devices import to_tensor

BYTE = 8  # bits


class CodedRows:
    """Rows that give their indices x (batch, F) int64 where they are asked for.

    Args:
        data: (n, B) uint8, the bytes of a row's fields, the lowest of each first.
        places: of each field: the columns of its bytes.
        at: (m,) which rows of the data are meant, in their order; all by default.
    """

    def __init__(self, data: Tensor, places: Sequence[range], at: Tensor | None = None):
        self.data, self.places, self.at = data, list(places), at
        self.lowest = to_tensor(np.array([p[0] for p in self.places], np.int64))
        self.higher = []  # (shift, fields, columns) of the second bytes, the third and so on
        for k in range(1, max(map(len, self.places))):
            wide = [i for i, p in enumerate(self.places) if len(p) > k]
            columns = [self.places[i][k] for i in wide]
            index = (to_tensor(np.array(some, np.int64)) for some in (wide, columns))
            self.higher.append((BYTE * k, *index))

    def __len__(self) -> int:
        return len(self.data) if self.at is None else len(self.at)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Indices (batch, F) of the rows (batch,)."""
        return self._decoded(self.data.index_select(0, rows if self.at is None else self.at[rows]))

    def take(self, rows: Tensor) -> CodedRows:
        """The rows (m,) alone; the data is shared."""
        return CodedRows(self.data, self.places, rows if self.at is None else self.at[rows])

    def of_fields(self, fields: Sequence[int]) -> CodedRows:
        """The same rows with these fields; the data is shared."""
        return CodedRows(self.data, [self.places[i] for i in fields], self.at)

    def split(self, size: int) -> Iterator[Tensor]:
        """Indices of all rows in their order, at most `size` rows at a time."""
        for part in (self.data if self.at is None else self.at).split(size):
            raw = part if self.at is None else self.data.index_select(0, part)
            yield self._decoded(raw)

    def _decoded(self, raw: Tensor) -> Tensor:
        x = raw.index_select(1, self.lowest).long()
        for shift, fields, columns in self.higher:
            x.index_add_(1, fields, raw.index_select(1, columns).long() << shift)
        return x


class CodedFile:
    """Where rows are coded, part after part.

    Args:
        n: rows in all.
        sizes: values of each field.
        folder: for the mapped file; None: in memory.
    """

    def __init__(self, n: int, sizes: Sequence[int], folder: Path | None):
        widths = [max(1, -(-(size - 1).bit_length() // BYTE)) for size in sizes]
        ends = np.cumsum([0, *widths])
        self.places = [range(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        shape = (n, int(ends[-1]))
        if folder is None:
            self.data = np.empty(shape, np.uint8)
        else:
            self.data = np.memmap(folder / "rows", np.uint8, "w+", shape=shape)
        self.n = 0

    def add(self, x: np.ndarray) -> None:
        """Append rows of indices (m, F)."""
        part = self.data[self.n : self.n + len(x)]
        for column, places in zip(x.T, self.places, strict=True):
            for k, place in enumerate(places):
                part[:, place] = (column >> (BYTE * k)) & 255
        self.n += len(x)

    def rows(self) -> CodedRows:
        """All rows, on the current device."""
        return CodedRows(to_tensor(np.asarray(self.data)), self.places)


Indices = Tensor | CodedRows
"""Rows as indices (n, F): both have a length, `[rows]` and `split`."""


def log_shares(x: Indices, shapes: Sequence[tuple[int, int, int]]) -> list[Tensor]:
    """Log frequencies (rows, k) of fields, for each (field i, rows, k).

    With several rows they are those within each value of the field before.
    """
    counts = [torch.zeros(rows * k, dtype=torch.long) for _, rows, k in shapes]
    for part in x.split(1 << 16):
        for count, (i, rows, k) in zip(counts, shapes, strict=True):
            at = part[:, i] + (part[:, i - 1] * k if rows > 1 else 0)
            count += torch.bincount(at, minlength=rows * k)
    shares = []
    for count, (_, rows, k) in zip(counts, shapes, strict=True):
        table = count.reshape(rows, k).double()
        shares.append((table / table.sum(1, keepdim=True).clamp(min=1)).log())
    return shares
