"""Exact nearest records: seconds and growth by kind of table, against brute force in the same run.

The tables are job records of the embedded reference workload cut in two halves (a plausible
synthetic table), one half with every column shuffled on its own, and two hostile ones: rows drawn
uniformly at random in the same columns, and one half moved in time by twice the span of the other,
so that every set of columns costs less than the nearest row (not at the largest size). Distances
are those of the DCR and NNDR: k = 2.
"""

import time
from operator import itemgetter

import numba
import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from metrics import frames
from metrics.neighbours import NeighbourIndex
from pandaenv import reference

SIZES = (16_384, 65_536, 262_144, 1_048_576)  # rows of either table
BRUTE = 16_384  # rows at which brute force is affordable, and queries it is asked
DAYS = 200  # of the reference workload: 2.2 M rows, two halves of the largest size

Table = tuple[np.ndarray, np.ndarray]


def measure(seed: int, sizes: tuple[int, ...] = SIZES) -> dict:
    """Seconds of index and query (n rows against n, k = 2, both threads) and their growth."""
    records = reference.records(days=max(2, DAYS * max(sizes) // max(SIZES)), seed=seed)
    _compile()
    out = {"threads": numba.get_num_threads(), "k": 2}
    for kind in ("halves", "shuffled", "uniform", "moved"):
        asked = sizes[:3] if kind == "moved" else sizes
        out[kind] = _growth(lambda n, kind=kind: tables(kind, records, n, seed), asked)
    index, query = tables("halves", records, min(BRUTE, *sizes), seed)
    return {**out, "against": against(index, query)}


def tables(kind: str, records: pd.DataFrame, n: int, seed: int) -> tuple[Table, Table]:
    """Index and query (n rows each): numbers over their range in the index, and codes."""
    rng = np.random.default_rng([seed, n])
    order = rng.permutation(len(records))
    halves = [records.iloc[np.sort(order[i * n : (i + 1) * n])] for i in range(2)]
    (index, query), _ = frames.coded(*halves)
    low, high = index.numbers.min(0), index.numbers.max(0)
    width = np.where(high > low, high - low, 1.0)
    index, query = ((part.numbers / width, part.codes) for part in (index, query))
    if kind == "shuffled":
        query = tuple(np.column_stack([rng.permutation(x) for x in part.T]) for part in query)
    if kind == "moved":
        query = query[0] + 2.0 * (np.arange(query[0].shape[1]) == 0), query[1]
    if kind == "uniform":
        levels = index[1].max(0) + 1
        index, query = (
            (rng.random(part[0].shape), rng.integers(0, levels, part[1].shape))
            for part in (index, query)
        )
    return index, query


def _growth(make, sizes) -> list[dict]:
    rows = []
    for n in sizes:
        index, query = make(n)
        times = [timed(index, query) for _ in range(3 if n < 2**17 else 1)]
        seconds, work = min(times, key=itemgetter(0))
        before = rows[-1] if rows else None
        rows.append(
            {
                "n": n,
                "seconds": seconds,
                "rows_per_s": n / seconds,
                "growth": seconds / before["seconds"] if before else None,
                "sets": work.subsets,
                "scanned": work.fallback,
            }
        )
    return rows


def timed(index: Table, query: Table) -> tuple[float, object]:
    """Seconds of one index and one query with k = 2, and what the query cost."""
    began = time.perf_counter()
    search = NeighbourIndex(*index)
    search.query(*query, k=2)
    return time.perf_counter() - began, search.work


def against(index: Table, query: Table) -> dict:
    """Ours and two brute forces on the same rows, seconds and their ratio to ours."""
    ours = NeighbourIndex(*index).query(*query, k=2)[0]
    seconds = {"ours": min(timed(index, query)[0] for _ in range(3))}
    began = time.perf_counter()
    one_hot = _one_hot(index[1], query[1])
    points = [np.hstack([t[0], c]) for t, c in zip((index, query), one_hot, strict=True)]
    theirs = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(points[0])
    found = theirs.kneighbors(points[1])[0]
    seconds["scikit-learn brute, one-hot"] = time.perf_counter() - began
    began = time.perf_counter()
    exact = plain(index, query)
    seconds["numpy brute, float64"] = time.perf_counter() - began
    return {
        "n": len(query[0]),
        "seconds": seconds,
        "ratio": {name: s / seconds["ours"] for name, s in seconds.items()},
        "largest difference from numpy": float(np.abs(ours - exact).max()),
        "largest difference from scikit-learn": float(np.abs(ours - found).max()),
    }


def plain(index: Table, query: Table, chunk: int = 256) -> np.ndarray:
    """(m, 2) distances by all pairs, terms summed in column order."""
    out = []
    for start in range(0, len(query[0]), chunk):
        x, c = (part[start : start + chunk] for part in query)
        cost = np.zeros((len(x), len(index[0])))
        for j in range(c.shape[1]):
            cost += c[:, j][:, None] != index[1][:, j]
        for i in range(x.shape[1]):
            cost += (x[:, i][:, None] - index[0][:, i]) ** 2
        out.append(np.sqrt(np.sort(np.partition(cost, 1, axis=1)[:, :2], axis=1)))
    return np.vstack(out)


def _one_hot(*parts: np.ndarray) -> list[np.ndarray]:
    """Categories as columns of 0 and sqrt(1/2), so that a mismatch costs 1 when squared."""
    sizes = np.max([part.max(0) for part in parts], axis=0) + 1
    return [
        np.hstack([np.eye(size)[part[:, j]] * np.sqrt(0.5) for j, size in enumerate(sizes)])
        for part in parts
    ]


def _compile() -> None:
    rng = np.random.default_rng(0)
    for c in (2, 14):
        table = rng.random((500, 2)), rng.integers(0, 3, (500, c))
        NeighbourIndex(*table).query(*table, k=2)
