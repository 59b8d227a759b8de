"""The losses of the categories: cross-entropy of x_0, or the bound of a multinomial diffusion.

Place in the paper: the categorical part of its loss; the numerical part is a squared error, in
`model`.

In: logits (n, sum of K), columns side by side, and the categories x_0 and x_t (n, C) as indices.
Out: a term for every row and column, or their weighted sum with its gradient. The work on every
logit is done in place, over as many rows at a time as a core's cache holds; the rest needs only
the logits at x_0 and x_t.

Source: Kotelnikov et al. (2023), arXiv 2209.15421, eq. 6, restated without log one-hots.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 2**17  # logits worked on at once


class Slices(NamedTuple):
    """Where each categorical column lies among the logits; shapes (C,) and (sum of K, C)."""

    Ks: list[int]
    starts: Tensor
    member: Tensor

    @classmethod
    def from_sizes(cls, Ks: list[int]) -> Slices:
        """The slices of columns with Ks categories, side by side."""
        sizes = torch.tensor(Ks, dtype=torch.long)
        column = torch.arange(len(Ks)).repeat_interleave(sizes, output_size=sum(Ks))
        starts = torch.tensor(np.cumsum([0, *Ks])[:-1])
        return cls(Ks, starts, F.one_hot(column, max(1, len(Ks))).float())

    def exp(self, logits: Tensor, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """exp(logits - column maximum) (n, sum of K) and the maxima (n, C)."""
        out, top = torch.empty_like(logits) if out is None else out, []
        for part, to in zip(logits.split(self.Ks, 1), out.split(self.Ks, 1), strict=True):
            top.append(part.amax(1, keepdim=True))
            torch.sub(part, top[-1], out=to)
        return out.exp_(), torch.cat(top, 1)

    def scale_(self, values: Tensor, by: Tensor) -> Tensor:
        """Multiply each column's slice of values (n, sum of K) in place by its by[:, i] (n, C)."""
        for i, part in enumerate(values.split(self.Ks, 1)):
            part.mul_(by[:, i : i + 1])
        return values

    def sum(self, values: Tensor) -> Tensor:
        """Sums (n, C) over each column's slice of values (n, sum of K)."""
        return values @ self.member


class CrossEntropy(NamedTuple):
    """Cross-entropy of x_0 given x_t, each (n, C)."""

    x_0: Tensor
    x_t: Tensor
    log_gain: Tensor  # log(q(x_t | x_0 = x_t) / q(x_t | x_0 != x_t) - 1)

    def take(self, block: slice) -> CrossEntropy:
        """The same for a block of rows."""
        return CrossEntropy(*(part[block] for part in self))

    def terms(self, logits: Tensor, slices: Slices, grad: Tensor) -> Tensor:
        """-log p(x_0 | x_t) (n, C), p ~ softmax(logits) q(x_t | x_0); grad (n, sum of K) is filled.

        The network need not copy x_t to its output: it predicts what the rest of the row says, and
        the posterior joins that with x_t.
        """
        x_0, x_t, gain = self
        at_0, at_t = x_0 + slices.starts, x_t + slices.starts
        odds, top = slices.exp(logits, out=grad)
        extra = odds.gather(1, at_t) * gain.exp()
        norm = slices.sum(odds) + extra
        same = (x_0 == x_t).to(logits.dtype)
        terms = norm.log() + top - logits.gather(1, at_0) - same * F.softplus(gain)
        slices.scale_(odds, 1 / norm).scatter_add_(1, at_t, extra / norm)
        grad.scatter_add_(1, at_0, torch.full_like(extra, -1.0))
        return terms


class StepKL(NamedTuple):
    """KL divergence of one step, from x_t to x_{t-1}; scalars (n, 1), x (n, C), Ks (C,).

    At t = 0 alpha_bar_prev is 1, and what follows is the decoder's negative log likelihood.
    """

    x_0: Tensor
    x_t: Tensor
    alpha_t: Tensor
    alpha_bar_prev: Tensor
    Ks: Tensor

    def take(self, block: slice) -> StepKL:
        """The same for a block of rows."""
        return StepKL(*(part[block] for part in self[:4]), self.Ks)

    def terms(self, logits: Tensor, slices: Slices, grad: Tensor) -> Tensor:
        """KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) (n, C); grad (n, sum of K) is filled.

        q is a mixture of three: everywhere, at x_0, at x_t; against the marginal at its lowest, b,
        the model's marginal at k is b (1 + r s_k), s = softmax(logits).
        """
        x_0, x_t, alpha, bar, Ks = self
        at_0, at_t = x_0 + slices.starts, x_t + slices.starts
        a, b = (1 - alpha) / Ks, ((1 - bar) / Ks).clamp(min=1e-30)
        r, same = bar / b, (x_0 == x_t).to(logits.dtype)
        Z_q = alpha * (bar * same + b) + a
        everywhere, on_0, on_t = a * b / Z_q, bar * (a + alpha * same) / Z_q, alpha * b / Z_q

        e, top = slices.exp(logits, out=grad)
        norm = slices.sum(e)
        log_norm = norm.log() + top
        u_0, u_t = (r.log() + logits.gather(1, at) - log_norm for at in (at_0, at_t))
        ratio = slices.scale_(e.clone(), r / norm)  # r s
        spread = slices.sum(torch.log1p(ratio))
        Z_p = alpha * b * (1 + u_t.exp()) + a
        kl = (everywhere + on_0 + on_t * same) * torch.log1p(r) + torch.log(Z_p / Z_q)
        kl = kl - everywhere * spread - on_0 * F.softplus(u_0) - on_t * F.softplus(u_t)

        pull = ratio.add_(1).reciprocal_()  # 1 / (1 + r s)
        v_0 = -on_0 * u_0.sigmoid()
        v_t = -on_t * u_t.sigmoid() + alpha * b * u_t.exp() / Z_p
        total = v_0 + v_t - everywhere * (Ks.to(e.dtype) - slices.sum(pull))
        slices.scale_(e, -total / norm)
        grad += slices.scale_(pull.sub_(1), everywhere)
        grad.scatter_add_(1, at_t, v_t).scatter_add_(1, at_0, v_0)
        return kl


def row_blocks(logits: Tensor) -> list[slice]:
    """Rows to work on at once."""
    size = max(16, BLOCK // max(1, logits.shape[1]))
    return [slice(i, i + size) for i in range(0, len(logits), size)]


class WeightedSum(torch.autograd.Function):
    """Sum of weight (n, C) times the terms, a scalar; its gradient is made on the way forward."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, weight: Tensor, term: CrossEntropy | StepKL, slices: Slices
    ) -> Tensor:
        grad, total = torch.empty_like(logits), 0.0
        for block in row_blocks(logits):
            part = term.take(block).terms(logits[block], slices, grad[block])
            total = total + (part * weight[block]).sum()
            slices.scale_(grad[block], weight[block])
        ctx.save_for_backward(grad)
        return total

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,) = ctx.saved_tensors
        return grad * grad_out, None, None, None
