"""The masked process run backwards: columns become known one after the other, or several at once.

In: rows some of whose columns are known, a `MaskedNet`, the columns to draw. Out: the rows with
these columns drawn. One column a step is exact: each is drawn from its distribution given all that
is known by then. Columns drawn in the same step do not see each other.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from generators.bins import Bins
from generators.drawing import (
    FREE,
    Limits,
    PartialRows,
    derive,
    draw_index,
    draw_number,
)

from .network import MaskedNet


@torch.no_grad()
def draw_columns(
    draw: PartialRows,
    net: MaskedNet,
    units: Iterable[int],
    bins: list[Bins],
    rng: torch.Generator,
    limits: Limits = FREE,
    steps: int | None = None,
) -> PartialRows:
    """Draw columns, given by their number in `net.units`, in this order and within the limits.

    Args:
        steps: in how many steps; None: one for each column.
    """
    units = list(units)
    for group in np.array_split(units, min(steps or len(units), len(units)) or 1):
        known = draw.s if len(group) < 2 else draw.s.clone()
        for u in group:
            _draw_column(draw, net, int(u), known, bins, rng, limits)
    return draw


def _draw_column(
    draw: PartialRows,
    net: MaskedNet,
    u: int,
    known: Tensor,
    bins: list[Bins],
    rng: torch.Generator,
    limits: Limits,
) -> None:
    """Draw the fields of column u given what is known (n, d); what it adds goes into draw.s."""
    unit, added = net.units[u], torch.zeros_like(known)
    for i in unit.drawn:
        logits = net.logits(i, known + added if i > unit.drawn[0] else known, draw.x[:, i - 1])
        if i in limits.factor:
            draw.x[:, i] = limits.draw(draw, i, net.fields[i], logits, rng)
        else:
            draw.x[:, i] = draw_index(logits, torch.rand((len(logits), 1), generator=rng))
        added += net.embed(i, draw.x[:, i])
    last = net.fields[unit.drawn[-1]]
    if last.kind != "category":
        draw_number(draw, net.fields, unit.drawn[-1], bins[last.column], limits, rng)
    for i in unit.derived:
        derive(draw, net.fields, i)
        added += net.embed(i, draw.x[:, i])
    draw.s = draw.s + added


@torch.no_grad()
def reveal(draw: PartialRows, net: MaskedNet, units: Iterable[int], x: Tensor) -> PartialRows:
    """Make columns known as they are in x (n, F)."""
    for u in units:
        for i in (*net.units[u].drawn, *net.units[u].derived):
            draw.x[:, i] = x[:, i]
            draw.s = draw.s + net.embed(i, x[:, i])
    return draw
