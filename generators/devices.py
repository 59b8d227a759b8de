"""Where a model learns and draws: this machine's processor, or an accelerator.

In: a name such as "cpu", "cuda:1" or "auto". Out: a context in which every new tensor, also one
made from an array, lies on that device, and the way back to arrays. So no model names a device:
each makes its tensors in the context it is called in, and what it saves is made of arrays.

Random numbers of an accelerator are others than the processor's: the same seed gives the same bytes
on the same device and version, and on each device its own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

Layer = TypeVar("Layer", bound=nn.Module)
CPU = torch.device("cpu")
RULE = "auto, cpu, cuda or cuda:N"


def resolve(name: str | torch.device) -> torch.device:
    """The device of a name.

    "auto" is an accelerator if there is one. "cuda" is the first one or, in a process started by
    `torchrun`, the one with the number of the process on its machine.

    Raises: ValueError for an unknown device, or one that this machine lacks.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise ValueError(f"device must be {RULE}, got {name!r}") from None
    if device.type == "mps":
        raise ValueError("device must not be mps: it has no float64, in which rows are drawn")
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device must be {RULE}, got {name!r}")
    return CPU if device.type == "cpu" else _of_this_machine(device, name)


def _of_this_machine(device: torch.device, name: str | torch.device) -> torch.device:
    known = torch.cuda.device_count()
    index = int(os.environ.get("LOCAL_RANK", 0)) if device.index is None else device.index
    if index >= known:
        raise ValueError(f"device must be one of this machine's, got {name!r}: it has {known} CUDA")
    return torch.device("cuda", index)


@contextmanager
def on(device: torch.device) -> Iterator[None]:
    """New tensors lie on the device. Raises MemoryError in a sentence where it has too little."""
    if torch.get_default_device() == device:
        yield
        return
    try:
        with device:
            yield
    except torch.OutOfMemoryError as error:
        free, total = (size / 2**30 for size in torch.cuda.mem_get_info(device))
        raise MemoryError(
            f"{device} has too little memory, {free:.1f} of {total:.1f} GiB free: "
            f"{str(error).split('.')[0]}; take a smaller batch_size, or device='cpu'"
        ) from error


def seeded(seed: int) -> torch.Generator:
    """A random generator of the current device."""
    device = torch.get_default_device()
    return torch.Generator(CPU if device.type == "meta" else device).manual_seed(seed)


def without_weights(kind: type[Layer], *sizes: Any, **options: Any) -> Layer:
    """A layer on the current device whose weights are still to be drawn."""
    return skip_init(kind, *sizes, device=torch.get_default_device(), **options)


def to_tensor(array: np.ndarray) -> Tensor:
    """The array on the current device; on the processor without a copy."""
    return torch.from_numpy(array).to(torch.get_default_device())


def to_array(tensor: Tensor) -> np.ndarray:
    """The tensor as an array, from whatever device; of the processor's without a copy."""
    return tensor.detach().cpu().numpy()


def memory_gib() -> float:
    """GiB of memory that this process may have; infinity where the system does not say."""
    try:
        import resource

        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    except (ImportError, OSError, ValueError):
        return math.inf
    return (pages if limit == resource.RLIM_INFINITY else min(pages, limit)) / 2**30
