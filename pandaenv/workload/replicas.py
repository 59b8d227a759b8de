"""Where data lie: the sites that hold each data set, and a site for rows without a known one.

In: `Tasks` and a catalogue. Out: replicas by data set and site, and the site of each row.
Sources: numbers of replicas from published studies of DAOD popularity.

Units: N rows, D data sets, S sites.
"""

from __future__ import annotations

import numpy as np

from pandaenv.sites import Catalogue

from .tasks import Tasks

MEAN_REPLICAS, REPLICA_SHAPE, MAX_REPLICAS = 4.4, 2.0, 21
"""Replicas of requested DAODs, median 4; the shape of their gamma-Poisson spread is ASSUMED."""


def draw_unknown_sites(tasks: Tasks, catalogue: Catalogue, rng: np.random.Generator) -> np.ndarray:
    """Site of each row: its own, or one drawn by disk for its data set. Shape: (N,) int64."""
    share = _disk_share(catalogue)
    u = rng.random(tasks.dataset.max() + 1)
    drawn = np.searchsorted(np.cumsum(share)[:-1], u, side="right")
    return np.where(tasks.site >= 0, tasks.site, drawn[tasks.dataset])


def draw_replicas(
    tasks: Tasks, site: np.ndarray, catalogue: Catalogue, rng: np.random.Generator
) -> np.ndarray:
    """Sites that hold each data set, bool (D, S).

    Known sites, or else those where its jobs ran, and further ones drawn by disk without repetition
    up to the number of replicas. A draw without repetition is the largest of log weight + Gumbel
    noise (Efraimidis and Spirakis, 2006, in logarithms).

    Args:
        site: (N,) where the rows ran.
    """
    held = np.zeros((tasks.dataset.max() + 1, catalogue.n_sites), bool)
    if tasks.replicas is not None:
        held |= tasks.replicas
    is_bare = ~held.any(axis=1)[tasks.dataset]
    held[tasks.dataset[is_bare], site[is_bare]] = True
    own = held.sum(axis=1)
    count = tasks.n_replicas if tasks.n_replicas is not None else own + _draw_extra(own, rng)
    count = np.minimum(count, min(MAX_REPLICAS, catalogue.n_sites))
    return _fill_up(held, np.maximum(count, own), catalogue, rng)


def _draw_extra(own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replicas beyond a data set's own sites, such that there are 4.4 on average. Shape: (D,)."""
    mean = max(MEAN_REPLICAS - own.mean(), 0.1)
    return rng.negative_binomial(REPLICA_SHAPE, REPLICA_SHAPE / (REPLICA_SHAPE + mean), len(own))


def _fill_up(
    held: np.ndarray, count: np.ndarray, catalogue: Catalogue, rng: np.random.Generator
) -> np.ndarray:
    """Add sites drawn by disk until each data set has `count`; sites without disk get none."""
    with np.errstate(divide="ignore"):
        log_share = np.log(_disk_share(catalogue))
    full = np.empty_like(held)
    for rows in np.array_split(np.arange(len(held)), 1 + len(held) // 50_000):
        key = log_share + rng.gumbel(size=(len(rows), catalogue.n_sites))
        key[held[rows]] = np.inf
        least = np.sort(key, axis=1)[np.arange(len(rows)), -count[rows]]
        full[rows] = (key >= least[:, None]) & (key > -np.inf)
    return full


def _disk_share(catalogue: Catalogue) -> np.ndarray:
    """Share of all disk by site, (S,); the same for all where there is none."""
    total = catalogue.disk.sum()
    return (
        catalogue.disk / total if total > 0 else np.full(catalogue.n_sites, 1 / catalogue.n_sites)
    )
