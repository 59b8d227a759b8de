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

Read in this order: `process` (noise), `network`, `loss`, `sampling`, then `Diffusion` and `TabDDPM`
here, which join them. Before the diffusion `scales` and `encoding` prepare the table. Beyond the
paper are `steering` (conditions) and `anomaly`.

The categoricals' algebra is in index space. With a = alpha_ts, b = alpha_bar_s, the posterior
q(x_s | x_t, x_0) ~ (a [x_s = x_t] + (1 - a) / K) (b [x_s = x_0] + (1 - b) / K) is a mixture of
three: stay at x_t, go to x_0, go draw_uniform; two indices and two scalars say it all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from foundations import checks
from generators import training
from generators.arrays import pack_weights, unpack_weights
from generators.conditions import reject_codes
from generators.devices import seeded, to_array, to_tensor
from generators.layout import Layout
from generators.options import (
    Config,
    choice,
    positive,
    share,
    share_below_one,
    truth,
    whole,
    wholes,
)
from generators.plan import Plan
from generators.training import Descent, Pace, initialise

from ..model import TabDDPM
from . import anomaly, sampling, steering
from .encoding import Encoding, TrainingRows
from .loss import CrossEntropy, Slices, StepKL, WeightedSum
from .network import Denoiser, PaperDenoiser, add_constant
from .process import cosine_schedule, kl_prior, log_gain, q_categorical, q_numerical
from .scales import Scales

CHUNK = 2048  # rows sampled or scored at once
TIME_GROUPS = 256  # distinct times in a training batch, evenly spread; each serves a run of rows
ROUNDS, ROUND_ROWS, ROUND_STEPS = 4, 4096, 20  # of calibration: samples, rows each, times visited
CALIBRATION = 0.07  # of the training's work, at most
PSEUDO = 4.0  # rows added to every category's count, so that a rare one is not chased by chance

SAMPLERS = {"jumps": sampling.jumps, "ancestral": sampling.ancestral}
CONDITIONS = ("particles", "rejection", "revealed")  # ways to obey `where`


@dataclass(frozen=True)
class UniformConfig(Config):
    """The default is ours; `preset="paper"` sets the options of `PAPER`, the published recipe."""

    process: str = choice("uniform")
    preset: str = choice("default", "paper")
    n_timesteps: int = whole(1000, least=1)  # T (paper: 100 or 1000)
    sampler: str = choice("jumps", "ancestral")  # "ancestral" is the paper's
    steps: int = whole(25, least=1)  # times visited in sampling (paper: n_timesteps)
    d_layers: tuple[int, ...] = wholes((256, 256, 256), least=1)  # paper: searched, 128 to 1024
    d_embed: int = whole(16, least=0)  # of a category; 0: linear in the one-hot (paper)
    n_frequencies: int = whole(4, least=0)  # octaves of sin and cos of z_t beside z_t
    n_cells: int = whole(64, least=1)  # quantile cells of a numerical diffused as categories
    cells: tuple[str, ...] | None = None  # numericals cut into cells; None: all
    atom_share: float = share(0.005)  # a value with this share of rows is its own category
    dequantise: bool = truth(True)  # a repeated value stands for its interval of ranks
    objective: str = choice("v-ce", "eps-kl")  # "eps-kl" is the paper's
    calibrate: bool = truth(True)  # tilt logits until sampled marginals are right
    reveal: float = share(0.0)  # share of rows trained with some categories known, for "revealed"
    batch_size: int = whole(1024, least=1)  # paper: 4096 at most
    lr: float = positive(2e-3)  # paper: searched from 1e-5 to 3e-3
    warmup: int = whole(100, least=0)  # steps of rising rate
    n_steps: int = whole(10_000, least=1)  # without budget or steps (paper: up to 30,000)
    ema: float = share_below_one(0.999)  # of the weights


PAPER = dict(
    sampler="ancestral", steps=1000, d_layers=(256, 256), d_embed=0, n_frequencies=0, n_cells=1,
    atom_share=1.0, dequantise=False, objective="eps-kl", calibrate=False, reveal=0.0,
    batch_size=4096, lr=2e-4, warmup=0, n_steps=30_000,
)  # fmt: skip


