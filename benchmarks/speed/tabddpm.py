"""How much faster TabDDPM trains and samples than its plain restatement, in one process.

In: a seed. Out: seconds of a training step and of a row sampled, for the paper's net and batch
(MLP 256-256, batch 4096), ours against `benchmarks.plain.tabddpm`, and what of each step is the
network's: on a table of the shape of the reference workload and on one of the shape of `flights`,
for which the costs of the published code are known (114-150 ms a step, of which the net 44 ms; 83
rows/s), so that the restatement can be held against them.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from benchmarks.plain.tabddpm import Net, PlainDiffusion, train_step
from generators import training
from generators.likelihood import AveragedNet, ValidatedDescent
from generators.tabddpm import MaskedTabDDPM, UniformTabDDPM
from generators.tabddpm.uniform.encoding import TrainingRows


class Shape(NamedTuple):
    """Numericals, and categories of each categorical."""

    n_numbers: int
    Ks: tuple[int, ...]


SHAPES = {"records": Shape(4, (150, 20, 4, 82, 4)), "flights": Shape(5, (104, 16, 3, 4))}
N_ROWS, BATCH, WIDTHS = 20_000, 4096, (256, 256)
ROUNDS = 9  # of ours and plain by turns; their medians are published
PLAIN_ROWS, PLAIN_TIMES = 2048, 6  # sampled plainly through so many of the T = 1000 times
OUR_ROWS = 4096


def measure(seed: int) -> dict:
    """Medians in seconds and their ratios; `n` is rows a step or rows sampled."""
    return {name: _measured(shape, seed) for name, shape in SHAPES.items()}


def _measured(shape: Shape, seed: int) -> dict:
    table = draw_table(shape, seed)
    paper = UniformTabDDPM(preset="paper", d_layers=WIDTHS)
    ours, default, masked = (
        model.fit(table, seed=seed, steps=1, progress=False)
        for model in (paper, UniformTabDDPM(), MaskedTabDDPM())
    )
    with training.steady_threads():
        return {
            "table": {"numericals": shape.n_numbers, "categories": shape.Ks, "rows": N_ROWS},
            "threads": torch.get_num_threads(),
            "training": training_line(ours, table, shape, seed),
            "sampling": sampling_line({"paper net, jumps": ours, "default": default}, shape, seed),
            "masked": masked_line(masked, default, table, seed),
        }


def draw_table(shape: Shape, seed: int, n: int = N_ROWS) -> pd.DataFrame:
    """Independent columns: what they hold does not change what a step costs."""
    rng = np.random.default_rng(seed)
    data = {f"number{i}": rng.lognormal(size=n) for i in range(shape.n_numbers)}
    for i, K in enumerate(shape.Ks):
        codes = np.minimum(rng.exponential(K / 4, n).astype(int), K - 1)
        codes[:K] = np.arange(K)
        data[f"category{i}"] = pd.Categorical.from_codes(codes, [f"c{k}" for k in range(K)])
    return pd.DataFrame(data)


def plain(shape: Shape, seed: int) -> PlainDiffusion:
    """The restatement with its own random net."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Net(shape.n_numbers + sum(shape.Ks), WIDTHS)
        return PlainDiffusion(net, shape.n_numbers, list(shape.Ks))


def training_line(ours: UniformTabDDPM, table: pd.DataFrame, shape: Shape, seed: int) -> dict:
    """A step of each, and the part of it that is forward and backward through the net alone."""
    rng = np.random.default_rng(seed)
    rows = torch.from_numpy(rng.integers(N_ROWS, size=BATCH))
    theirs = plain(shape, seed)
    optimizer = torch.optim.AdamW(theirs.net.parameters(), lr=2e-4, weight_decay=0.0)
    average = copy.deepcopy(theirs.net)
    z_0 = torch.from_numpy(rng.normal(size=(N_ROWS, shape.n_numbers))).float()
    x_0 = torch.from_numpy(ours.layout_.split(table)[1])
    state, pace = our_state(ours, table, seed)
    times = medians(
        {
            "plain_step_s": lambda: train_step(theirs, optimizer, average, z_0[rows], x_0[rows]),
            "plain_net_s": plain_net(theirs, shape),
            "step_s": lambda: training._advance(state, rows, pace, 1000, 1000),
            "net_s": our_net(ours, shape),
        }
    )
    return {
        "what": "one step: batch, noise, loss, backward, AdamW, EMA",
        "n": BATCH,
        **times,
        "ratio": times["step_s"] / times["plain_step_s"],
        "net_share": times["net_s"] / times["step_s"],
        "plain_net_share": times["plain_net_s"] / times["plain_step_s"],
    }


