"""Numbers as normal scores and back, so that what the rows of a group share has one meaning.

In: a column (n,). Out: the scores of its values, standard normal over the column, and values of
scores. A value that many rows share is exact in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

N_KNOTS = 2_000
EDGE = 0.05  # rows: how far from 0 and 1 the ranks stay


@dataclass(frozen=True)
class Scale:
    """Knots of a distribution function: value (K,), share of rows below it and up to it (K,)."""

    value: np.ndarray
    below: np.ndarray
    upto: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> Scale:
        """The scale of a column (n,): knots at evenly spaced ranks, and at frequent values."""
        value, count = np.unique(x, return_counts=True)
        upto = np.cumsum(count) / len(x)
        kept = np.ones(len(value), bool)
        if len(value) > N_KNOTS:
            kept = count > len(x) / N_KNOTS
            kept[np.searchsorted(upto, np.linspace(0, 1, N_KNOTS)).clip(max=len(value) - 1)] = True
            kept[[0, -1]] = True
        edge = EDGE / len(x)
        below = np.append(0.0, upto[:-1])
        return cls(value[kept], below[kept].clip(edge, 1 - edge), upto[kept].clip(edge, 1 - edge))

    def score(self, x: np.ndarray) -> np.ndarray:
        """Normal scores (n,) of values (n,)."""
        return ndtri(np.interp(x, self.value, (self.below + self.upto) / 2))

    def values(self, score: np.ndarray) -> np.ndarray:
        """Values (n,) of normal scores (n,)."""
        knots = np.column_stack([self.below, self.upto]).ravel()
        return np.interp(ndtr(score), knots, np.repeat(self.value, 2))
