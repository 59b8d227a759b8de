"""Rows drawn field by field, and rows that hold given categories.

In: a `Net`, the bins of its numericals, a random generator. Out: `PartialRows`, whose numbers and
indices are complete once all fields are drawn.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .bins import Bins
from .fields import clock
from .network import Net


class PartialRows:
    """Rows whose first fields are drawn.

    Shapes: x (n, F), s (n, d_trunk), numbers (n, numericals), log_weight (n,).
    """

    def __init__(self, n: int, net: Net, n_numbers: int):
        self.x = torch.zeros((n, len(net.fields)), dtype=torch.long)
        self.s = torch.zeros((n, net.d))
        self.numbers = np.zeros((n, n_numbers))
        self.log_weight = torch.zeros(n, dtype=torch.float64)

    def keep(self, rows: Tensor) -> PartialRows:
        """Only the rows (n,) that are True."""
        self.x, self.s, self.log_weight = self.x[rows], self.s[rows], self.log_weight[rows]
        self.numbers = self.numbers[rows.numpy()]
        return self


@torch.no_grad()
def draw_fields(
    draw: PartialRows,
    net: Net,
    part: range,
    bins: list[Bins],
    given: dict[int, int],
    rng: torch.Generator,
) -> PartialRows:
    """Draw the fields of `part` one after the other.

    A given field (field -> index) is set, and its probability enters the row's weight.
    """
    n, kinds = len(draw.x), [f.kind for f in net.fields] + [""]
    for i in part:
        f, head, before = net.fields[i], net.heads[i], draw.x[:, i - 1]
        if f.kind == "cell":
            draw.x[:, i] = draw.x[:, i - 2] * net.fields[i - 1].size + before
        elif f.is_known:
            draw.x[:, i] = torch.from_numpy(clock(f.kind, draw.numbers[:, f.column]))
        elif i in given:
            draw.x[:, i] = given[i]
            draw.log_weight += head.logits(draw.s, before).log_softmax(1)[:, given[i]]
        else:
            draw.x[:, i] = head.draw(draw.s, before, torch.rand((n, 1), generator=rng))
        if f.kind == "fine" or (f.kind == "coarse" and kinds[i + 1] != "fine"):
            u = torch.rand(n, generator=rng, dtype=torch.float64).numpy()
            fine = draw.x[:, i].numpy() if f.kind == "fine" else np.zeros(n, np.int64)
            coarse = before if f.kind == "fine" else draw.x[:, i]
            draw.numbers[:, f.column] = bins[f.column].decode(coarse.numpy(), fine, u)
        if i + 1 < len(net.fields):
            draw.s += F.embedding(draw.x[:, i], head.table)
    return draw