def masked_line(
    masked: MaskedTabDDPM, uniform: UniformTabDDPM, table: pd.DataFrame, seed: int
) -> dict:
    """A training step of both processes at the uniform one's batch, and rows a second sampled."""
    n = uniform.config.batch_size
    rows = torch.from_numpy(np.random.default_rng(seed).integers(N_ROWS, size=n))
    x = masked.to_rows(table)
    # the columns are independent, so learning has switched all heads off
    masked.net_.switch_heads(torch.ones(len(masked.net_.fields), dtype=torch.bool))
    learner = ValidatedDescent(AveragedNet(masked.net_), x, x[:0], masked.config, every=10**9)
    state, pace = our_state(uniform, table, seed)
    rng = torch.Generator().manual_seed(seed)
    times = medians(
        {
            "uniform_step_s": lambda: training._advance(state, rows, pace, 1000, 1000),
            "step_s": lambda: learner.step(rows, rng),
            "uniform_sample_s": lambda: uniform.sample(OUR_ROWS, seed=0),
            "sample_s": lambda: masked.sample(OUR_ROWS, seed=0),
        }
    )
    return {
        "what": "the masked process beside the uniform one, defaults of both, equal rows a step",
        "n": n,
        **times,
        "ratio": times["step_s"] / times["uniform_step_s"],
        "rows_per_s": OUR_ROWS / times["sample_s"],
    }


def our_state(
    ours: UniformTabDDPM, table: pd.DataFrame, seed: int
) -> tuple[training.State, training.Pace]:
    """The training loop's own state over our model."""
    numbers, codes = ours.layout_.split(table)
    rows = TrainingRows.from_table(ours.encoding_, numbers, codes, ours.config.dequantise)
    learner = ours._learner(rows)
    return (training.State.start(learner, seed, 0.999), training.Pace(BATCH, ours.config.lr, 1000))


def plain_net(theirs: PlainDiffusion, shape: Shape) -> Callable[[], None]:
    x = torch.randn(BATCH, shape.n_numbers + sum(shape.Ks))
    t = torch.arange(BATCH) % theirs.T
    return lambda: theirs.net(x, t).sum().backward()


def our_net(ours: UniformTabDDPM, shape: Shape) -> Callable[[], None]:
    net, K = ours.diffusion_.net, torch.tensor(shape.Ks)
    z = torch.randn(BATCH, shape.n_numbers)
    x = (torch.rand(BATCH, len(shape.Ks)) * K).long()
    t = torch.arange(256).float()
    return lambda: net(z, x, t, torch.ones(1, 1)).sum().backward()


def sampling_line(models: dict[str, UniformTabDDPM], shape: Shape, seed: int) -> dict:
    """Rows a second: the restatement through all T = 1000 times, ours through a default's few."""
    theirs = plain(shape, seed)
    few = UniformTabDDPM().config
    draws = {name: (lambda m=m: draw(m, few.steps, few.sampler)) for name, m in models.items()}
    times = medians({"plain": lambda: theirs.sample(PLAIN_ROWS, PLAIN_TIMES)} | draws, rounds=3)
    per_s = {name: OUR_ROWS / times[name] for name in models}
    plain_per_s = PLAIN_ROWS / (times["plain"] / PLAIN_TIMES * theirs.T)
    return {
        "what": f"rows a second at T = 1000 against ours at {few.steps} {few.sampler}",
        "plain_rows_per_s": plain_per_s,
        "rows_per_s": per_s,
        "n": OUR_ROWS,
        "ratio": {name: rate / plain_per_s for name, rate in per_s.items()},
    }


def draw(model: UniformTabDDPM, steps: int, rule: str) -> None:
    model.sample(OUR_ROWS, seed=0, steps=steps, sampler=rule)


def medians(runs: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each run, taken by turns after one round that counts for nothing."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken[1:]) for name, taken in times.items()}
