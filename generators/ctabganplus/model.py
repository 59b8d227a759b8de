"""CTAB-GAN+: a conditional Wasserstein GAN of table rows.

Zhao, Kunar, Birke, van der Scheer & Chen (2022), "CTAB-GAN+: Enhancing Tabular Data Synthesis",
arXiv 2204.00401; losses and conditions it inherits from CTAB-GAN (arXiv 2102.08369) and CTGAN
(arXiv 1907.00503, training by sampling), the penalty from Gulrajani et al. (arXiv 1704.00028).

| symbol | in code | shape |
|---|---|---|
| z; G(z, c), encoded row | `z`; `row` | (batch, d_noise); (batch, width): places, then one-hots |
| V, conditional vector | `c` | (batch, sum of K), one 1: category `opt` of column `col` |
| D(row, c); f, its last features | `score`; `features` | (batch,); (batch, F) |
| C, downstream classifier or regressor | `downstream` | predicts the target from the rest |
| lambda; critic steps | `penalty`; `critic_steps` | 10; 5 (authors' code; a version of it: 1) |

What the paper leaves open is taken from the authors' code. Training with differential privacy is
left out: this package measures privacy, it does not promise it. See the DIFF lines.

Read in this order: `conditions` (training by sampling), `layers` and `networks`, `loss` and
`target`, `training` (one step), then `CTABGANPlus` here, which joins them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from generators import training
from generators.arrays import pack_weights, unpack_weights
from generators.base import Generator
from generators.conditions import reject_codes
from generators.devices import memory_gib, seeded, to_array, to_tensor
from generators.layout import Layout
from generators.modes import Encoding, ModeOptions
from generators.options import (
    Config,
    choice,
    not_negative,
    positive,
    share,
    share_below_one,
    truth,
    whole,
    wholes,
)
from generators.plan import Plan
from generators.training import Pace

from .conditions import Conditions
from .networks import Networks, draw_weights
from .target import Target
from .training import Adversaries

GIB_PER_CATEGORY = 0.65 / 1_000
"""Memory of a training; measured at 30,000 categories."""
CHUNK = 8192  # rows sampled at once
ROUNDS = 20  # draws after which a row outside the seen range is cut to it


@dataclass(frozen=True)
class CTABGANPlusConfig(Config):
    """Defaults are the paper's or, where it is silent, its authors' code's."""

    d_noise: int = whole(100, least=1)  # code
    n_channels: int = whole(64, least=1)  # of the paper's first convolution: sets the size
    windows: str = choice("disjoint", "overlapping")  # "overlapping" is the code's convolutions
    d_downstream: tuple[int, ...] = wholes((256, 256, 256, 256), least=1)  # code
    target: str | None = None  # of the downstream loss; None: the last categorical that varies
    downstream: bool = truth(True)  # train with the downstream loss
    critic_steps: int = whole(5, least=1)  # before each step of the generator (code)
    penalty: float = not_negative(10.0)  # lambda (code)
    tau: float = positive(0.2)  # temperature of the Gumbel softmax (code)
    n_modes: int = whole(10, least=1)  # paper
    n_points: int = whole(2_000, least=2)  # quantiles a mixture is fitted to
    atom_share: float = share(0.02)  # a value with this share of rows makes its column a mixed one
    batch_size: int = whole(500, least=1)  # paper
    # DIFF: code keeps 2e-4; we start at 1e-3 and fall to 0, because at 2e-4 a last layer of few
    # inputs a window needs thousands of steps before its logits differ.
    lr: float = positive(1e-3)  # of Adam with betas (.5, .9)
    eps: float = positive(1e-3)  # of Adam (code)
    weight_decay: float = not_negative(1e-5)  # code
    epochs: int = positive(150)  # without budget or steps (code)
    ema: float = share_below_one(0.999)  # of the weights; 0: none, as in the paper


