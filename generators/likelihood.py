"""Learning by likelihood, keeping the weights that do best on validation rows.

In: a `FieldNet` and indices of training and validation rows. Out: the averaged weights of the best
step, and which heads are used at all.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .coded import Indices
from .fields import CLOCKS, Field

if TYPE_CHECKING:
    from .fielded import FieldConfig

CHUNK = 8192  # rows evaluated at once
FEW = 20  # rows below which nothing but the columns' own distributions is learned
MAX_VALIDATION = 10_000


class FieldNet(nn.Module):
    """A network that gives the probability of each field of a row given others."""

    fields: list[Field]
    d: int  # width of what is known of a row

    @property
    @abstractmethod
    def learns(self) -> bool:
        """Whether some field depends on others."""

    @abstractmethod
    def used_heads(self) -> Tensor:
        """Which fields (F,) have a head that is used; the others keep their frequencies."""

    @abstractmethod
    def start(self, x: Indices, rng: torch.Generator) -> None:
        """Begin at the distributions of the single fields of the rows (n, F)."""

    @abstractmethod
    def embed(self, i: int, values: Tensor) -> Tensor:
        """What the values (n,) of field i add to all that is known of a row, (n, d)."""

    @abstractmethod
    def nll(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """-log p (n, F) of each field given those before; with rng as it is learned."""

    def nll_of_heads(self, x: Tensor) -> Tensor:
        """-log p (n, F) by which it is decided what heads are used."""
        return self.nll(x)

    @abstractmethod
    def switch_heads(self, heads: Tensor) -> None:
        """Switch heads (F,) on and off."""


class AveragedNet(nn.Module):
    """A network, the running average of its weights, and the best such average so far."""

    def __init__(self, net: FieldNet):
        super().__init__()
        self.net = net
        start = torch.cat([p.detach().flatten() for p in net.parameters()])
        self.register_buffer("average", start.clone())
        self.register_buffer("best", start.clone())
        self.register_buffer("best_nll", torch.tensor(math.inf, dtype=torch.float64))
        self.register_buffer("last_nll", torch.tensor(0.0, dtype=torch.float64))
        self.register_buffer("n", torch.tensor(0, device="cpu"))  # read at every step


class ValidatedDescent:
    """Descent on the likelihood that keeps the weights that do best on the validation rows.

    Its state is in the module's buffers, so that a checkpoint holds it.

    Args:
        train, validation: rows as indices (n, F), those of the training coded or not.
        every: steps between two looks at the validation rows.
    """

    def __init__(
        self,
        module: AveragedNet,
        train: Indices,
        validation: Tensor,
        config: FieldConfig,
        every: int,
    ):
        self.module, self.train, self.validation = module, train, validation
        self.config, self.every, self.n_rows = config, every, len(train)
        optimizer = torch.optim.AdamW(
            module.net.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.optimizers = [optimizer]

    def step(self, rows: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
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
        held_out = {"validation": m.last_nll} if len(self.validation) else {}
        return {"nll": nll.detach()} | held_out

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


def draw_embeddings(field: Field, d: int, rng: torch.Generator) -> Tensor:
    """First embeddings (K, d) of a field: of bins smooth in their number, of cells none."""
    k = field.size
    if field.kind == "cell":
        return torch.zeros(k, d)
    if field.kind in ("category", *CLOCKS):
        return 0.5 * torch.randn((k, d), generator=rng)
    octave = torch.arange(1, 9)
    waves = torch.cos(math.pi * octave * (torch.arange(k)[:, None] + 0.5) / k) / octave
    return 0.7 * waves @ torch.randn((8, d), generator=rng)


@torch.no_grad()
def set_weights(net: FieldNet, weights: Tensor) -> Tensor:
    """Set all weights from one vector; returns those before."""
    parameters = list(net.parameters())
    before = torch.cat([p.flatten() for p in parameters])
    for p, part in zip(parameters, weights.split([p.numel() for p in parameters]), strict=True):
        p.copy_(part.view_as(p))
    return before


@torch.no_grad()
def evaluate_nll(net: FieldNet, x: Tensor) -> Tensor:
    """-log p (n, F) float64 in parts that fit in memory."""
    parts = [net.nll(part) for part in x.split(CHUNK)]
    return torch.cat(parts).double()


def n_validation_rows(n: int, share: float) -> int:
    """Validation rows of n: a share of them, more where that is few.

    None where rows are few, or none are asked for.
    """
    if n < FEW or share == 0:
        return 0
    return min(MAX_VALIDATION, max(int(share * n), min(n // 5, 200)))


def select_heads(net: FieldNet, validation: Tensor) -> None:
    """Use a head only where it beats its base on the validation rows by more than chance."""
    with_heads, used = _nll_of_heads(net, validation), net.used_heads()
    net.switch_heads(torch.zeros_like(used))
    gain = (_nll_of_heads(net, validation) - with_heads).cpu()
    net.switch_heads(used & (gain.mean(0) > 2 * gain.std(0) / math.sqrt(len(validation))))


@torch.no_grad()
def _nll_of_heads(net: FieldNet, x: Tensor) -> Tensor:
    return torch.cat([net.nll_of_heads(part) for part in x.split(CHUNK)]).double()
