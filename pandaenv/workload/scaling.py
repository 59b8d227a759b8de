"""The grid a stream needs: a catalogue with slots and power such that the load is met.

In: a catalogue, the work offered per second, a load. Out: the catalogue scaled.

Units: GFLOP/s, slots.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pandaenv.sites import Catalogue

MIN_SLOTS = 8
"""Slots of the smallest site, so that every site can run an eight-core job whatever the load."""
MAX_SLOTS = 1e9
"""Slots of the largest grid anybody may ask for, a thousand times those of ATLAS."""


def capacity(catalogue: Catalogue) -> float:
    """GFLOP/s of all slots together."""
    return float(catalogue.cores @ catalogue.power)


def scale(catalogue: Catalogue, offered: float, load: float) -> Catalogue:
    """Return the catalogue with as many slots as `offered` GFLOP/s need at `load`.

    Slots are shared by size; then one factor on power makes the load exact. A site's disk and
    ingress shrink with its slots. Links do not: jobs keep their bytes, and a link says how fast one
    of them moves. Scaled by 1/400 too, the median remote input would take 200 hours; as they are,
    transfers run at 0.5, 1.2 and 17 MB/s (5, 50 and 95 % of the pairs of 150 sites), which is near
    the 0.4, 1.7 and 36 MB/s measured for stage-in on ATLAS.
    """
    mean_power = capacity(catalogue) / float(catalogue.cores.sum())
    needed = offered / mean_power / load
    if not needed <= MAX_SLOTS:
        raise ValueError(
            f"a grid must have at most {MAX_SLOTS:.0e} slots, got {needed:.2g} for {offered:.2g} "
            f"GFLOP/s at load={load:g}"
        )
    slots = share_slots(round(needed), catalogue.cores)
    factor = offered / load / float(slots @ catalogue.power)
    shrink = slots / catalogue.cores
    return replace(
        catalogue,
        cores=slots,
        power=catalogue.power * factor,
        disk=catalogue.disk * shrink,
        ingress=catalogue.ingress * shrink,
    )


def share_slots(n: int, size: np.ndarray) -> np.ndarray:
    """Share n slots by size with largest remainders, at least MIN_SLOTS a site. Shape: (S,) int64.

    >>> share_slots(100, np.array([70, 20, 1]))
    array([72, 20,  8])
    """
    n = max(n, MIN_SLOTS * len(size))
    small = np.zeros(len(size), bool)
    while True:
        quota = (n - MIN_SLOTS * small.sum()) * size / max(size[~small].sum(), 1)
        found = ~small & (quota < MIN_SLOTS)
        if not found.any():
            break
        small |= found
    slots = np.where(small, MIN_SLOTS, np.floor(quota)).astype(np.int64)
    remainder = np.where(small, -1.0, quota - np.floor(quota))
    slots[np.argsort(-remainder, kind="stable")[: n - slots.sum()]] += 1
    return slots
