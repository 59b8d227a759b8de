"""The one loop all learned generators train in: shuffled batches, cosine rate, averaged weights.

In: a `Learner`, the number of rows, a `Plan`. Out: the `History` of a run whose module now holds
the averaged weights. A run is a pure function of seed, steps, versions and threads, and its whole
state goes into a checkpoint: killed and resumed, it ends in the same weights, bit for bit.

Several processes train one model together when `torchrun` starts them, nothing else changes:

    python -m torch.distributed.run --nproc-per-node 2 -m pandaenv.cli fit TABLE --out MODEL

Each takes its shard of every batch (`distributed`). The leader (rank 0) writes the files and shows
the progress. All end with the same weights. A checkpoint resumes with the same number of processes.
"""

from __future__ import annotations

import glob
import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from foundations import files

from .devices import seeded, to_array, to_tensor
from .distributed import ProcessGroup, init_process_group
from .plan import Callback, Plan, digest

FORMAT = "generators-checkpoint/2"
PROBE_SHARE, PROBE_SECONDS = 0.05, 2.0  # of the budget, at most, spent on timing a step
HISTORY_ROWS = 500  # means of the loss terms kept over a run
MIN_BATCH = 256  # rows in a batch of a smaller table, by repetition
THREADS = torch.get_num_threads()  # as the process began


