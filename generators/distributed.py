"""The processes that train one model together, as `torchrun` starts them.

In: the variables `torchrun` sets (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT). Out: a `Team`, of
one process where they are not set. Every process takes its share of each batch; gradients are
averaged by share before each optimizer's step (synchronous data-parallel descent, Li et al. 2020,
arXiv 2006.15704), so all processes hold the same weights at every step, for several optimizers and
for gradients of gradients alike: what a process needs for itself stays its own until an optimizer
steps.

The rows of a step are those of one process alone, so a loss that draws nothing gives the weights of
one process up to rounding. Noise is drawn by each process for its own rows, from seed, step and
rank: with other numbers of processes it is other noise of the same kind. Batch normalisation sees
a process's rows; its running statistics are averaged.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass
class Team:
    """This process among `size` equals; `share` is its part of the batch at hand, times size."""

    rank: int = 0
    size: int = 1
    share: float = 1.0

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def shard(self, rows: Tensor) -> Tensor:
        """The rows of a batch this process works on; raises `ValueError` if there are too few."""
        if len(rows) < self.size:
            raise ValueError(
                f"a batch must have a row for each process, got {len(rows)} for {self.size}"
            )
        part = rows.tensor_split(self.size)[self.rank]
        self.share = len(part) * self.size / len(rows)
        return part

    def rng(self, own: torch.Generator, seed: int, step: int) -> torch.Generator:
        """The generator of a step: one process keeps its own, several reseed it at every step.

        So a checkpoint of one process is enough to go on with all of them.
        """
        if self.size > 1:
            words = np.random.SeedSequence([seed, step, self.rank]).generate_state(1, np.uint64)
            own.manual_seed(int(words[0] >> 1))
        return own

    def average_gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Set the gradients of an optimizer's parameters to their mean over the whole batch."""
        import torch

        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        has = torch.tensor([float(p.grad is not None) for p in parameters])
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([part.flatten() for part in parts]).mul_(self.share)
        total, has = self._mean(torch.cat([flat, has])).split([len(flat), len(has)])
        sizes = [p.numel() for p in parameters]
        for p, grad, some in zip(parameters, total.split(sizes), has.tolist(), strict=True):
            p.grad = grad.view_as(p).clone() if some else None

    def average_statistics(self, module: nn.Module) -> None:
        """Let all processes hold the mean of the running statistics of batch normalisation."""
        names = ("running_mean", "running_var")
        found = [b for n, b in module.named_buffers() if n.rpartition(".")[2] in names]
        for values in found if self.size > 1 else ():
            values.copy_(self._mean(values.clone()))

    def mean(self, values: list[float]) -> list[float]:
        """Means over the batch of what each process found in its part."""
        import torch

        if self.size == 1:
            return values
        return self._mean(torch.tensor(values, dtype=torch.float64) * self.share).tolist()

    def agree(self, value: float) -> float:
        """The leader's value, for decisions that hang on a clock."""
        import torch
        import torch.distributed as dist

        if self.size == 1:
            return value
        said = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(said, src=0)
        return said.item()

    def wait(self) -> None:
        """Until all processes are here."""
        import torch.distributed as dist

        if self.size > 1:
            dist.barrier()

    def _mean(self, values: Tensor) -> Tensor:
        import torch.distributed as dist

        dist.all_reduce(values)
        return values.div_(self.size)


def launched() -> Team:
    """The team as the environment describes it, without contact to the others."""
    if not all(os.environ.get(name) for name in LAUNCHED):
        return Team()
    return Team(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def join() -> Team:
    """The team this process belongs to, in contact with the others over gloo."""
    import torch.distributed as dist

    team = launched()
    if team.size > 1 and not dist.is_initialized():
        dist.init_process_group("gloo")
        atexit.register(_leave)
    return team


def _leave() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
