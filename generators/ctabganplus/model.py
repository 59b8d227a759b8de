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
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators import training
from generators.arrays import pack_weights, unpack_weights
from generators.base import Generator, reject
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
from generators.training import Pace, initialise

from .conditions import Conditions
from .networks import (
    as_large_as,
    disjoint_critic,
    disjoint_generator,
    linear,
    overlapping_critic,
    overlapping_generator,
    side_of,
)

CHUNK = 8192  # rows sampled at once
ROUNDS = 20  # draws after which a row outside the seen range is cut to it
FLOOR = -40.0  # of a softmax's exponent: smaller ones make denormals, a hundred times as slow


@dataclass(frozen=True)
class CTABGANPlusConfig(Config):
    """Defaults are the paper's or, where it is silent, its authors' code's."""

    d_noise: int = whole(100, least=1)  # code
    n_channels: int = whole(64, least=1)  # of the paper's first convolution: sets the size
    windows: str = choice("disjoint", "overlapping")  # or "overlapping", the code's convolutions
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


# The networks --------------------------------------------------------------------------------


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


# The losses ----------------------------------------------------------------------------------


def gradient_penalty(score: Callable, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """E (norm of the gradient of the score - 1)^2 on the way between real and fake (n, w)."""
    # DIFF: code walks along the sphere and takes the norm of each value alone; we take the
    # straight way and the norm of the whole row, because that is the penalty of WGAN-GP.
    u = torch.rand((len(real), 1), generator=rng)
    between = (u * real + (1 - u) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(score(between).sum(), between, create_graph=True)
    return ((gradient.norm(dim=1) - 1) ** 2).mean()


def condition_loss(logits: Tensor, Ks: list[int], col: Tensor, opt: Tensor) -> Tensor:
    """Cross-entropy of the category asked for, in the column asked for; mean over the batch."""
    norm = torch.stack([part.logsumexp(1) for part in logits.split(Ks, 1)], 1)
    starts = torch.tensor(np.cumsum([0, *Ks])[:-1], dtype=torch.long)
    asked = logits.gather(1, (starts[col] + opt)[:, None])
    return (norm.gather(1, col[:, None]) - asked).mean()


def information_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Distance of the means plus that of the deviations of the critic's features (n, F)."""
    # DIFF: code adds up absolute differences; we take Euclidean norms, as the formula reads.
    unbiased = len(real) > 1
    spread = fake.std(0, correction=int(unbiased)) - real.std(0, correction=int(unbiased))
    return (fake.mean(0) - real.mean(0)).norm() + spread.norm()


@dataclass(frozen=True)
class Target:
    """The column of the downstream loss: what of a row it hides and how it is predicted."""

    shown: list[int]  # places of a row that predict it
    hidden: list[int]
    label: list[int]  # places of its one-hot, or the one of its number

    @property
    def n_out(self) -> int:
        return len(self.label)

    def loss(self, out: Tensor, row: Tensor) -> Tensor:
        """Cross-entropy of the likeliest category, smooth L1 of a number; mean over the batch."""
        if len(self.label) == 1:
            return F.smooth_l1_loss(out[:, 0], row[:, self.label[0]])
        return F.cross_entropy(out, row[:, self.label].argmax(1))

    @classmethod
    def of(cls, name: str | None, layout: Layout, encoding: Encoding) -> Target | None:
        """The target called `name`, or the last categorical that varies; None: there is none.

        A numerical with several modes is predicted by its mode.
        Raises `ValueError` if the table has no such column.
        """
        numbers = [c.name for c in layout.numericals]
        cats = [c.name for c in layout.categoricals]
        if name is not None and name not in numbers + cats:
            raise ValueError(f"target must be one of the columns {numbers + cats}, got {name!r}")
        varying = [cats[j] for j in encoding.cats]
        name = varying[-1] if name is None and varying else name
        keys = [numbers[j] for j in encoding.coded] + varying
        starts = np.cumsum([len(encoding.smooth), *encoding.Ks])
        hot = keys.index(name) if name in keys else None
        label = [] if hot is None else list(range(starts[hot], starts[hot + 1]))
        smooth = [numbers[j] for j in encoding.smooth]
        place = [smooth.index(name)] if name in smooth else []
        hidden = place + label
        shown = [i for i in range(encoding.width) if i not in set(hidden)]
        return cls(shown, hidden, label or place) if hidden and shown else None


# Training ------------------------------------------------------------------------------------


class Adversaries:
    """The learner: some steps of the critic, one of the generator, one of the downstream net."""

    def __init__(self, net: Networks, alpha: Tensor, x: Tensor):
        self.module, self.alpha, self.x = net, alpha, x
        self.n_rows = len(x)
        self.conditions = Conditions.of(x, net.Ks)
        self.parts = [list(net.critic.parameters()), list(net.generator.parameters())]
        self.parts += [list(net.downstream.parameters())] if net.target is not None else []
        config = net.config
        self.optimizers = [
            torch.optim.Adam(
                part,
                lr=config.lr,
                betas=(0.5, 0.9),
                eps=config.eps,
                weight_decay=config.weight_decay,
                fused=True,
            )
            for part in self.parts
        ]

    def step(self, rows: Tensor, rng: torch.Generator) -> dict[str, float]:
        n = len(rows)
        for _ in range(self.module.config.critic_steps):
            terms, real, c = self._critic_step(n, rng)
        terms |= self._generator_step(real, c, rng)
        if self.module.target is not None:
            loss = self.module.target.loss(self.module.predict(real, rng), real)
            self._descend(2, loss)
            terms["classifier"] = loss
        return {name: float(term.detach()) for name, term in terms.items()}

    def _descend(self, which: int, loss: Tensor) -> None:
        """Only the gradients asked for are computed: the others' weights cost nothing."""
        for p, g in zip(
            self.parts[which], torch.autograd.grad(loss, self.parts[which]), strict=True
        ):
            p.grad = g
        self.optimizers[which].step()

    def _ask(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Conditions col, opt (n,) and c (n, sum of K); empty where nothing has categories."""
        if not self.module.Ks:
            none = torch.zeros(n, dtype=torch.long)
            return none, none, torch.empty((n, 0))
        col, opt = self.conditions.draw(n, rng, log=True)
        return col, opt, self.conditions.vector(col, opt)

    def _real(self, col: Tensor, opt: Tensor, rng: torch.Generator) -> Tensor:
        if self.module.Ks:
            rows = self.conditions.rows(col, opt, rng)
        else:
            rows = (
                torch.rand(len(col), generator=rng, dtype=torch.float64) * len(self.alpha)
            ).long()
        return self.module.row(self.alpha[rows], self.x[rows])

    def _critic_step(self, n: int, rng: torch.Generator) -> tuple[dict, Tensor, Tensor]:
        net = self.module
        col, opt, c = self._ask(n, rng)
        with torch.no_grad():  # the critic's loss moves the critic alone
            fake, _ = net.generate(c, rng)
        shuffled = torch.randperm(n, generator=rng)
        real = self._real(col[shuffled], opt[shuffled], rng)
        rows, cs = torch.cat([real, fake]), torch.cat([c[shuffled], c])
        good, bad = net.score(rows, cs)[0].split(n)
        whole = torch.cat([rows, cs], 1)
        penalty = gradient_penalty(
            lambda w: net.score(w[:, : net.width], w[:, net.width :])[0], *whole.split(n), rng
        )
        terms = {"critic": bad.mean() - good.mean(), "penalty": net.config.penalty * penalty}
        self._descend(0, terms["critic"] + terms["penalty"])
        return terms, real, c[shuffled]

    def _generator_step(self, real: Tensor, real_c: Tensor, rng: torch.Generator) -> dict:
        net = self.module
        col, opt, c = self._ask(len(real), rng)
        fake, logits = net.generate(c, rng)
        score, features = net.score(fake, c)
        with torch.no_grad():
            _, real_features = net.score(real, real_c)
        information = information_loss(real_features, features)
        terms = {"generator": -score.mean(), "information": information}
        if net.Ks:
            terms["condition"] = condition_loss(logits, net.Ks, col, opt)
        if net.target is not None:
            # DIFF: code descends on the downstream loss in a second step on the same noise; we add
            # it to the others, as the paper's sum reads.
            terms["downstream"] = net.target.loss(net.predict(fake, rng), fake)
        self._descend(1, sum(terms.values()))
        return terms


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

    def _fit(self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, plan: Plan) -> None:
        config = self.config
        rng = np.random.default_rng(plan.seed)
        with training.steady_threads():
            encoding, alpha, x = self._encode(layout, numbers, codes, rng)
        self._build(layout, encoding)
        if self.net_ is None:
            return
        draw_weights(self.net_, torch.Generator().manual_seed(plan.seed))
        learner = Adversaries(self.net_, torch.from_numpy(alpha).float(), torch.from_numpy(x))
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
        self.encoding_, self.conditions_ = encoding, None
        target = Target.of(self.config.target, layout, encoding)
        target = target if self.config.downstream else None
        self.net_ = Networks(encoding, self.config, target) if encoding.width else None

    def _sample(self, n: int, seed: int, given: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
        if not given:
            return self._draw(n, seed, None)
        return reject(lambda m, s: self._draw(m, s, self._rarest(given)), n, seed, given)

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
        rng, parts, found = torch.Generator().manual_seed(seed), [], 0
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
        x = torch.stack([p.argmax(1) for p in hot], 1).numpy() if hot else np.empty((n, 0), int)
        alpha = row[:, : net.D].double().numpy()
        low, high = np.moveaxis(self.encoding_.ends(x), -1, 0)
        # an atom has no place, so any will do; a tanh at its very end would pile up there
        inside = (low == high) | ((alpha > low) & (alpha < high))
        return alpha, x, inside.all(1)

    def _to_arrays(self) -> dict[str, np.ndarray]:
        arrays = self.encoding_.to_arrays()
        if self.net_ is not None:
            arrays["counts"] = self.conditions_.counts.numpy()
        return arrays | pack_weights("net", self.net_)

    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        self._build(layout, Encoding.from_arrays(arrays, layout))
        unpack_weights("net", self.net_, arrays)
        if self.net_ is not None:
            self.conditions_ = Conditions(torch.from_numpy(arrays["counts"]), self.encoding_.Ks)
