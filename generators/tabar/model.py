"""TabAR: an autoregressive surrogate, one column after the other.

Ours; its kin: TabularARGN (Tiwald et al. 2025, arXiv 2501.12012) and TabDAR (Zhang et al. 2024,
arXiv 2410.21523). A row becomes fields of few values, x_1 .. x_F: a category, or a number's coarse
and then fine bin (`bins`), and p(x) = prod_i p(x_i | x_1 .. x_{i-1}), each factor a small network,
the field's head.

| symbol | in code | shape |
|---|---|---|
| x | `x` | (batch, F) indices |
| K_i, values of field i | `Field.size` | |
| e_i(x_i), embedding | `Head.table` | (K_i, d_trunk) |
| s_i = sum_{j<i} e_j(x_j), all that is known before field i | `s` | (batch, d_trunk) |
| log p(x_i | s_i) = base_i + W'' relu(W' relu(g_i s_i + c_i)) | `Head.logits` | (batch, K_i) |

base is the log frequency of the field (a fine bin's within its coarse bin), so that learning
starts from independent columns; a head that does not beat its base on validation rows is not used.
The time column comes first and adds fields that follow from it: its hour, its weekday, and its
coarse and fine bin together, by which rows of one burst find each other.

Order, bins, rates and widths were chosen on tables that appear in no published comparison, by the
likelihood of held-out rows. Learning longer or faster brings samples nearer to the training rows
than to unseen ones, in step with that likelihood; dropout and weight decay move along the same
line.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from generators.drawing import Limits, PartialRows, draw_given
from generators.fielded import FieldConfig, FieldGenerator
from generators.fields import Field
from generators.options import share_below_one, whole

from .network import Net
from .sampling import draw_fields

CHUNK = 8192  # rows sampled at once: more gain nothing, fewer cost calls


@dataclass(frozen=True)
class TabARConfig(FieldConfig):
    """Defaults as chosen on other tables than the published ones."""

    d_trunk: int = whole(128, least=1)
    d_head: int = whole(64, least=1)
    dropout: float = share_below_one(0.1)  # chance that a head does not see a field, while learning


class TabAR(FieldGenerator):
    """An autoregressive model of a mixed table.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"x": [0.1, 0.2, 0.9] * 50, "site": ["a", "a", "b"] * 50})
        >>> model = TabAR(d_trunk=16).fit(table, steps=20, progress=False)
        >>> model.sample(2, seed=0).shape
        (2, 2)
    """

    name = "tabar"
    Config = TabARConfig

    def _make_net(self, fields: list[Field]) -> Net:
        return Net(fields, self.config.d_trunk, self.config.d_head, self.config.dropout)

    def draw_part(self, rows: PartialRows, part: list[int], rng: torch.Generator) -> PartialRows:
        """Rows with the fields `part` drawn, whole columns, given all that is known of them."""
        return draw_fields(rows, self.net_, part, self.bins_, rng)

    def _draw(self, n: int, rng: torch.Generator) -> list[PartialRows]:
        every = range(len(self.net_.fields))
        sizes = [min(CHUNK, n - a) for a in range(0, n, CHUNK)]
        return [draw_fields(self.no_fields(m), self.net_, every, self.bins_, rng) for m in sizes]

    def _draw_given(self, n: int, limits: Limits, rng: torch.Generator) -> list[PartialRows]:
        """The fields up to the last that is limited come first, then the rest."""
        net, until = self.net_, max(limits.factor) + 1
        rest = range(until, len(net.fields))
        return draw_given(
            n,
            lambda m: draw_fields(self.no_fields(m), net, range(until), self.bins_, rng, limits),
            lambda rows: draw_fields(rows, net, rest, self.bins_, rng),
            rng,
        )
