"""TabDDPM as its paper writes it, slowly: log one-hots, whole rows of them, one term at a time.

In: a batch of numbers on the normal scale (B, d) and of category indices (B, C). Out: the loss of a
training step, or rows sampled through all T times. Nothing of `generators` is used: this is what
the fast index-space algebra is measured and tested against, and it shows the costs of the published
implementation: dense log one-hots into and out of the network, five log-space posteriors a step, a
cumulative logsumexp cut into columns, Gumbel noise for every category.

Source: Kotelnikov et al. (2023), arXiv 2209.15421, eq. 2-6; the log-space form is Hoogeboom et al.
(2021), arXiv 2102.05379, app. A; schedule Nichol & Dhariwal (2021), arXiv 2102.09672.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TINY = 1e-30  # a log one-hot's zero is log(TINY), about -69
D_TIME = 128  # width of the time embedding


class Net(nn.Module):
    """Linear in (numbers, log one-hots), plus the embedded time, into a ReLU MLP."""

    def __init__(self, d_in: int, widths: tuple[int, ...]):
        super().__init__()
        self.project = nn.Linear(d_in, D_TIME)
        self.time = nn.Sequential(nn.Linear(D_TIME, D_TIME), nn.SiLU(), nn.Linear(D_TIME, D_TIME))
        sizes = [D_TIME, *widths]
        hidden = [(nn.Linear(a, b), nn.ReLU()) for a, b in zip(sizes, widths, strict=False)]
        self.body = nn.Sequential(*(layer for pair in hidden for layer in pair))
        self.head = nn.Linear(sizes[-1], d_in)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Shape: x (B, d + sum of K), t (B,); returns as x."""
        half = D_TIME // 2
        clocks = torch.exp(-math.log(10_000) * torch.arange(half) / half).to(x.dtype)
        angle = t[:, None].to(x.dtype) * clocks
        clock = self.time(torch.cat([angle.cos(), angle.sin()], 1))
        return self.head(self.body(self.project(x) + clock))


