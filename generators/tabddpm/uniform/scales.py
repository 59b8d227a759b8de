"""The quantile map: each number as an atom or a quantile cell, and a share inside the cell.

Place in the paper: the preprocessing of the numericals, there scikit-learn's quantile
transformation to a normal. Here it is restated, so that ties and single values that hold much of
the mass survive.

In: numbers (n, d). Out: `Scales`, which encode them as atoms and shares in [0, 1] and decode them.

Source: Kotelnikov et al. (2023), "TabDDPM", arXiv 2209.15421.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from generators.arrays import pack_columns, unpack_columns


@dataclass(frozen=True)
class Scale:
    """The distribution of one numerical column: atoms, and knots of the quantile map of the rest.

    Shapes: atoms (a,) ascending; value, below, upto (m,) ascending: the knot values and the shares
    of the other rows below them and up to them (equal where the value came once).
    """

    atoms: np.ndarray
    value: np.ndarray
    below: np.ndarray
    upto: np.ndarray
    n_cells: int
    n_rows: int

    @property
    def n_codes(self) -> int:
        """Atoms first, then quantile cells; no cells when every row is an atom."""
        return len(self.atoms) + (self.n_cells if len(self.value) else 0)

    def encode(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Atom (n,), -1 where none, and the interval of shares [below, upto] each value stands for.

        Values outside the seen range go to its ends.
        """
        at = np.clip(np.searchsorted(self.atoms, x), 0, max(len(self.atoms) - 1, 0))
        atom = np.where(self.atoms[at] == x, at, -1) if len(self.atoms) else np.full(len(x), -1)
        if not len(self.value):  # constant or all atoms: an unseen value goes to the nearest
            nearest = np.abs(x[:, None] - self.atoms).argmin(1) if len(self.atoms) else atom
            return np.where(atom < 0, nearest, atom), np.zeros(len(x)), np.ones(len(x))
        knot = np.clip(np.searchsorted(self.value, x), 0, len(self.value) - 1)
        shares = np.interp(
            x, np.repeat(self.value, 2), np.column_stack([self.below, self.upto]).ravel()
        )
        exact = self.value[knot] == x
        return (
            atom,
            np.where(exact, self.below[knot], shares),
            np.where(exact, self.upto[knot], shares),
        )

    def place(self, code: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Values of codes and of shares inside their cells, both (n,); the inverse of `encode`."""
        a = len(self.atoms)
        if not len(self.value):
            return self.atoms[code]
        u = (np.maximum(code - a, 0) + np.clip(share, 0.0, 1.0)) / self.n_cells
        x = np.interp(u, np.column_stack([self.below, self.upto]).ravel(), np.repeat(self.value, 2))
        return np.where(code < a, self.atoms[np.minimum(code, a - 1)], x) if a else x


def fit_scale(
    x: np.ndarray,
    *,
    n_cells: int = 1,
    atom_share: float = 1.0,
    max_atoms: int = 64,
    n_knots: int = 4096,
) -> Scale:
    """Learn the scale of one column (n,).

    An atom is a value that holds at least `atom_share` of the rows, at most `max_atoms` of them,
    the most frequent first; a constant column is one atom. The rows beside the atoms are cut into
    their share of `n_cells` quantile cells. Of more than `n_knots` distinct values
    the knots are the most repeated ones and those at even shares between them.
    """
    value, count = np.unique(x, return_counts=True)
    often = np.argsort(-count, kind="stable")[:max_atoms]
    often = np.sort(often[(count[often] >= max(2, atom_share * len(x))) | (len(value) == 1)])
    atoms = value[often]
    value, count = np.delete(value, often), np.delete(count, often)
    n = int(count.sum())
    # a cell holds as many rows as it would without atoms: finer ones only cost the learner
    cells = max(1, round(n_cells * n / len(x)))
    knots, below, upto = _quantile_map(value, count, n_knots)
    return Scale(atoms, knots, below, upto, cells if len(knots) > cells else 1, len(x))


def _quantile_map(
    value: np.ndarray, count: np.ndarray, n_knots: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Knot values and the shares of rows below them and up to them, (m,) each."""
    n = max(int(count.sum()), 1)
    upto = np.cumsum(count) / n
    below = upto - count / n
    single = count == 1  # a value that came once holds no mass: samples lie between, not on it
    middle = (below + upto) / 2
    below, upto = np.where(single, middle, below), np.where(single, middle, upto)
    if len(value) <= n_knots:
        return value, below, upto
    keep = _knots(middle, count, n_knots)
    return value[keep], below[keep], upto[keep]


def _knots(middle: np.ndarray, count: np.ndarray, n_knots: int) -> np.ndarray:
    repeated = np.argsort(-count, kind="stable")[: n_knots // 4]
    repeated = repeated[count[repeated] > 1]
    even = np.searchsorted(middle, np.linspace(0, 1, n_knots - len(repeated)))
    return np.unique(
        np.concatenate([repeated, np.minimum(even, len(middle) - 1), [0, len(middle) - 1]])
    )


@dataclass(frozen=True)
class Scales:
    """All numerical columns of a table, each on its own `Scale`."""

    scales: tuple[Scale, ...]

    @classmethod
    def fit(cls, numbers: np.ndarray, n_cells: Sequence[int], **options: Any) -> Scales:
        """Learn from numbers (n, d), cut into n_cells (d,); options as for `fit_scale`."""
        columns = zip(numbers.T, n_cells, strict=True)
        return cls(tuple(fit_scale(x, n_cells=cells, **options) for x, cells in columns))

    def encode(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Atoms (n, d) int64, -1 where none, and the shares below and up to each value (n, d)."""
        parts = [scale.encode(x) for scale, x in zip(self.scales, numbers.T, strict=True)]
        if not parts:
            none = np.empty((len(numbers), 0))
            return none.astype(np.int64), none, none
        atom, below, upto = (np.column_stack(p) for p in zip(*parts, strict=True))
        return atom, below, upto

    def decode(self, codes: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Numbers (n, d) of codes and shares inside the cells; inverse of `encode`."""
        columns = [scale.place(codes[:, j], shares[:, j]) for j, scale in enumerate(self.scales)]
        return np.column_stack(columns) if columns else np.empty((len(codes), 0))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays under names of their own, for `save`."""
        return pack_columns("scale", self.scales)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], n_columns: int) -> Scales:
        """Inverse of `to_arrays`."""
        return cls(unpack_columns(Scale, "scale", arrays, n_columns))
