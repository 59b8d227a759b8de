"""The column of the downstream loss: what of a row it hides, and how it is predicted.

In: a column's name, a layout and its encoding. Out: a `Target` with its loss.

Source: Zhao et al. (2022), arXiv 2204.00401, the downstream loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from generators.layout import Layout
from generators.modes import Encoding


@dataclass(frozen=True)
class Target:
    """The column of the downstream loss: what of a row it hides and how it is predicted."""

    shown: list[int]  # places of a row that predict it
    hidden: list[int]
    label: list[int]  # places of its one-hot, or the one of its number

    @property
    def n_out(self) -> int:
        """Outputs of the network that predicts it."""
        return len(self.label)

    def loss(self, out: Tensor, row: Tensor) -> Tensor:
        """Cross-entropy of the likeliest category, smooth L1 of a number; mean over the batch."""
        if len(self.label) == 1:
            return F.smooth_l1_loss(out[:, 0], row[:, self.label[0]])
        return F.cross_entropy(out, row[:, self.label].argmax(1))

    @classmethod
    def choose(cls, name: str | None, layout: Layout, encoding: Encoding) -> Target | None:
        """The target called `name`, or the last categorical that varies; None: there is none.

        A numerical with several modes is predicted by its mode.
        Raises `ValueError` if the table has no such column.
        """
        numbers = [c.name for c in layout.numericals]
        cats = [c.name for c in layout.categoricals]
        if name is not None and name not in numbers + cats:
            raise ValueError(f"target must be one of the columns {numbers + cats}, got {name!r}")
        varying = [cats[j] for j in encoding.cats]
        name = varying[-1] if name is None and varying else name
        keys = [numbers[j] for j in encoding.coded] + varying
        starts = np.cumsum([len(encoding.smooth), *encoding.Ks])
        hot = keys.index(name) if name in keys else None
        label = [] if hot is None else list(range(starts[hot], starts[hot + 1]))
        smooth = [numbers[j] for j in encoding.smooth]
        place = [smooth.index(name)] if name in smooth else []
        hidden = place + label
        shown = [i for i in range(encoding.width) if i not in set(hidden)]
        return cls(shown, hidden, label or place) if hidden and shown else None
