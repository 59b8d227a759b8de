"""The work of tasks of the reference workload: three classes, longer with bytes and by habit.

In: tasks, users, formats and data sets. Out: log10(CPU s) of each task's average job, its class,
and which tasks fail often or are killed.
"""

import numpy as np

from .arrivals import phase
from .formats import Formats

WORK_MODES = np.array(
    [(0.08, 1.85, 0.40, 0.41), (0.467, 3.57, 0.54, 0.12), (0.453, 4.505, 0.445, 0.16)]
)
"""Share, mode and spread below and above it of log10(CPU s) of the three classes of tasks (normals
of two pieces); fitted to the published histogram with failures and spread inside tasks on top."""
WORK_WEIGHTS = {"bytes": 0.85, "user": 0.40, "format": 0.30, "dataset": 0.30, "noise": 0.27}
"""What makes a task long: ASSUMED but fitted to corr(log bytes, log CPU) = 0.56."""
WORK_DRIFT = -0.3
"""Mean log10(CPU s) over 150 days; published for later months."""
JOB_SPREAD = 0.06, 0.20
"""Spread of log10(CPU s) inside a task beyond what bytes say; ASSUMED."""
KILLED_SHARE = 0.07
"""Tasks killed half way."""


def draw(
    rng: np.random.Generator, task: dict, users: dict, formats: Formats, dataset: dict
) -> None:
    """log10(CPU s at mean power) of each task's average job, and its class.

    A score from bytes, user, format, data set and chance is ranked over the jobs, and the rank read
    off the three-mode distribution WORK_MODES: so the modes come out as fitted with any seed.
    """
    n, weight = len(task["start"]), task["jobs"]
    parts = {
        "bytes": np.clip(_standard(task["log_bytes"], weight), -2.5, 2.5),
        "user": users["work"][task["user"]],
        "format": formats.cost[task["datatype"]],
        "dataset": dataset["cost"][task["dataset"]],
        "noise": rng.standard_normal(n),
    }
    score = sum(WORK_WEIGHTS[name] * x for name, x in parts.items())
    task["log_work"], task["work_class"] = _read_modes(_weighted_rank(score, weight))
    task["log_work"] += WORK_DRIFT * phase(task["start"])
    task["job_spread"] = rng.uniform(*JOB_SPREAD, n)
    task["failure"] = users["failure"][task["user"]] * rng.uniform(0, 2, n)
    killed = rng.random(n) < KILLED_SHARE
    task["kill_at"] = np.where(killed, rng.uniform(0.1, 0.9, n), 2.0)


def _standard(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    mean = np.average(x, weights=weight)
    return (x - mean) / max(np.sqrt(np.average((x - mean) ** 2, weights=weight)), 1e-9)


def _weighted_rank(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Where each value stands in the weighted sample, in (0, 1)."""
    order = np.argsort(x, kind="stable")
    below = np.cumsum(weight[order])
    rank = np.empty(len(x))
    rank[order] = (below - weight[order] / 2) / below[-1]
    return rank


def _read_modes(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of WORK_MODES at levels u, and the mode each level falls in."""
    from scipy.special import ndtr  # half a second that only who draws the reference needs

    share, mean, below, above = WORK_MODES.T
    x = np.linspace(0, 7, 1401)
    z = x[:, None] - mean
    left, right = 2 * below * ndtr(z / below), below - above + 2 * above * ndtr(z / above)
    cdf = (share * np.where(z < 0, left, right) / (below + above)).sum(1)
    return np.interp(u, cdf, x), np.searchsorted(np.cumsum(share)[:-1], u, side="right")
