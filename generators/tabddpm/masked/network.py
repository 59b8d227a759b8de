"""The network of the masked process: each field of a row given any set of other columns.

In: rows as indices x (n, F) of fields, and which columns are known. Out: -log p of every field
given the known columns among the others, and draws of fields. Symbols as in `model`:

    s_u = sum of e_i(x_i) over the fields i of the known columns other than u
    log p(x_i | s) = base_i + W''' (h + relu(W'' h)),  h = relu(W' relu(g_i s + c_i)),  i in u

base is the log frequency of the field (a fine bin's within its coarse bin), so learning starts from
independent columns. A fine bin sees its coarse bin as known, too. The heads of all fields are
stacked, so that one batched product serves them all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators.coded import Indices, log_shares
from generators.devices import seeded
from generators.fields import Field
from generators.likelihood import FieldNet, draw_embeddings

NEVER = -20.0  # log probability at most of what was never seen; infinity would spoil gradients


class Unit(NamedTuple):
    """What is masked together: the fields of one column, and those that follow from them."""

    drawn: tuple[int, ...]  # a category, or a coarse bin and its fine bin
    derived: tuple[int, ...]  # read off the time column


def list_units(fields: list[Field]) -> list[Unit]:
    """The columns of the fields, in their order."""
    columns: dict[tuple[bool, int], list[int]] = {}
    for i, f in enumerate(fields):
        columns.setdefault((f.kind == "category", f.column), []).append(i)
    return [
        Unit(
            tuple(i for i in group if not fields[i].is_known),
            tuple(i for i in group if fields[i].is_known),
        )
        for group in columns.values()
    ]


class MaskedNet(FieldNet):
    """Embeddings of all values, and a head for each field that is drawn.

    Args:
        d_trunk, d_head: widths of s and of h.
        shuffled: share of the rows of a batch whose known columns are any set; those of the others
            are the columns before, in the order of the fields.
    """

    def __init__(self, fields: list[Field], d_trunk: int, d_head: int, shuffled: float = 0.5):
        super().__init__()
        self.fields, self.units = fields, list_units(fields)
        self.d, self.shuffled = d_trunk, shuffled
        drawn = [i for unit in self.units for i in unit.drawn if not fields[i].is_given]
        self.place = {i: p for p, i in enumerate(drawn)}  # of a drawn field among the heads
        sizes, P = [f.size for f in fields], len(drawn)
        starts = torch.tensor([0, *sizes]).cumsum(0)
        self.register_buffer("starts", starts[:-1], persistent=False)
        given = torch.tensor([fields[unit.drawn[0]].is_given for unit in self.units])
        self.register_buffer("is_given", given, persistent=False)
        used = torch.zeros(len(fields), dtype=torch.bool, device="cpu")  # read at every step
        self.register_buffer("used", used)
        self.table = _zeros(sum(sizes), d_trunk)
        self.gain, self.shift = _zeros(P, 1, d_trunk), _zeros(P, 1, d_trunk)
        self.inner, self.inner_bias = _zeros(P, d_trunk, d_head), _zeros(P, 1, d_head)
        self.middle, self.middle_bias = _zeros(P, d_head, d_head), _zeros(P, 1, d_head)
        self.outer = nn.ParameterList(_zeros(d_head, sizes[i]) for i in drawn)
        self.outer_bias = nn.ParameterList(_zeros(sizes[i]) for i in drawn)
        for p, i in enumerate(drawn):
            rows = sizes[i - 1] if fields[i].kind == "fine" else 1
            self.register_buffer(f"base_{p}", torch.zeros(rows, sizes[i]))

    @property
    def learns(self) -> bool:
        """Some column depends on others."""
        return len(self.units) > 1 and len(self.place) > 0

    @torch.no_grad()
    def start(self, x: Indices, rng: torch.Generator) -> None:
        """Draw the weights, and set the bases from the rows x (n, F)."""
        self.table.copy_(torch.cat([draw_embeddings(f, self.d, rng) for f in self.fields]))
        self.gain.fill_(1 / math.sqrt(len(self.units) / 2 + 1))
        self.shift.uniform_(-1, 1, generator=rng)
        for weight in (self.inner, self.middle):
            bound = 1 / math.sqrt(weight.shape[1])
            weight.uniform_(-bound, bound, generator=rng)
        for weight in self.outer:
            bound = 0.1 / math.sqrt(len(weight))
            weight.uniform_(-bound, bound, generator=rng)
        shapes = [(i, *self._base(p).shape) for i, p in self.place.items()]
        for p, shares in zip(self.place.values(), log_shares(x, shapes), strict=True):
            self._base(p).copy_(shares.clamp(min=NEVER))
        self.used.fill_(True)

    def used_heads(self) -> Tensor:
        """Which heads (F,) are used."""
        return self.used.clone()

    def switch_heads(self, heads: Tensor) -> None:
        """Switch heads (F,) on and off."""
        self.used.copy_(heads)

    def nll(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """-log p (n, F), 0 for what is derived, given the columns before.

        With rng, as in training: a share of the rows see any set of the other columns instead.
        """
        e = F.embedding(x.T + self.starts[:, None], self.table).unbind(0)
        columns = torch.stack([sum(e[i] for i in (*u.drawn, *u.derived)) for u in self.units])
        n = len(x) if rng is None else len(x) - round(self.shuffled * len(x))
        known = [self._before(columns[:, :n])]
        if n < len(x):
            known.append(self._any_others(columns[:, n:], rng))
        return self._terms(x, e, torch.cat(known, 1).unbind(0))

    def nll_of_heads(self, x: Tensor) -> Tensor:
        """As in training, with the same sets whatever the weights: a head may serve one order."""
        return self.nll(x, seeded(0))

    def _before(self, columns: Tensor) -> Tensor:
        """s (U, n, d) of the columns before each."""
        return columns.cumsum(0) - columns

    def _any_others(self, columns: Tensor, rng: torch.Generator) -> Tensor:
        """s (U, n, d) of a random set of the other columns.

        Each column of a row is known with the row's own probability, drawn evenly from [0, 1]. So
        every size of the set is as likely as any other, and the sum over the columns is the bound
        on -log p of the row, each term with weight 1.
        """
        n = columns.shape[1]
        share = (torch.arange(n) + torch.rand(n, generator=rng)) / n
        is_seen = torch.rand((len(columns), n), generator=rng) < share
        seen = columns * (is_seen | self.is_given[:, None])[:, :, None]
        return seen.sum(0) - seen

    def _terms(self, x: Tensor, e: tuple[Tensor, ...], known: tuple[Tensor, ...]) -> Tensor:
        """-log p (n, F) of all fields, given s of each column."""
        sums = [
            s + e[i - 1] if self.fields[i].kind == "fine" else s
            for s, unit in zip(known, self.units, strict=True)
            for i in unit.drawn
            if i in self.place
        ]
        hidden = self._hidden(torch.stack(sums), slice(None)).unbind(0)
        terms = [torch.zeros(len(x))] * len(self.fields)
        for i, p in self.place.items():
            logits = self._logits(i, hidden[p], x[:, i - 1])
            terms[i] = F.cross_entropy(logits, x[:, i], reduction="none")
        return torch.stack(terms, 1)

    @torch.no_grad()
    def surprise(self, x: Tensor) -> Tensor:
        """-log p of each column given all others, less its expectation, (n, U)."""
        e = F.embedding(x.T + self.starts[:, None], self.table).unbind(0)
        columns = [sum(e[i] for i in (*u.drawn, *u.derived)) for u in self.units]
        total, found = sum(columns), []
        for unit, own in zip(self.units, columns, strict=True):
            if unit.drawn[0] not in self.place:
                continue
            s, excess = total - own, torch.zeros(len(x))
            for i in unit.drawn:
                log_p = self.logits(i, s, x[:, i - 1]).log_softmax(1)
                entropy = -(log_p.exp() * log_p).sum(1)
                excess = excess - log_p.gather(1, x[:, i : i + 1])[:, 0] - entropy
                s = s + e[i]
            found.append(excess)
        return torch.stack(found, 1)

    def logits(self, i: int, s: Tensor, before: Tensor | None) -> Tensor:
        """Unnormalised log p(x_i | s) (n, K) of a drawn field; before (n,) is x_{i-1}."""
        if not self.used[i]:
            return self._log_base(i, before, len(s))
        p = self.place[i]
        return self._logits(i, self._hidden(s[None], slice(p, p + 1))[0], before)

    def embed(self, i: int, values: Tensor) -> Tensor:
        """e_i (n, d) of values (n,) of a field."""
        return F.embedding(values + self.starts[i], self.table)

    def _hidden(self, s: Tensor, heads: slice) -> Tensor:
        h = torch.addcmul(self.shift[heads], s, self.gain[heads]).relu()
        h = torch.baddbmm(self.inner_bias[heads], h, self.inner[heads]).relu()
        return h + torch.baddbmm(self.middle_bias[heads], h, self.middle[heads]).relu()

    def _logits(self, i: int, h: Tensor, before: Tensor | None) -> Tensor:
        base = self._log_base(i, before, len(h))
        if not self.used[i]:
            return base
        p = self.place[i]
        return torch.addmm(self.outer_bias[p], h, self.outer[p]) + base

    def _log_base(self, i: int, before: Tensor | None, n: int) -> Tensor:
        base = self._base(self.place[i])
        return base[before] if self.fields[i].kind == "fine" else base.expand(n, -1)

    def _base(self, p: int) -> Tensor:
        return getattr(self, f"base_{p}")


def _zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))
