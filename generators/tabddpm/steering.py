"""Rows that hold given categories: the jumps of `sampler`, steered by particles.

In: a `Chain`, a number of rows, the times to visit, the known categories. Out: z_0 (n, d) and x_0
(n, C) with every known category in place, the rest distributed as it is among unconditional
samples that happen to hold them - exactly so as the number of particles grows, for any network,
without training for it.

The network says at every time how likely each row is to end at the known categories, h(x_t); rows
are weighted by how that likelihood grows and drawn again in proportion when weights grow uneven.
Where a known column jumps, its landing is proposed with the next likelihood in mind.

Source: sequential Monte Carlo with twisted targets, Wu et al. (2023), arXiv 2306.17775, here for
the implicit multinomial process. Rows drawn together share some of their early noise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .sampling import Chain, head_of, land

LEAST = 1024  # particles, however few rows are wanted
MORE = 3  # particles a row wanted: most of those that end unlikely are left behind, not replaced
UNEVEN = 0.5  # effective share of particles below which they are drawn again
LATE = 0.9  # alpha_bar above which they are not: what noise is left would not part the copies


@torch.no_grad()
def jumps_to(
    chain: Chain, n: int, times: list[int], given: dict[int, int], rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """z_0 (n, d) and x_0 (n, C) with x_0[:, column] = category for each of `given`."""
    m = max(MORE * n, LEAST)
    z, x = chain.begin(m, {}, rng)
    log_w, log_h = torch.zeros(m), torch.zeros(m)
    for t, bar_t, bar_s in chain.levels(times):
        h = chain.net.hidden(z, x, torch.tensor([float(t)]), chain.trust(t, {}))
        beliefs = {c: belief(chain, h, x[:, c], c, bar_t) for c in given}
        log_now = sum(
            log_p[:, v] for (c, v), (log_p, _) in zip(given.items(), beliefs.values(), strict=True)
        )
        log_w, log_h = log_w + log_now - log_h, log_now
        keep = drawn_again(log_w, rng) if bar_t < LATE else None
        if keep is not None:
            z, x, h, log_h, log_w = z[keep], x[keep], h[keep], log_h[keep], torch.zeros(m)
            beliefs = {c: (p[keep], prior[keep]) for c, (p, prior) in beliefs.items()}
        out = F.linear(h, chain.net.head.weight[: chain.d], chain.net.head.bias[: chain.d])
        z = chain.step(z, out, bar_t, bar_s, rng)
        jumping = torch.rand((len(chain.Ks), m), generator=rng) < (bar_s - bar_t) / (1 - bar_t)
        for c, leaves in enumerate(jumping):
            rows = leaves.nonzero()[:, 0]
            if c in given:
                log_p, prior = (part[rows] for part in beliefs[c])
                place, log_ratio = proposed(log_p, prior, given[c], bar_s, rng)
                x[rows, c] = place
                log_w[rows] += log_ratio
            else:
                x[rows, c] = land(chain, h[rows], x[rows, c], c, bar_t, rng)
    log_w = log_w - log_h  # at the end the likelihood of what is held is 1
    rows = systematic(log_w.softmax(0), n, rng)[torch.randperm(n, generator=rng)]
    return z[rows], x[rows]


def belief(
    chain: Chain, h: Tensor, x_t: Tensor, column: int, bar_t: float
) -> tuple[Tensor, Tensor]:
    """log p(x_0 | x_t) (m, K) of one column, and p(x_0) (m, K) before x_t of the column is seen."""
    K = chain.slices.Ks[column]
    logits = F.linear(h, *head_of(chain, column))
    gain = torch.log1p(torch.tensor(bar_t * K / (1 - bar_t)))
    seen = logits.scatter_add(1, x_t[:, None], gain.expand(len(h), 1))
    return seen.log_softmax(1), logits.softmax(1)


def proposed(
    log_p: Tensor, prior: Tensor, wanted: int, bar_s: float, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Landings (m,) likely to lead to `wanted`, and log of their probability over the proposal's.

    A landing k is weighed by p(x_0 = wanted | x_s = k), as if the rest of the row stood still.
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


def drawn_again(log_w: Tensor, rng: torch.Generator) -> Tensor | None:
    """Rows (m,) to go on with, None where the weights are even enough to carry on."""
    w = log_w.softmax(0)
    if 1 / (w * w).sum() > UNEVEN * len(w):
        return None
    return systematic(w, len(w), rng)


def systematic(w: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """n rows drawn with probabilities w (m,), each as often as n w, rounded up or down."""
    at = (torch.arange(n) + torch.rand(1, generator=rng)) / n
    return torch.searchsorted(w.double().cumsum(0), at.double()).clamp_(max=len(w) - 1)
