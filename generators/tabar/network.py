"""The network of TabAR: one small head for each field of a row, over a common sum of embeddings.

In: rows as indices x (n, F) of fields. Out: -log p(x_i | x_1 .. x_{i-1}), and draws of x_i.
Symbols as in `model`: s_i is the sum of the embeddings of the fields before i, base_i the log
frequency of field i, and log p(x_i | s_i) = base_i + W'' relu(W' relu(g_i s_i + c_i)).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators.coded import Indices, log_shares
from generators.drawing import draw_index, inverse_cdf
from generators.fields import Field
from generators.likelihood import FieldNet, draw_embeddings

NEVER = -1e4  # log probability of what has none; infinity would spoil gradients


class Head(nn.Module):
    """One field: the log odds of its values given s, and what each value adds to s."""

    def __init__(self, field: Field, n_before: int, rows: int, d: int, h: int):
        super().__init__()
        k = field.size
        self.field, self.n_before = field, n_before
        self.predicts = n_before > 0 and not (field.is_known or field.is_given)
        self.table = _zeros(k, d)
        self.register_buffer("base", torch.zeros(rows, k))
        self.register_buffer("used", torch.tensor(self.predicts, device="cpu"))
        if self.predicts:
            self.gain, self.shift = _zeros(d), _zeros(d)
            self.inner, self.inner_bias = _zeros(d, h), _zeros(h)
            self.outer, self.outer_bias = _zeros(h, k), _zeros(k)

    @torch.no_grad()
    def start(self, shares: Tensor, rng: torch.Generator) -> None:
        """Draw the weights, and set the base from the field's log frequencies (rows, K)."""
        self.table.copy_(draw_embeddings(self.field, self.table.shape[1], rng))
        self.base.copy_(shares.clamp(min=NEVER))
        if self.predicts:
            d, h = self.inner.shape
            self.gain.fill_(1 / math.sqrt(self.n_before + 1))
            self.shift.uniform_(-1, 1, generator=rng)
            self.inner.uniform_(-1 / math.sqrt(d), 1 / math.sqrt(d), generator=rng)
            self.outer.uniform_(-0.1 / math.sqrt(h), 0.1 / math.sqrt(h), generator=rng)

    def log_base(self, before: Tensor | None, n: int) -> Tensor:
        """Log frequencies (n, K): of the field, or of a fine bin within its coarse bin."""
        return self.base[before] if len(self.base) > 1 else self.base.expand(n, -1)

    def logits(self, s: Tensor, before: Tensor | None) -> Tensor:
        """Unnormalised log p(x_i | s_i) (n, K); before (n,) is x_{i-1}."""
        base = self.log_base(before, len(s))
        if not self.used:
            return base
        h = torch.addcmul(self.shift, s, self.gain).relu_()
        h = torch.addmm(self.inner_bias, h, self.inner).relu_()
        return torch.addmm(self.outer_bias, h, self.outer).add_(base)

    @torch.no_grad()
    def draw(self, s: Tensor, before: Tensor, u: Tensor) -> Tensor:
        """x_i (n,) at u (n, 1) in [0, 1), by the inverse of the summed probabilities."""
        if self.used:
            return draw_index(self.logits(s, before), u)
        upto = self.base.exp().cumsum(1)
        return inverse_cdf(upto[before] if len(upto) > 1 else upto, u)


class Net(FieldNet):
    """The heads in their order."""

    def __init__(self, fields: list[Field], d_trunk: int, d_head: int, dropout: float = 0.0):
        super().__init__()
        self.fields, self.dropout, self.d = fields, dropout, d_trunk
        rows = [fields[i - 1].size if f.kind == "fine" else 1 for i, f in enumerate(fields)]
        self.heads = nn.ModuleList(
            Head(f, i, rows[i], d_trunk, d_head) for i, f in enumerate(fields)
        )

    def start(self, x: Indices, rng: torch.Generator) -> None:
        """Begin at the distributions of the single fields of the rows (n, F)."""
        shares = log_shares(x, [(i, *head.base.shape) for i, head in enumerate(self.heads)])
        for head, own in zip(self.heads, shares, strict=True):
            head.start(own, rng)

    @property
    def learns(self) -> bool:
        """Some field depends on others."""
        return any(head.predicts for head in self.heads)

    def used_heads(self) -> Tensor:
        """Which heads (F,) are used."""
        return torch.stack([head.used for head in self.heads])

    def switch_heads(self, heads: Tensor) -> None:
        """Switch heads (F,) on and off."""
        for head, on in zip(self.heads, heads, strict=True):
            head.used.copy_(on)

    def embed(self, i: int, values: Tensor) -> Tensor:
        """e_i (n, d) of values (n,) of a field."""
        return F.embedding(values, self.heads[i].table)

    def nll(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """-log p(x_i | x_<i) (n, F), 0 for clocks; with rng, dropout as in training."""
        s, terms = torch.zeros(len(x), self.d), []
        keep = self._keep(x.shape, rng)
        for i, head in enumerate(self.heads):
            if head.field.is_known or head.field.is_given:
                terms.append(torch.zeros(len(x)))
            else:
                logits = head.logits(s, x[:, i - 1])
                terms.append(F.cross_entropy(logits, x[:, i], reduction="none"))
            e = F.embedding(x[:, i], head.table)
            s = s + e if keep is None else torch.addcmul(s, e, keep[i])
        return torch.stack(terms, 1)

    def _keep(self, shape: tuple[int, int], rng: torch.Generator | None) -> Tensor | None:
        """In training each embedding is left out with the probability of dropout; (F, n, 1)."""
        if rng is None or not self.dropout:
            return None
        kept = torch.rand(shape[::-1], generator=rng) >= self.dropout
        return (kept / (1 - self.dropout))[:, :, None]


def _zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))
