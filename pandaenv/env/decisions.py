"""Which jobs of an episode ask for a site, and which go where the one before them went.

In: the jobs of an episode, in order of arrival. Out: how far back the job lies that decides for
each. With `decide="task"` a broker places tasks, not jobs: a decision holds for the N_TOGETHER next
jobs of the same task and of as many cores, each when it arrives, whatever the mask says by then.
"""

from typing import NamedTuple

import numpy as np

from pandaenv.kernels import kernel
from pandaenv.policies.readings import take_reading

from .reward import COSTS, step

DECIDED = ("job", "task")
"""What a decision is for."""
N_TOGETHER = 20
"""Jobs of a task that one decision places at most (ASSUMED; PanDA's server hands out the jobs of
one task in portions, of which no size is published)."""


class Decisions(NamedTuple):
    """Decisions of n worlds with K jobs an episode; K is 0 where each job decides."""

    back: np.ndarray  # (n, K) int32, jobs back to the one that decides; 0 where it asks itself
    site: np.ndarray  # (n, K) int32, what was decided, NONE for a masked site; of those that ask
    cost: np.ndarray  # (n, 4) float64, to work in


def make_decisions(n: int, n_jobs: int = 0) -> Decisions:
    """Room for the decisions of n worlds."""
    back, site = np.zeros((n, n_jobs), np.int32), np.zeros((n, n_jobs), np.int32)
    return Decisions(back, site, np.zeros((n, len(COSTS))))


def jobs_back(task: np.ndarray, cores: np.ndarray) -> np.ndarray:
    """How many jobs before each the job lies that decides for it; int32 (K,), 0 for itself.

    Args:
        task: of K jobs in order of arrival, int (K,).
        cores: of each, int (K,).
    """
    _, group = np.unique(np.stack([task, cores]), axis=1, return_inverse=True)
    group = group.ravel()
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], np.arange(group.max(initial=-1) + 1))
    place = np.arange(len(group))
    start = place - (place - first[group[order]]) % N_TOGETHER
    back = np.empty(len(group), np.int32)
    back[order] = order - order[start]
    return back


@kernel
def place_followers(grid, worlds, plans, view, rules, w, scratch, site, cost):
    """Place what follows decisions until a job asks; adds to cost, returns the sum of rewards.

    Args:
        site: what was decided for the job placed last, NONE where it was rejected.
    """
    world, decisions = worlds.world[w], view.decisions
    decisions.site[w, world.next - 1 - world.first_own] = site
    each, reward = decisions.cost[w], 0.0
    while world.next < world.n_rows:
        i = world.next - world.first_own
        back = decisions.back[w, i]
        if back == 0:
            break
        s = decisions.site[w, i - back]
        reward += step(grid, worlds, plans, w, scratch, s, rules, each)
        for k in range(len(each)):
            cost[k] += each[k]
        if view.readings.delay > 0.0 and world.next < world.n_rows:
            take_reading(grid, worlds, w, view.readings)
    return reward
