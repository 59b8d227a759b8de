"""Speed of TabAR: a step, rows sampled a second, and how sampling grows, in one process.

In: a seed. Out: a nested dict of seconds and rows a second. There is no public reference to
restate; the peers' rows a second stand in the other parts of the same file.
"""

import time

import torch

from generators import make
from pandaenv import reference

STEPS = 200
SIZES = (10_000, 100_000, 300_000)


def measure(seed: int) -> dict:
    """Train a short while on 50,000 rows of a reference workload, sample at several sizes."""
    table = reference.records(days=25, seed=7 + seed, rate=2000)
    model = make("tabar").fit(table, seed=seed, steps=STEPS, progress=False)
    model.sample(1000, seed=seed)
    return {
        "threads": torch.get_num_threads(),
        "rows": len(table),
        "parameters": sum(p.numel() for p in model.net_.parameters()),
        "batch": model.config.batch_size,
        "step_seconds": model.seconds_ / model.n_steps_,
        "sampling": [_drawn(model, n, seed) for n in SIZES],
    }


def _drawn(model, n: int, seed: int) -> dict:
    began = time.perf_counter()
    model.sample(n, seed=seed)
    took = time.perf_counter() - began
    return {"n": n, "seconds": took, "rows_per_s": n / took}
