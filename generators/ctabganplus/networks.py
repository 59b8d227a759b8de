"""The generator, the critic and the downstream network over encoded rows.

In: an encoding, a configuration, a target. Out: `Networks` with weights drawn by `draw_weights`.

Source: Zhao et al. (2022), "CTAB-GAN+", arXiv 2204.00401, and its authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators.modes import Encoding
from generators.training import initialise

from .layers import (
    as_large_as,
    disjoint_critic,
    disjoint_generator,
    linear,
    overlapping_critic,
    overlapping_generator,
    side_of,
)
from .target import Target

if TYPE_CHECKING:
    from .model import CTABGANPlusConfig

FLOOR = -40.0  # of a softmax's exponent: smaller ones make denormals, a hundred times as slow


class Networks(nn.Module):
    """Generator, critic and downstream network over rows of an encoding."""

    def __init__(self, encoding: Encoding, config: CTABGANPlusConfig, target: Target | None):
        super().__init__()
        self.D, self.Ks, self.width = len(encoding.smooth), encoding.Ks, encoding.width
        self.config, self.target = config, target
        d_in, self.side = config.d_noise + sum(self.Ks), side_of(self.width + sum(self.Ks))
        small, ch = side_of(self.width), config.n_channels
        if config.windows == "overlapping":
            self.critic = overlapping_critic(self.side, ch)
            self.generator = overlapping_generator(small, ch, d_in)
        else:
            # DIFF: code's kernels overlap, so each weight serves up to 144 places of an image whose
            # neighbours mean nothing; we let windows be disjoint and give the arithmetic saved
            # to more channels, as many weights in all.
            self.critic = as_large_as(
                lambda c: overlapping_critic(self.side, c),
                lambda c: disjoint_critic(self.side, c),
                ch,
            )
            self.generator = as_large_as(
                lambda c: overlapping_generator(small, c, d_in),
                lambda c: disjoint_generator(small, c, d_in),
                ch,
            )
        if target is not None:
            widths = [self.width - len(target.hidden), *config.d_downstream, target.n_out]
            self.downstream = nn.ModuleList(
                linear(a, b, True) for a, b in zip(widths, widths[1:], strict=False)
            )

    def score(self, row: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """D(row, c) (n,) and its last features (n, F)."""
        image = torch.cat([row, c], 1)
        features = self.critic[:-1](F.pad(image, (0, self.side**2 - image.shape[1])))
        # DIFF: code ends its critic in a ReLU; we do not, because a Wasserstein critic must be able
        # to tell bad rows from worse ones.
        return self.critic[-1](features)[:, 0], features

    def generate(self, c: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """A row (n, width) and the logits (n, sum of K) its one-hots were drawn from."""
        z = torch.randn((len(c), self.config.d_noise), generator=rng)
        # DIFF: code feeds the single 1 of c beside noise of norm 10; we make c as long as the noise
        # because otherwise the generator hardly hears what it is asked for.
        loud = self.config.d_noise**0.5 * c
        out = self.generator(torch.cat([z, loud], 1))[:, : self.width]
        logits = out[:, self.D :]
        hot = gumbel_softmax(logits, self.Ks, self.config.tau, rng)
        return torch.cat([out[:, : self.D].tanh(), hot], 1), logits

    def row(self, alpha: Tensor, x: Tensor) -> Tensor:
        """A real row (n, width) of places and indices."""
        row = alpha.new_zeros((len(alpha), self.width))
        row[:, : self.D] = alpha
        starts = torch.tensor(np.cumsum([self.D, *self.Ks])[:-1], dtype=torch.long)
        return row.scatter_(1, starts + x, 1.0)

    def predict(self, row: Tensor, rng: torch.Generator) -> Tensor:
        """C(row without the target) (n, n_out), half of the hidden units dropped."""
        h = row[:, self.target.shown]
        for layer in self.downstream[:-1]:
            h = F.leaky_relu(layer(h), 0.2)
            h = h * (torch.rand(h.shape, generator=rng) < 0.5) * 2
        return self.downstream[-1](h)


def gumbel_softmax(logits: Tensor, Ks: list[int], tau: float, rng: torch.Generator) -> Tensor:
    """Nearly one-hot draws (n, sum of K) of every column; their argmax follows the softmax."""
    noise = torch.empty_like(logits).exponential_(generator=rng).clamp(min=1e-30).log()
    parts = ((logits - noise) / tau).split(Ks, 1) if Ks else []
    hot = [(p - p.detach().amax(1, keepdim=True)).clamp(min=FLOOR).softmax(1) for p in parts]
    return torch.cat(hot, 1) if hot else logits


def draw_weights(net: Networks, rng: torch.Generator) -> None:
    """Convolutions normal with deviation .02 and no bias, the downstream network PyTorch's way."""
    if net.target is not None:
        initialise(net.downstream, rng)
    for part in [*net.critic.modules(), *net.generator.modules()]:
        if isinstance(part, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(part.weight, 0.0, 0.02, generator=rng)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
