"""From noise to rows: ancestral sampling through all T times, or jumps through a few of them.

Place in the paper: its sampling, for both diffusions together (`ancestral`). The jumps are ours.

In: a `ReverseProcess` (a trained network and its schedule), a number of rows, the times to visit,
the categories that are known. Out: z_0 (n, d) and x_0 (n, C).

Sources: ancestral sampling is alg. 2 of Ho et al. (2020), arXiv 2006.11239, and its like for
categories in Hoogeboom et al. (2021), arXiv 2102.05379; the jumps are the implicit multinomial
process of Song et al. (2021), arXiv 2010.02502, app. A.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .loss import Slices
from .process import draw_uniform, log_gain, posterior_categorical, posterior_numerical


class ReverseProcess(NamedTuple):
    """p(z_s, x_s | z_t, x_t) over d numericals and C categoricals: a network and its schedule."""

    net: nn.Module
    slices: Slices
    Ks: Tensor  # (C,) float64
    alpha_bar: Tensor  # (T,) float64
    z_max: Tensor  # (d,) end of the seen range
    tilt: Tensor  # (sum of K,) added to the logits
    predicts_eps: bool  # else v

    @property
    def d(self) -> int:
        """Number of numericals."""
        return len(self.z_max)

    def draw_noise(
        self, n: int, given: dict[int, int], rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Pure noise, but for what is known."""
        z = torch.randn((n, self.d), generator=rng)
        x = draw_uniform((n, len(self.Ks)), self.Ks, rng)
        for column, category in given.items():
            x[:, column] = category
        return z, x

    def trust(self, t: int, given: dict[int, int]) -> Tensor:
        """Probability (1, C) that x_t is x_0; 1 where known."""
        trust = torch.sigmoid(log_gain(self.alpha_bar[t].reshape(1, 1), self.Ks))
        trust[:, list(given)] = 1.0
        return trust

    def hidden(self, z_t: Tensor, x_t: Tensor, t: int, given: dict[int, int]) -> Tensor:
        """The network's last hidden layer (n, width)."""
        return self.net.hidden(z_t, x_t, torch.tensor([float(t)]), self.trust(t, given))

    def number_head(self, h: Tensor) -> Tensor:
        """The network's prediction (n, d) for the numericals, of its last hidden layer."""
        return F.linear(h, self.net.head.weight[: self.d], self.net.head.bias[: self.d])

    def noise_levels(self, times: list[int]) -> list[tuple[int, float, float]]:
        """Each t with alpha_bar_t and alpha_bar_s, s the time visited next, 1 after the last."""
        bars = [float(self.alpha_bar[t]) for t in times]
        return list(zip(times, bars, [*bars[1:], 1.0], strict=True))

    def step_numbers(
        self, z_t: Tensor, out: Tensor, bar_t: float, bar_s: float, rng: torch.Generator
    ) -> Tensor:
        """z_s ~ q(z_s | z_t, z_0), z_0 the network's (n, d) cut to the seen range."""
        signal, noise = math.sqrt(bar_t), math.sqrt(1 - bar_t)
        z_0 = (z_t - noise * out) / signal if self.predicts_eps else signal * z_t - noise * out
        z_0 = torch.minimum(torch.maximum(z_0, -self.z_max), self.z_max)
        mean, variance = posterior_numerical(z_t, z_0, bar_t, bar_s)
        return mean + math.sqrt(variance) * torch.randn(z_t.shape, generator=rng)


def timesteps(T: int, steps: int) -> list[int]:
    """The times sampling visits, most noise first: all of them, or `steps` evenly spread."""
    return [round(t) for t in np.linspace(T - 1, 0, min(steps, T))]