class Diffusion(nn.Module):
    """Both diffusions, of d numericals and C categoricals, and their network: loss and sampling."""

    def __init__(self, encoding: Encoding, config: UniformConfig):
        super().__init__()
        self.d, self.config = len(encoding.smooth), config
        self.n_known = len(encoding.cats) if config.reveal else 0
        if config.d_embed:
            self.net = Denoiser(
                self.d, encoding.Ks, config.d_layers, config.d_embed, config.n_frequencies
            )
        else:
            self.net = PaperDenoiser(self.d, encoding.Ks, config.d_layers)
        self.slices = Slices.from_sizes(encoding.Ks)
        add_constant(self, "Ks", torch.tensor(encoding.Ks, dtype=torch.float64))
        add_constant(self, "alpha_bar", cosine_schedule(config.n_timesteps))
        add_constant(self, "z_max", -torch.special.ndtri(encoding.edge))
        add_constant(self, "tilt", torch.zeros(sum(encoding.Ks)))

    def loss(
        self, z_0: Tensor, weight: Tensor, x_0: Tensor, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """Terms of the loss over a batch; weight (B, d) is 0 where a numerical sits on an atom."""
        t = self._draw_times(len(z_0), rng)
        known = self._draw_known(len(z_0), rng)
        out, eps, x_t, rows = self.predict_noised(z_0, x_0, t, known, rng)
        numbers, logits = out.split([self.d, out.shape[1] - self.d], 1)
        terms = {}
        if self.d:
            error = self.numerical_error(numbers, z_0, eps, self.alpha_bar[rows])
            terms["numerical"] = (error * weight).sum() / weight.numel()
        if self.slices.Ks:
            share = self._term_weights(known)
            terms["categorical"] = (
                WeightedSum.apply(logits, share, self._term(x_0, x_t, rows), self.slices)
                + (self._prior() * share).sum()
            )
        return terms

    def _term_weights(self, known: Tensor) -> Tensor:
        """Weight (n, C) of each term of the categorical loss, 0 where the category is known."""
        scale = 1.0
        if self.config.objective == "eps-kl":
            scale = self.config.n_timesteps / len(self.slices.Ks)
        share = torch.full((len(known), len(self.Ks)), scale / len(known))
        share[:, : self.n_known].masked_fill_(known, 0.0)
        return share

    def _term(self, x_0: Tensor, x_t: Tensor, t: Tensor) -> CrossEntropy | StepKL:
        """What the logits of a batch are held against."""
        if self.config.objective == "eps-kl":
            before = torch.where(t > 0, self.alpha_bar[(t - 1).clamp(min=0)], 1.0)
            alpha_t = self.alpha_bar[t] / before
            return StepKL(
                x_0, x_t, alpha_t[:, None].float(), before[:, None].float(), self.Ks.float()
            )
        # DIFF: paper bounds the likelihood by T KL_t + KL_prior; we take the cross-entropy of x_0,
        # unweighted, because it costs half and samples as well.
        return CrossEntropy(x_0, x_t, log_gain(self.alpha_bar[t][:, None], self.Ks))

    @cached_property
    def alpha_bar_T(self) -> float:
        """What is left of the signal at the end."""
        return float(self.alpha_bar[-1])

    def _prior(self) -> Tensor:
        """KL_prior / T (C,), a constant that completes the paper's bound."""
        if self.config.objective != "eps-kl":
            return torch.zeros(len(self.Ks))
        return kl_prior(self.alpha_bar_T, self.Ks) / self.config.n_timesteps

    def numerical_error(self, out: Tensor, z_0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
        """Squared errors (n, d) of the predicted eps, or of the predicted v; alpha_bar (n,)."""
        if self.config.objective == "eps-kl":
            return (out - eps) ** 2
        # DIFF: paper predicts eps; we predict v (Salimans & Ho 2022, arXiv 2202.00512) because z_0
        # from eps divides by sqrt(alpha_bar), which is nearly 0 where sampling begins.
        alpha_bar = alpha_bar[:, None].float()
        return (out - (alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * z_0)) ** 2

    def predict_noised(
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

    def _draw_times(self, n: int, rng: torch.Generator) -> Tensor:
        """Uniform times, one in each of G even stretches of [0, T); rows come shuffled anyway."""
        groups = TIME_GROUPS if n % TIME_GROUPS == 0 else n
        u = (torch.arange(groups) + torch.rand(groups, generator=rng)) / groups
        return (u * self.config.n_timesteps).long().clamp(max=self.config.n_timesteps - 1)

    def _draw_known(self, n: int, rng: torch.Generator) -> Tensor:
        """In some rows each category is known with probability 1/2: how `where` is learned."""
        rows = torch.rand((n, 1), generator=rng) < self.config.reveal
        return rows & (torch.rand((n, self.n_known), generator=rng) < 0.5)

    def reverse_process(self) -> sampling.ReverseProcess:
        """The reverse process with the network as it is now."""
        eps = self.config.objective == "eps-kl"
        return sampling.ReverseProcess(
            self.net, self.slices, self.Ks, self.alpha_bar, self.z_max, self.tilt, eps
        )

    def sample(
        self,
        n: int,
        steps: int,
        given: dict[int, int],
        rng: torch.Generator,
        rule: str | None = None,
        steer: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """z_0 (n, d) and x_0 (n, C), visiting `steps` of the T times by a rule of `SAMPLERS`.

        What is given is held from the start, or, with `steer`, reached by sequential Monte Carlo.
        """
        times = sampling.timesteps(self.config.n_timesteps, steps)
        rule = steering.steered_jumps if steer else SAMPLERS[rule or self.config.sampler]
        return rule(self.reverse_process(), n, times, given, rng)

    @torch.no_grad()
    def calibrate(self, marginals: Tensor, n: int, rng: torch.Generator) -> None:
        """Tilt the logits until categories are sampled as often as `marginals` (sum of K,) say.

        DIFF: paper samples the network as it is; we correct its marginals because small errors of
        the network add up along the process, always in favour of the frequent categories.
        """
        for _ in range(ROUNDS if self.slices.Ks else 0):
            _, x = self.sample(n, ROUND_STEPS, {}, rng)
            counts = torch.cat(
                [
                    torch.bincount(part, minlength=K)
                    for part, K in zip(x.T, self.slices.Ks, strict=True)
                ]
            )
            self.tilt += torch.log((n * marginals + PSEUDO) / (counts + PSEUDO))


class UniformTabDDPM(TabDDPM, process="uniform"):
    """TabDDPM with the process of its paper.

    `sample` has these options of its own:

    - `steps`: the times visited.
    - `sampler`: a rule of `SAMPLERS`.
    - `condition`: how to obey `where`. "particles" (the default with jumps) steers rows to the
      condition by sequential Monte Carlo and keeps the conditional distribution; it costs three
      times as much as free rows. "rejection" (the default with ancestral sampling) discards other
      rows. "revealed" holds the categories from the start: it is fast, needs a model fitted with
      `reveal`, and is less exact for what depends on a rare category.
    """

    Config = UniformConfig

    def __init__(self, config: UniformConfig | None = None, **options: Any):
        paper = options.get("preset") == "paper"
        super().__init__(config, **({**PAPER, **options} if paper else options))

    def anomaly_score(self, table: pd.DataFrame, *, seed: int = 0, draws: int = 4) -> np.ndarray:
        """Denoising error (n,): how badly the model restores a row from noise; high is anomalous.

        See `anomaly`; `draws` noises, the same for every row, at each of its levels.
        """
        seed = int(checks.seed(seed))
        numbers, codes = self.split(table)
        outside, inside, seen = self.outside(numbers, codes)
        if self.diffusion_ is None:
            return outside
        with self.here():
            rows = TrainingRows.from_table(self.encoding_, inside, seen, self.config.dequantise)
            parts = [
                anomaly.denoising_error(self.diffusion_, rows, slice(i, i + CHUNK), seed, draws)
                for i in range(0, len(table), CHUNK)
            ]
        return outside + np.concatenate(parts)

    def _fit(self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, plan: Plan) -> None:
        config = self.config
        self._check_cells(layout)
        self.n_rows_ = len(numbers)
        n_cells = self._cells(layout)
        self._build(layout, Scales.fit(numbers, n_cells, atom_share=config.atom_share))
        if self.diffusion_ is None:
            return
        rows = TrainingRows.from_table(self.encoding_, numbers, codes, config.dequantise)
        initialise(self.diffusion_.net, seeded(plan.seed))
        if config.d_embed:
            self.diffusion_.net.start_at_marginals(rows.log_marginals())
        pace = Pace(config.batch_size, config.lr, config.n_steps, config.warmup, config.ema)
        if config.calibrate and plan.budget is not None:
            plan = replace(plan, budget=plan.budget * (1 - CALIBRATION))
        self._train(self._learner(rows), plan, pace)
        self._calibrate(rows, plan.seed)

    def _learner(self, rows: TrainingRows) -> Descent:
        optimizer = torch.optim.AdamW(
            self.diffusion_.parameters(), lr=self.config.lr, weight_decay=0.0, fused=True
        )
        return Descent(
            self.diffusion_,
            lambda batch, rng: self.diffusion_.loss(*rows.draw_random(batch, rng), rng),
            [optimizer],
            len(rows.codes),
        )

    def _calibrate(self, rows: TrainingRows, seed: int) -> None:
        work = 3 * CALIBRATION * self.n_steps_ * self.config.batch_size  # a step costs 3 forwards
        n = min(ROUND_ROWS, int(work / (ROUNDS * ROUND_STEPS)))
        if self.config.calibrate and n >= training.MIN_BATCH:
            rng = seeded(seed)
            with training.steady_threads():
                self.diffusion_.calibrate(rows.log_marginals().exp(), n, rng)

    def _cells(self, layout: Layout) -> list[int]:
        """Quantile cells of each numerical."""
        config, names = self.config, [c.name for c in layout.numericals]
        chosen = names if config.cells is None else config.cells
        return [config.n_cells if name in chosen else 1 for name in names]

    def _check_cells(self, layout: Layout) -> None:
        names = [c.name for c in layout.numericals]
        unknown = [name for name in self.config.cells or () if name not in names]
        if unknown:
            raise ValueError(f"cells names the numerical columns {names}, got {unknown[0]!r}")

    def _build(self, layout: Layout, scales: Scales) -> None:
        self.encoding_ = encoding = Encoding.from_scales(layout, scales)
        self.diffusion_ = None if encoding.is_constant else Diffusion(encoding, self.config)

    def _sample(
        self,
        n: int,
        seed: int,
        given: dict[int, int],
        steps: int | None = None,
        sampler: str | None = None,
        condition: str | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        config = self.config if sampler is None else replace(self.config, sampler=sampler)
        config = config if steps is None else replace(config, steps=steps)
        cats = self.encoding_.cats
        given = {cats.index(j): k for j, k in given.items() if j in cats}
        condition = condition or ("particles" if config.sampler == "jumps" else "rejection")
        self._check_condition(condition, config)
        if given and condition == "rejection":
            wanted = {cats[j]: k for j, k in given.items()}
            return reject_codes(lambda m, s: self._draw(m, s, {}, config), n, seed, wanted)
        return self._draw(n, seed, given, config, bool(given) and condition == "particles")

    def _check_condition(self, condition: str, config: UniformConfig) -> None:
        if condition not in CONDITIONS:
            raise ValueError(f"condition must be one of {CONDITIONS}, got {condition!r}")
        if condition == "revealed" and not config.reveal:
            raise ValueError("condition='revealed' needs a model fitted with reveal above 0")
        if condition == "particles" and config.sampler != "jumps":
            raise ValueError(
                f"condition='particles' needs sampler='jumps', got sampler={config.sampler!r}"
            )

    def _draw(
        self,
        n: int,
        seed: int,
        given: dict[int, int],
        config: UniformConfig,
        steer: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        n_cats = len(self.layout_.categoricals)
        if self.diffusion_ is None:
            return self.encoding_.decode(torch.empty((n, 0)), torch.empty((n, 0)).long(), n_cats)
        rng = seeded(seed)
        sizes = [min(CHUNK, n - start) for start in range(0, n, CHUNK)]
        with training.steady_threads():
            chunks = [
                self.diffusion_.sample(size, config.steps, given, rng, config.sampler, steer)
                for size in sizes
            ]
        z, x = (torch.cat(parts) for parts in zip(*chunks, strict=True))
        return self.encoding_.decode(z, x, n_cats)

    def _to_arrays(self) -> dict[str, np.ndarray]:
        arrays = {**self.encoding_.scales.to_arrays(), "n_rows": np.array([self.n_rows_])}
        if self.diffusion_ is not None:
            arrays["tilt"] = to_array(self.diffusion_.tilt)
        return arrays | pack_weights("weights", self.diffusion_)

    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        self.n_rows_ = int(arrays["n_rows"][0])
        self._build(layout, Scales.from_arrays(arrays, len(layout.numericals)))
        unpack_weights("weights", self.diffusion_, arrays)
        if self.diffusion_ is not None:
            self.diffusion_.tilt.copy_(to_tensor(arrays["tilt"]))
