"""How well sites are linked: closeness of each two, and the throughput it stands for.

In: names, tiers and clouds of sites. Out: closeness from 0 (same place) to 11 (unknown).
"""

import zlib

import numpy as np

from .names import resolve_queue

UNKNOWN = 11
"""Closeness of two sites that were never compared."""
THROUGHPUT = 1e6 * np.array([1e4, 1284, 159, 35, 8.9, 2.8, 1.3, 0.7, 0.7, 0.7, 0.7, 0.7])
"""Mean used throughput in bytes/s by closeness 0..11; 0 (local) and 8..11 are ASSUMED, the rest
measured on ATLAS links."""


def derive_closeness(
    names: tuple[str, ...], tier: np.ndarray, cloud: tuple[str, ...]
) -> np.ndarray:
    """Closeness of every two sites from tier and cloud, int64 (S, S), symmetric, diagonal 0.

    Median 4 within a cloud and 5 across (measured on ATLAS links); every Tier-0 or Tier-1 end
    brings a pair one step closer and queues of one site stand at 1 (both ASSUMED). About 14 % of
    all pairs are unknown, 11. The scatter is a hash of the two names, so a pair keeps its
    closeness in every catalogue.
    """
    u, v = _pair_uniform(names)
    hub = (np.asarray(tier) <= 1).astype(np.int64)
    hubs = hub[:, None] + hub[None, :]
    same_cloud = np.array(cloud)[:, None] == np.array(cloud)[None, :]
    scatter = np.searchsorted([0.10, 0.30, 0.65, 0.90], u) - 2
    closeness = np.clip(np.where(same_cloud, 4, 5) - hubs + scatter, 2, 7)
    closeness[(v < 0.26) & (hubs == 0)] = UNKNOWN
    stems = np.array([resolve_queue(n) for n in names])
    closeness[stems[:, None] == stems[None, :]] = 1
    np.fill_diagonal(closeness, 0)
    return closeness


def _pair_uniform(names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Two uniforms per unordered pair of names, float64 (S, S) each, by splitmix64 of the names'
    checksums."""
    code = np.array([zlib.crc32(n.encode()) for n in names], dtype=np.uint64)
    low, high = np.minimum.outer(code, code), np.maximum.outer(code, code)
    u = _splitmix(low << np.uint64(32) | high)
    v = _splitmix(u)
    return tuple((x >> np.uint64(11)) * 2.0**-53 for x in (u, v))


def _splitmix(x: np.ndarray) -> np.ndarray:
    z = x + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
