"""Policies play the same worlds: episodes, one a seed, and what became of their jobs.

In: a policy (`pandaenv.policies`), a task, seeds. Out: one row an episode. Seed s plays
window s modulo their number, with failures, outages and whatever else a scenario brings drawn from
s alone: two policies under one seed meet the same world.

`return` counts mean service times m. `flow` = -return / jobs is the mean flow time of a job over m,
in which a lost job counts 10 beside the time it spent; `flow_h` and `wait_h` are hours, from
submission to the end and to the first start, of jobs as they were (all, and those that started);
`cost` is limit violations per job, `lost` the share of jobs lost or rejected.
"""

from collections.abc import Callable, Sequence
from itertools import islice

import gymnasium as gym
import numpy as np
import pandas as pd

import pandaenv  # noqa: F401  registers the environment
from foundations.units import HOUR_S
from pandaenv.env.config import TaskConfig
from pandaenv.policies import steps, vector_steps
from pandaenv.simulator import advance
from pandaenv.simulator.state import LOST, REJECTED

ENV_ID = "PandaSiteAllocation-v0"
STRIDE = 250
"""Placements a world between two reports of progress."""


def play_episodes(
    task: TaskConfig, policy, seeds: Sequence[int], tick: Callable[[int], None] = lambda n: None
) -> pd.DataFrame:
    """Play one episode of each seed; all side by side if the policy acts on many worlds.

    Args:
        task: what the environment is made of.
        tick: told how many placements have been made since it was last told.

    Returns:
        Columns seed, window and MEASURES, a row a seed.
    """
    if hasattr(policy, "act_all") and task.decide == "job":
        return play_all(_envs(task, len(seeds)), policy, seeds, tick)
    env = gym.make(ENV_ID, **task.arguments())
    return pd.DataFrame([play(env, policy, seed, tick) for seed in seeds])


def play(env: gym.Env, policy, seed: int, tick: Callable[[int], None] = lambda n: None) -> dict:
    """Play one episode of one seed; its row."""
    window = seed % len(env.unwrapped.prepared.windows)
    total, cost, episodes = 0.0, 0.0, env.unwrapped.episodes
    for k, step in enumerate(steps(env, policy, seed, window), 1):
        total, cost = total + step.reward, cost + step.info["cost"]
        if k % STRIDE == 0 or step.is_last:
            tick(k % STRIDE or STRIDE)
    return _row(episodes, 0, seed, total, cost, episodes.config.episode_jobs)


def play_all(envs, policy, seeds: Sequence[int], tick=lambda n: None) -> pd.DataFrame:
    """The same of a seed for each world of a vector environment that does not reset itself."""
    seeds = [int(seed) for seed in seeds]
    episodes = envs.unwrapped.episodes
    windows = np.array(seeds) % len(episodes.prepared.windows)
    played = vector_steps(envs, policy, seeds, windows)
    total, cost = np.zeros(len(seeds)), np.zeros(len(seeds))
    n_jobs = int(episodes.n_left[0])
    for k, step in enumerate(islice(played, n_jobs), 1):
        total += step.reward
        cost += step.info["cost"]
        if k % STRIDE == 0 or k == n_jobs:
            tick((k % STRIDE or STRIDE) * len(seeds))
    rows = zip(seeds, total.tolist(), cost.tolist(), strict=True)
    return pd.DataFrame([_row(episodes, i, *row, n_jobs) for i, row in enumerate(rows)])


def _envs(task: TaskConfig, n: int) -> gym.vector.VectorEnv:
    return gym.make_vec(
        ENV_ID, num_envs=n, autoreset_mode="Disabled", copy=False, **task.arguments()
    )


def _row(episodes, w: int, seed: int, total: float, cost: float, n_jobs: int) -> dict:
    """An episode's row; its world is run to the end."""
    row = {"seed": int(seed), "window": int(episodes.window[w]), "return": float(total)}
    row |= {"flow": float(-total / n_jobs), "cost": float(cost / n_jobs)}
    return row | fates(episodes, w)


def fates(episodes, w: int) -> dict[str, float]:
    """Hours the agent's jobs of world w took and waited, and the share lost; runs it to its end."""
    advance(episodes.prepared.grid, episodes.worlds, w, np.inf)
    world = episodes.worlds.world[w]
    job = episodes.worlds.job[w, int(world["first_own"]) : int(world["n_rows"])]
    wait = job["first_start"] - job["submit"]
    has_run = ~np.isnan(wait)
    return {
        "flow_h": float((job["end"] - job["submit"]).mean() / HOUR_S),
        "wait_h": float(wait[has_run].mean() / HOUR_S) if has_run.any() else 0.0,
        "lost": float(np.isin(job["state"], (LOST, REJECTED)).mean()),
    }
