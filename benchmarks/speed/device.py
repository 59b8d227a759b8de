"""What a model costs to learn and to draw from, on the processor and on an accelerator.

In: a seed. Out: for each model and device: milliseconds a step, rows a second, seconds of the
paper's 30,000 steps, peak memory; on a table of the shape and size of the paper's. Each is measured
in a process of its own, in which nothing else has taken memory. Where there is no accelerator its
half of the table is None.
"""

from __future__ import annotations

import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

import generators

from .tabddpm import SHAPES, draw_table

ROWS = 1_319_007  # of the paper's train table
STEPS = 30_000
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "tabddpm": ("tabddpm", {}),
    "tabddpm, paper": ("tabddpm", {"preset": "paper"}),
    "tvae": ("tvae", {}),
    "tabar": ("tabar", {}),
    "ctabganplus": ("ctabganplus", {}),
}
FEW = {"ctabganplus": 8}  # steps timed on the processor; of others, and times as many on a device
TIMED, FASTER = 60, 20
DRAWN, MORE = 4_096, 40  # rows drawn on the processor, and times as many on a device


def measure(seed: int, rows: int = ROWS, models: tuple[str, ...] = tuple(MODELS)) -> dict:
    """A line of each model on the processor and on the first accelerator."""
    cuda = torch.cuda.is_available()
    devices = {"cpu": "cpu", "device": "cuda:0" if cuda else None}
    return {
        "what": "one optimizer step of the defaults, and rows drawn",
        "rows": rows,
        "device": torch.cuda.get_device_name(0) if cuda else None,
        "models": {
            name: {
                where: _alone(name, device, seed, rows) if device else None
                for where, device in devices.items()
            }
            for name in models
        },
    }


def _alone(name: str, device: str, seed: int, rows: int) -> dict:
    print(f"  {name} on {device}", file=sys.stderr)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(line, name, device, seed, rows).result()


def line(name: str, device: str, seed: int, rows: int) -> dict:
    """Costs of one model on one device, in this process."""
    table = draw_table(SHAPES["records"], seed, rows)
    before = peak_bytes(device)
    registered, options = MODELS[name]
    model = generators.make(registered, **options)
    faster = 1 if device == "cpu" else FASTER
    timed, n = FEW.get(name, TIMED) * faster, DRAWN * (1 if device == "cpu" else MORE)
    model.fit(table, steps=1, **_quiet(device, seed))  # pays for imports and first kernels
    short = _seconds(lambda: model.fit(table, steps=timed, **_quiet(device, seed)), device)
    long = _seconds(lambda: model.fit(table, steps=3 * timed, **_quiet(device, seed)), device)
    model.sample(256, seed=seed)
    drawn = _seconds(lambda: model.sample(n, seed=seed), device)
    step = max(long - short, 1e-9) / (2 * timed)
    return {
        "step_ms": 1000 * step,
        "set_up_s": max(short - timed * step, 0.0),
        "paper_s": STEPS * step,
        "rows_per_s": n / drawn,
        "peak_bytes": peak_bytes(device) - (before if device == "cpu" else 0),
    }


def _quiet(device: str, seed: int) -> dict[str, Any]:
    return {"seed": seed, "progress": False, "device": device}


def _seconds(work: Any, device: str) -> float:
    """Wall-clock seconds until a device has done all it was sent."""
    began = time.perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def peak_bytes(device: str) -> int:
    """Most memory held so far: by tensors of the device, or by this process."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
