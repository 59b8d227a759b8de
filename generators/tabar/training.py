"""How TabAR learns: by likelihood, keeping the weights that do best on validation rows.

In: a `Net` and indices of training and validation rows. Out: the averaged weights of the best step,
and which heads are used at all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .network import Net, switch_heads

if TYPE_CHECKING:
    from .model import TabARConfig

CHUNK = 8192  # rows evaluated at once
FEW = 20  # rows below which nothing but the columns' own distributions is learned
MAX_VALIDATION = 10_000


class AveragedNet(nn.Module):
    """A network, the running average of its weights, and the best such average so far."""

    def __init__(self, net: Net):
        super().__init__()
        self.net = net
        start = torch.cat([p.detach().flatten() for p in net.parameters()])
        self.register_buffer("average", start.clone())
        self.register_buffer("best", start.clone())
        self.register_buffer("best_nll", torch.tensor(math.inf, dtype=torch.float64))
        self.register_buffer("last_nll", torch.tensor(0.0, dtype=torch.float64))
        self.register_buffer("n", torch.tensor(0))


class ValidatedDescent:
    """Descent on the likelihood that keeps the weights that do best on the validation rows.

    Its state is in the module's buffers, so that a checkpoint holds it.

    Args:
        train, validation: rows as indices (n, F).
        every: steps between two looks at the validation rows.
    """

    def __init__(
        self,
        module: AveragedNet,
        train: Tensor,
        validation: Tensor,
        config: TabARConfig,
        every: int,
    ):
        self.module, self.train, self.validation = module, train, validation
        self.config, self.every, self.n_rows = config, every, len(train)
        optimizer = torch.optim.AdamW(
            module.net.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.optimizers = [optimizer]

    def step(self, rows: Tensor, rng: torch.Generator) -> dict[str, float]:
        """One step of AdamW and of the running average."""
        m = self.module
        nll = m.net.nll(self.train[rows], rng).sum(1).mean()
        self.optimizers[0].zero_grad(set_to_none=True)
        nll.backward()
        self.optimizers[0].step()
        m.n += 1
        keep = min(self.config.ema, (1 + int(m.n)) / (10 + int(m.n)))
        with torch.no_grad():
            now = torch.cat([p.flatten() for p in m.net.parameters()])
            m.average.lerp_(now, 1 - keep)
        if int(m.n) % self.every == 0 or int(m.n) == 1:
            self.check()
        return {"nll": float(nll.detach()), "validation": float(m.last_nll)}

    @torch.no_grad()
    def check(self) -> None:
        """Evaluate the averaged weights on the validation rows, and keep them if they are best."""
        m = self.module
        if not len(self.validation):
            m.best.copy_(m.average)
            return
        now = set_weights(m.net, m.average)
        m.last_nll.fill_(evaluate_nll(m.net, self.validation).sum(1).mean())
        set_weights(m.net, now)
        if m.last_nll < m.best_nll:
            m.best_nll.copy_(m.last_nll)
            m.best.copy_(m.average)


@torch.no_grad()
def set_weights(net: Net, weights: Tensor) -> Tensor:
    """Set all weights from one vector; returns those before."""
    parameters = list(net.parameters())
    before = torch.cat([p.flatten() for p in parameters])
    for p, part in zip(parameters, weights.split([p.numel() for p in parameters]), strict=True):
        p.copy_(part.view_as(p))
    return before


@torch.no_grad()
def evaluate_nll(net: Net, x: Tensor) -> Tensor:
    """-log p (n, F) float64 in parts that fit in memory."""
    parts = [net.nll(part) for part in x.split(CHUNK)]
    return torch.cat(parts).double()


def n_validation_rows(n: int, share: float) -> int:
    """Validation rows of n: a share of them, more where that is few, none where rows are few."""
    return 0 if n < FEW else min(MAX_VALIDATION, max(int(share * n), min(n // 5, 200)))


def select_heads(net: Net, validation: Tensor) -> None:
    """Use a head only where it beats its base on the validation rows by more than chance."""
    with_heads = evaluate_nll(net, validation)
    used = torch.stack([head.used for head in net.heads])
    switch_heads(net, torch.zeros_like(used))
    gain = evaluate_nll(net, validation) - with_heads
    switch_heads(net, used & (gain.mean(0) > 2 * gain.std(0) / math.sqrt(len(validation))))
