"""TabDDPM: Modelling Tabular Data with Diffusion Models.

Kotelnikov, Baranchuk, Rubachev & Babenko (2023), arXiv 2209.15421: Gaussian diffusion of the
numericals (Ho et al. 2020, arXiv 2006.11239) and multinomial diffusion of every categorical
(Hoogeboom et al. 2021, arXiv 2102.05379), denoised together by one network.

| symbol | in code | shape |
|---|---|---|
| x_0, x_t of the numericals | `z_0`, `z_t` | (batch, d), standard normal scale |
| x_0, x_t of the categoricals | `x_0`, `x_t` | (batch, C) indices, never one-hot |
| K_i, categories of column i | `Ks` | C integers |
| alpha_bar_t; alpha_bar_t / alpha_bar_s, s < t | `alpha_bar_t`; `alpha_ts` | (batch, 1) or scalar |
| eps, v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) z_0 | `eps`, `v` | (batch, d) |
| x_0-hat before the softmax | `logits` | (batch, sum of K), columns side by side |
| T; t | `n_timesteps`; `t` | t = 0 has the least noise, T - 1 the most |

The categoricals' algebra is in index space. With a = alpha_ts, b = alpha_bar_s, the posterior
q(x_s | x_t, x_0) ~ (a [x_s = x_t] + (1 - a) / K) (b [x_s = x_0] + (1 - b) / K) is a mixture of
three: stay at x_t, go to x_0, go anywhere; two indices and two scalars say it all.

DIFF: the surrogate paper (arXiv 2410.07940) calls TabDDPM a latent diffusion; its cited model has
no latent space, and neither has ours. The target column is diffused like any other.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from generators import training, transform
from generators.base import Generator, Plan, reject
from generators.training import Descent, Pace, initialise
from generators.transform import Layout, Numericals, fit_scale

CHUNK = 8192  # rows sampled at once
TIME_GROUPS = 256  # distinct times in a training batch, evenly spread; each serves a run of rows
LEVELS = (0.05, 0.15, 0.3, 0.5)  # t / T at which an anomaly score looks
ROUNDS, ROUND_ROWS, ROUND_STEPS = 4, 4096, 20  # of calibration: samples, rows each, times visited
CALIBRATION = 0.07  # of the training's work, at most
PSEUDO = 4.0  # rows added to every category's count, so that a rare one is not chased by chance


@dataclass(frozen=True)
class TabDDPMConfig:
    """The default is ours; `preset="paper"` sets the options of `PAPER`, the published recipe."""

    preset: str = "default"
    n_timesteps: int = 1000  # T (paper: 100 or 1000)
    steps: int = 100  # times visited in sampling; n_timesteps is exact
    d_layers: tuple[int, ...] = (256, 256, 256)  # hidden widths (paper: searched, 128 to 1024)
    d_embed: int = 16  # learned embedding of a category; 0: linear in the one-hot, as in the paper
    n_frequencies: int = 4  # octaves of sin and cos of z_t beside z_t
    n_cells: int = 64  # quantile cells of a numerical diffused as categories
    cells: tuple[str, ...] | None = None  # numericals cut into cells; None: all
    atom_share: float = 0.005  # a value with this share of rows becomes a category of its own
    dequantise: bool = True  # a repeated value stands for its interval of ranks, not for the middle
    objective: str = "v-ce"  # "eps-kl" is the paper's
    calibrate: bool = True  # tilt the sampled logits until the marginals are those of the table
    reveal: float = 0.1  # share of rows trained with some categories known, for `where`
    batch_size: int = 1024  # paper: 4096 at most
    lr: float = 2e-3  # paper: searched from 1e-5 to 3e-3
    warmup: int = 100  # steps of rising rate
    n_steps: int = 10_000  # without budget or steps (paper: up to 30,000)
    ema: float = 0.999  # of the weights

    def __post_init__(self):
        for name, known in (("preset", ("default", "paper")), ("objective", ("v-ce", "eps-kl"))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be {' or '.join(known)}, got {getattr(self, name)!r}"
                )


PAPER = dict(
    steps=1000, d_layers=(256, 256), d_embed=0, n_frequencies=0, n_cells=1, atom_share=1.0,
    dequantise=False, objective="eps-kl", calibrate=False, reveal=0.0, batch_size=4096, lr=2e-4,
    warmup=0, n_steps=30_000,
)  # fmt: skip


# The process ---------------------------------------------------------------------------------


def cosine_schedule(T: int, s: float = 0.008) -> Tensor:
    """alpha_bar (T,) float64 of Nichol & Dhariwal (2021), arXiv 2102.09672; beta at most 0.999."""
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
    return torch.where(keep, x_0, anywhere(shape, Ks, rng))


def anywhere(shape: tuple[int, ...], Ks: Tensor, rng: torch.Generator) -> Tensor:
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


# The network ---------------------------------------------------------------------------------


def sinusoids(x: Tensor, frequencies: Tensor) -> Tensor:
    """Sines and cosines (n, d * 2f) of x (n, d) at each of f angular frequencies."""
    angle = (x[..., None] * frequencies).flatten(-2)
    return torch.cat([angle.sin(), angle.cos()], -1)


def linear(d_in: int, d_out: int) -> nn.Linear:
    """A linear layer with no weights yet: `training.initialise` draws them."""
    return skip_init(nn.Linear, d_in, d_out)


def _constant(module: nn.Module, name: str, value: Tensor) -> None:
    module.register_buffer(name, value, persistent=False)


class Denoiser(nn.Module):
    """From z_t, x_t and t to the prediction for z and the logits of x_0.

    DIFF: paper feeds log one-hots through one linear layer; we embed each category because values
    of 0 and -69 scale badly, weigh it by the probability that it is not noise because the schedule
    weighs z_t so, add the time to every layer because one sum at the input fades, and start the
    heads at the log marginals because that is where they go first.
    """

    def __init__(self, d: int, Ks: list[int], config: TabDDPMConfig):
        super().__init__()
        widths = config.d_layers
        _constant(self, "starts", torch.tensor(np.cumsum([0, *Ks])[:-1]))
        _constant(self, "octaves", math.pi / 2 * 2.0 ** torch.arange(config.n_frequencies))
        _constant(self, "clocks", torch.exp(-math.log(10_000) * torch.arange(32) / 32))
        self.embed = skip_init(nn.Embedding, max(1, sum(Ks)), config.d_embed)
        d_in = d * (1 + 2 * config.n_frequencies) + len(Ks) * config.d_embed
        self.time = nn.Sequential(linear(64, 128), nn.SiLU(), linear(128, sum(widths)))
        self.layers = nn.ModuleList(map(linear, [d_in, *widths], widths))
        self.head = linear(widths[-1], d + sum(Ks))

    @torch.no_grad()
    def start_at(self, log_marginals: Tensor) -> None:
        """Let the untrained heads give 0 for z and the log marginals (sum of K,) for x."""
        self.head.weight.mul_(0.1)
        self.head.bias.zero_()
        self.head.bias[len(self.head.bias) - len(log_marginals) :] = log_marginals

    def forward(self, z_t: Tensor, x_t: Tensor, t: Tensor, trust: Tensor) -> Tensor:
        """Shape: z_t (B, d), x_t (B, C), t (G,) with G a divisor of B, trust (B or 1, C) the
        probability that x_t is still x_0; returns (B, d + sum of K)."""
        embedded = (self.embed(x_t + self.starts) * trust[:, :, None]).flatten(1)
        h = torch.cat([z_t, sinusoids(z_t, self.octaves), embedded], 1)
        repeat = len(z_t) // len(t)
        clock = self.time(sinusoids(t[:, None], self.clocks)).repeat_interleave(repeat, 0)
        shifts = clock.split([layer.out_features for layer in self.layers], 1)
        for layer, shift in zip(self.layers, shifts, strict=True):
            y = F.silu(layer(h) + shift)
            h = h + y if h.shape == y.shape else y
        return self.head(h)


class PaperDenoiser(nn.Module):
    """The paper's network: one linear layer and the time embedding, summed, into a ReLU MLP."""

    def __init__(self, d: int, Ks: list[int], config: TabDDPMConfig):
        super().__init__()
        d_time = 128
        _constant(self, "starts", torch.tensor(np.cumsum([0, *Ks])[:-1]))
        _constant(self, "clocks", torch.exp(-math.log(10_000) * torch.arange(64) / 64))
        # DIFF: paper multiplies log one-hots by a matrix; we add up rows of one because that is the
        # product of one-hots, and a log of 1e-30 only scales it.
        self.embed = skip_init(nn.EmbeddingBag, max(1, sum(Ks)), d_time, mode="sum")
        self.numbers = linear(d, d_time) if d else None
        self.time = nn.Sequential(linear(d_time, d_time), nn.SiLU(), linear(d_time, d_time))
        self.layers = nn.ModuleList(map(linear, [d_time, *config.d_layers], config.d_layers))
        self.head = linear(config.d_layers[-1], d + sum(Ks))

    def forward(self, z_t: Tensor, x_t: Tensor, t: Tensor, trust: Tensor) -> Tensor:
        """Shapes as in `Denoiser`; trust is not used."""
        h = self.time(sinusoids(t[:, None], self.clocks)).repeat_interleave(len(z_t) // len(t), 0)
        h = h if self.numbers is None else h + self.numbers(z_t)
        h = h + self.embed(x_t + self.starts) if x_t.shape[1] else h
        for layer in self.layers:
            h = F.relu(layer(h))
        return self.head(h)


# The loss ------------------------------------------------------------------------------------


class Slices(NamedTuple):
    """Where each categorical column lies among the logits; shapes (C,) and (sum of K, C)."""

    Ks: list[int]
    starts: Tensor
    member: Tensor

    @classmethod
    def of(cls, Ks: list[int]) -> Slices:
        column = torch.repeat_interleave(torch.arange(len(Ks)), torch.tensor(Ks, dtype=torch.long))
        starts = torch.tensor(np.cumsum([0, *Ks])[:-1])
        return cls(Ks, starts, F.one_hot(column, max(1, len(Ks))).float())

    def exp(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """exp(logits - column maximum) (n, sum of K) and the maxima (n, C)."""
        out, top = torch.empty_like(logits), []
        for part, to in zip(logits.split(self.Ks, 1), out.split(self.Ks, 1), strict=True):
            top.append(part.amax(1, keepdim=True))
            torch.sub(part, top[-1], out=to)
        return out.exp_(), torch.cat(top, 1)

    def scale_(self, values: Tensor, by: Tensor) -> Tensor:
        """Multiply each column's slice of values (n, sum of K) in place by its by[:, i] (n, C)."""
        for i, part in enumerate(values.split(self.Ks, 1)):
            part.mul_(by[:, i : i + 1])
        return values


class PosteriorCrossEntropy(torch.autograd.Function):
    """-log p(x_0 | x_t) (n, C) of every column at once, p ~ softmax(logits) q(x_t | x_0).

    The network need not copy x_t to its output: it predicts what the rest of the row says, and the
    posterior joins that with x_t. `log_gain` is log(q(x_t | x_0 = x_t) / q(x_t | x_0 != x_t) - 1).
    """

    @staticmethod
    def forward(ctx, logits, x_0, x_t, log_gain, slices):
        odds, top = slices.exp(logits)
        total = odds @ slices.member
        at_0, at_t = x_0 + slices.starts, x_t + slices.starts
        extra = odds.gather(1, at_t) * log_gain.exp()
        norm = total + extra
        ctx.save_for_backward(odds, norm, extra, at_0, at_t)
        ctx.slices = slices
        same = (x_0 == x_t).to(logits.dtype)
        return norm.log() + top - logits.gather(1, at_0) - same * F.softplus(log_gain)

    @staticmethod
    def backward(ctx, grad):
        odds, norm, extra, at_0, at_t = ctx.saved_tensors
        out = ctx.slices.scale_(odds.clone(), grad / norm)
        out.scatter_add_(1, at_t, grad * extra / norm)
        return out.scatter_add_(1, at_0, -grad), None, None, None, None


def log_gain(alpha_bar_t: Tensor, Ks: Tensor) -> Tensor:
    """log(alpha_bar_t K / (1 - alpha_bar_t)) (n, C): how much x_t speaks for x_0 = x_t."""
    return torch.log(alpha_bar_t * Ks / (1 - alpha_bar_t)).float()


def kl_categorical(
    logits: Tensor, x_0: Tensor, x_t: Tensor, alpha_t: Tensor, alpha_bar_prev: Tensor, K: int
) -> Tensor:
    """KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) (n,) of one column, x_0-hat in the posterior.

    At t = 0, where alpha_bar_prev = 1, it is the decoder's negative log likelihood of x_0.
    Shape: logits (n, K); x_0, x_t, alpha_t, alpha_bar_prev (n,).
    """
    a, b = (1 - alpha_t) / K, (1 - alpha_bar_prev) / K
    log_b = b.clamp(min=1e-30).log()
    log_p = torch.logaddexp(logits.log_softmax(1) + alpha_bar_prev.log()[:, None], log_b[:, None])
    log_p_0, log_p_t = log_p.gather(1, torch.stack([x_0, x_t], 1)).unbind(1)
    same = x_0 == x_t
    log_top = (alpha_bar_prev + b).log()  # the marginal at x_0
    q_t = alpha_bar_prev * same + b  # the marginal at x_t
    Z_q, Z_p = alpha_t * q_t + a, alpha_t * log_p_t.exp() + a
    # q's three parts, each against the difference of the log marginals where it lies
    everywhere = a * b * ((K - 1) * log_b + log_top - log_p.sum(1))
    at_0 = a * alpha_bar_prev * (log_top - log_p_0)
    at_t = alpha_t * q_t * (torch.where(same, log_top, log_b) - log_p_t)
    kl = (everywhere + at_0 + at_t) / Z_q - Z_q.log() + Z_p.log()
    return torch.where(b > 0, kl, Z_p.log() - log_p_0 - (alpha_t * same + a).log())


def kl_prior(alpha_bar_T: float, Ks: Tensor) -> Tensor:
    """KL(q(x_T | x_0) || uniform) (C,): no weight can change it, it completes the bound."""
    low = (1 - alpha_bar_T) / Ks
    top = alpha_bar_T + low
    return (top * (top * Ks).log() + (Ks - 1) * low * (low * Ks).log()).float()


class Diffusion(nn.Module):
    """The process over d numericals and C categoricals with its network: loss and sampling."""

    def __init__(self, fields: Fields, config: TabDDPMConfig):
        super().__init__()
        self.d, self.config = len(fields.smooth), config
        self.n_known = len(fields.cats) if config.reveal else 0
        network = Denoiser if config.d_embed else PaperDenoiser
        self.net = network(self.d, fields.Ks, config)
        self.slices = Slices.of(fields.Ks)
        _constant(self, "Ks", torch.tensor(fields.Ks, dtype=torch.float64))
        _constant(self, "alpha_bar", cosine_schedule(config.n_timesteps))
        _constant(self, "z_max", -torch.special.ndtri(fields.edge))
        _constant(self, "tilt", torch.zeros(sum(fields.Ks)))

    def loss(
        self, z_0: Tensor, weight: Tensor, x_0: Tensor, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """Terms of the loss over a batch; weight (B, d) is 0 where a numerical sits on an atom."""
        t = self._times(len(z_0), rng)
        known = self._reveal(len(z_0), rng)
        out, eps, x_t, rows = self._denoise(z_0, x_0, t, known, rng)
        terms = {}
        if self.d:
            error = self.numerical_error(out[:, : self.d], z_0, eps, self.alpha_bar[rows])
            terms["numerical"] = (error * weight).sum() / weight.numel()
        if self.slices.Ks:
            bits = self.categorical_error(out[:, self.d :], x_0, x_t, rows)
            bits = torch.cat([bits[:, : self.n_known] * ~known, bits[:, self.n_known :]], 1)
            terms["categorical"] = bits.mean(0).sum()
        return terms

    def numerical_error(self, out: Tensor, z_0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """Squared errors (n, d) of the predicted eps, or of the predicted v; alpha_bar (n,)."""
        if self.config.objective == "eps-kl":
            return (out - eps) ** 2
        # DIFF: paper predicts eps; we predict v (Salimans & Ho 2022, arXiv 2202.00512) because z_0
        # from eps divides by sqrt(alpha_bar), which is nearly 0 where sampling begins.
        alpha_bar = alpha_bar[:, None].float()
        return (out - (alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * z_0)) ** 2

    def categorical_error(self, logits: Tensor, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Terms (n, C) of the categorical loss, t (n,); their sum over columns is the loss."""
        if self.config.objective == "eps-kl":
            return self._kl_terms(logits, x_0, x_t, t) / len(self.slices.Ks)
        # DIFF: paper bounds the likelihood by T KL_t + KL_prior; we take the cross-entropy of x_0,
        # unweighted, because it costs half and samples as well.
        gain = log_gain(self.alpha_bar[t][:, None], self.Ks)
        return PosteriorCrossEntropy.apply(logits, x_0, x_t, gain, self.slices)

    def _kl_terms(self, logits: Tensor, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        before = torch.where(t > 0, self.alpha_bar[(t - 1).clamp(min=0)], 1.0)
        alpha_t = (self.alpha_bar[t] / before).float()
        columns = zip(logits.split(self.slices.Ks, 1), x_0.T, x_t.T, self.slices.Ks, strict=True)
        kl_t = [kl_categorical(part, a, b, alpha_t, before.float(), K) for part, a, b, K in columns]
        prior = kl_prior(float(self.alpha_bar[-1]), self.Ks)
        return self.config.n_timesteps * torch.stack(kl_t, 1) + prior

    @torch.no_grad()
    def row_loss(
        self, z_0: Tensor, weight: Tensor, x_0: Tensor, t: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The loss of each row (n,) at one time t (1,), under one noise for all rows."""
        known = torch.zeros((len(z_0), self.n_known), dtype=torch.bool)
        out, eps, x_t, rows = self._denoise(z_0, x_0, t, known, rng, draws=1)
        error = self.numerical_error(out[:, : self.d], z_0, eps, self.alpha_bar[rows])
        total = (error * weight).sum(1)
        if self.slices.Ks:
            total += self.categorical_error(out[:, self.d :], x_0, x_t, rows).sum(1)
        return total

    def _denoise(
        self,
        z_0: Tensor,
        x_0: Tensor,
        t: Tensor,
        known: Tensor,
        rng: torch.Generator,
        draws: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noise a batch to times t (G,), known categories left alone, and ask the network."""
        rows = t.repeat_interleave(len(z_0) // len(t))
        alpha_bar_t = self.alpha_bar[rows][:, None]
        eps = torch.randn((draws or len(z_0), self.d), generator=rng)
        z_t = q_numerical(z_0, eps, alpha_bar_t.float())
        x_t = q_categorical(x_0, alpha_bar_t, self.Ks, rng, draws)
        x_t[:, : self.n_known] = torch.where(known, x_0[:, : self.n_known], x_t[:, : self.n_known])
        return self.net(z_t, x_t, t.float(), self._trust(alpha_bar_t, known)), eps, x_t, rows

    def _trust(self, alpha_bar_t: Tensor, known: Tensor) -> Tensor:
        """Probability (n, C) that x_t is x_0, all x_0 alike; 1 where known. alpha_bar_t (n, 1)."""
        trust = torch.sigmoid(log_gain(alpha_bar_t, self.Ks))
        return torch.cat(
            [trust[:, : self.n_known].masked_fill(known, 1.0), trust[:, self.n_known :]], 1
        )

    def _times(self, n: int, rng: torch.Generator) -> Tensor:
        """Uniform times, one in each of G even stretches of [0, T); rows come shuffled anyway."""
        groups = TIME_GROUPS if n % TIME_GROUPS == 0 else n
        u = (torch.arange(groups) + torch.rand(groups, generator=rng)) / groups
        return (u * self.config.n_timesteps).long().clamp(max=self.config.n_timesteps - 1)

    def _reveal(self, n: int, rng: torch.Generator) -> Tensor:
        """In some rows each category is known with probability 1/2: how `where` is learned."""
        rows = torch.rand((n, 1), generator=rng) < self.config.reveal
        return rows & (torch.rand((n, self.n_known), generator=rng) < 0.5)

    @torch.no_grad()
    def sample(
        self, n: int, steps: int, given: dict[int, int], rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """z_0 (n, d) and x_0 (n, C) by ancestral sampling over `steps` of the T times."""
        z, x = torch.randn((n, self.d), generator=rng), anywhere((n, len(self.Ks)), self.Ks, rng)
        known = torch.zeros((1, self.n_known), dtype=torch.bool)
        for column, category in given.items():
            known[:, column], x[:, column] = True, category
        times = visited(self.config.n_timesteps, steps)
        for t, s in zip(times, [*times[1:], None], strict=True):
            alpha_bar_t = float(self.alpha_bar[t])
            alpha_bar_s = 1.0 if s is None else float(self.alpha_bar[s])
            trust = self._trust(self.alpha_bar[t].reshape(1, 1), known)
            out = self.net(z, x, torch.tensor([float(t)]), trust)
            z = self._step_numerical(z, out[:, : self.d], alpha_bar_t, alpha_bar_s, rng)
            if self.slices.Ks:
                x = self._step_categorical(x, out[:, self.d :], alpha_bar_t, alpha_bar_s, rng)
                for column, category in given.items():
                    x[:, column] = category
        return z, x

    @torch.no_grad()
    def calibrate(self, marginals: Tensor, n: int, rng: torch.Generator) -> None:
        """Tilt the logits until categories are sampled as often as `marginals` (sum of K,) say.

        DIFF: paper samples the network as it is; we correct its marginals because small errors of
        the network add up along the chain, always in favour of the frequent categories.
        """
        for _ in range(ROUNDS if self.slices.Ks else 0):
            _, x = self.sample(n, ROUND_STEPS, {}, rng)
            counts = torch.cat([torch.bincount(part, minlength=K)
                                for part, K in zip(x.T, self.slices.Ks, strict=True)])  # fmt: skip
            self.tilt += torch.log((n * marginals + PSEUDO) / (counts + PSEUDO))

    def _step_numerical(
        self, z_t: Tensor, out: Tensor, alpha_bar_t: float, alpha_bar_s: float, rng: torch.Generator
    ) -> Tensor:
        signal, noise = math.sqrt(alpha_bar_t), math.sqrt(1 - alpha_bar_t)
        eps = self.config.objective == "eps-kl"
        z_0 = (z_t - noise * out) / signal if eps else signal * z_t - noise * out
        z_0 = torch.minimum(torch.maximum(z_0, -self.z_max), self.z_max)
        mean, variance = posterior_numerical(z_t, z_0, alpha_bar_t, alpha_bar_s)
        return mean + math.sqrt(variance) * torch.randn(z_t.shape, generator=rng)

    def _step_categorical(
        self,
        x_t: Tensor,
        logits: Tensor,
        alpha_bar_t: float,
        alpha_bar_s: float,
        rng: torch.Generator,
    ) -> Tensor:
        """x_0 ~ softmax(logits) q(x_t | x_0), then x_s ~ q(x_s | x_t, x_0)."""
        x_0 = self._draw_x_0(x_t, logits + self.tilt, alpha_bar_t, rng)
        origin, stay, other = posterior_categorical(
            (x_t == x_0).double(), alpha_bar_t, alpha_bar_s, self.Ks
        )
        u = torch.rand(x_t.shape, generator=rng, dtype=torch.float64) * (origin + stay + other)
        elsewhere = torch.where(u < origin + stay, x_t, anywhere(x_t.shape, self.Ks, rng))
        return torch.where(u < origin, x_0, elsewhere)

    def _draw_x_0(
        self, x_t: Tensor, logits: Tensor, alpha_bar_t: float, rng: torch.Generator
    ) -> Tensor:
        starts, last = self.slices.starts, self.Ks.long() - 1
        odds, _ = self.slices.exp(logits)
        upto = odds.cumsum(1)
        end = upto[:, starts + last]
        begin = F.pad(end[:, :-1], (1, 0))
        gain = alpha_bar_t * self.Ks / (1 - alpha_bar_t)
        extra = odds.gather(1, x_t + starts) * gain
        u = torch.rand(x_t.shape, generator=rng, dtype=torch.float64) * (end - begin + extra)
        place = torch.searchsorted(upto, (begin + u).float().contiguous(), right=True) - starts
        return torch.where(u < end - begin, torch.minimum(place.clamp(min=0), last), x_t)


def visited(T: int, steps: int) -> list[int]:
    """The times sampling visits, most noise first: all of them, or `steps` evenly spread."""
    return sorted({round(t) for t in np.linspace(0, T - 1, min(steps, T))}, reverse=True)


# The table -----------------------------------------------------------------------------------


def cut(numbers: np.ndarray, layout: Layout, config: TabDDPMConfig) -> Numericals:
    """Scales of the numericals: which are cut into cells, and which values are atoms."""
    names = [c.name for c in layout.numericals]
    cells = names if config.cells is None else config.cells
    sizes = [config.n_cells if name in cells else 1 for name in names]
    return Numericals(tuple(fit_scale(x, n_cells=size, atom_share=config.atom_share)
                            for x, size in zip(numbers.T, sizes, strict=True)))  # fmt: skip


class Fields(NamedTuple):
    """What of a table is diffused: z of numericals that vary, x of whatever has categories."""

    scales: Numericals
    cats: list[int]  # categorical columns with more than one category
    coded: list[int]  # numerical columns with atoms or cells
    smooth: list[int]  # numerical columns with values beside their atoms
    Ks: list[int]  # of cats, then of coded
    n_atoms: Tensor
    n_cells: Tensor
    edge: Tensor  # (d,) share below the smallest value, in a cell

    @classmethod
    def of(cls, layout: Layout, scales: Numericals) -> Fields:
        sizes = [len(c.categories) for c in layout.categoricals]
        cats = [j for j, size in enumerate(sizes) if size > 1]
        coded = [j for j, s in enumerate(scales.scales) if s.n_codes > 1]
        smooth = [j for j, s in enumerate(scales.scales) if len(s.value)]
        Ks = [sizes[j] for j in cats] + [scales.scales[j].n_codes for j in coded]
        edge = [min(0.25, 0.5 * scales.scales[j].n_cells / scales.scales[j].n_rows) for j in smooth]
        n_atoms = torch.tensor([len(s.atoms) for s in scales.scales], dtype=torch.long)
        n_cells = torch.tensor([s.n_cells for s in scales.scales], dtype=torch.long)
        return cls(scales, cats, coded, smooth, Ks, n_atoms, n_cells, torch.tensor(edge).float())

    @property
    def constant(self) -> bool:
        """No column varies: there is nothing to learn."""
        return not (self.smooth or self.Ks)

    def decode(self, z: Tensor, x: Tensor, n_cats: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (n, numericals) and codes (n, n_cats) of z and x."""
        n, n_numbers = len(z), len(self.scales.scales)
        shares, places = np.full((n, n_numbers), 0.5), np.zeros((n, n_numbers), np.int64)
        codes = np.zeros((n, n_cats), np.int64)
        shares[:, self.smooth] = torch.special.ndtr(z.double()).numpy()
        places[:, self.coded] = x[:, len(self.cats) :].numpy()
        codes[:, self.cats] = x[:, : len(self.cats)].numpy()
        return self.scales.decode(places, shares), codes


class Rows(NamedTuple):
    """The training table: atoms (n, numericals), shares below and upto, codes (n, cats)."""

    fields: Fields
    atom: Tensor
    below: Tensor
    upto: Tensor
    codes: Tensor

    @classmethod
    def of(
        cls, fields: Fields, numbers: np.ndarray, codes: np.ndarray, dequantise: bool = True
    ) -> Rows:
        atom, below, upto = fields.scales.encode(numbers)
        if not dequantise:
            below = upto = (below + upto) / 2
        shares = [torch.tensor(a, dtype=torch.float32) for a in (below, upto)]
        return cls(fields, torch.tensor(atom), *shares, torch.tensor(codes[:, fields.cats]))

    def draw(self, rows: Tensor | slice, u: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z_0 (n, d), weight (n, d), x_0 (n, C): u (n, numericals) in [0, 1) places each value in
        its interval of ranks; on an atom z_0 is noise (n, d) of weight 0."""
        f = self.fields
        atom, below = self.atom[rows], self.below[rows]
        share = (below + u * (self.upto[rows] - below)) * f.n_cells
        cell = torch.minimum(share.long(), f.n_cells - 1)
        inside = (share - cell)[:, f.smooth]
        z = torch.special.ndtri(torch.minimum(torch.maximum(inside, f.edge), 1 - f.edge))
        on_atom = atom[:, f.smooth] >= 0
        places = torch.where(atom >= 0, atom, f.n_atoms + cell)
        x_0 = torch.cat([self.codes[rows], places[:, f.coded]], 1)
        return torch.where(on_atom, noise, z), (~on_atom).float(), x_0

    def draw_random(self, rows: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """`draw` with fresh randomness."""
        u = torch.rand((len(rows), self.atom.shape[1]), generator=rng)
        return self.draw(rows, u, torch.randn((len(rows), len(self.fields.smooth)), generator=rng))

    def log_marginals(self) -> Tensor:
        """Log frequencies (sum of K,) of the categories of every column, one half added."""
        middle = torch.full(self.atom.shape, 0.5)
        x_0 = self.draw(slice(None), middle, torch.zeros((len(middle), len(self.fields.smooth))))[2]
        counts = [
            torch.bincount(x, minlength=K) for x, K in zip(x_0.T, self.fields.Ks, strict=True)
        ]
        return torch.cat([torch.empty(0), *(torch.log((c + 0.5) / len(x_0)) for c in counts)])


class TabDDPM(Generator):
    """Diffusion over a mixed table.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"x": [0.1, 0.2, 0.9] * 50, "site": ["a", "a", "b"] * 50})
        >>> model = TabDDPM(d_layers=(32,)).fit(table, steps=20, progress=False)
        >>> model.sample(2, seed=0).shape
        (2, 2)
    """

    name = "tabddpm"
    Config = TabDDPMConfig

    def __init__(self, config: TabDDPMConfig | None = None, **options: Any):
        paper = options.get("preset") == "paper"
        super().__init__(config, **({**PAPER, **options} if paper else options))

    def anomaly_score(self, table: pd.DataFrame, *, seed: int = 0, draws: int = 4) -> np.ndarray:
        """Denoising error (n,): how badly the model restores a row from noise; high is odd.

        Mean over `draws` noises, the same for every row, at each of `LEVELS` of the loss per row.
        A category never seen, and a number outside the seen range, add log(rows fitted); a number
        also adds how many ranges it lies outside.
        """
        self._check_fitted()
        transform.check(table)
        numbers, codes = self.layout_.split(table)
        outside, inside, seen = self._outside(numbers, codes)
        if self.diffusion_ is None:
            return outside
        rows = Rows.of(self.fields_, inside, seen, self.config.dequantise)
        parts = [
            self._denoising_error(rows, slice(i, i + CHUNK), seed, draws)
            for i in range(0, len(table), CHUNK)
        ]
        return outside + np.concatenate(parts)

    def _denoising_error(self, rows: Rows, chunk: slice, seed: int, draws: int) -> np.ndarray:
        rng = torch.Generator().manual_seed(seed)
        n, n_numbers = len(rows.atom[chunk]), rows.atom.shape[1]
        middle, still = torch.full((n, n_numbers), 0.5), torch.zeros((n, len(self.fields_.smooth)))
        batch = rows.draw(chunk, middle, still)
        times = [torch.tensor([int(level * self.config.n_timesteps)]) for level in LEVELS]
        losses = [self.diffusion_.row_loss(*batch, t, rng) for t in times for _ in range(draws)]
        return torch.stack(losses).double().mean(0).numpy()

    def _outside(self, numbers: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Score (n,) of what was never seen, and numbers and codes brought back to what was."""
        low, high = (
            np.array([getattr(c, end) for c in self.layout_.numericals]) for end in ("low", "high")
        )
        inside = np.clip(numbers, low, high)
        ranges = np.abs(numbers - inside) / np.where(high > low, high - low, 1.0)
        unseen = (ranges > 0).sum(1) + (codes < 0).sum(1)
        return unseen * math.log(self.n_rows_ + 1) + ranges.sum(1), inside, codes.clip(0)

    def _fit(self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, plan: Plan) -> None:
        began, config = time.monotonic(), self.config
        self._check_cells(layout)
        self.n_rows_ = len(numbers)
        self._build(layout, cut(numbers, layout, config))
        if self.diffusion_ is None:
            return
        rows = Rows.of(self.fields_, numbers, codes, config.dequantise)
        initialise(self.diffusion_.net, torch.Generator().manual_seed(plan.seed))
        if config.d_embed:
            self.diffusion_.net.start_at(rows.log_marginals())
        loss = lambda batch, rng: self.diffusion_.loss(*rows.draw_random(batch, rng), rng)  # noqa: E731
        optimizer = torch.optim.AdamW(
            self.diffusion_.parameters(), lr=config.lr, weight_decay=0.0, fused=True
        )
        pace = Pace(config.batch_size, config.lr, config.n_steps, config.warmup, config.ema)
        key = {
            "generator": self.name,
            "config": asdict(config),
            "columns": layout.to_json(),
            "data": training.fingerprint(numbers, codes) if plan.checkpoint else "",
        }
        if config.calibrate and plan.budget is not None:
            plan = replace(plan, budget=plan.budget * (1 - CALIBRATION))
        learner = Descent(self.diffusion_, loss, [optimizer])
        history = training.run(learner, len(numbers), plan, pace, key=key, label=self.name,
                               began=began)  # fmt: skip
        self.n_steps_, self.losses_ = history.n_steps, history.losses
        self.seconds_ = history.seconds
        self._calibrate(rows, plan.seed)

    def _calibrate(self, rows: Rows, seed: int) -> None:
        work = 3 * CALIBRATION * self.n_steps_ * self.config.batch_size  # a step costs 3 forwards
        n = min(ROUND_ROWS, int(work / (ROUNDS * ROUND_STEPS)))
        if self.config.calibrate and n >= training.MIN_BATCH:
            rng = torch.Generator().manual_seed(seed)
            with training.steady_threads():
                self.diffusion_.calibrate(rows.log_marginals().exp(), n, rng)

    def _check_cells(self, layout: Layout) -> None:
        names = [c.name for c in layout.numericals]
        unknown = [name for name in self.config.cells or () if name not in names]
        if unknown:
            raise ValueError(f"cells names the numerical columns {names}, got {unknown[0]!r}")

    def _build(self, layout: Layout, scales: Numericals) -> None:
        self.fields_ = fields = Fields.of(layout, scales)
        self.diffusion_ = None if fields.constant else Diffusion(fields, self.config)

    def _sample(
        self, n: int, seed: int, given: dict[int, int], steps: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        given = {self.fields_.cats.index(j): k for j, k in given.items() if j in self.fields_.cats}
        if given and not self.config.reveal:
            places = self.fields_.cats
            wanted = {places[j]: k for j, k in given.items()}
            return reject(lambda m, s: self._draw(m, s, {}, steps), n, seed, wanted)
        return self._draw(n, seed, given, steps)

    def _draw(
        self, n: int, seed: int, given: dict[int, int], steps: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        n_cats = len(self.layout_.categoricals)
        if self.diffusion_ is None:
            return self.fields_.decode(torch.empty((n, 0)), torch.empty((n, 0)).long(), n_cats)
        rng = torch.Generator().manual_seed(seed)
        steps = self.config.steps if steps is None else steps
        sizes = [min(CHUNK, n - start) for start in range(0, n, CHUNK)]
        with training.steady_threads():
            chunks = [self.diffusion_.sample(size, steps, given, rng) for size in sizes]
        z, x = (torch.cat(parts) for parts in zip(*chunks, strict=True))
        return self.fields_.decode(z, x, n_cats)

    def _to_arrays(self) -> dict[str, np.ndarray]:
        arrays = {**self.fields_.scales.to_arrays(), "n_rows": np.array([self.n_rows_])}
        if self.diffusion_ is not None:
            arrays["tilt"] = self.diffusion_.tilt.numpy()
            weights = self.diffusion_.state_dict()
            arrays |= {f"weights.{k}": v.numpy() for k, v in weights.items()}
        return arrays

    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        self.n_rows_ = int(arrays["n_rows"][0])
        self._build(layout, Numericals.from_arrays(arrays, len(layout.numericals)))
        weights = {k.removeprefix("weights."): torch.from_numpy(v) for k, v in arrays.items()
                   if k.startswith("weights.")}  # fmt: skip
        if self.diffusion_ is not None:
            self.diffusion_.load_state_dict(weights)
            self.diffusion_.tilt.copy_(torch.from_numpy(arrays["tilt"]))
        elif weights:
            raise ValueError("there are weights but no column that varies")
