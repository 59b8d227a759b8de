"""CTAB-GAN+ and mode-specific normalisation restated plainly, with the costs of public code.

In: a mixed table. Out: iterations of the same losses, batch and critic steps as ours, in the way
public implementations go: dense float64 rows, loops over rows for conditions and real samples,
overlapping convolutions on the square image of a row, losses that run back through networks they do
not move, and two passes of the generator an iteration. Used by `benchmarks.speed.gan` alone.

Source: Zhao et al. (2022), arXiv 2204.00401; Xu et al. (2019), arXiv 1907.00503.
"""

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture
from torch import nn


def plain_mixture(x: np.ndarray) -> BayesianGaussianMixture:
    """The mixture of a column (n,), fitted to all its rows."""
    mixture = BayesianGaussianMixture(
        n_components=10,
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=0.001,
        n_init=1,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(x[:, None])


def plain_rows(
    x: np.ndarray, mixture: BayesianGaussianMixture, rng: np.random.Generator
) -> np.ndarray:
    """Rows (n, 1 + modes) of a column (n,): a draw per row in a loop."""
    kept = np.flatnonzero(mixture.weights_ > 0.005)
    means, stds = mixture.means_[kept, 0], np.sqrt(mixture.covariances_[kept, 0, 0])
    odds = mixture.predict_proba(x[:, None])[:, kept] + 1e-6
    row = np.zeros((len(x), 1 + len(kept)))
    for i in range(len(x)):
        k = rng.choice(len(kept), p=odds[i] / odds[i].sum())
        row[i, 0] = np.clip((x[i] - means[k]) / (4 * stds[k]), -0.99, 0.99)
        row[i, 1 + k] = 1
    return row


def halvings(side: int, channels: int) -> list[tuple[int, int]]:
    """(channels, side) of an image and of each convolution of it."""
    out = [(1, side), (channels, side // 2)]
    while out[-1][1] > 3 and len(out) < 4:
        out.append((2 * out[-1][0], out[-1][1] // 2))
    return out


def conv_critic(side: int, channels: int) -> nn.Sequential:
    """Convolutions of 4 x 4 at every second place, then one of what is left."""
    dims, parts = halvings(side, channels), []
    for (a, _), (b, s) in zip(dims, dims[1:], strict=False):
        parts += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.LayerNorm([b, s, s]), nn.LeakyReLU(0.2)]
    return nn.Sequential(*parts, nn.Conv2d(dims[-1][0], 1, dims[-1][1]))


def conv_generator(side: int, channels: int, d_in: int) -> nn.Sequential:
    """Transposed convolutions from one place to the image."""
    dims = halvings(side, channels)[::-1]
    parts = [nn.ConvTranspose2d(d_in, dims[0][0], dims[0][1], bias=False)]
    for (a, s), (b, _) in zip(dims, dims[1:], strict=False):
        parts += [nn.LayerNorm([a, s, s]), nn.ReLU(), nn.ConvTranspose2d(a, b, 4, 2, 1)]
    return nn.Sequential(*parts)


class PlainGAN:
    """One training of the plain restatement over dense rows: D places, then one-hots of sizes Ks.

    Args:
        rows: (n, D + sum of K) float64.
        target: the slice of the rows that the downstream classifier predicts.
    """

    def __init__(
        self,
        rows: np.ndarray,
        D: int,
        Ks: list[int],
        sides: tuple[int, int],
        target: slice,
        seed: int,
    ):
        torch.manual_seed(seed)
        self.data, self.D, self.Ks, self.target = rows, D, Ks, target
        self.rng = np.random.default_rng(seed)
        self.starts = np.cumsum([0, *Ks])
        hot = rows[:, D:]
        spans = list(zip(self.starts, self.starts[1:], strict=False))
        self.members = [[np.nonzero(hot[:, j])[0] for j in range(a, b)] for a, b in spans]
        self.logs = np.zeros((len(Ks), max(Ks)))
        for i, (a, b) in enumerate(spans):
            log = np.log(hot[:, a:b].sum(0) + 1)
            self.logs[i, : b - a] = log / log.sum()
        self.small, self.side = sides
        self.generator = conv_generator(self.small, 64, 100 + sum(Ks))
        self.critic = conv_critic(self.side, 64)
        widths = [rows.shape[1] - (target.stop - target.start), 256, 256, 256, 256]
        layers = [
            [nn.Linear(a, b), nn.LeakyReLU(0.2), nn.Dropout(0.5)]
            for a, b in zip(widths, widths[1:], strict=False)
        ]
        self.classifier = nn.Sequential(
            *[part for layer in layers for part in layer],
            nn.Linear(256, target.stop - target.start),
        )
        nets = (self.generator, self.critic, self.classifier)
        self.g, self.d, self.c = (
            torch.optim.Adam(
                net.parameters(), lr=2e-4, betas=(0.5, 0.9), eps=1e-3, weight_decay=1e-5
            )
            for net in nets
        )

    def condition(self, n: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray, np.ndarray]:
        """Vector (n, sum of K), mask (n, C), column and category (n,), row by row."""
        col = self.rng.choice(len(self.Ks), n)
        opt = (self.logs[col].cumsum(1) > self.rng.random((n, 1))).argmax(1)
        vector = np.zeros((n, int(self.starts[-1])), "float32")
        mask = np.zeros((n, len(self.Ks)), "float32")
        mask[np.arange(n), col] = 1
        for i in range(n):
            vector[i, self.starts[col[i]] + opt[i]] = 1
        return torch.from_numpy(vector), torch.from_numpy(mask), col, opt

    def real(self, col: np.ndarray, opt: np.ndarray) -> torch.Tensor:
        """Rows that hold the conditions, chosen one at a time."""
        chosen = [self.rng.choice(self.members[a][b]) for a, b in zip(col, opt, strict=True)]
        return torch.from_numpy(self.data[chosen].astype("float32"))

    def image(self, row: torch.Tensor) -> torch.Tensor:
        """Values padded to a square with one channel."""
        return F.pad(row, (0, self.side**2 - row.shape[1])).view(-1, 1, self.side, self.side)

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """What the critic's last convolution sees."""
        return self.critic[:-1](image).flatten(1)

    def activate(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Generated rows and what they were drawn from, column by column."""
        out = self.generator(z[:, :, None, None]).flatten(1)[:, : self.data.shape[1]]
        parts = [torch.tanh(out[:, : self.D])]
        for a, b in zip(self.starts, self.starts[1:], strict=False):
            parts.append(F.gumbel_softmax(out[:, self.D + a : self.D + b], tau=0.2))
        return torch.cat(parts, 1), out

    def penalty(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """Ten times the gradient penalty on the way between."""
        u = torch.rand(len(real), 1)
        between = (u * real + (1 - u) * fake).detach().requires_grad_()
        score = self.critic(self.image(between))
        (slope,) = torch.autograd.grad(score, between, torch.ones_like(score), create_graph=True)
        return 10 * ((slope.norm(dim=1) - 1) ** 2).mean()

    def critic_step(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Three losses, each sent back alone, the second also through the generator."""
        c, _, col, opt = self.condition(n)
        shuffled = self.rng.permutation(n)
        real = self.real(col[shuffled], opt[shuffled])
        fake, _ = self.activate(torch.cat([torch.randn(n, 100), c], 1))
        whole_real, whole_fake = torch.cat([real, c[shuffled]], 1), torch.cat([fake, c], 1)
        self.d.zero_grad()
        (-self.critic(self.image(whole_real)).mean()).backward()
        self.critic(self.image(whole_fake)).mean().backward()
        self.penalty(whole_real, whole_fake).backward()
        self.d.step()
        return real, whole_real

    def downstream(self, row: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the target given the rest of a row."""
        rest = torch.cat([row[:, : self.target.start], row[:, self.target.stop :]], 1)
        return F.cross_entropy(self.classifier(rest), row[:, self.target].argmax(1))

    def iteration(self, n: int = 500) -> None:
        """Five steps of the critic, two of the generator, one of the classifier."""
        for _ in range(5):
            real, whole_real = self.critic_step(n)
        c, mask, _, _ = self.condition(n)
        z = torch.cat([torch.randn(n, 100), c], 1)
        self.g.zero_grad()
        fake, out = self.activate(z)
        whole = self.image(torch.cat([fake, c], 1))
        score, seen = self.critic(whole), self.features(whole)
        seen_real = self.features(self.image(whole_real))
        asked = []
        for a, b in zip(self.starts, self.starts[1:], strict=False):
            logits = out[:, self.D + a : self.D + b]
            asked.append(F.cross_entropy(logits, c[:, a:b].argmax(1), reduction="none"))
        condition = (torch.stack(asked, 1) * mask).sum() / n
        (condition - score.mean()).backward(retain_graph=True)
        information = (seen.mean(0) - seen_real.mean(0)).norm() + (
            seen.std(0) - seen_real.std(0)
        ).norm()
        information.backward()
        self.g.step()
        fake, _ = self.activate(z)
        self.g.zero_grad()
        self.downstream(fake).backward()
        self.g.step()
        self.c.zero_grad()
        self.downstream(real).backward()
        self.c.step()
