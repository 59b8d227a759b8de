"""Values of a column with their numbers of rows, counted part after part in bounded memory.

In: numbers, in parts. Out: the distinct ones in ascending order with exact counts; the grid they
lie on; a `Histogram`, in which all but the atoms of a column with very many values is thinned. The
same rows give the same result, in one part or in many.

What does not fit in memory goes as sorted runs into a folder, 16 bytes a distinct value of each
run, and comes back merged (Knuth, vol. 3, 5.4). So ranks and atoms are exact, which those of a
quantile sketch are not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HELD = 1 << 20  # distinct values held in memory before they become a run
MOST = 1 << 21  # distinct values a histogram keeps apart
GROUPS = 1 << 18  # into which the others are thinned: ranks are known to 1 / GROUPS
PER_DAY = (1, 24, 1440, 86_400)  # grids of a column in days: days, hours, minutes, seconds
EXACT = 2.0**53  # beyond it a float64 no longer holds every integer

Counted = tuple[np.ndarray, np.ndarray]  # ascending values (m,) and their rows (m,)


def count(x: np.ndarray) -> Counted:
    """Distinct values of x (n,), ascending, and the rows of each; -0.0 counts as 0.0."""
    return np.unique(x + 0.0, return_counts=True)


def merge(parts: list[Counted]) -> Counted:
    """The values of all parts, their rows added up."""
    if len(parts) == 1:
        return parts[0]
    values, rows = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(values, kind="stable")
    values = values[order]
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    return values[starts], np.add.reduceat(rows[order], starts)


class Grid:
    """The coarsest grid that all values seen lie on.

    Attributes:
        step: greatest common divisor of their differences if all are integers, else 0.
        per_day: lines a day if all lie on a grid of `PER_DAY`, else 0.
    """

    def __init__(self) -> None:
        self.first: float | None = None
        self.step, self.is_whole = 0, True
        self.left = list(PER_DAY)

    def add(self, value: np.ndarray) -> None:
        """Take distinct values (m,) into account."""
        self.first = float(value[0]) if self.first is None else self.first
        self.is_whole &= bool((value == np.rint(value)).all() and np.abs(value).max() <= EXACT)
        if self.is_whole:
            away = (value - self.first).astype(np.int64)
            self.step = int(np.gcd(self.step, np.gcd.reduce(away)))
        self.left = [k for k in self.left if _lies_on(value, k)]

    def lines(self, origin: float, days: bool) -> np.ndarray:
        """Origin, step and steps a unit of a column that begins at `origin`; zeros if none."""
        if self.is_whole:
            return np.array([origin, self.step or 1, 1.0])
        if days and self.left:
            return np.array([0.0, 1.0, self.left[0]])
        return np.zeros(3)


def _lies_on(value: np.ndarray, per_day: int) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.abs(value * per_day - np.rint(value * per_day)).max() < 1e-4)


@dataclass(frozen=True)
class Histogram:
    """A column as ascending values.

    Shapes: value, rows, is_atom (m,): a value, the rows it stands for, and whether all of these
    hold this very value and are many. grid: that of all values of the column.
    """

    value: np.ndarray
    rows: np.ndarray
    is_atom: np.ndarray
    grid: Grid

    @classmethod
    def of(cls, x: np.ndarray, atom: int) -> Histogram:
        """Of a column (n,) in memory."""
        found, grid = count(x), Grid()
        grid.add(found[0])
        return cls(*thin([found], len(x), atom), grid)

    @property
    def n(self) -> int:
        """Rows of the column."""
        return int(self.rows.sum())


def thin(
    blocks: Iterable[Counted], n: int, atom: int, most: int = MOST, groups: int = GROUPS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, rows and atoms (m,) of ascending blocks of n rows; thinned beyond `most` values.

    An atom, a value of at least `atom` rows, stays by itself, and so do the smallest and the
    largest value. Of the others, one of `groups` groups of about as many rows becomes its smallest
    value. How the values are cut into blocks changes nothing.
    """
    source = iter(blocks)
    first: list[Counted] = []
    while sum(len(value) for value, _ in first) <= most:
        block = next(source, None)
        if block is None:
            value, rows = merge(first)
            return value, rows, rows >= atom
        first.append(block)
    return _thinned(itertools.chain(first, source), n, atom, groups)