class PlainDiffusion:
    """Gaussian and multinomial diffusion of d numericals and of categoricals with Ks categories."""

    def __init__(self, net: nn.Module, d: int, Ks: list[int], T: int = 1000, dtype=torch.float32):
        self.net, self.d, self.Ks, self.T = net, d, Ks, T
        f = torch.cos((torch.arange(T + 1).double() / T + 0.008) / 1.008 * math.pi / 2) ** 2
        alpha = 1 - (1 - f[1:] / f[:-1]).clamp(max=0.999)
        bar = alpha.cumprod(0)
        before = torch.cat([torch.ones(1).double(), bar[:-1]])
        log_1m = lambda a: torch.log1p(-a.clamp(max=1 - 1e-40)).clamp(min=math.log(1e-40))  # noqa: E731
        self.bar, self.before = bar.to(dtype), before.to(dtype)
        self.log_alpha, self.log_beta = alpha.log().to(dtype), (1 - alpha).log().to(dtype)
        self.log_bar, self.log_rest = bar.log().to(dtype), log_1m(bar).to(dtype)
        self.mean_0 = ((1 - alpha) * before.sqrt() / (1 - bar)).to(dtype)
        self.mean_t = ((1 - before) * alpha.sqrt() / (1 - bar)).to(dtype)
        self.variance = ((1 - alpha) * (1 - before) / (1 - bar)).to(dtype)
        K = torch.tensor(Ks)
        self.log_K = torch.repeat_interleave(K, K).to(dtype).log()  # (sum of K,)
        self.ends = K.cumsum(0)
        self.starts = self.ends - K

    # Categoricals, all in log space; shapes (B, sum of K)

    def log_one_hot(self, x: Tensor) -> Tensor:
        """Indices (B, C) as logs of their one-hots."""
        hots = [F.one_hot(column, K) for column, K in zip(x.T, self.Ks, strict=True)]
        return torch.log(torch.cat(hots, 1).to(self.log_K.dtype).clamp(min=TINY))

    def log_q_step(self, log_x: Tensor, t: Tensor) -> Tensor:
        """log q(x_t | x_{t-1})."""
        return torch.logaddexp(
            log_x + self.log_alpha[t][:, None], self.log_beta[t][:, None] - self.log_K
        )

    def log_q(self, log_x_0: Tensor, t: Tensor) -> Tensor:
        """log q(x_t | x_0)."""
        return torch.logaddexp(
            log_x_0 + self.log_bar[t][:, None], self.log_rest[t][:, None] - self.log_K
        )

    def log_posterior(self, log_x_0: Tensor, log_x_t: Tensor, t: Tensor) -> Tensor:
        """log q(x_{t-1} | x_t, x_0); at t = 0 the marginal is x_0 itself."""
        marginal = self.log_q(log_x_0, (t - 1).clamp(min=0))
        marginal = torch.where((t == 0)[:, None].expand_as(marginal), log_x_0, marginal)
        log_pi = marginal + self.log_q_step(log_x_t, t)
        return log_pi - self.column_logsumexp(log_pi)

    def column_logsumexp(self, x: Tensor) -> Tensor:
        """logsumexp of every column, from one running logsumexp over the row, given to all of it.

        Here each column begins its own running sum where the published form takes differences of
        one that runs through the row; the cost is the same and nothing cancels.
        """
        running = torch.cat([part.logcumsumexp(1) for part in x.split(self.Ks, 1)], 1)
        ends = running[:, self.ends - 1]
        return ends.repeat_interleave(self.ends - self.starts, 1)

    def log_softmax(self, logits: Tensor) -> Tensor:
        """Log probabilities of x_0, column by column."""
        return torch.cat([part.log_softmax(1) for part in logits.split(self.Ks, 1)], 1)

    def draw(self, log_p: Tensor) -> Tensor:
        """Log one-hots of categories drawn by Gumbel's trick."""
        drawn = []
        for part in log_p.split(self.Ks, 1):
            gumbel = -torch.log(-torch.log(torch.rand_like(part) + TINY) + TINY)
            drawn.append((part + gumbel).argmax(1))
        return self.log_one_hot(torch.stack(drawn, 1))

    # The loss

    def terms(self, logits: Tensor, log_x_0: Tensor, log_x_t: Tensor, t: Tensor) -> Tensor:
        """T KL_t + KL_prior (B,), the decoder's NLL in the place of KL_t at t = 0."""
        true = self.log_posterior(log_x_0, log_x_t, t)
        model = self.log_posterior(self.log_softmax(logits), log_x_t, t)
        kl = (true.exp() * (true - model)).sum(1)
        nll = -(log_x_0.exp() * model).sum(1)
        kl_t = torch.where(t == 0, nll, kl)
        last = self.log_q(log_x_0, torch.full_like(t, self.T - 1))
        prior = (last.exp() * (last + self.log_K)).sum(1)
        return self.T * kl_t + prior

    def loss(self, z_0: Tensor, x_0: Tensor) -> tuple[Tensor, Tensor]:
        """Mean eps-MSE, and the categorical bound over the number of columns."""
        t = torch.randint(self.T, (len(z_0),))
        eps = torch.randn_like(z_0)
        bar = self.bar[t][:, None]
        z_t = bar.sqrt() * z_0 + (1 - bar).sqrt() * eps
        log_x_0 = self.log_one_hot(x_0)
        log_x_t = self.draw(self.log_q(log_x_0, t))
        out = self.net(torch.cat([z_t, log_x_t], 1), t)
        numerical = ((out[:, : self.d] - eps) ** 2).mean()
        categorical = self.terms(out[:, self.d :], log_x_0, log_x_t, t)
        return numerical, categorical.mean() / len(self.Ks)

    # Sampling

    @torch.no_grad()
    def sample(self, n: int, times: int | None = None) -> tuple[Tensor, Tensor]:
        """z_0 (n, d) and x_0 (n, C) through all T times, or through the first `times` of them."""
        z = torch.randn(n, self.d, dtype=self.log_K.dtype)
        log_x = self.draw(torch.zeros(n, sum(self.Ks), dtype=self.log_K.dtype))
        for step in list(reversed(range(self.T)))[:times]:
            t = torch.full((n,), step)
            out = self.net(torch.cat([z, log_x], 1), t)
            z = self.step(z, out[:, : self.d], t)
            log_x = self.draw(self.log_posterior(self.log_softmax(out[:, self.d :]), log_x, t))
        x = [part.argmax(1) for part in log_x.split(self.Ks, 1)]
        return z, torch.stack(x, 1)

    def step(self, z_t: Tensor, eps_hat: Tensor, t: Tensor) -> Tensor:
        """z_{t-1} ~ p(z_{t-1} | z_t); no noise at t = 0."""
        bar = self.bar[t][:, None]
        z_0 = (z_t - (1 - bar).sqrt() * eps_hat) / bar.sqrt()
        mean = self.mean_0[t][:, None] * z_0 + self.mean_t[t][:, None] * z_t
        noise = torch.randn_like(z_t) * (t > 0)[:, None]
        return mean + self.variance[t][:, None].sqrt() * noise


def train_step(diffusion: PlainDiffusion, optimizer, average: nn.Module, z_0, x_0, decay=0.999):
    """One update of the network and of its running average."""
    optimizer.zero_grad()
    numerical, categorical = diffusion.loss(z_0, x_0)
    (numerical + categorical).backward()
    optimizer.step()
    with torch.no_grad():
        for kept, new in zip(average.parameters(), diffusion.net.parameters(), strict=True):
            kept.mul_(decay).add_(new, alpha=1 - decay)
    return float(numerical.detach()), float(categorical.detach())
