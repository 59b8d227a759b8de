"""Networks over rows as square images: windows that overlap, as published, or that do not.

In: the width of a row and a number of channels. Out: critics, image to score, and generators, noise
to image, with their weights not yet drawn; an image is (batch, side * side).

Source: Zhao et al. (2022), "CTAB-GAN+", arXiv 2204.00401, and its authors' code for the layers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch.nn as nn
from torch import Tensor

from generators.devices import without_weights

SIDES = {4: 2, 8: 4, 16: 4, 24: 6, 32: 8, 64: 8}  # of an image: side of its disjoint windows


def side_of(width: int) -> int:
    """Side of the smallest square image that holds `width` values."""
    fits = [side for side in SIDES if side * side >= width]
    return fits[0] if fits else 8 * int(np.ceil(np.sqrt(width) / 8))


def stages(side: int, channels: int) -> list[tuple[int, int]]:
    """(channels, side) of the image and of each of the code's convolutions, which halve it."""
    out = [(1, side), (channels, side // 2)]
    while out[-1][1] > 3 and len(out) < 4:
        out.append((out[-1][0] * 2, out[-1][1] // 2))
    return out


def linear(d_in: int, d_out: int, bias: bool = False) -> nn.Linear:
    """A linear layer with no weights yet."""
    return without_weights(nn.Linear, d_in, d_out, bias=bias)


class Windows(nn.Module):
    """Images (batch, side * side) cut into disjoint windows (batch, windows, k * k)."""

    def __init__(self, side: int, k: int):
        super().__init__()
        self.s, self.k = side // k, k

    def forward(self, image: Tensor) -> Tensor:
        cut = image.view(-1, self.s, self.k, self.s, self.k).transpose(2, 3)
        return cut.reshape(len(image), self.s * self.s, self.k * self.k)


class Tiles(Windows):
    """Inverse of `Windows`."""

    def forward(self, windows: Tensor) -> Tensor:
        cut = windows.view(-1, self.s, self.s, self.k, self.k).transpose(2, 3)
        return cut.reshape(len(windows), -1)


def disjoint_critic(side: int, c: int) -> nn.Sequential:
    """Three convolutions of c, 2c, 4c channels whose windows do not overlap; the last is 1 x 1."""
    k = SIDES.get(side, 8)
    n = (side // k) ** 2
    return nn.Sequential(
        Windows(side, k),
        linear(k * k, c),
        nn.Flatten(1),
        nn.LayerNorm(n * c),
        nn.LeakyReLU(0.2),
        linear(n * c, 2 * c),
        nn.LayerNorm(2 * c),
        nn.LeakyReLU(0.2),
        linear(2 * c, 4 * c),
        nn.LayerNorm(4 * c),
        nn.LeakyReLU(0.2),
        linear(4 * c, 1, bias=True),
    )


def disjoint_generator(side: int, c: int, d_in: int) -> nn.Sequential:
    """`disjoint_critic` backwards."""
    k = SIDES.get(side, 8)
    n = (side // k) ** 2
    return nn.Sequential(
        linear(d_in, 4 * c),
        nn.LayerNorm(4 * c),
        nn.ReLU(),
        linear(4 * c, 2 * c),
        nn.LayerNorm(2 * c),
        nn.ReLU(),
        linear(2 * c, n * c),
        nn.LayerNorm(n * c),
        nn.ReLU(),
        nn.Unflatten(1, (n, c)),
        linear(c, k * k, bias=True),
        Tiles(side, k),
    )


def overlapping_critic(side: int, channels: int) -> nn.Sequential:
    """The code's critic: kernels of 4 x 4 at every second place, then one of the whole image."""
    dims = stages(side, channels)
    parts: list[nn.Module] = [nn.Unflatten(1, (1, side, side))]
    for (before, _), (after, s) in zip(dims, dims[1:], strict=False):
        parts += [
            without_weights(nn.Conv2d, before, after, 4, 2, 1, bias=False),
            nn.LayerNorm([after, s, s]),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*parts, nn.Flatten(1), linear(dims[-1][0] * dims[-1][1] ** 2, 1, True))


def overlapping_generator(side: int, channels: int, d_in: int) -> nn.Sequential:
    """The code's generator: `overlapping_critic` backwards."""
    dims = stages(side, channels)[::-1]
    first = without_weights(nn.ConvTranspose2d, d_in, dims[0][0], dims[0][1], bias=False)
    parts: list[nn.Module] = [nn.Unflatten(1, (d_in, 1, 1)), first]
    for (before, s), (after, _) in zip(dims, dims[1:], strict=False):
        parts += [
            nn.LayerNorm([before, s, s]),
            nn.ReLU(),
            without_weights(nn.ConvTranspose2d, before, after, 4, 2, 1),
        ]
    return nn.Sequential(*parts, nn.Flatten(1))


def n_parameters(net: nn.Module) -> int:
    """Number of weights."""
    return sum(p.numel() for p in net.parameters())


def as_large_as(paper: Callable, ours: Callable, channels: int) -> nn.Sequential:
    """`ours` with the fewest channels that give it as many weights as `paper` has."""
    one, two, three = (n_parameters(ours(c)) for c in (1, 2, 3))
    a = (three - 2 * two + one) / 2  # the number is a c^2 + b c + its value at 0
    b = two - one - 3 * a
    missing = n_parameters(paper(channels)) - (one - a - b)
    return ours(max(1, int(np.ceil((np.sqrt(b * b + 4 * a * max(missing, 0)) - b) / (2 * a)))))
