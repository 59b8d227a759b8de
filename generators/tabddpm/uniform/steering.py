"""Rows that hold given categories: sampling by jumps, steered by sequential Monte Carlo.

Place in the paper: none; the paper samples without conditions. This is sequential Monte Carlo with
twisted targets, here for the implicit multinomial process.

In: a `ReverseProcess`, a number of rows, the times to visit, the known categories. Out: z_0 (n, d)
and x_0 (n, C) with every known category in place. The rest follows its distribution among
unconditional samples that happen to hold them: exactly so as the number of particles grows, for any
network, without training for it.

At every time the network says how likely each particle is to end at the known categories, h(x_t).
Particles are weighted by how that likelihood grows, and resampled when weights grow uneven. Where a
known column jumps, its new category is proposed with the next likelihood in mind. Particles
resampled from one share its noise up to then.

Source: Wu et al. (2023), arXiv 2306.17775.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .sampling import ReverseProcess, column_head, draw_column

MIN_PARTICLES = 1024  # however few rows are wanted
PARTICLES_PER_ROW = 3  # wanted: most particles that end unlikely are dropped, not replaced
MIN_EFFECTIVE_SHARE = 0.5  # effective sample size over particles, below which they are resampled
LAST_RESAMPLING = 0.9  # alpha_bar above which they are not: too little noise is left for copies


@torch.no_grad()
def steered_jumps(
    process: ReverseProcess,
    n: int,
    times: list[int],
    given: dict[int, int],
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """z_0 (n, d) and x_0 (n, C) with x_0[:, column] = category for each of `given`."""
    m = max(PARTICLES_PER_ROW * n, MIN_PARTICLES)
    z, x = process.draw_noise(m, {}, rng)
    log_w, log_h = torch.zeros(m), torch.zeros(m)
    for t, bar_t, bar_s in process.noise_levels(times):
        h = process.hidden(z, x, t, {})
        posteriors = {c: column_posterior(process, h, x[:, c], c, bar_t) for c in given}
        log_now = sum(posteriors[c][0][:, wanted] for c, wanted in given.items())
        log_w, log_h = log_w + log_now - log_h, log_now
        keep = resample(log_w, rng) if bar_t < LAST_RESAMPLING else None
        if keep is not None:
            z, x, h, log_h, log_w = z[keep], x[keep], h[keep], log_h[keep], torch.zeros(m)
            posteriors = {c: (p[keep], prior[keep]) for c, (p, prior) in posteriors.items()}
        z = process.step_numbers(z, process.number_head(h), bar_t, bar_s, rng)
        _jump(process, h, x, log_w, posteriors, given, bar_t, bar_s, rng)
    log_w = log_w - log_h  # at the end the likelihood of what is held is 1
    rows = draw_systematically(log_w.softmax(0), n, rng)[torch.randperm(n, generator=rng)]
    return z[rows], x[rows]


def _jump(
    process: ReverseProcess,
    h: Tensor,
    x: Tensor,
    log_w: Tensor,
    posteriors: dict[int, tuple[Tensor, Tensor]],
    given: dict[int, int],
    bar_t: float,
    bar_s: float,
    rng: torch.Generator,
) -> None:
    """Let categories of x (m, C) jump; x and the log weights (m,) change in place."""
    jumping = torch.rand((len(process.Ks), len(x)), generator=rng) < (bar_s - bar_t) / (1 - bar_t)
    for c, leaves in enumerate(jumping):
        rows = leaves.nonzero()[:, 0]
        if c in given:
            log_p, prior = (part[rows] for part in posteriors[c])
            x[rows, c], log_ratio = propose(log_p, prior, given[c], bar_s, rng)
            log_w[rows] += log_ratio
        else:
            x[rows, c] = draw_column(process, h[rows], x[rows, c], c, bar_t, rng)


def column_posterior(
    process: ReverseProcess, h: Tensor, x_t: Tensor, column: int, bar_t: float
) -> tuple[Tensor, Tensor]:
    """log p(x_0 | x_t) (m, K) of one column, and p(x_0) (m, K) before x_t of the column is seen."""
    K = process.slices.Ks[column]
    logits = F.linear(h, *column_head(process, column))
    gain = torch.log1p(torch.tensor(bar_t * K / (1 - bar_t)))
    seen = logits.scatter_add(1, x_t[:, None], gain.expand(len(h), 1))
    return seen.log_softmax(1), logits.softmax(1)


def propose(
    log_p: Tensor, prior: Tensor, wanted: int, bar_s: float, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Categories (m,) likely to lead to `wanted`, and log of their probability over the proposal's.

    Category k is weighted by p(x_0 = wanted | x_s = k), as if the rest of the row did not change.
    """
    K = log_p.shape[1]
    if bar_s == 1.0:
        place = torch.full((len(log_p),), wanted)
        return place, log_p[:, wanted]
    ahead = torch.full((K,), (1 - bar_s) / K)
    ahead[wanted] += bar_s
    log_v = log_p + ahead.log() - (bar_s * prior + (1 - bar_s) / K).log()
    log_v = log_v.log_softmax(1)
    place = torch.multinomial(log_v.exp(), 1, generator=rng) if len(log_v) else log_v[:, :1].long()
    return place[:, 0], (log_p - log_v).gather(1, place)[:, 0]


def resample(log_w: Tensor, rng: torch.Generator) -> Tensor | None:
    """Particles (m,) to go on with; None where the weights are even enough to carry on."""
    w = log_w.softmax(0)
    if 1 / (w * w).sum() > MIN_EFFECTIVE_SHARE * len(w):
        return None
    return draw_systematically(w, len(w), rng)


def draw_systematically(w: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """n rows drawn with probabilities w (m,), each as often as n w, rounded up or down."""
    at = (torch.arange(n) + torch.rand(1, generator=rng)) / n
    return torch.searchsorted(w.double().cumsum(0), at.double()).clamp_(max=len(w) - 1)
