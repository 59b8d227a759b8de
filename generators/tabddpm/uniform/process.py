"""The two diffusions of a mixed row: a Gaussian one of numbers, a multinomial one of categories.

Place in the paper: the background, the two forward processes and their posteriors.

In: a schedule alpha_bar, falling from 1 at t = 0 to 0 at T - 1. Out: noised values, posteriors of
an earlier time, and what enters the bound on the likelihood. Pure functions; categories are
indices, never one-hots.

Sources: Ho et al. (2020), arXiv 2006.11239; Hoogeboom et al. (2021), arXiv 2102.05379; the schedule
is that of Nichol & Dhariwal (2021), arXiv 2102.09672.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine_schedule(T: int, s: float = 0.008) -> Tensor:
    """alpha_bar (T,) float64; beta at most 0.999."""
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + s) / (1 + s) * math.pi / 2) ** 2
    return torch.cumprod(1 - (1 - f[1:] / f[:-1]).clamp(max=0.999), 0)


def q_numerical(z_0: Tensor, eps: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """z_t of q(z_t | z_0), given the noise."""
    return alpha_bar_t.sqrt() * z_0 + (1 - alpha_bar_t).sqrt() * eps


def q_categorical(
    x_0: Tensor, alpha_bar_t: Tensor, Ks: Tensor, rng: torch.Generator, draws: int | None = None
) -> Tensor:
    """x_t ~ q(x_t | x_0): x_0 with probability alpha_bar_t, else any category.

    `draws` = 1 lets all rows share one noise; None gives each its own.
    """
    shape = (draws or len(x_0), len(Ks))
    keep = torch.rand(shape, generator=rng) < alpha_bar_t
    return torch.where(keep, x_0, draw_uniform(shape, Ks, rng))


def draw_uniform(shape: tuple[int, ...], Ks: Tensor, rng: torch.Generator) -> Tensor:
    """Uniform categories (n, C) int64."""
    return (torch.rand(shape, generator=rng, dtype=torch.float64) * Ks).long()


def posterior_numerical(
    z_t: Tensor, z_0: Tensor, alpha_bar_t: float, alpha_bar_s: float
) -> tuple[Tensor, float]:
    """Mean and variance of q(z_s | z_t, z_0), s < t."""
    alpha_ts = alpha_bar_t / alpha_bar_s
    scale = 1 / (1 - alpha_bar_t)
    mean = (
        math.sqrt(alpha_bar_s) * (1 - alpha_ts) * scale * z_0
        + math.sqrt(alpha_ts) * (1 - alpha_bar_s) * scale * z_t
    )
    return mean, (1 - alpha_bar_s) * (1 - alpha_ts) * scale


def posterior_categorical(
    same: Tensor, alpha_bar_t: float, alpha_bar_s: float, Ks: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Unnormalised weights of x_0, of x_t and of any category in q(x_s | x_t, x_0), s < t.

    `same` (n, C) is 1 where x_t = x_0; what both factors hold together is counted to x_0.
    """
    alpha_ts = alpha_bar_t / alpha_bar_s
    origin = alpha_bar_s * (alpha_ts * same + (1 - alpha_ts) / Ks)
    stay = alpha_ts * (1 - alpha_bar_s) / Ks
    other = (1 - alpha_ts) * (1 - alpha_bar_s) / Ks
    return origin, stay.expand_as(origin), other.expand_as(origin)


def log_gain(alpha_bar_t: Tensor, Ks: Tensor) -> Tensor:
    """log(alpha_bar_t K / (1 - alpha_bar_t)) (n, C): how much x_t speaks for x_0 = x_t."""
    return torch.log(alpha_bar_t * Ks / (1 - alpha_bar_t)).float()


def kl_prior(alpha_bar_T: float, Ks: Tensor) -> Tensor:
    """KL(q(x_T | x_0) || uniform) (C,): no weight can change it, it completes the bound."""
    low = (1 - alpha_bar_T) / Ks
    top = alpha_bar_T + low
    return (top * (top * Ks).log() + (Ks - 1) * low * (low * Ks).log()).float()
