"""Rows of TabAR drawn field after field, in their order.

In: rows whose first fields are drawn, a `Net`, the bins of its numericals, a random generator. Out:
the rows with some more fields drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from generators.bins import Bins
from generators.drawing import FREE, Limits, PartialRows, derive, draw_number

from .network import Net


@torch.no_grad()
def draw_fields(
    draw: PartialRows,
    net: Net,
    part: Sequence[int],
    bins: list[Bins],
    rng: torch.Generator,
    limits: Limits = FREE,
) -> PartialRows:
    """Draw the fields of `part` one after the other, within the limits."""
    n, kinds = len(draw.x), [f.kind for f in net.fields] + [""]
    for i in part:
        f, head, before = net.fields[i], net.heads[i], draw.x[:, i - 1]
        if f.is_known:
            derive(draw, net.fields, i)
        elif i in limits.factor:
            draw.x[:, i] = limits.draw(draw, i, f, head.logits(draw.s, before), rng)
        else:
            draw.x[:, i] = head.draw(draw.s, before, torch.rand((n, 1), generator=rng))
        if f.kind == "fine" or (f.kind == "coarse" and kinds[i + 1] != "fine"):
            draw_number(draw, net.fields, i, bins[f.column], limits, rng)
        if i + 1 < len(net.fields):
            draw.s += F.embedding(draw.x[:, i], head.table)
    return draw
