"""Good placements by hindsight: those of an episode's jobs, changed for as long as that pays.

In: an environment whose episode has just begun. Out: `Found`, sites that a policy could have
chosen, so that the best placement lies between its flow time and the bound of `limit`.

A plan names a site for each job. It is played in a copy of the world; a job that its plan puts on a
masked site, or nowhere, goes where it ends first by the true work of all jobs placed (`greedy_true`
in `pandaenv.policies`). Plans begin there and where jobs are cheapest at the bound's prices; then
one to three jobs at a time get other sites, and the change stays unless it costs.
"""

from typing import Any, NamedTuple

import numpy as np

from foundations import checks
from pandaenv.env.measures import LOSS
from pandaenv.kernel_cache import cached_njit
from pandaenv.policies.choices import earliest_finish
from pandaenv.policies.mask import mark_allowed
from pandaenv.simulator.arrivals import advance_to_arrival
from pandaenv.simulator.motion import advance, place
from pandaenv.simulator.state import LOST, NONE, Worlds

from .limit import Limit, begun

N_MOVES = 4_000
"""Changes tried, some ten seconds for 2,000 jobs."""
MOST_MOVED = 3
"""Jobs that one change gives another site."""


class Found(NamedTuple):
    """A placement and what it costs a job, in mean service times m, LOSS of lost ones included."""

    flow: float
    site: np.ndarray
    """(n,) int64, none of them masked when its job arrives."""


def best_found(env: Any, limit: Limit, w: int = 0, n_moves: int = N_MOVES, seed: int = 0) -> Found:
    """The best placement met in a search from the sites of a bound and those of `greedy_true`.

    Args:
        env: as for `lower_bound`, which gave `limit`; it is left as it is.
        w: which of a vector of environments.
        n_moves: changes tried, each played to the end of the episode.
        seed: of the changes.

    Raises:
        ValueError, ResetNeeded: as `lower_bound`.
    """
    episodes = begun(env, w)
    checks.whole("n_moves", n_moves)
    table = Table(episodes, w)
    best = min(
        (table.play(plan) for plan in (np.full_like(limit.site, NONE), limit.site)), key=_flow
    )
    rng = np.random.default_rng(seed)
    for _ in range(n_moves):
        size = rng.integers(1, MOST_MOVED + 1)
        plan = best.site.copy()
        plan[rng.integers(len(plan), size=size)] = rng.integers(episodes.n_sites, size=size)
        best = min(table.play(plan), best, key=_flow)
    return best


def _flow(found: Found) -> float:
    return found.flow


class Table:
    """A copy of a world on which plans are played, each from the same beginning."""

    def __init__(self, episodes: Any, w: int):
        self.grid, self.unit = episodes.prepared.grid, episodes.prepared.unit
        self.cap_floor = episodes.prepared.cap_floor
        self.begin = Worlds(*(array[w : w + 1].copy() for array in episodes.worlds))
        self.worlds = Worlds(*(array.copy() for array in self.begin))
        world = self.begin.world[0]
        self.own = slice(int(world["first_own"]), int(world["n_rows"]))
        self.mask = np.ones(episodes.n_sites, np.int8)

    def play(self, plan: np.ndarray) -> Found:
        """What becomes of a plan (n,) of sites, NONE where there is none."""
        for array, first in zip(self.worlds, self.begin, strict=True):
            array[...] = first
        site = plan.copy()
        play_plan(self.grid, self.worlds, site, self.cap_floor, self.mask)
        job = self.worlds.job[0, self.own]
        spent = float((job["end"] - job["submit"]).sum()) / self.unit
        return Found((spent + LOSS * float((job["state"] >= LOST).sum())) / len(plan), site)


@cached_njit
def play_plan(grid, worlds, plan, cap_floor, mask):
    """Place the jobs of world 0 where the plan says, and write into it where they went."""
    for i in range(len(plan)):
        advance_to_arrival(grid, worlds, 0)
        mark_allowed(grid, worlds, 0, cap_floor, mask)
        if plan[i] == NONE or mask[plan[i]] == 0:
            plan[i] = earliest_finish(grid, worlds, 0, mask, True)
        place(grid, worlds, 0, plan[i])
    advance(grid, worlds, 0, np.inf)
