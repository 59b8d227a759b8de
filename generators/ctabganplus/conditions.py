"""Training by sampling: which category the generator is asked for, and real rows that hold it.

In: the indices of a table's columns. Out: conditions (column and category), their vectors, rows.

Source: Xu et al. (2019), arXiv 1907.00503, section 4.3, whose columns Zhao et al. (2022), arXiv
2204.00401, extend by the modes of numericals. Drawn for a batch at once, without a loop over rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Conditions:
    """The categories of a table by log frequency and by frequency, and the rows of each.

    counts (sum of K,) are the rows of each category, columns side by side.
    """

    def __init__(self, counts: Tensor, Ks: list[int]):
        self.counts, self.Ks = counts, torch.tensor(Ks, dtype=torch.long)
        self.starts = torch.tensor(np.cumsum([0, *Ks])[:-1], dtype=torch.long)
        parts = counts.double().split(Ks) if Ks else []
        self.by_log, self.by_count = _upto([torch.log1p(p) for p in parts]), _upto(parts)

    @classmethod
    def from_table(cls, x: Tensor, Ks: list[int]) -> Conditions:
        """Count the categories of a table x (n, C)."""
        counts = [torch.bincount(column, minlength=K) for column, K in zip(x.T, Ks, strict=True)]
        out = cls(torch.cat([torch.empty(0, dtype=torch.long), *counts]), Ks)
        out.order = torch.stack([c.argsort(stable=True).int() for c in x.T]) if Ks else None
        return out

    def draw(self, n: int, rng: torch.Generator, log: bool) -> tuple[Tensor, Tensor]:
        """col, opt (n,): any column alike; its categories by log(1 + frequency) or by frequency."""
        col = (torch.rand(n, generator=rng) * len(self.Ks)).long()
        upto = (self.by_log if log else self.by_count)[col]
        u = torch.rand((n, 1), generator=rng, dtype=torch.float64)
        return col, torch.searchsorted(upto, u, right=True)[:, 0]

    def rows(self, col: Tensor, opt: Tensor, rng: torch.Generator) -> Tensor:
        """Rows (n,) of the table drawn among those that hold the category."""
        count = self.counts[self.starts[col] + opt]
        first = torch.cumsum(self.counts, 0)[self.starts[col] + opt] - count - len(self) * col
        at = (torch.rand(len(col), generator=rng, dtype=torch.float64) * count).long()
        return self.order[col, first + at].long()

    def vector(self, col: Tensor, opt: Tensor) -> Tensor:
        """c: one-hot of the category, zero for all other columns."""
        c = torch.zeros((len(col), len(self.counts)))
        return c.scatter_(1, (self.starts[col] + opt)[:, None], 1.0)

    def __len__(self) -> int:
        """Rows of the table."""
        return int(self.counts[: self.Ks[0]].sum())


def _upto(weights: list[Tensor]) -> Tensor:
    """Cumulative probabilities (C, largest K) float64; 2 where a column has no such category."""
    out = torch.full((len(weights), max(map(len, weights), default=0)), 2.0, dtype=torch.float64)
    for row, w in zip(out, weights, strict=True):
        row[: len(w)] = w.cumsum(0) / w.sum()
        row[int(w.nonzero()[-1])] = 1.0  # rounding must not reach an empty category
    return out
