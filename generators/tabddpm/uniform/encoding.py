"""What of a table is diffused: categories and cells as indices, the rest on the normal scale.

Place in the paper: the preprocessing before the diffusion. A numerical that varies is z on the
standard normal scale; its atom or quantile cell, and every category, is one index of x.

In: numbers and codes of a `Layout`, and the `Scales` of its numericals. Out: batches of z_0 (n, d),
its weight (n, d) and x_0 (n, C) for training; from sampled z and x, numbers and codes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from generators.devices import to_array
from generators.layout import Layout

from .scales import Scales


class Encoding(NamedTuple):
    """Which columns become z and which x, and the way back."""

    scales: Scales
    cats: list[int]  # categorical columns with more than one category
    coded: list[int]  # numerical columns with atoms or cells
    smooth: list[int]  # numerical columns with values beside their atoms
    Ks: list[int]  # of cats, then of coded
    n_atoms: Tensor
    n_cells: Tensor
    edge: Tensor  # (d,) share below the smallest value, in a cell

    @classmethod
    def from_scales(cls, layout: Layout, scales: Scales) -> Encoding:
        """The encoding of a layout whose numericals have these scales."""
        sizes = [len(c.categories) for c in layout.categoricals]
        cats = [j for j, size in enumerate(sizes) if size > 1]
        coded = [j for j, s in enumerate(scales.scales) if s.n_codes > 1]
        smooth = [j for j, s in enumerate(scales.scales) if len(s.value)]
        Ks = [sizes[j] for j in cats] + [scales.scales[j].n_codes for j in coded]
        edge = [min(0.25, 0.5 * scales.scales[j].n_cells / scales.scales[j].n_rows) for j in smooth]
        n_atoms = torch.tensor([len(s.atoms) for s in scales.scales], dtype=torch.long)
        n_cells = torch.tensor([s.n_cells for s in scales.scales], dtype=torch.long)
        return cls(scales, cats, coded, smooth, Ks, n_atoms, n_cells, torch.tensor(edge).float())

    @property
    def is_constant(self) -> bool:
        """Whether no column varies, so that there is nothing to learn."""
        return not (self.smooth or self.Ks)

    def decode(self, z: Tensor, x: Tensor, n_cats: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (n, numericals) and codes (n, n_cats) of z and x."""
        n, n_numbers = len(z), len(self.scales.scales)
        shares, places = np.full((n, n_numbers), 0.5), np.zeros((n, n_numbers), np.int64)
        codes = np.zeros((n, n_cats), np.int64)
        shares[:, self.smooth] = to_array(torch.special.ndtr(z.double()))
        places[:, self.coded] = to_array(x[:, len(self.cats) :])
        codes[:, self.cats] = to_array(x[:, : len(self.cats)])
        return self.scales.decode(places, shares), codes


class TrainingRows(NamedTuple):
    """The training table: atoms (n, numericals), shares below and upto, codes (n, cats)."""

    encoding: Encoding
    atom: Tensor
    below: Tensor
    upto: Tensor
    codes: Tensor

    @classmethod
    def from_table(
        cls, encoding: Encoding, numbers: np.ndarray, codes: np.ndarray, dequantise: bool = True
    ) -> TrainingRows:
        """Encode numbers (n, numericals) and codes (n, categoricals) once, for all batches.

        With `dequantise` a repeated value stands for its interval of ranks, else for the middle.
        """
        atom, below, upto = encoding.scales.encode(numbers)
        if not dequantise:
            below = upto = (below + upto) / 2
        shares = [torch.tensor(a, dtype=torch.float32) for a in (below, upto)]
        return cls(encoding, torch.tensor(atom), *shares, torch.tensor(codes[:, encoding.cats]))

    def draw(self, rows: Tensor | slice, u: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z_0 (n, d), its weight (n, d) and x_0 (n, C) of a batch.

        u (n, numericals) in [0, 1) places each value in its interval of ranks. On an atom there is
        no z_0: it is the noise (n, d), with weight 0.
        """
        columns = self.encoding
        atom, below = self.atom[rows], self.below[rows]
        share = (below + u * (self.upto[rows] - below)) * columns.n_cells
        cell = torch.minimum(share.long(), columns.n_cells - 1)
        inside = (share - cell)[:, columns.smooth]
        z = torch.special.ndtri(
            torch.minimum(torch.maximum(inside, columns.edge), 1 - columns.edge)
        )
        on_atom = atom[:, columns.smooth] >= 0
        places = torch.where(atom >= 0, atom, columns.n_atoms + cell)
        x_0 = torch.cat([self.codes[rows], places[:, columns.coded]], 1)
        return torch.where(on_atom, noise, z), (~on_atom).float(), x_0

    def draw_random(self, rows: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """`draw` with fresh randomness."""
        u = torch.rand((len(rows), self.atom.shape[1]), generator=rng)
        return self.draw(
            rows, u, torch.randn((len(rows), len(self.encoding.smooth)), generator=rng)
        )

    def log_marginals(self) -> Tensor:
        """Log frequencies (sum of K,) of the categories of every column, one half added."""
        middle = torch.full(self.atom.shape, 0.5)
        x_0 = self.draw(slice(None), middle, torch.zeros((len(middle), len(self.encoding.smooth))))[
            2
        ]
        counts = [
            torch.bincount(x, minlength=K) for x, K in zip(x_0.T, self.encoding.Ks, strict=True)
        ]
        return torch.cat([torch.empty(0), *(torch.log((c + 0.5) / len(x_0)) for c in counts)])