def _thinned(
    blocks: Iterable[Counted], n: int, atom: int, groups: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts, before = [], 0
    last: tuple[np.ndarray, ...] = ()  # the last group so far, which may go on in the next block
    for value, rows in blocks:
        upto = before + np.cumsum(rows)
        before, is_atom = int(upto[-1]), rows >= atom
        alone = is_atom | (upto == n) | (upto == rows)
        group = np.where(alone, -1, (upto - rows // 2) * groups // n)
        if last:
            joined = zip(last, (value, rows, is_atom, group), strict=True)
            value, rows, is_atom, group = (np.append(old, new) for old, new in joined)
        starts = np.flatnonzero(np.append(True, (group[1:] != group[:-1]) | (group[1:] < 0)))
        rows = np.add.reduceat(rows, starts)
        found = value[starts], rows, is_atom[starts], group[starts]
        parts.append([array[:-1] for array in found])
        last = tuple(array[-1:] for array in found)
    value, rows, is_atom, _ = (np.concatenate(a) for a in zip(*parts, last, strict=True))
    return value, rows, is_atom


class Counts:
    """The distinct values of a column, counted part after part.

    Args:
        folder: for the runs; made when it is needed.
        held: distinct values in memory.
    """

    def __init__(self, folder: Path, held: int = HELD):
        self.folder, self.held = folder, held
        self.parts: list[Counted] = []
        self.runs: list[Counted] = []
        self.grid, self.n = Grid(), 0
        self.low, self.high = np.inf, -np.inf

    def add(self, value: np.ndarray, rows: np.ndarray) -> None:
        """Add distinct values (m,), ascending, and the rows (m,) of each."""
        if not len(value):
            return
        self.grid.add(value)
        self.n += int(rows.sum())
        self.low, self.high = min(self.low, float(value[0])), max(self.high, float(value[-1]))
        self.parts.append((value, rows))
        if sum(len(v) for v, _ in self.parts) > self.held:
            self.parts = [merge(self.parts)]
            if len(self.parts[0][0]) > self.held // 2:
                self._write_run(*self.parts.pop())

    def _write_run(self, value: np.ndarray, rows: np.ndarray) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        run = []
        for name, array in (("value", value), ("rows", rows)):
            path = self.folder / f"{len(self.runs)}.{name}.npy"
            np.save(path, array)
            run.append(np.lib.format.open_memmap(path, mode="r"))
        self.runs.append((run[0], run[1]))

    def blocks(self) -> Iterator[Counted]:
        """All values in ascending order, in blocks of about `held`; no value comes twice."""
        runs = self.runs + self.parts
        if len(runs) <= 1:
            yield from runs
            return
        every = max(1, self.held // len(runs))
        pivots = np.unique(np.concatenate([value[every::every] for value, _ in runs]))
        ends = np.array([np.append(np.searchsorted(v, pivots), len(v)) for v, _ in runs])
        for begin, end in zip(np.pad(ends, ((0, 0), (1, 0))).T, ends.T, strict=False):
            pieces = [
                (np.array(v[a:b]), np.array(r[a:b]))
                for (v, r), a, b in zip(runs, begin, end, strict=True)
                if b > a
            ]
            if pieces:
                yield merge(pieces)

    def histogram(self, atom: int) -> Histogram:
        """The histogram of all values."""
        return Histogram(*thin(self.blocks(), self.n, atom), self.grid)

    def at(self, rank: int) -> float:
        """The value of the row with this rank, from 0, among all rows in ascending order."""
        before = 0
        for value, rows in self.blocks():
            upto = before + np.cumsum(rows)
            if upto[-1] > rank:
                return float(value[np.searchsorted(upto, rank, side="right")])
            before = int(upto[-1])
        raise IndexError(f"rank must be below {self.n}, got {rank}")
