"""The mask: the sites where the broker may put a job.

In: a world with a waiting job and the broker's cap on queues. Out: 1 for each site allowed, else 0.
"""

import numpy as np

from pandaenv.brokerage import CAP_FLOOR
from pandaenv.kernels import kernel, part
from pandaenv.simulator.state import is_up


def broker_floor(scale: float) -> float:
    """The broker's cap floor on a grid of `scale` times the slots, never below 1."""
    return max(1.0, CAP_FLOOR * scale)


@kernel
def mark_allowed(grid, worlds, w, cap_floor, mask):
    """Mark the sites that may take the next job of world w, into mask (S,) int8.

    A site is out when it has too few cores, is down, or has more jobs waiting (inputs moving
    included) than the broker's cap, 2 max(cap_floor, running). Where nothing is left, first the cap
    is lifted, then the outage, at last everything. After the last job all sites are marked.
    """
    world = worlds.world[w]
    mask[:] = 1
    if world.next == world.n_rows:
        return
    cores = grid.stream[worlds.job[w, world.next].index].cores
    for rules in range(3, 0, -1):
        n_allowed = 0
        for s in range(len(mask)):
            site = worlds.site[w, s]
            fits = cores <= grid.sites[s].cores
            up = rules < 2 or is_up(site)
            mask[s] = fits and up and (rules < 3 or is_within_cap(site, cap_floor))
            n_allowed += mask[s]
        if n_allowed:
            return
    mask[:] = 1


@part
def is_within_cap(site, cap_floor):
    """Whether the waiting jobs of a site, inputs moving included, are within the broker's cap."""
    return site.queued + site.moving <= 2.0 * max(cap_floor, np.float64(site.running))
