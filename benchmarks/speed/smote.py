"""SMOTE on the flights table: seconds of fit and sample, and how they grow with the rows.

The peer's way to find neighbours, brute force over one-hot categories, runs beside it at a size it
can bear.
"""

import time

import numpy as np
from sklearn.neighbors import NearestNeighbors

from benchmarks.flights import flights
from generators.layout import Layout
from generators.smote import SMOTE

SIZES = (20_000, 40_000, 80_000, 160_000)
BRUTE = 20_000  # rows at which brute force over one-hot columns is affordable


def measure(seed: int, sizes: tuple[int, ...] = SIZES) -> dict:
    """Seconds to fit n flights and to draw n rows, growth from size to size, and the ratio."""
    table = flights(seed=seed)
    SMOTE().fit(table.iloc[:2000]).sample(10)  # compiles
    rows: list[dict] = []
    for n in sizes:
        fit, sample = _seconds(table.iloc[:n], seed)
        growth = (fit + sample) / rows[-1]["seconds"] if rows else None
        rows.append(
            {"n": n, "seconds": fit + sample, "fit_s": fit, "sample_s": sample, "growth": growth}
        )
    return {"n_to_n": rows, "against": _against(table.iloc[:BRUTE], seed)}


def _seconds(table, seed: int) -> tuple[float, float]:
    began = time.perf_counter()
    model = SMOTE().fit(table)
    fitted = time.perf_counter()
    model.sample(len(table), seed=seed)
    return fitted - began, time.perf_counter() - fitted


def _against(table, seed: int) -> dict:
    ours, _ = _seconds(table, seed)
    began = time.perf_counter()
    layout = Layout.from_table(table)
    numbers, codes = layout.split(table)
    one_hot = [np.eye(codes[:, j].max() + 1)[codes[:, j]] for j in range(codes.shape[1])]
    points = np.hstack([numbers / numbers.std(0), *(x * np.sqrt(0.5) for x in one_hot)])
    NearestNeighbors(n_neighbors=6, algorithm="brute").fit(points).kneighbors(points)
    theirs = time.perf_counter() - began
    return {
        "n": len(table),
        "fit_s": {"ours": ours, "scikit-learn brute, one-hot": theirs},
        "ratio": theirs / ours,
    }
