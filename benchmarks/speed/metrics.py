"""Times of the metrics against scipy, scikit-learn and plain restatements, in one process.

In: a seed. Out of `measure`: a nested dict for results/speed-metrics.json: by size and line the
seconds of ours and theirs and their ratio; growth from one size to the next; a table on disk
against the same table in memory; and one whole evaluation at the paper's size without diff-MLEF,
with its seconds by group and the peak memory of the process.
"""

import math
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance
from sklearn.metrics import mutual_info_score, roc_auc_score

from metrics import Evaluator, association, bootstrap, detection, frames, marginals, tails, temporal
from metrics.registry import default
from metrics.streaming import Stored

SIZES = (16_384, 65_536, 262_144, 1_048_576)
SMALL = 65_536  # largest size for what is slow by nature
PAPER = (1_319_007, 329_752)  # rows of train and of the holdout, Park et al. (2024), sec. V


def measure(seed: int) -> dict:
    """Seconds by size and line; about four minutes."""
    rows = _records(sum(PAPER) + SIZES[-1], seed)
    a, b = rows.iloc[: SIZES[-1]], rows.iloc[SIZES[-1] : 2 * SIZES[-1]].reset_index(drop=True)
    _lines(a[:2000], b[:2000])  # kernels compile
    sizes = {str(n): _lines(a.iloc[:n], b.iloc[:n]) for n in SIZES}
    train, holdout = rows.iloc[: PAPER[0]], rows.iloc[PAPER[0] : sum(PAPER)]
    return {
        "rows": sizes,
        "growth": _growth(sizes),
        "on disk": _on_disk(a),
        "paper size": everything(train, holdout, rows.iloc[sum(PAPER) :], seed),
        "paper size, as many synthetic": _as_many(seed),
    }


def _as_many(seed: int) -> dict:
    """A whole evaluation at n = rows of train: the holdout is twice as many, to be halved.

    All rows come from one reference world of the paper's 150 days, busy enough to give so many.
    """
    n = PAPER[0]
    rows = _records(4 * n, seed, days=150)
    return everything(rows[:n], rows[n : 3 * n], rows[3 * n :], seed)


