"""Numbers as coarse bin x fine bin, and back to numbers that copy no record.

In: one numerical column (n,). Between: two small indices a network can predict. Out: values drawn
inside the bins. A value that many rows share is an atom and comes back exactly; all others stand
for the ground around them, from half-way to the neighbour below to half-way to the one above, a
few neighbours together, and are rounded to the grid the column lies on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .counts import Histogram

FINEST = 16_384
"""A piece is this share of a column's rows or more: large tables need no finer ground, and their
models stay small."""


@dataclass(frozen=True)
class Bins:
    """One column cut into C cells of neighbouring values, each one fine bin of a coarse bin.

    Shapes: cut (C - 1,) where cells meet; coarse, fine, first (C,) the cell's bins and its first
    piece; low, high, upto (P,) ends of the pieces, an atom's being equal, and the rows up to and
    with each. grid (3,): origin, step and steps a unit; all 0 where there is none.
    """

    cut: np.ndarray
    coarse: np.ndarray
    fine: np.ndarray
    first: np.ndarray
    low: np.ndarray
    high: np.ndarray
    upto: np.ndarray
    grid: np.ndarray

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of coarse bins, and of fine bins in the coarse bin that has most."""
        return int(self.coarse[-1]) + 1, int(self.fine.max()) + 1

    def encode(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coarse and fine bin (n,) of values (n,); what lies outside goes to the ends."""
        cell = np.searchsorted(self.cut, x, side="right")
        return self.coarse[cell], self.fine[cell]

    def decode(self, coarse: np.ndarray, fine: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Values (n,) of bins (n,) at the shares u (n,) in [0, 1) of the cells' rows.

        A fine bin the coarse one does not have becomes its last.
        """
        cell = self.cell(coarse, fine)
        ends = np.append(self.first, len(self.upto))
        rows = np.append(0.0, self.upto)
        below, upto = rows[ends[cell]], rows[ends[cell + 1]]
        rank = below + u * (upto - below)
        piece = np.searchsorted(self.upto, rank, side="right")
        piece = np.clip(piece, ends[cell], ends[cell + 1] - 1)
        inside = (rank - rows[piece]) / (rows[piece + 1] - rows[piece])
        low, high = self.low[piece], self.high[piece]
        value = self._snap(low * (1 - inside) + high * inside)
        return np.where(low == high, low, np.clip(value, self.low[0], self.high[-1]))

    def cell(self, coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
        """Cell (n,) of bins (n,); a fine bin the coarse one does not have becomes its last."""
        at = np.searchsorted(self.coarse, np.arange(self.sizes[0] + 1))
        return np.minimum(at[coarse] + fine, at[coarse + 1] - 1)

    def inside(
        self, low: float, high: float, resolution: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shares of each cell's rows at which [low, high] begins and ends, (C,) each.

        Half a step of the grid on which values come back, `resolution` or the column's own, belongs
        to the range on either side.
        """
        own = self.grid[1] / self.grid[2] if self.grid[1] else 0.0
        half = 0.5 * max(own, resolution)
        rows = np.diff(self.upto, prepend=0.0)
        is_atom = self.low == self.high
        begin = np.where(is_atom, self.low < low, self._share_below(low - half))
        end = np.where(is_atom, self.low <= high, self._share_below(high + half))
        begin, end = (
            np.add.reduceat(rows * part, self.first) / self.rows() for part in (begin, end)
        )
        return begin, np.maximum(begin, end)

    def _share_below(self, x: float) -> np.ndarray:
        """Share of each piece (P,) that lies below x."""
        with np.errstate(over="ignore"):  # halves, for the whole may be no float64
            width = np.maximum(self.high / 2 - self.low / 2, 1e-300)
            return np.clip((x / 2 - self.low / 2) / width, 0, 1)

    def rows(self) -> np.ndarray:
        """Training rows of each cell, (C,)."""
        return np.add.reduceat(np.diff(self.upto, prepend=0.0), self.first)

    def _snap(self, x: np.ndarray) -> np.ndarray:
        origin, step, per_unit = self.grid
        return origin + np.rint((x - origin) / step * per_unit) * step / per_unit if step else x


def fit_bins(
    x: np.ndarray,
    n_coarse: int,
    n_fine: int,
    *,
    atom: int = 20,
    blur: int = 8,
    days: bool = False,
) -> Bins:
    """Learn the bins of one column (n,) by quantiles, as `bins_of` says."""
    return bins_of(Histogram.of(x, atom), n_coarse, n_fine, blur=blur, days=days)


def bins_of(
    column: Histogram, n_coarse: int, n_fine: int, *, blur: int = 8, days: bool = False
) -> Bins:
    """The bins of a counted column, by quantiles.

    Args:
        n_coarse, n_fine: bins at most; a column of fewer distinct values has a bin for each.
        blur: rows whose ground is drawn from evenly, so that no value sits on a record; more in
            columns of many rows, which have about 16,384 pieces of ground at most, times apart.
        days: the column counts days and may lie on a grid of hours, minutes or seconds.
    """
    value, count = column.value, column.rows
    if not days:  # the bursts of arrivals are finer than that
        blur = max(blur, int(count.sum()) // FINEST)
    coarse = _quantile_bins(count, n_coarse)
    fine = np.zeros(len(value), np.int64)
    if len(value) > n_coarse:
        for rows in np.split(np.arange(len(value)), np.flatnonzero(np.diff(coarse)) + 1):
            fine[rows] = _quantile_bins(count[rows], n_fine)
    cell = np.append(0, np.cumsum((np.diff(coarse) != 0) | (np.diff(fine) != 0)))
    starts = _starts(cell)
    middle = np.concatenate([value[:1], value[:-1] / 2 + value[1:] / 2, value[-1:]])
    piece = _pieces(cell, count, column.is_atom, blur)
    begin = _starts(piece)
    end = np.append(begin[1:], len(value))
    is_atom = column.is_atom[begin]
    return Bins(
        cut=middle[starts[1:]],
        coarse=coarse[starts],
        fine=fine[starts],
        first=piece[starts],
        low=np.where(is_atom, value[begin], middle[begin]),
        high=np.where(is_atom, value[begin], middle[end]),
        upto=np.cumsum(count)[end - 1].astype(np.float64),
        grid=column.grid.lines(value[0], days),
    )


def _starts(label: np.ndarray) -> np.ndarray:
    return np.append(0, np.flatnonzero(np.diff(label)) + 1)


def _quantile_bins(count: np.ndarray, n_bins: int) -> np.ndarray:
    """Bin (m,) from 0 upwards, none empty, of m ascending values by the middle of their ranks."""
    if len(count) <= n_bins:
        return np.arange(len(count))
    upto = np.cumsum(count)
    bins = ((upto - count / 2) / upto[-1] * n_bins).astype(np.int64)
    return np.unique(np.minimum(bins, n_bins - 1), return_inverse=True)[1]


def _pieces(cell: np.ndarray, count: np.ndarray, is_atom: np.ndarray, blur: int) -> np.ndarray:
    """Piece (m,) of each value: an atom its own, the others about `blur` rows together."""
    new = np.append(True, (np.diff(cell) != 0) | is_atom[1:] | is_atom[:-1])
    run = np.cumsum(new) - 1
    total = np.bincount(run, weights=count)
    upto = np.cumsum(count)
    before = np.append(0.0, np.cumsum(total))[run]
    share = (upto - count / 2 - before) / total[run]
    group = (share * np.maximum(total[run] // blur, 1)).astype(np.int64)
    return np.cumsum(new | np.append(False, np.diff(group) != 0)) - 1
