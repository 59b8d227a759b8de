"""Bounds of the worlds that policies play, one a seed, as `benchmarks.play.episodes` numbers them.

In: a task, seeds. Out: one row an episode, with the mean flow time over m that no placement of its
jobs can beat (`pandaenv.hindsight`).
"""

from collections.abc import Callable, Sequence

import gymnasium as gym
import pandas as pd

from pandaenv.env.config import TaskConfig
from pandaenv.hindsight import lower_bound

from .episodes import ENV_ID

BOUND = "bound"
"""The column of bounds."""


def bound_episodes(
    task: TaskConfig,
    seeds: Sequence[int],
    n_steps: int,
    tick: Callable[[int], None] = lambda n: None,
) -> pd.DataFrame:
    """Bound the episode of each seed: columns seed, window, bound and service, a row a seed.

    Args:
        n_steps: see `pandaenv.hindsight.lower_bound`.
        tick: told how many jobs have been looked at since it was last told.
    """
    env, rows = gym.make(ENV_ID, **task.arguments()), []
    for seed in seeds:
        window = seed % len(env.unwrapped.prepared.windows)
        env.reset(seed=int(seed), options={"window": window})
        limit = lower_bound(env, n_steps=n_steps)
        rows.append([int(seed), window, limit.flow, limit.service])
        tick(len(limit.site))
    return pd.DataFrame(rows, columns=["seed", "window", BOUND, "service"])