def _records(n: int, seed: int, days: int | None = None) -> pd.DataFrame:
    """n reference records in random order: of the paper's rate, or of so many days."""
    from pandaenv import reference

    rate = reference.RATE if days is None else math.ceil(1.02 * n / days)
    table = reference.records(days or -(-n // rate), seed, rate)
    rng = np.random.default_rng(seed)
    return table.iloc[rng.permutation(len(table))[:n]].reset_index(drop=True)


def _lines(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, dict]:
    """Ours against theirs for one pair of tables of n rows each."""
    n = len(a)
    t, u = (x["creationtime"].to_numpy() for x in (a, b))
    y = np.repeat([0, 1], n)
    score = np.random.default_rng(0).normal(size=2 * n)
    plain = plain_association if n <= SMALL else None
    return {
        "WD": _against(lambda: marginals.numerical(a, b), lambda: scipy_wd(a, b), "scipy", n),
        "JSD": _against(
            lambda: marginals.categorical(a, b), lambda: scipy_jsd(a, b), "scipy and pandas", n
        ),
        "association": _against(
            lambda: association.association(a),
            plain and (lambda: plain(a)),
            "pandas and scikit-learn",
            n,
        ),
        "tails": _against(lambda: tails.tails(a, b), None, "", n),
        "validity": _against(lambda: tails.validity(a, b), None, "", n),
        "temporal": _against(lambda: temporal.temporal(a, b), None, "", n),
        "gap KS": _against(
            lambda: temporal.ks(np.diff(np.sort(t)), np.diff(np.sort(u))),
            lambda: ks_2samp(np.diff(np.sort(t)), np.diff(np.sort(u)), method="asymp"),
            "scipy",
            n,
        ),
        "AUC": _against(
            lambda: detection.auc(y, score), lambda: roc_auc_score(y, score), "scikit-learn", n
        ),
        "AUC interval": _against(
            lambda: bootstrap.auc_interval(y, score, np.arange(2 * n), n_boot=20),
            (lambda: _resampled_auc(y, score, 20)) if n <= SMALL else None,
            "scikit-learn on drawn rows, 20 draws",
            n,
        ),
    }


def _against(ours: Callable, theirs: Callable | None, what: str, n: int) -> dict:
    out = {"n": n, "seconds": _seconds(ours)}
    if theirs is not None:
        out["against"] = what
        out["their_seconds"] = _seconds(theirs)
        out["ratio"] = out["their_seconds"] / out["seconds"]
    return out


def _seconds(call: Callable) -> float:
    """The faster of two calls where they are short."""
    began = time.perf_counter()
    call()
    first = time.perf_counter() - began
    if first > 2:
        return first
    began = time.perf_counter()
    call()
    return min(first, time.perf_counter() - began)


def scipy_wd(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """W1 over range, over sd and of log1p for every number, by scipy."""
    out = []
    for name in frames.split(a)[0]:
        x, y = a[name].to_numpy(float), b[name].to_numpy(float)
        w = wasserstein_distance(x, y)
        out += [w / np.ptp(x), w / x.std(), wasserstein_distance(np.log1p(x), np.log1p(y))]
    return float(np.mean(out))


def scipy_jsd(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """Mean divergence in bits by scipy on pandas' counts."""
    out = []
    for name in frames.split(a)[1]:
        p, q = (t[name].value_counts(normalize=True) for t in (a, b))
        p, q = p.align(q, fill_value=0)
        out.append(jensenshannon(p, q, base=2) ** 2)
    return float(np.mean(out))


def plain_association(table: pd.DataFrame) -> pd.DataFrame:
    """The matrix of `metrics.association` pair by pair, with pandas and scikit-learn."""
    numerical, categorical = frames.split(table)
    names = numerical + categorical
    out = pd.DataFrame(np.eye(len(names)), names, names)
    out.loc[numerical, numerical] = table[numerical].corr().to_numpy()
    for c in categorical:
        share = table[c].value_counts(normalize=True)
        entropy = -np.sum(share[share > 0] * np.log(share[share > 0]))
        for x in numerical:
            group = table[x].groupby(table[c], observed=True)
            between = np.sum(group.size() * (group.mean() - table[x].mean()) ** 2)
            eta = np.sqrt(between / np.sum((table[x] - table[x].mean()) ** 2))
            out.loc[c, x] = out.loc[x, c] = eta
        for other in categorical:
            if other != c:
                out.loc[c, other] = mutual_info_score(table[c], table[other]) / entropy
    return out


def _resampled_auc(y: np.ndarray, score: np.ndarray, n_boot: int) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    sides = [np.flatnonzero(y == s) for s in (0, 1)]
    areas = []
    for _ in range(n_boot):
        rows = np.concatenate([rng.choice(side, side.size) for side in sides])
        areas.append(roc_auc_score(y[rows], score[rows]))
    return tuple(np.quantile(areas, [0.025, 0.975]))


def _growth(sizes: dict) -> dict[str, list[float]]:
    """Exponent of the time from each size to the next: 1 is linear."""
    tables = list(sizes.values())
    return {
        line: [
            float(np.log(b[line]["seconds"] / a[line]["seconds"]) / np.log(4))
            for a, b in zip(tables, tables[1:], strict=False)
        ]
        for line in tables[0]
    }


def _on_disk(table: pd.DataFrame) -> dict[str, float]:
    """Seconds of the association of a table in memory and read from Parquet in 16 row groups."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        table.to_parquet(path, row_group_size=1 << 16, index=False)
        stored = Stored(path).check("table")
        there, here = (_seconds(lambda t=t: association.association(t)) for t in (stored, table))
    return {
        "n": len(table),
        "row_groups": -(-len(table) // (1 << 16)),
        "association_seconds": there,
        "in_memory_seconds": here,
    }


def everything(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, seed: int
) -> dict:
    """Every group of the default but diff-MLEF, for a synthetic table and its floor."""
    left_out = ("diff-MLEF", "streams")  # which the table has no column for
    only = tuple(group for group in default() if group not in left_out)
    before = _peak_gb()
    began = time.perf_counter()
    evaluator = Evaluator(train, holdout, seed=seed, only=only, n_max=len(synthetic))
    ready = time.perf_counter() - began
    marks: list[tuple[str, float]] = []
    evaluator.score(synthetic, lambda group: marks.append((group, time.perf_counter())))
    marks.append(("", time.perf_counter()))
    by_group = {a: t1 - t0 for (a, t0), (_, t1) in zip(marks, marks[1:], strict=False)}
    began_floor = time.perf_counter()
    floor = evaluator.floor
    return {
        "n_train": len(train),
        "n": evaluator.n,
        "sizes": evaluator.sizes,
        "prepare_seconds": ready,
        "seconds": by_group,
        "floor_seconds": time.perf_counter() - began_floor,
        "total_seconds": time.perf_counter() - began,
        "peak_gb": _peak_gb(),
        "peak_gb_before": before,
        "floor_C2ST": floor.values["C2ST"],
    }


def _peak_gb() -> float:
    """Largest resident memory of this process so far, the tables included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
