"""What of a table is diffused: categories and cells as indices, the rest on the normal scale.

In: numbers and codes of a `transform.Layout`, and how its numericals are cut. Out: batches of z_0
(n, d), its weight (n, d) and x_0 (n, C) for training; from sampled z and x, numbers and codes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from generators.transform import Layout, Numericals, fit_scale


def cut(numbers: np.ndarray, n_cells: list[int], atom_share: float) -> Numericals:
    """Scales of the numericals: in how many quantile cells each is cut, what makes an atom."""
    return Numericals(
        tuple(
            fit_scale(x, n_cells=size, atom_share=atom_share)
            for x, size in zip(numbers.T, n_cells, strict=True)
        )
    )


class Fields(NamedTuple):
    """What of a table is diffused: z of numericals that vary, x of whatever has categories."""

    scales: Numericals
    cats: list[int]  # categorical columns with more than one category
    coded: list[int]  # numerical columns with atoms or cells
    smooth: list[int]  # numerical columns with values beside their atoms
    Ks: list[int]  # of cats, then of coded
    n_atoms: Tensor
    n_cells: Tensor
    edge: Tensor  # (d,) share below the smallest value, in a cell

    @classmethod
    def of(cls, layout: Layout, scales: Numericals) -> Fields:
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
    def constant(self) -> bool:
        """No column varies: there is nothing to learn."""
        return not (self.smooth or self.Ks)

    def decode(self, z: Tensor, x: Tensor, n_cats: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (n, numericals) and codes (n, n_cats) of z and x."""
        n, n_numbers = len(z), len(self.scales.scales)
        shares, places = np.full((n, n_numbers), 0.5), np.zeros((n, n_numbers), np.int64)
        codes = np.zeros((n, n_cats), np.int64)
        shares[:, self.smooth] = torch.special.ndtr(z.double()).numpy()
        places[:, self.coded] = x[:, len(self.cats) :].numpy()
        codes[:, self.cats] = x[:, : len(self.cats)].numpy()
        return self.scales.decode(places, shares), codes


class Rows(NamedTuple):
    """The training table: atoms (n, numericals), shares below and upto, codes (n, cats)."""

    fields: Fields
    atom: Tensor
    below: Tensor
    upto: Tensor
    codes: Tensor

    @classmethod
    def of(
        cls, fields: Fields, numbers: np.ndarray, codes: np.ndarray, dequantise: bool = True
    ) -> Rows:
        atom, below, upto = fields.scales.encode(numbers)
        if not dequantise:
            below = upto = (below + upto) / 2
        shares = [torch.tensor(a, dtype=torch.float32) for a in (below, upto)]
        return cls(fields, torch.tensor(atom), *shares, torch.tensor(codes[:, fields.cats]))

    def draw(self, rows: Tensor | slice, u: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z_0 (n, d), weight (n, d), x_0 (n, C): u (n, numericals) in [0, 1) places each value in
        its interval of ranks; on an atom z_0 is noise (n, d) of weight 0."""
        f = self.fields
        atom, below = self.atom[rows], self.below[rows]
        share = (below + u * (self.upto[rows] - below)) * f.n_cells
        cell = torch.minimum(share.long(), f.n_cells - 1)
        inside = (share - cell)[:, f.smooth]
        z = torch.special.ndtri(torch.minimum(torch.maximum(inside, f.edge), 1 - f.edge))
        on_atom = atom[:, f.smooth] >= 0
        places = torch.where(atom >= 0, atom, f.n_atoms + cell)
        x_0 = torch.cat([self.codes[rows], places[:, f.coded]], 1)
        return torch.where(on_atom, noise, z), (~on_atom).float(), x_0

    def draw_random(self, rows: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """`draw` with fresh randomness."""
        u = torch.rand((len(rows), self.atom.shape[1]), generator=rng)
        return self.draw(rows, u, torch.randn((len(rows), len(self.fields.smooth)), generator=rng))

    def log_marginals(self) -> Tensor:
        """Log frequencies (sum of K,) of the categories of every column, one half added."""
        middle = torch.full(self.atom.shape, 0.5)
        x_0 = self.draw(slice(None), middle, torch.zeros((len(middle), len(self.fields.smooth))))[2]
        counts = [
            torch.bincount(x, minlength=K) for x, K in zip(x_0.T, self.fields.Ks, strict=True)
        ]
        return torch.cat([torch.empty(0), *(torch.log((c + 0.5) / len(x_0)) for c in counts)])
