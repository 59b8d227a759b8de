"""TVAE: a variational autoencoder of table rows.

Xu, Skoularidou, Cuesta-Infante & Veeramachaneni (2019), "Modeling Tabular Data using Conditional
GAN", arXiv 1907.00503, section 4.4, over the mode-specific normalisation of section 4.2.

| symbol | in code | shape |
|---|---|---|
| alpha_i, place in the mode | `alpha` | (batch, D), in [-1, 1] |
| beta_i, d_i, one-hots of modes and categories | `x` | (batch, C) indices |
| r, an encoded row | `row` | (batch, D + sum of K), places first, then one-hots |
| z; mu, sigma of q(z given r) | `z`; `mu`, `logvar` | (batch, d_latent) |
| alpha-bar_i, beta-hat_i, d-hat_i | `place`, `logits` | (batch, D), (batch, sum of K) |
| delta_i, deviation of alpha_i | `sigma` | (D,), in [.01, 1] |

What the paper leaves open is taken from its public code: reconstruction counted twice, deviations
free parameters starting at .1 and kept in [.01, 1], weight decay 1e-5. See the DIFF lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import training
from .arrays import pack_weights, unpack_weights
from .base import Generator
from .conditions import reject_codes
from .devices import seeded, to_array, to_tensor, without_weights
from .layout import Layout
from .modes import Encoding, ModeOptions
from .options import Config, choice, not_negative, positive, share_below_one, whole, wholes
from .plan import Plan
from .training import Descent, Pace, initialise

CHUNK = 16_384  # rows sampled at once
SIGMA = (0.01, 0.1, 1.0)  # least, first and largest deviation of a place


@dataclass(frozen=True)
class TVAEConfig(Config):
    """Defaults are the paper's or, where it is silent, its public code's."""

    d_latent: int = whole(128, least=1)
    d_layers: tuple[int, ...] = wholes((128, 128), least=1)  # encoder; the decoder is its mirror
    weight: float = positive(2.0)  # of the reconstruction against the KL term (code)
    n_modes: int = whole(10, least=1)  # of a column at most (paper: by the mixture; code: 10)
    n_points: int = whole(2_000, least=2)  # quantiles a mixture is fitted to
    draw: str = choice("softmax", "argmax")  # how to sample categories; "argmax": code
    batch_size: int = whole(500, least=1)  # code
    lr: float = positive(1e-3)  # paper: section 4.4
    weight_decay: float = not_negative(1e-5)  # code
    epochs: int = positive(300)  # without budget or steps (paper: section 5.1)
    ema: float = share_below_one(0.999)  # of the weights; 0: none, as in the paper


# The networks --------------------------------------------------------------------------------


def mlp(widths: list[int]) -> nn.Sequential:
    """Linear layers with ReLU between them, their weights not yet drawn."""
    parts: list[nn.Module] = []
    for d_in, d_out in zip(widths, widths[1:], strict=False):
        parts += [without_weights(nn.Linear, d_in, d_out), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class Autoencoder(nn.Module):
    """q(z given r), p(r given z) and the loss over rows of D places and one-hots of sizes Ks."""

    def __init__(self, D: int, Ks: list[int], config: TVAEConfig):
        super().__init__()
        self.D, self.Ks, self.config = D, Ks, config
        width, d_latent, hidden = D + sum(Ks), config.d_latent, list(config.d_layers)
        self.encoder = mlp([width, *hidden, 2 * d_latent])
        self.decoder = mlp([d_latent, *hidden[::-1], width])
        self.sigma = nn.Parameter(torch.full((D,), SIGMA[1]))
        starts = torch.tensor(np.cumsum([0, *Ks])[:-1], dtype=torch.long)
        self.register_buffer("starts", starts, persistent=False)

    def row(self, alpha: Tensor, x: Tensor) -> Tensor:
        """r: places and one-hots side by side."""
        row = alpha.new_zeros((len(alpha), self.D + sum(self.Ks)))
        row[:, : self.D] = alpha
        return row.scatter_(1, self.D + self.starts + x, 1.0)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Places in (-1, 1) and logits of modes and categories."""
        out = self.decoder(z)
        return torch.tanh(out[:, : self.D]), out[:, self.D :]

    def loss(self, alpha: Tensor, x: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """Terms of the negative ELBO, means over the batch."""
        mu, logvar = self.encoder(self.row(alpha, x)).chunk(2, 1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=rng)
        place, logits = self.decode(z)
        terms = {"kl": kl_normal(mu, logvar).mean()}
        if self.D:
            nll = gaussian_nll(alpha, place, self.sigma).sum(1).mean()
            terms["numerical"] = self.config.weight * nll
        if self.Ks:
            columns = zip(logits.split(self.Ks, 1), x.T, strict=True)
            bits = torch.stack([F.cross_entropy(part, k) for part, k in columns]).sum()
            terms["categorical"] = self.config.weight * bits
        return terms

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Means of the places (n, D), indices (n, C) and the deviations (D,)."""
        place, logits = self.decode(torch.randn((n, self.config.d_latent), generator=rng))
        # DIFF: code takes the most likely mode and category; we draw them because the likeliest
        # is taken too often, and p(r given z) is a distribution.
        pick = _drawn if self.config.draw == "softmax" else _likeliest
        x = [pick(part, rng) for part in logits.split(self.Ks, 1)] if self.Ks else []
        x = torch.stack(x, 1) if x else torch.empty((n, 0), dtype=torch.long)
        return place, x, self.sigma.detach()


def kl_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) to N(0, 1)) (n,), summed over the latent dimensions."""
    return 0.5 * (mu * mu + logvar.exp() - 1 - logvar).sum(1)


def gaussian_nll(alpha: Tensor, place: Tensor, sigma: Tensor) -> Tensor:
    """-log N(alpha; place, sigma) (n, D) without its constant."""
    return 0.5 * ((alpha - place) / sigma) ** 2 + sigma.log()


def _drawn(logits: Tensor, rng: torch.Generator) -> Tensor:
    upto = logits.softmax(1).cumsum(1)
    u = torch.rand((len(logits), 1), generator=rng) * upto[:, -1:]
    return torch.searchsorted(upto, u, right=True)[:, 0].clamp(max=logits.shape[1] - 1)


def _likeliest(logits: Tensor, rng: torch.Generator) -> Tensor:
    return logits.argmax(1)


def truncated_normal(mean: Tensor, sigma: Tensor, ends: Tensor, rng: torch.Generator) -> Tensor:
    """Normal draws (n, D) float64 given that they lie between ends (n, D, 2)."""
    mean, sigma = mean.double(), sigma.double()
    low, high = ((ends - mean[..., None]) / sigma[:, None]).clamp(-8, 8).unbind(-1)
    below, upto = torch.special.ndtr(low), torch.special.ndtr(high)
    u = below + (upto - below) * torch.rand(mean.shape, generator=rng, dtype=torch.float64)
    drawn = mean + sigma * torch.special.ndtri(u.clamp(1e-15, 1 - 1e-15))
    return torch.minimum(torch.maximum(drawn, ends[..., 0]), ends[..., 1])


# Training ------------------------------------------------------------------------------------


class BoundedDescent(Descent):
    """Descent that keeps the deviations in their bounds."""

    def step(self, rows: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        terms = super().step(rows, rng)
        with torch.no_grad():
            self.module.sigma.clamp_(SIGMA[0], SIGMA[2])
        return terms


class TVAE(Generator):
    """Variational autoencoder over a mixed table.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"x": [0.1, 0.2, 0.9] * 50, "site": ["a", "a", "b"] * 50})
        >>> TVAE(d_layers=(16,)).fit(table, steps=20, progress=False).sample(2, seed=0).shape
        (2, 2)
    """

    name = "tvae"
    Config = TVAEConfig

    def _fit(self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, plan: Plan) -> None:
        config = self.config
        rng = np.random.default_rng(plan.seed)
        options = ModeOptions(n_modes=config.n_modes, n_points=config.n_points)
        with training.steady_threads():
            self._build(Encoding.fit(layout, numbers, options, rng))
            alpha, x = self.encoding_.encode(numbers, codes, rng)
        if self.net_ is None:
            return
        initialise(self.net_, seeded(plan.seed))
        learner = self._learner(to_tensor(alpha).float(), to_tensor(x))
        steps = config.epochs * max(1, len(numbers) // config.batch_size)
        # DIFF: paper keeps rate and last weights; we lower the rate and average the weights because
        # all learned generators here train in one loop.
        pace = Pace(config.batch_size, config.lr, steps, ema=config.ema)
        self._train(learner, plan, pace)

    def _learner(self, alpha: Tensor, x: Tensor) -> Descent:
        net, config = self.net_, self.config
        optimizer = torch.optim.Adam(
            net.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        loss = lambda rows, rng: net.loss(alpha[rows], x[rows], rng)  # noqa: E731
        return BoundedDescent(net, loss, [optimizer], len(x))

    def _build(self, encoding: Encoding) -> None:
        self.encoding_ = encoding
        D, Ks = len(encoding.smooth), encoding.Ks
        self.net_ = Autoencoder(D, Ks, self.config) if encoding.width else None

    def _sample(self, n: int, seed: int, given: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
        return reject_codes(self._draw, n, seed, given) if given else self._draw(n, seed)

    def _draw(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        if self.net_ is None:
            return self.encoding_.decode(np.empty((n, 0)), np.empty((n, 0), np.int64))
        rng = seeded(seed)
        with training.steady_threads():
            chunks = [self._chunk(min(CHUNK, n - at), rng) for at in range(0, n, CHUNK)]
        numbers, codes = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
        return numbers, codes

    def _chunk(self, n: int, rng: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
        place, x, sigma = self.net_.sample(n, rng)
        # DIFF: code adds the noise and clips; we draw it within the seen range because what is
        # clipped piles up at the ends.
        ends = to_tensor(self.encoding_.ends(to_array(x)))
        alpha = truncated_normal(place, sigma, ends, rng)
        return self.encoding_.decode(to_array(alpha), to_array(x))

    def _to_arrays(self) -> dict[str, np.ndarray]:
        return self.encoding_.to_arrays() | pack_weights("net", self.net_)

    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        self._build(Encoding.from_arrays(arrays, layout))
        unpack_weights("net", self.net_, arrays)