class CTABGANPlus(Generator):
    """Conditional Wasserstein GAN over a mixed table.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"x": [0.1, 0.2, 0.9] * 50, "site": ["a", "a", "b"] * 50})
        >>> CTABGANPlus(n_channels=4).fit(table, steps=2, progress=False).sample(2, seed=0).shape
        (2, 2)
    """

    name = "ctabganplus"
    Config = CTABGANPlusConfig
    Game = Adversaries

    def _fit(self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, plan: Plan) -> None:
        config = self.config
        rng = np.random.default_rng(plan.seed)
        with training.steady_threads():
            encoding, alpha, x = self._encode(layout, numbers, codes, rng)
        self._build(layout, encoding)
        if self.net_ is None:
            return
        draw_weights(self.net_, seeded(plan.seed))
        learner = self.Game(self.net_, to_tensor(alpha).float(), to_tensor(x))
        self.conditions_ = Conditions(learner.conditions.counts, encoding.Ks)
        steps = config.epochs * max(1, len(numbers) // config.batch_size)
        # DIFF: paper keeps rate and last weights; we lower the rate and average the weights because
        # all learned generators here train in one loop.
        pace = Pace(config.batch_size, config.lr, steps, ema=config.ema)
        self._train(learner, plan, pace)

    def _encode(
        self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, rng: np.random.Generator
    ) -> tuple[Encoding, np.ndarray, np.ndarray]:
        # DIFF: paper lets the user say which columns are mixed, long-tailed or single-mode; we
        # tell by repeated values, skewness and the mixture's likelihood, because any table fits.
        config = self.config
        options = ModeOptions(
            n_modes=config.n_modes,
            n_points=config.n_points,
            general=True,
            atom_share=config.atom_share,
            long_tails=True,
        )
        encoding = Encoding.fit(layout, numbers, options, rng)
        return encoding, *encoding.encode(numbers, codes, rng)

    def _build(self, layout: Layout, encoding: Encoding) -> None:
        check_memory(sum(encoding.Ks))
        self.encoding_, self.conditions_ = encoding, None
        target = Target.choose(self.config.target, layout, encoding)
        target = target if self.config.downstream else None
        self.net_ = Networks(encoding, self.config, target) if encoding.width else None

    def _sample(self, n: int, seed: int, given: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
        if not given:
            return self._draw(n, seed, None)
        return reject_codes(lambda m, s: self._draw(m, s, self._rarest(given)), n, seed, given)

    def _rarest(self, given: dict[int, int]) -> tuple[int, int] | None:
        """The given category that holds the fewest rows: the one to ask for."""
        places = {j: len(self.encoding_.coded) + i for i, j in enumerate(self.encoding_.cats)}
        asked = [(places[j], k) for j, k in given.items() if j in places]
        counts = lambda a: int(self.conditions_.counts[self.conditions_.starts[a[0]] + a[1]])  # noqa: E731
        return min(asked, key=counts) if asked else None

    def _draw(
        self, n: int, seed: int, asked: tuple[int, int] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.net_ is None:
            return self.encoding_.decode(np.empty((n, 0)), np.empty((n, 0), np.int64))
        rng, parts, found = seeded(seed), [], 0
        with training.steady_threads():
            for attempt in range(ROUNDS * (1 + n // CHUNK)):
                alpha, x, inside = self._chunk(min(CHUNK, n - found), asked, rng)
                if attempt % ROUNDS < ROUNDS - 1:
                    alpha, x = alpha[inside], x[inside]
                parts.append(self.encoding_.decode(alpha, x))
                found += len(x)
                if found >= n:
                    break
        numbers, codes = (np.concatenate(p)[:n] for p in zip(*parts, strict=True))
        return numbers, codes

    @torch.no_grad()
    def _chunk(
        self, n: int, asked: tuple[int, int] | None, rng: torch.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """alpha (n, D), x (n, C), and which rows lie inside the seen range (n,)."""
        net, c = self.net_, torch.empty((n, 0))
        if net.Ks:
            col, opt = self.conditions_.draw(n, rng, log=False)
            if asked is not None:
                col, opt = torch.full_like(col, asked[0]), torch.full_like(opt, asked[1])
            c = self.conditions_.vector(col, opt)
        row, _ = net.generate(c, rng)
        hot = row[:, net.D :].split(net.Ks, 1) if net.Ks else []
        x = to_array(torch.stack([p.argmax(1) for p in hot], 1)) if hot else np.empty((n, 0), int)
        alpha = to_array(row[:, : net.D].double())
        low, high = np.moveaxis(self.encoding_.ends(x), -1, 0)
        # an atom has no place, so any will do; a tanh at its very end would pile up there
        inside = (low == high) | ((alpha > low) & (alpha < high))
        return alpha, x, inside.all(1)

    def _to_arrays(self) -> dict[str, np.ndarray]:
        arrays = self.encoding_.to_arrays()
        if self.net_ is not None:
            arrays["counts"] = to_array(self.conditions_.counts)
        return arrays | pack_weights("net", self.net_)

    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        self._build(layout, Encoding.from_arrays(arrays, layout))
        unpack_weights("net", self.net_, arrays)
        if self.net_ is not None:
            self.conditions_ = Conditions(to_tensor(arrays["counts"]), self.encoding_.Ks)


def check_memory(n_categories: int) -> None:
    """Refuse more categories than the machine has memory for, before it is asked for."""
    need, there = GIB_PER_CATEGORY * n_categories, memory_gib()
    if need > there:
        raise ValueError(
            f"ctabganplus needs about {need:.0f} GiB for {n_categories:,} categories, there are "
            f"{there:.0f}: leave out columns of identifiers, or take another generator"
        )
