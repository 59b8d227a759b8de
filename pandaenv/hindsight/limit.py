"""A bound by hindsight: no placement of an episode's jobs has a smaller mean flow time.

In: an environment whose episode has just begun. Out: a `Limit`.

It knows all: work, failures, outages, later arrivals; and it lets jobs do what no placement can:
wait at a site for cores that others will leave, and overtake. Kept are what a job needs at each
site at least (`starts`), what the jobs that were there before hold (`carried`), and that no more
cores work than a site has (`prices`).
"""

from typing import Any, NamedTuple

import numpy as np
from gymnasium.error import ResetNeeded

from foundations import checks
from pandaenv.background import BACKGROUNDS
from pandaenv.env.config import TaskConfig
from pandaenv.env.measures import LOSS
from pandaenv.simulator.state import Grid, Worlds

from .carried import Slots, left_by_carried
from .prices import best_prices
from .starts import earliest_starts

N_STEPS = 200
"""Changes of prices, enough for three digits."""
SLOTS_PER_UNIT, MOST_SLOTS = 8, 4096
"""Slots in a mean service time m, and in all."""
ROUNDING = 1e-9
"""Share by which a bound is lowered, more than sums of doubles can be wrong."""


MODELLED = ("flow_time", "accrued")
"""Rewards that add up to minus the total flow time."""


class Limit(NamedTuple):
    """What no placement can beat, in mean service times m a job, LOSS of each job lost included."""

    flow: float
    """Mean flow time."""
    service: float
    """The same as if every job had the grid for itself."""
    site: np.ndarray
    """(n,) int64, where each job costs least at the best prices of cores; -1: rejected."""


def lower_bound(env: Any, w: int = 0, n_steps: int = N_STEPS) -> Limit:
    """Bound the mean flow time of the episode that has just begun in an environment.

    Args:
        env: a `PandaSiteAllocationEnv` or a vector of them, wrapped or not, before its first step.
        w: which of them.
        n_steps: changes of prices; the bound holds for any number, and more make it tighter.

    Raises:
        ValueError: an environment whose rules the bound does not model, or with placements made.
        ResetNeeded: no episode has begun.
    """
    episodes = begun(env, w)
    checks.whole("n_steps", n_steps)
    return limit_of(episodes.prepared.grid, episodes.worlds, w, episodes.prepared.unit, n_steps)


def begun(env: Any, w: int = 0) -> Any:
    """The episodes of an environment, of which that in world w has just begun and is modelled."""
    episodes = env.unwrapped.episodes
    check_modelled(episodes.config)
    checks.whole("w", w, most=episodes.n - 1)
    if episodes.worlds is None:
        raise ResetNeeded("a bound needs an episode: call reset() of the environment first")
    world = episodes.worlds.world[w]
    n_placed = int(world["next"] - world["first_own"])
    if n_placed:
        raise ValueError(f"a bound needs an episode in which no job is placed, got {n_placed} jobs")
    return episodes


def check_modelled(config: TaskConfig) -> None:
    """Raise a ValueError for a task whose rules no bound is known for."""
    checks.known("reward", config.reward, MODELLED)
    if config.backfill:
        raise ValueError("a bound needs queues in order of arrival: backfill=False, got True")
    if config.background != BACKGROUNDS["none"]:
        share = f"{config.background.held:.0%}"
        raise ValueError(f"a bound needs background='none', got others on {share} of the cores")


def limit_of(grid: Grid, worlds: Worlds, w: int, unit: float, n_steps: int = N_STEPS) -> Limit:
    """The same of a world at the arrival of its first own job, with m in s; rules as by default."""
    world = worlds.world[w]
    n = int(world["n_rows"] - world["first_own"])
    slots, n_slots = slots_of(grid, worlds, w, unit)
    left = left_by_carried(grid, worlds, w, slots, n_slots)
    starts = earliest_starts(grid, worlds, w, left.behind)
    service, best = best_prices(grid, worlds, w, starts, left, unit, n_steps)
    flow, least = (max(one.total, 0.0) * (1 - ROUNDING) / n for one in (best, service))
    return Limit(flow, least, best.site)


def slots_of(grid: Grid, worlds: Worlds, w: int, unit: float) -> tuple[Slots, int]:
    """Slots from the first arrival until a job that had come last would rather be rejected."""
    world = worlds.world[w]
    begin, last = float(world["now"]), worlds.job[w, int(world["n_rows"]) - 1]
    span = max(float(grid.stream["time"][last["index"]]) - begin, 0.0) + LOSS * unit
    n_slots = min(int(np.ceil(span / unit * SLOTS_PER_UNIT)), MOST_SLOTS)
    return Slots(begin, span / n_slots), n_slots
