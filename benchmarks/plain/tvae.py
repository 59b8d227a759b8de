"""TVAE restated plainly, with the costs of public code: dense rows, one loss after the other.

In: encoded rows and the sizes of their parts. Out: steps of the same loss, widths and batch as
ours. Used by `benchmarks.speed.gan` alone.

Source: Xu et al. (2019), arXiv 1907.00503, section 4.4.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def stack(widths: list[int]) -> nn.Sequential:
    """Linear layers, ReLU between them."""
    parts: list[nn.Module] = []
    for a, b in zip(widths, widths[1:], strict=False):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class PlainTVAE:
    """Rows (n, D + sum of K), places first, then one-hots of sizes Ks."""

    def __init__(self, rows: Tensor, D: int, Ks: list[int], d_latent: int = 128, hidden: int = 128):
        self.rows, self.D, self.Ks = rows, D, Ks
        width = rows.shape[1]
        self.encoder = stack([width, hidden, hidden])
        self.mu, self.logvar = nn.Linear(hidden, d_latent), nn.Linear(hidden, d_latent)
        self.decoder = stack([d_latent, hidden, hidden, width])
        self.sigma = nn.Parameter(torch.full((width,), 0.1))
        nets = (self.encoder, self.mu, self.logvar, self.decoder)
        weights = [p for net in nets for p in net.parameters()]
        self.optimizer = torch.optim.Adam([*weights, self.sigma], weight_decay=1e-5)

    def step(self, rows: Tensor) -> float:
        """One descent on the negative ELBO of the rows (batch,) of the table."""
        loss = self.loss(self.rows[rows])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.sigma.data.clamp_(0.01, 1.0)
        return float(loss)

    def loss(self, real: Tensor) -> Tensor:
        """Twice the reconstruction, column by column, and KL; means over the batch."""
        hidden = torch.relu(self.encoder(real))
        mu, logvar = self.mu(hidden), self.logvar(hidden)
        out = self.decoder(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu))
        terms = []
        for j in range(self.D):
            gap = real[:, j] - torch.tanh(out[:, j])
            terms.append((gap**2 / 2 / self.sigma[j] ** 2).sum())
            terms.append(torch.log(self.sigma[j]) * len(real))
        at = self.D
        for K in self.Ks:
            target = real[:, at : at + K].argmax(1)
            terms.append(F.cross_entropy(out[:, at : at + K], target, reduction="sum"))
            at += K
        kl = -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())
        return (2 * sum(terms) + kl) / len(real)
