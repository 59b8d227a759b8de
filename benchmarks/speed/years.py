"""Years of records: what learning costs with 16,000 to 20 million rows, from files and in memory.

In: a seed. Out: for each number of rows and each model that learns from files, the median seconds
of a step, the seconds of all else and the peak memory of the process, beside those of the same
table held in memory. Each fit runs in a process of its own. The rows are those of the reference
workload, a file for each 154 days, read as one data set.
"""

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from generators import make

DAYS = 154  # of a file, whole weeks
SIZES = (16_000, 64_000, 256_000, 1_000_000, 4_000_000, 20_000_000)
MODELS = ("tabddpm", "tabar")
STEPS = 200
GROUP = 1 << 17  # rows of a row group


def measure(seed: int, sizes: tuple[int, ...] = SIZES, steps: int = STEPS) -> dict:
    """Fit each model to each number of rows, from files and in memory."""
    fits = []
    for n in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), n, seed)
            for model in MODELS:
                fits.append({"model": model, "n": n} | _beside(folder, model, steps))
    return {"steps": steps, "threads": torch.get_num_threads(), "fits": fits}


def _beside(folder: str, model: str, steps: int) -> dict:
    """A fit from files and one in memory, and the ratio of their steps."""
    files, memory = (_alone(folder, model, from_files, steps) for from_files in (True, False))
    ratio = files["step_s"] / memory["step_s"]
    return {"files": files, "memory": memory, "step_ratio": ratio}


def write(folder: Path, n: int, seed: int) -> None:
    """Files of n reference records in all, one after the other in time."""
    from pandaenv import reference  # the processes that fit are to hold no more than that

    piece = 0
    while n:
        table = reference.records(days=DAYS, seed=seed + piece).iloc[:n]
        table["creationtime"] += DAYS * piece
        path = folder / f"part-{piece:03}.parquet"
        pq.write_table(pa.Table.from_pandas(table), path, row_group_size=GROUP)
        n, piece = n - len(table), piece + 1


def _alone(folder: str, model: str, from_files: bool, steps: int) -> dict:
    """Fit in a process of its own, whose peak memory is that of the fit."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(fit, folder, model, from_files, steps).result()


def fit(folder: str, name: str, from_files: bool, steps: int) -> dict:
    """Seconds of a fit to the files of a folder, and the peak memory of this process after it."""
    model = make(name)
    step_seconds = _timed_steps(model)
    began = time.perf_counter()
    table = folder if from_files else pd.read_parquet(folder)
    model.fit(table, steps=steps, seed=0, progress=False)
    took = time.perf_counter() - began
    return {
        "other_s": took - sum(step_seconds),  # reading, counting, coding, shuffling
        "step_s": median(step_seconds),
        "peak_gib": _peak_gib(),
    }


def _timed_steps(model: Any) -> list[float]:
    """The list to which a model adds the seconds of each step, once it is fitted."""
    found: list[float] = []
    train = model._train

    def timed(learner: Any, *rest: Any) -> None:
        step = learner.step

        def one(*arguments: Any) -> dict:
            began = time.perf_counter()
            terms = step(*arguments)
            found.append(time.perf_counter() - began)
            return terms

        learner.step = one
        train(learner, *rest)

    model._train = timed
    return found


def _peak_gib() -> float:
    """Largest resident memory of this process; what `getrusage` says may be its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) / 2**20
