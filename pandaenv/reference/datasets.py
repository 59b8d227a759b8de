"""The data sets of the reference workload: new or used before, and where their replicas are.

In: tasks with their users and formats. Out: the data set of each task; size of files, cost, jobs
and replicas of each data set.
"""

import numpy as np

from pandaenv import sites

from .formats import Formats

FILE_SPREAD_DATASET = 0.40
"""Spread of ln(file bytes) over the data sets of a format (with that inside one: 0.43)."""
TINY_SHARE, TINY_DEX = 0.11, (0.6, 3.3)
"""Data sets of small signal samples and by how many decades their files are smaller; ASSUMED."""
TASK_JOBS = (45.0, 2.6, 2_400.0)
"""Jobs of a task before scaling to 142 on average: median, spread of the logarithm, cut-off."""
REUSE, REUSE_OWN = 0.25, 0.75
"""A task reads a data set used before (ASSUMED); the user's own (93 % have one user)."""
REPLICAS_MEAN, REPLICAS_SHAPE, REPLICAS_MAX = 4.4, 3.0, 21
BNL_SHARE = 4.0
"""BNL, the paper's top site, gives user analysis so many times the slots and replicas of its
size."""
TIER3_REPLICAS, HOME_REPLICA = 1.0, 0.3
"""Weight of a Tier-3 as a place for replicas, and chance of an extra one in the user's cloud."""


def draw(
    rng: np.random.Generator, task: dict, users: dict, formats: Formats, grid: sites.Catalogue
) -> dict[str, np.ndarray]:
    """Give each task its data set; arrays (D,) of the data sets and their replicas (D, S)."""
    task["dataset"], first = _reuse(rng, task["user"], task["era"])
    for name in ("datatype", "project", "prodstep", "era"):
        task[name] = task[name][first][task["dataset"]]
    n, datatype = len(first), task["datatype"][first]
    scatter = FILE_SPREAD_DATASET * rng.standard_normal(n)
    is_tiny = (rng.random(n) < TINY_SHARE) & (formats.datatype[datatype] != "DAOD_PHYSLITE")
    tiny = np.where(is_tiny, rng.uniform(*TINY_DEX, n), 0.0)
    return {
        "file_bytes": formats.file_bytes[datatype] * np.exp(scatter) * 10.0**-tiny,
        "cost": rng.standard_normal(n),
        "jobs": _task_jobs(rng, n),
        "replicas": _replicas(rng, n, users["cloud"][task["user"][first]], grid),
    }


def _reuse(
    rng: np.random.Generator, user: np.ndarray, era: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Data set of each task (T,), and the task that used each data set first (D,).

    A reusing task takes the data set of an earlier task drawn uniformly, so the often used are used
    more often: of the same user mostly, else of the same era.
    """
    n = len(user)
    wants, own, pick = rng.random(n) < REUSE, rng.random(n) < REUSE_OWN, rng.random(n)
    past: dict[tuple[str, int], list[int]] = {}
    dataset, first = np.empty(n, np.int64), []
    for i in range(n):
        by_user = past.setdefault(("user", user[i]), [])
        by_era = past.setdefault(("era", era[i]), [])
        pool = by_user if own[i] else by_era
        if wants[i] and pool:
            dataset[i] = pool[int(pick[i] * len(pool))]
        else:
            dataset[i] = len(first)
            first.append(i)
        by_user.append(dataset[i])
        by_era.append(dataset[i])
    return dataset, np.array(first)


def _task_jobs(rng: np.random.Generator, n: int) -> np.ndarray:
    """Jobs a task on each data set has if it takes about 5 GB a job; a cut-off lognormal."""
    median, spread, top = TASK_JOBS
    jobs = median * np.exp(spread * rng.standard_normal(n))
    return np.minimum(jobs, top * rng.uniform(0.5, 1, n))


def _replicas(
    rng: np.random.Generator, n: int, cloud: np.ndarray, grid: sites.Catalogue
) -> np.ndarray:
    """Which queues reach each data set, bool (D, S): replicas drawn by disk, often one at home."""
    site = np.array([grid.index(sites.resolve_queue(name)) for name in grid.names])
    is_site = site == np.arange(grid.n_sites)
    weight = np.where(is_site, np.sqrt(grid.disk / 1e15 * grid.cores / 1e3), 0.0)
    weight *= np.where(grid.tier == 3, TIER3_REPLICAS, 1.0)
    weight[grid.index("BNL-ATLAS")] *= BNL_SHARE
    extra = rng.gamma(REPLICAS_SHAPE, (REPLICAS_MEAN - 1 - HOME_REPLICA) / REPLICAS_SHAPE, n)
    count = np.minimum(1 + rng.poisson(extra), REPLICAS_MAX - 1)
    with np.errstate(divide="ignore"):
        key = np.log(weight) + rng.gumbel(size=(n, grid.n_sites))
    rank = np.argsort(np.argsort(-key, axis=1, kind="stable"), axis=1)
    has = rank < count[:, None]
    clouds = np.array(list(sites.SITES))
    at_home = np.array(grid.cloud) == clouds[cloud][:, None]
    home = np.argmax(np.where(at_home & is_site & (rank >= count[:, None]), key, -np.inf), axis=1)
    rows = np.flatnonzero(rng.random(n) < HOME_REPLICA)
    has[rows, home[rows]] = True
    return has[:, site]
