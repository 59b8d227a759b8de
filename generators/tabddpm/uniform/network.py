"""The networks that denoise a mixed row: from z_t, x_t and t to z's prediction and x_0's logits.

Place in the paper: the network that predicts both parts of a row.

In: numbers z_t (B, d), categories x_t (B, C) as indices, times t (G,) with G a divisor of B, each
shared by B / G rows that follow each other, and trust (B or 1, C), the probability that x_t is
still x_0. Out: (B, d + sum of K), or the last hidden layer (B, width) where not every head is
wanted. Categories enter as rows of a table, looked up and added, never as one-hots times a matrix.

Source: Kotelnikov et al. (2023), arXiv 2209.15421, sec. 3 and app. B.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators.devices import without_weights


def sinusoids(x: Tensor, frequencies: Tensor) -> Tensor:
    """Sines and cosines (n, d * 2f) of x (n, d) at each of f angular frequencies."""
    angle = (x[..., None] * frequencies).flatten(-2)
    return torch.cat([angle.sin(), angle.cos()], -1)


def linear(d_in: int, d_out: int) -> nn.Linear:
    """A linear layer with no weights yet: `training.initialise` draws them."""
    return without_weights(nn.Linear, d_in, d_out)


def add_constant(module: nn.Module, name: str, value: Tensor) -> None:
    """Give the module a tensor that is neither learned nor saved."""
    module.register_buffer(name, value, persistent=False)


def _add_by_group(rows: Tensor, group: Tensor) -> Tensor:
    """rows (B, w) plus group (G, w), each of its rows to B / G that follow each other."""
    return (rows.unflatten(0, (len(group), -1)) + group[:, None]).flatten(0, 1)


def _silu(y: Tensor) -> Tensor:
    """SiLU, in place where no gradient will ask for y."""
    return F.silu(y, inplace=not torch.is_grad_enabled())


class Denoiser(nn.Module):
    """An embedding of each category and a SiLU MLP that hears the time in every layer.

    DIFF: paper feeds log one-hots through one linear layer; we embed each category because values
    of 0 and -69 scale badly, weigh it by the probability that it is not noise because the schedule
    weighs z_t so, add the time to every layer because one sum at the input fades, and start the
    heads at the log marginals because that is where they go first.
    """

    def __init__(
        self, d: int, Ks: list[int], widths: tuple[int, ...], d_embed: int, n_frequencies: int
    ):
        super().__init__()
        self.Ks = Ks
        add_constant(self, "starts", torch.tensor(np.cumsum([0, *Ks])[:-1]))
        add_constant(self, "octaves", math.pi / 2 * 2.0 ** torch.arange(n_frequencies))
        add_constant(self, "clocks", torch.exp(-math.log(10_000) * torch.arange(32) / 32))
        self.embed = without_weights(nn.Embedding, max(1, sum(Ks)), d_embed)
        d_in = d * (1 + 2 * n_frequencies) + len(Ks) * d_embed
        self.time = nn.Sequential(linear(64, 128), nn.SiLU(), linear(128, sum(widths)))
        self.layers = nn.ModuleList(map(linear, [d_in, *widths], widths))
        self.head = linear(widths[-1], d + sum(Ks))

    @torch.no_grad()
    def start_at_marginals(self, log_marginals: Tensor) -> None:
        """Let the untrained heads give 0 for z and the log marginals (sum of K,) for x."""
        self.head.weight.mul_(0.1)
        self.head.bias.zero_()
        self.head.bias[len(self.head.bias) - len(log_marginals) :] = log_marginals

    def forward(self, z_t: Tensor, x_t: Tensor, t: Tensor, trust: Tensor) -> Tensor:
        """Shapes as in the module's docstring."""
        return self.head(self.hidden(z_t, x_t, t, trust))

    def hidden(self, z_t: Tensor, x_t: Tensor, t: Tensor, trust: Tensor) -> Tensor:
        """The last hidden layer (B, width)."""
        first, *others = self.layers
        shifts = self.time(sinusoids(t[:, None], self.clocks)).split(
            [layer.out_features for layer in self.layers], 1
        )
        numbers = torch.cat([z_t, sinusoids(z_t, self.octaves)], 1)
        if len(trust) == 1 and len(t) == 1 and first.in_features != first.out_features:
            h = _silu(self._first_layer_by_lookup(numbers, x_t, trust[0], shifts[0][0]))
        else:
            embedded = (self.embed(x_t + self.starts) * trust[:, :, None]).flatten(1)
            h = self._layer(first, torch.cat([numbers, embedded], 1), shifts[0])
        for layer, shift in zip(others, shifts[1:], strict=True):
            h = self._layer(layer, h, shift)
        return h

    def _layer(self, layer: nn.Linear, h: Tensor, shift: Tensor) -> Tensor:
        one_time = len(shift) == 1
        y = F.linear(h, layer.weight, layer.bias + shift[0] if one_time else layer.bias)
        y = _silu(y if one_time else _add_by_group(y, shift))
        return y.add_(h) if h.shape == y.shape else y

    def _first_layer_by_lookup(
        self, numbers: Tensor, x_t: Tensor, trust: Tensor, shift: Tensor
    ) -> Tensor:
        """The first layer where all rows share one trust.

        Its columns are applied to the table of embeddings once; a row adds up those of its
        categories.
        """
        first, d = self.layers[0], numbers.shape[1]
        y = F.linear(numbers, first.weight[:, :d], first.bias + shift)
        if self.Ks:
            blocks = first.weight[:, d:].unflatten(1, (len(self.Ks), -1)).unbind(1)
            parts = zip(self.embed.weight.split(self.Ks), blocks, trust, strict=True)
            table = torch.cat([(rows * share) @ block.T for rows, block, share in parts])
            y.add_(F.embedding_bag(x_t + self.starts, table, mode="sum"))
        return y


