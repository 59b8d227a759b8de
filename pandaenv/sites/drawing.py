"""How the embedded catalogue was drawn, once, from published distributions over ATLAS's sites.

In: the names of `pandaenv.sites.names` and a seed. Out: `data/sites.csv`; `python -m
pandaenv.sites.drawing` makes it again, byte for byte.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from foundations import checks

from .names import SITES
from .reading import COLUMNS, PATH

N_SECOND_QUEUES = 19
"""Tier-2 sites with a second queue: 105 sites + 2 x 13 (Tier-0 and Tier-1) + 19 make 150 queues."""
CORES_MEDIAN, CORES_SIGMA, CORES_MAX = 1900.0, 1.8, 24_000.0
"""Queue sizes: a lognormal cut off at the largest, fitted to a median of about 1,600 and a largest
queue of about 24 k at 600 k cores in all."""
POWER = (
    [0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1],
    [2.4, 2.4, 8.2, 10.0, 11.1, 14.1, 19.3, 21.3, 24.5],
)
"""Quantiles of HS06 per core over the queues."""
DISK = (
    [0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1],
    [6, 6, 263, 1132, 2848, 5678, 20490, 26780, 30210],
)
"""Quantiles of a site's DATADISK in TB."""
FAILURE = ([0, 0.05, 0.25, 0.5, 0.75, 0.95, 1], [0.002, 0.008, 0.027, 0.053, 0.13, 0.36, 0.45])
"""Quantiles of a queue's failed share; the ends are ASSUMED."""
INGRESS = {0: (100, 100), 1: (100, 100), 2: (10, 40), 3: (1, 10)}
"""Gb/s into a site by tier, smallest to largest site; ASSUMED."""

SEED = 7
"""The published catalogue's seed, of the first ten the one with the most ordinary Tier-1 speeds."""
TIER_RANK = {0: 2.5, 1: 2.0, 2: 1.0, 3: 0.0}
"""Where a tier stands in the order of sizes before noise of width 1.2; ASSUMED."""
KNOWN_LARGE = {"BNL-ATLAS": 9.0} | dict.fromkeys(
    "MWT2 AGLT2 SWT2_CPB SLAC DESY-HH TOKYO-LCG2 CERN-P1 UKI-LT2-QMUL UKI-SCOTGRID-GLASGOW".split(),
    0.6,
)
"""BNL-ATLAS is the paper's largest site of user analysis; some Tier-2s are known to be large
(ASSUMED rank)."""


def draw(seed: int = SEED) -> pd.DataFrame:
    """Draw the illustrative catalogue (COLUMNS, largest first) from the distributions above.

    Draws are stratified, one per 1/S of the distribution, so that the catalogue as a whole shows
    the published quantiles. Larger tiers get the larger sizes and disks with some noise; speed is
    independent of size (r = 0.09 in the published data); queues of a site share its disk by
    cores.
    """
    rng = np.random.default_rng(checks.seed(seed))
    frame = _sites()
    frame["rank"] = frame["tier"].map(TIER_RANK) + 1.2 * rng.random(len(frame))
    frame["rank"] += frame["name"].map(KNOWN_LARGE).fillna(0.0)
    frame = pd.concat([frame, _second_queues(frame, rng)], ignore_index=True)
    n = len(frame)
    frame["cores"] = _by_rank(_lognormal(_strata(n, rng)), frame["rank"])
    frame["power"] = rng.permutation(np.interp(_strata(n, rng), *POWER))
    frame["failure_rate"] = _by_rank(
        _interp(_strata(n, rng), FAILURE), rng.random(n) + 0.4 * (frame["tier"] > 1)
    )
    frame["disk"] = _disk(frame, rng)
    frame["ingress"] = [_ingress(t, np.mean(g >= c)) for t, c, g in _with_tier_sizes(frame)]
    frame = frame.sort_values(["cores", "name"], ascending=[False, True])
    frame = frame.round({"power": 2, "failure_rate": 4, "ingress": 0})
    return frame.astype({"ingress": np.int64})[list(COLUMNS)]


def _sites() -> pd.DataFrame:
    rows = [
        (name, name, tier, cloud)
        for cloud, tiers in SITES.items()
        for tier, names in tiers.items()
        for name in names.split()
    ]
    return pd.DataFrame(rows, columns=["name", "site", "tier", "cloud"])


def _second_queues(sites: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Two more queues at each Tier-0 and Tier-1 and one at the largest Tier-2 sites; all of them
    small."""
    hubs = sites[sites["tier"] <= 1]
    large = sites[sites["tier"] == 2].nlargest(N_SECOND_QUEUES, "rank")
    parts = [hubs.assign(name=hubs["site"] + "_SHORT"), hubs.assign(name=hubs["site"] + "_HIMEM")]
    queues = pd.concat([*parts, large.assign(name=large["site"] + "_SHORT")])
    return queues.assign(rank=0.3 + 0.9 * rng.random(len(queues)))


def _strata(n: int, rng: np.random.Generator) -> np.ndarray:
    """One uniform in each of n equal cells of [0, 1), ascending."""
    return (np.arange(n) + rng.random(n)) / n


def _lognormal(u: np.ndarray) -> np.ndarray:
    """Cores at the levels u of the lognormal cut off at CORES_MAX."""
    from scipy.special import ndtr, ndtri  # half a second that a reader of the catalogue saves

    top = ndtr(np.log(CORES_MAX / CORES_MEDIAN) / CORES_SIGMA)
    return (CORES_MEDIAN * np.exp(CORES_SIGMA * ndtri(u * top))).astype(np.int64)


def _interp(u: np.ndarray, quantiles: tuple[list[float], list[float]]) -> np.ndarray:
    """Values at the levels u of a distribution given by quantiles, straight lines in the
    logarithm."""
    return np.exp(np.interp(u, quantiles[0], np.log(quantiles[1])))


def _by_rank(ascending: np.ndarray, rank: pd.Series) -> np.ndarray:
    """Give the i-th smallest value to the row of i-th smallest rank."""
    values = np.empty_like(ascending)
    values[np.argsort(np.asarray(rank), kind="stable")] = ascending
    return values


def _disk(frame: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Bytes: one draw per site, the larger site tending to the larger disk, shared among its
    queues by cores."""
    total = frame.groupby("site")["cores"].sum()
    noisy = np.log(total) + 0.8 * rng.standard_normal(len(total))
    tb = pd.Series(_by_rank(_interp(_strata(len(total), rng), DISK), noisy), index=total.index)
    share = frame["cores"] / frame["site"].map(total)
    return np.round(frame["site"].map(tb) * share * 1e3).astype(np.int64).to_numpy() * 10**9


def _with_tier_sizes(frame: pd.DataFrame) -> Iterable[tuple[int, int, np.ndarray]]:
    sizes = {tier: group.to_numpy() for tier, group in frame.groupby("tier")["cores"]}
    return [(t, c, sizes[t]) for t, c in zip(frame["tier"], frame["cores"], strict=True)]


def _ingress(tier: int, larger: float) -> float:
    """Bytes/s into a site of which the share `larger` of its tier is at least as large."""
    low, high = INGRESS[tier]
    return (high - (high - low) * larger) * 1e9 / 8


def write(path: str | Path = PATH, seed: int = SEED) -> None:
    """Write the drawn catalogue as CSV."""
    draw(seed).to_csv(path, index=False, lineterminator="\n")


if __name__ == "__main__":
    write()
