"""The sites of most promise for the waiting job, best first, and what an agent sees of them.

In: a world between two steps and its view. Out: the rows of k sites, and an observation in which
the blocks of those k sites stand in that order, two numbers longer: when the job would end there as
far as a broker can tell, and how much later that is than at the best.

A list that has more places than there are allowed sites goes round, so that no action is refused.
"""

import numpy as np

from pandaenv.kernels import part
from pandaenv.policies import expected_finish
from pandaenv.policies.readings import finish_as_known

from .observation import N_GRID, N_JOB, N_SITE

N_CANDIDATE = N_SITE + 2
"""Features of each candidate."""
NEAR = 2.0
"""A candidate that ends x mean service times after the best one is exp(-NEAR x) near to it."""


@part
def show_candidates(grid, worlds, w, unit, view):
    """Fill the order (k,) and the shown observation of world w."""
    order, end = view.order[w], view.end[w]
    if len(order) == 0:
        return
    if view.readings.delay > 0.0:
        expect_known_ends(grid, worlds, w, view.mask[w], view.readings, end)
    else:
        expect_ends(grid, worlds, w, view.mask[w], end)
    n_allowed = sort_allowed(view.mask[w], end, order)
    for i in range(n_allowed, len(order)):
        order[i] = order[i - n_allowed]
    shown, flat = view.shown[w], view.flat[w]
    for k in range(N_JOB):
        shown[k] = flat[k]
    for k in range(1, N_GRID + 1):
        shown[len(shown) - k] = flat[len(flat) - k]
    least = end[order[0]]
    for i in range(len(order)):
        s, at = order[i], N_JOB + N_CANDIDATE * i
        for k in range(N_SITE):
            shown[at + k] = flat[N_JOB + N_SITE * s + k]
        late = end[s] / unit
        shown[at + N_SITE] = late / (1.0 + late)
        shown[at + N_SITE + 1] = np.exp(-NEAR * (end[s] - least) / unit)


@part
def expect_ends(grid, worlds, w, mask, end):
    """Seconds until the waiting job would end at allowed sites, into end (S,); 0 without one."""
    world = worlds.world[w]
    has_job = world.next < world.n_rows
    for s in range(len(mask)):
        end[s] = expected_finish(grid, worlds, w, s, False, np.inf) if has_job and mask[s] else 0.0


@part
def expect_known_ends(grid, worlds, w, mask, readings, end):
    """The same by what is known of the sites."""
    world = worlds.world[w]
    has_job = world.next < world.n_rows
    for s in range(len(mask)):
        end[s] = finish_as_known(grid, worlds, w, s, readings) if has_job and mask[s] else 0.0


@part
def sort_allowed(mask, end, order):
    """The allowed sites that end first, into order (k,), ties to the larger; how many it has."""
    n = 0
    for s in range(len(mask)):
        if mask[s]:
            i = min(n, len(order) - 1)
            if n == len(order) and end[s] >= end[order[i]]:
                continue
            while i > 0 and end[order[i - 1]] > end[s]:
                order[i] = order[i - 1]
                i -= 1
            order[i] = s
            n = min(n + 1, len(order))
    return n


@part
def least_finish(grid, worlds, w, mask):
    """Seconds until the waiting job would end at the best allowed site, by the true work of all."""
    least = np.inf
    for s in range(len(mask)):
        if mask[s]:
            least = min(least, expected_finish(grid, worlds, w, s, True, least))
    return least