class PaperDenoiser(nn.Module):
    """The paper's network: one linear layer and the time embedding, summed, into a ReLU MLP."""

    def __init__(self, d: int, Ks: list[int], widths: tuple[int, ...]):
        super().__init__()
        d_time = 128
        add_constant(self, "starts", torch.tensor(np.cumsum([0, *Ks])[:-1]))
        add_constant(self, "clocks", torch.exp(-math.log(10_000) * torch.arange(64) / 64))
        # DIFF: paper multiplies log one-hots by a matrix; we add up rows of one because that is the
        # product of one-hots, and a log of 1e-30 only scales it.
        self.embed = without_weights(nn.EmbeddingBag, max(1, sum(Ks)), d_time, mode="sum")
        self.numbers = linear(d, d_time) if d else None
        self.time = nn.Sequential(linear(d_time, d_time), nn.SiLU(), linear(d_time, d_time))
        self.layers = nn.ModuleList(map(linear, [d_time, *widths], widths))
        self.head = linear(widths[-1], d + sum(Ks))

    def forward(self, z_t: Tensor, x_t: Tensor, t: Tensor, trust: Tensor) -> Tensor:
        """Shapes as in the module's docstring; trust is not used."""
        return self.head(self.hidden(z_t, x_t, t, trust))

    def hidden(self, z_t: Tensor, x_t: Tensor, t: Tensor, trust: Tensor) -> Tensor:
        """The last hidden layer (B, width).

        Nothing bends between the paper's first sum and its first layer, so the layer is applied to
        the few terms of the sum, not to every row.
        """
        first, *others = self.layers
        clock = self.time(sinusoids(t[:, None], self.clocks))
        shift = F.linear(
            clock if self.numbers is None else clock + self.numbers.bias, first.weight, first.bias
        )
        h = z_t.new_zeros(len(z_t), first.out_features)
        if x_t.shape[1]:
            table = self.embed.weight @ first.weight.T
            h = F.embedding_bag(x_t + self.starts, table, mode="sum")
        if self.numbers is not None:
            h = torch.addmm(h, z_t, (first.weight @ self.numbers.weight).T)
        h = _add_by_group(h, shift).relu_()
        for layer in others:
            h = layer(h).relu_()
        return h