class Learner(Protocol):
    """What the loop trains: a module with all weights, its optimizers, and one step of them."""

    module: nn.Module
    optimizers: list[torch.optim.Optimizer]
    n_rows: int  # of the table it learns from

    def step(self, rows: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """One update on the rows (batch,) of the table; returns the loss terms, detached."""


@dataclass
class Descent:
    """The learner of a model with one loss: descend on the sum of its terms."""

    module: nn.Module
    loss: Callable[[Tensor, torch.Generator], dict[str, Tensor]]
    optimizers: list[torch.optim.Optimizer]
    n_rows: int

    def step(self, rows: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """One step of the only optimizer."""
        (optimizer,) = self.optimizers
        terms = self.loss(rows, rng)
        optimizer.zero_grad(set_to_none=True)
        sum(terms.values()).backward()
        optimizer.step()
        return {name: term.detach() for name, term in terms.items()}


@dataclass(frozen=True)
class Pace:
    """How long and how fast: rows a batch, peak rate, steps if the plan names none, averaging."""

    batch_size: int
    lr: float
    steps: int
    warmup: int = 0
    ema: float = 0.999


@dataclass(frozen=True)
class History:
    """What a run leaves beside the weights."""

    n_steps: int
    seconds: float  # of wall clock, over all parts of a resumed run
    losses: pd.DataFrame  # step, lr, and the mean of each loss term since the row before


@dataclass
class State:
    """Everything that changes during a run."""

    learner: Learner
    averaged: AveragedModel
    rng: torch.Generator
    seed: int = 0
    processes: ProcessGroup = field(default_factory=ProcessGroup)
    step: int = 0
    seconds: float = 0.0
    terms: list[str] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)
    sums: Tensor | None = None  # of the terms since the last row; float64, on the device

    @classmethod
    def start(
        cls, learner: Learner, seed: int, ema: float, processes: ProcessGroup | None = None
    ) -> State:
        """The state before the first step; the average begins at the learner's weights."""
        averaged = AveragedModel(learner.module, multi_avg_fn=_average(ema))
        averaged.n_averaged = averaged.n_averaged.cpu()  # read at every step, so kept at hand
        rng = seeded(seed)
        return cls(learner, averaged, rng, seed, processes or ProcessGroup())

    def tensors(self) -> dict[str, Tensor]:
        """A copy of the state as named tensors."""
        out = {f"module.{k}": v for k, v in self.learner.module.state_dict().items()}
        out |= {f"average.{k}": v for k, v in self.averaged.state_dict().items()}
        for i, optimizer in enumerate(self.learner.optimizers):
            for j, slot in optimizer.state_dict()["state"].items():
                out |= {f"optimizer.{i}.{j}.{k}": torch.as_tensor(v) for k, v in slot.items()}
        out["rng"] = self.rng.get_state()
        out["rows"] = torch.tensor(self.rows, dtype=torch.float64)
        out["sums"] = torch.empty(0, dtype=torch.float64) if self.sums is None else self.sums
        return {k: v.detach().cpu().clone().contiguous() for k, v in out.items()}

    def restore(self, tensors: dict[str, Tensor], step: int, terms: list[str]) -> None:
        """Inverse of `tensors`. Raises `RuntimeError` or `KeyError` if they are another model's."""
        self.learner.module.load_state_dict(_under("module.", tensors))
        self.averaged.load_state_dict(_under("average.", tensors))
        for i, optimizer in enumerate(self.learner.optimizers):
            slots: dict[int, dict[str, Tensor]] = {}
            for key, value in _under(f"optimizer.{i}.", tensors).items():
                slot, name = key.split(".")
                slots.setdefault(int(slot), {})[name] = value.clone()
            optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
        self.rng.set_state(tensors["rng"])
        self.step, self.terms = step, list(terms)
        self.rows, sums = tensors["rows"].tolist(), tensors["sums"]
        self.sums = sums.to(torch.get_default_device()) if len(sums) else None


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def run(learner: Learner, plan: Plan, pace: Pace, *, label: str = "fit") -> History:
    """Train for the plan's steps or budget, or until its callback says stop.

    The module ends with the averaged weights.

    The checkpoint of a run whose key, seed, length, rows or processes differ is refused.

    Args:
        label: of the progress bar.

    Raises:
        ValueError: a damaged or foreign checkpoint.
        OSError: a checkpoint that cannot be written or read.
    """
    began = time.monotonic() if plan.began is None else plan.began
    state = State.start(learner, plan.seed, pace.ema, init_process_group())
    run_key = _run_key(plan, learner.n_rows, state.processes.world_size)
    n_steps = _resume(state, plan.checkpoint, run_key)
    with steady_threads(), _averaging_gradients(state):
        if n_steps is None:
            n_steps = plan.steps or _steps_in_budget(state, plan, pace, began) or pace.steps
            if plan.checkpoint is not None and state.processes.is_leader:
                write_checkpoint(plan.checkpoint, state, run_key, n_steps)
        _loop(state, plan, pace, n_steps, run_key, label)
    learner.module.load_state_dict(state.averaged.module.state_dict())
    losses = pd.DataFrame(state.rows, columns=["step", "lr", *state.terms])
    return History(state.step, state.seconds, losses.astype({"step": int}))


def _run_key(plan: Plan, n_rows: int, world_size: int) -> str:
    """Hash of all that makes a run itself."""
    length = [plan.steps, None if plan.steps else plan.budget]
    parts = [plan.key, length, plan.seed, n_rows] + [world_size] * (world_size > 1)
    return digest(json.dumps(parts, sort_keys=True).encode())


@contextmanager
def _averaging_gradients(state: State) -> Iterator[None]:
    """Average gradients over the processes before every step of every optimizer."""
    processes = state.processes
    hooks = [
        optimizer.register_step_pre_hook(processes.average_gradients)
        for optimizer in (state.learner.optimizers if processes.world_size > 1 else [])
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def steady_threads() -> Iterator[None]:
    """As many threads as the process began with, where numba has changed them.

    The first parallel kernel of numba's OpenMP layer sets torch's number of threads to its own.
    Weights depend on that number, and small layers crawl when more threads than cores spin.
    """
    now = torch.get_num_threads()
    torch.set_num_threads(THREADS if _set_by_numba(now) else now)
    try:
        yield
    finally:
        torch.set_num_threads(now)


def _set_by_numba(threads: int) -> bool:
    numba = sys.modules.get("numba")
    try:
        return (
            numba is not None
            and numba.threading_layer() == "omp"
            and (numba.get_num_threads() == threads)
        )
    except ValueError:  # no parallel kernel has run
        return False


def _loop(state: State, plan: Plan, pace: Pace, n_steps: int, run_key: str, label: str) -> None:
    window, n_rows = max(1, n_steps // HISTORY_ROWS), state.learner.n_rows
    saved, done = time.monotonic(), state.step
    began = saved - state.seconds
    path = plan.checkpoint if state.processes.is_leader else None
    with tqdm(
        total=n_steps,
        initial=done,
        desc=label,
        disable=not (plan.progress and state.processes.is_leader),
        unit="step",
        mininterval=0.5,
    ) as bar:
        for rows in batches(n_rows, pace.batch_size, plan.seed, state.step, n_steps):
            _advance(state, rows, pace, n_steps, window)
            is_told = state.step % window == 0
            if plan.progress and is_told:
                bar.set_postfix(loss=f"{sum(state.rows[-1][2:]):.4g}", refresh=False)
            bar.update()
            state.seconds = time.monotonic() - began
            if path is not None and time.monotonic() - saved >= plan.every:
                _try_write(path, state, run_key, n_steps)
                saved = time.monotonic()
            if is_told and _is_to_stop(state, plan.callback):
                break
    if path is not None and state.step > done:
        _try_write(path, state, run_key, n_steps)


def _is_to_stop(state: State, callback: Callback | None) -> bool:
    """Whether the callback wants no more steps; of several processes that of the leader is asked.

    It is told the newest row of the history.
    """
    if callback is None:
        return False
    losses = dict(zip(state.terms, state.rows[-1][2:], strict=True))
    wanted = state.processes.is_leader and bool(callback(state.step, losses))
    return bool(state.processes.broadcast(wanted))


def _advance(state: State, rows: Tensor, pace: Pace, n_steps: int, window: int) -> None:
    lr = rate(state.step, n_steps, pace)
    for optimizer in state.learner.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get("lr_factor", 1.0)
    processes = state.processes
    shard, rng = processes.shard(rows), processes.step_rng(state.rng, state.seed, state.step)
    terms = state.learner.step(shard, rng)
    processes.average_running_statistics(state.learner.module)
    state.averaged.update_parameters(state.learner.module)
    state.step += 1
    state.terms = list(terms)
    means = processes.mean(torch.stack([t.double() for t in terms.values()]))
    state.sums = means if state.sums is None else state.sums + means
    if state.step % window == 0:
        state.rows.append([state.step, lr, *(state.sums / window).tolist()])
        state.sums = None


def initialise(module: nn.Module, rng: torch.Generator) -> None:
    """Draw all weights of linear and embedding layers anew, PyTorch's way, from rng alone."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            bound = 1 / math.sqrt(max(1, part.in_features))
            for values in (part.weight, part.bias):
                nn.init.uniform_(values, -bound, bound, generator=rng)
        elif isinstance(part, (nn.Embedding, nn.EmbeddingBag)):
            nn.init.normal_(part.weight, generator=rng)


def batches(n_rows: int, batch_size: int, seed: int, first: int, last: int) -> Iterator[Tensor]:
    """Row numbers (batch,) of steps first .. last - 1: epochs of a shuffled table, rest dropped.

    A table smaller than a batch is repeated up to `MIN_BATCH` rows.
    """
    size = min(batch_size, n_rows)
    per_epoch = n_rows // size
    repeat = -(-min(batch_size, MIN_BATCH) // size)
    order, epoch = torch.empty(0, dtype=torch.int32), -1
    for step in range(first, last):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            del order  # of millions of rows two would not fit
            order = to_tensor(_permutation(n_rows, [seed, epoch]))
        at = step % per_epoch * size
        yield order[at : at + size].long().repeat(repeat)


def _permutation(n: int, seed: list[int]) -> np.ndarray:
    """The numbers below n shuffled, four bytes each where that will do; the same either way."""
    small = n <= np.iinfo(np.int32).max
    rows = np.arange(n, dtype=np.int32 if small else np.int64)
    np.random.default_rng(seed).shuffle(rows)
    return rows


def rate(step: int, n_steps: int, pace: Pace) -> float:
    """Learning rate of a step: linear warm-up, then half a cosine down to zero."""
    warmup = min(pace.warmup, n_steps // 10)
    if step < warmup:
        return pace.lr * (step + 1) / warmup
    return pace.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, n_steps - warmup)))


def _average(decay: float) -> Callable:
    """Exponential average that forgets its start: decay grows with the number of updates."""

    @torch.no_grad()
    def update(averages: Any, values: Any, n: Tensor | int) -> None:
        keep = min(decay, (1 + int(n)) / (10 + int(n)))
        torch._foreach_lerp_(list(averages), list(values), 1 - keep)

    return update


def _steps_in_budget(state: State, plan: Plan, pace: Pace, began: float) -> int | None:
    """Steps that fit in the budget, by timing some on the very state and putting it back."""
    if plan.budget is None:
        return None
    before = state.tensors()
    limit = min(PROBE_SHARE * plan.budget, PROBE_SECONDS)
    times = [time.monotonic()]
    for rows in batches(state.learner.n_rows, pace.batch_size, plan.seed, 0, 10_000):
        _advance(state, rows, pace, 10_000, 10_000)
        times.append(time.monotonic())
        if state.processes.broadcast(len(times) > 4 and times[-1] - times[0] > limit):
            break
    state.restore(before, 0, [])
    per_step = (times[-1] - times[2]) / (len(times) - 3)  # the first two also warm up
    left = plan.budget - (time.monotonic() - began)
    return int(state.processes.broadcast(max(1, left // per_step)))


def write_checkpoint(path: Path, state: State, run_key: str, n_steps: int) -> None:
    """Replace the checkpoint at path in one move. Raises `OSError`, the old one stays."""
    tensors = state.tensors()
    meta = {
        "format": FORMAT,
        "run": run_key,
        "step": str(state.step),
        "seconds": str(state.seconds),
        "n_steps": str(n_steps),
        "terms": json.dumps(state.terms),
    }
    meta["digest"] = _digest_of(tensors, meta)
    try:
        files.write(path, tensors_to_bytes(tensors, metadata=meta), parents=False)
    except OSError as error:
        raise OSError(f"cannot write a checkpoint at {path}: {error.strerror}") from error


def read_checkpoint(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors. Raises `ValueError` when the file is none of ours or not whole."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OSError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    try:
        tensors = tensors_from_bytes(data)
        length = int.from_bytes(data[:8], "little")
        meta = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is not a whole checkpoint: {error}") from error
    expected = meta.pop("digest", None)
    if meta.get("format") != FORMAT or expected != _digest_of(tensors, meta):
        raise ValueError(f"{path} is not a whole checkpoint: its hash or format is wrong")
    return meta, tensors


def _resume(state: State, path: Path | None, run_key: str) -> int | None:
    if path is not None and state.processes.is_leader:
        files.remove_drafts(path.parent, glob.escape(path.name))
    exists = path is not None and state.processes.broadcast(path.exists())
    n_steps = _restore(state, path, run_key) if exists else None
    state.processes.barrier()  # nobody writes before all have read
    return n_steps


def _restore(state: State, path: Path, run_key: str) -> int:
    meta, tensors = read_checkpoint(path)
    if meta["run"] != run_key:
        raise ValueError(
            f"{path} is the checkpoint of another run (data, configuration, seed, steps or "
            "processes differ); remove it or name another file"
        )
    state.restore(tensors, int(meta["step"]), json.loads(meta["terms"]))
    state.seconds = float(meta["seconds"])
    return int(meta["n_steps"])


def _try_write(path: Path, state: State, run_key: str, n_steps: int) -> None:
    try:
        write_checkpoint(path, state, run_key, n_steps)
    except OSError as error:
        warnings.warn(f"{error}; training goes on, the last good one stays", stacklevel=2)


def _digest_of(tensors: dict[str, Tensor], meta: dict[str, str]) -> str:
    parts = (f"{k}:{digest(to_array(v).tobytes())}" for k, v in sorted(tensors.items()))
    return digest("".join([json.dumps(meta, sort_keys=True), *parts]).encode())