@torch.no_grad()
def ancestral(
    process: ReverseProcess, n: int, times: list[int], given: dict[int, int], rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Every value anew at every time: x_0 from x_t and the network, then x_s from x_t and x_0."""
    z, x = process.draw_noise(n, given, rng)
    for t, bar_t, bar_s in process.noise_levels(times):
        out = process.net(z, x, torch.tensor([float(t)]), process.trust(t, given))
        z = process.step_numbers(z, out[:, : process.d], bar_t, bar_s, rng)
        if len(process.Ks):
            x_0 = draw_x_0(x, out[:, process.d :] + process.tilt, bar_t, process, rng)
            x = _step_categories(x, x_0, bar_t, bar_s, process.Ks, rng)
            for column, category in given.items():
                x[:, column] = category
    return z, x


def _step_categories(
    x_t: Tensor, x_0: Tensor, bar_t: float, bar_s: float, Ks: Tensor, rng: torch.Generator
) -> Tensor:
    """x_s ~ q(x_s | x_t, x_0)."""
    origin, stay, other = posterior_categorical((x_t == x_0).double(), bar_t, bar_s, Ks)
    u = torch.rand(x_t.shape, generator=rng, dtype=torch.float64) * (origin + stay + other)
    elsewhere = torch.where(u < origin + stay, x_t, draw_uniform(x_t.shape, Ks, rng))
    return torch.where(u < origin, x_0, elsewhere)


def draw_x_0(
    x_t: Tensor, logits: Tensor, bar_t: float, process: ReverseProcess, rng: torch.Generator
) -> Tensor:
    """x_0 (n, C) ~ softmax(logits) q(x_t | x_0), every column at once."""
    starts, last = process.slices.starts, process.Ks.long() - 1
    odds, _ = process.slices.exp(logits)
    upto = odds.cumsum(1)
    end = upto[:, starts + last]
    begin = F.pad(end[:, :-1], (1, 0))
    gain = bar_t * process.Ks / (1 - bar_t)
    extra = odds.gather(1, x_t + starts) * gain
    u = torch.rand(x_t.shape, generator=rng, dtype=torch.float64) * (end - begin + extra)
    place = torch.searchsorted(upto, (begin + u).float().contiguous(), right=True) - starts
    return torch.where(u < end - begin, torch.minimum(place.clamp(min=0), last), x_t)


@torch.no_grad()
def jumps(
    process: ReverseProcess, n: int, times: list[int], given: dict[int, int], rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Categories stay as they are until they jump to an x_0 drawn then.

    DIFF: paper draws every category anew at every time; here q(x_s | x_t, x_0) is x_t with
    probability (1 - alpha_bar_s) / (1 - alpha_bar_t), else x_0, because it has the same marginals,
    adds no noise on the way down, and asks a column's head only for the rows that jump.
    """
    z, x = process.draw_noise(n, given, rng)
    free = [column for column in range(len(process.Ks)) if column not in given]
    for t, bar_t, bar_s in process.noise_levels(times):
        h = process.hidden(z, x, t, given)
        z = process.step_numbers(z, process.number_head(h), bar_t, bar_s, rng)
        jumping = torch.rand((len(free), n), generator=rng) < (bar_s - bar_t) / (1 - bar_t)
        for column, leaves in zip(free, jumping, strict=True):
            rows = leaves.nonzero()[:, 0]
            x[rows, column] = draw_column(process, h[rows], x[rows, column], column, bar_t, rng)
    return z, x


def column_head(process: ReverseProcess, column: int) -> tuple[Tensor, Tensor]:
    """Weight (K, width) and bias (K,) of one column's logits, calibration included."""
    start = int(process.slices.starts[column])
    own = slice(start, start + process.slices.Ks[column])
    weight, bias = (
        part[process.d :][own] for part in (process.net.head.weight, process.net.head.bias)
    )
    return weight, bias + process.tilt[own]


def draw_column(
    process: ReverseProcess, h: Tensor, x_t: Tensor, column: int, bar_t: float, rng: torch.Generator
) -> Tensor:
    """x_0 (m,) of one column ~ softmax(its head of h) q(x_t | x_0)."""
    K, logits = process.slices.Ks[column], F.linear(h, *column_head(process, column))
    odds = logits.sub_(logits.amax(1, keepdim=True)).exp_()
    extra = odds.gather(1, x_t[:, None]) * (bar_t * K / (1 - bar_t))
    upto = odds.cumsum(1)
    u = torch.rand((len(h), 1), generator=rng) * (upto[:, -1:] + extra)
    place = torch.searchsorted(upto, u, right=True)
    return torch.where(place < K, place, x_t[:, None])[:, 0]
