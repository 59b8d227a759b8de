"""The processes that train one model together, as `torchrun` starts them.

In: the variables `torchrun` sets (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT). Out: a
`ProcessGroup`, of one process where they are not set. Every process takes its shard of each batch;
gradients are averaged, weighted by shard size, before each optimizer's step (synchronous
data-parallel descent, Li et al. 2020, arXiv 2006.15704). So all processes hold the same weights at
every step. Only the gradients an optimizer steps with are averaged, so several optimizers and
gradients of gradients work as in one process.

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

ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass
class ProcessGroup:
    """This process among `world_size` equals, and the weight of its shard of the batch at hand.

    The weight is the shard's part of the batch times the world size, so its mean over all is 1.
    """

    rank: int = 0
    world_size: int = 1
    shard_weight: float = 1.0

    @property
    def is_leader(self) -> bool:
        """Whether this is rank 0, the process that writes files and shows progress."""
        return self.rank == 0

    def shard(self, rows: Tensor) -> Tensor:
        """The rows of a batch this process works on; raises `ValueError` if there are too few."""
        if len(rows) < self.world_size:
            raise ValueError(
                f"a batch must have a row for each process, got {len(rows)} for {self.world_size}"
            )
        part = rows.tensor_split(self.world_size)[self.rank]
        self.shard_weight = len(part) * self.world_size / len(rows)
        return part

    def step_rng(self, own: torch.Generator, seed: int, step: int) -> torch.Generator:
        """The generator of a step: one process keeps its own, several reseed it at every step.

        So the checkpoint of one process is enough to resume all of them.
        """
        if self.world_size > 1:
            words = np.random.SeedSequence([seed, step, self.rank]).generate_state(1, np.uint64)
            own.manual_seed(int(words[0] >> 1))
        return own

    def average_gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Set the gradients of an optimizer's parameters to their mean over the whole batch."""
        import torch

        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        has_grad = torch.tensor([float(p.grad is not None) for p in parameters])
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([part.flatten() for part in parts]).mul_(self.shard_weight)
        means = self._all_reduce_mean(torch.cat([flat, has_grad]))
        grads, has_grad = means.split([len(flat), len(has_grad)])
        sizes = [p.numel() for p in parameters]
        for p, grad, has in zip(parameters, grads.split(sizes), has_grad.tolist(), strict=True):
            p.grad = grad.view_as(p).clone() if has else None

    def average_running_statistics(self, module: nn.Module) -> None:
        """Let all processes hold the mean of the running statistics of batch normalisation."""
        names = ("running_mean", "running_var")
        found = [b for n, b in module.named_buffers() if n.rpartition(".")[2] in names]
        for values in found if self.world_size > 1 else ():
            values.copy_(self._all_reduce_mean(values.clone()))

    def mean(self, values: Tensor) -> Tensor:
        """Means over the batch of what each process found in its part, float64."""
        return values if self.world_size == 1 else self._all_reduce_mean(values * self.shard_weight)

    def broadcast(self, value: float) -> float:
        """The leader's value, for decisions that depend on a clock."""
        import torch
        import torch.distributed as dist

        if self.world_size == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(tensor, src=0)
        return tensor.item()

    def barrier(self) -> None:
        """Wait until all processes are here."""
        import torch.distributed as dist

        if self.world_size > 1:
            dist.barrier()

    def _all_reduce_mean(self, values: Tensor) -> Tensor:
        import torch.distributed as dist

        dist.all_reduce(values)
        return values.div_(self.world_size)


def from_environment() -> ProcessGroup:
    """The group as the environment describes it, without contact to the others."""
    if not all(os.environ.get(name) for name in ENVIRONMENT):
        return ProcessGroup()
    return ProcessGroup(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def init_process_group() -> ProcessGroup:
    """The group this process belongs to, in contact with the others.

    Accelerators talk over nccl, processors over gloo.
    """
    import torch
    import torch.distributed as dist

    group = from_environment()
    if group.world_size > 1 and not dist.is_initialized():
        device = torch.get_default_device()
        dist.init_process_group("gloo" if device.type == "cpu" else "nccl")
        atexit.register(_destroy_process_group)
    return group


def _destroy_process_group() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
