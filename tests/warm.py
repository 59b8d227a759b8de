"""Compile the kernels that tests call, so that no two processes of tests do the same at once.

In: `single`, `many` or `tables`. Out: nothing but what numba keeps on disk.

    python -m tests.warm single
"""

import sys

import gymnasium as gym
import numpy as np

import metrics
from pandaenv import policies, records, reference
from pandaenv.replay import replay
from pandaenv.sb3 import PandaVecEnv
from pandaenv.workload import Trace
from tests.pandaenv.simulator import grids

TIER1 = "PandaSiteAllocationTier1-v0"


def small() -> dict:
    return {"workload": Trace(grids.records()), "rate": 800, "episode_jobs": 60}


def single() -> None:
    """One environment, and every policy in it."""
    for reward in ("flow_time", "accrued"):
        env = gym.make(f"pandaenv:{TIER1}", reward=reward, **small())
        env.reset(seed=0)
        for name in policies.names():
            policy = policies.make(name)
            policy.reset(0)
            env.step(policy.act(env))
        env.unwrapped.log()


def many() -> None:
    """A batch in one thread, in several, and that of Stable-Baselines3."""
    for n_threads in (1, 2):
        envs = gym.make_vec(f"pandaenv:{TIER1}", 2, n_threads=n_threads, **small())
        envs.reset(seed=0)
        envs.step(np.zeros(2, int))
    native = PandaVecEnv(2, sites="tier1", **small())
    native.reset()
    native.step(np.zeros(2, int))


def tables() -> None:
    """The reference workload, its replay and the metrics."""
    table = reference.records(days=7, seed=0, rate=100)
    train, holdout = records.split(table, seed=0)
    metrics.evaluate(train, train, holdout, n_seeds=1)
    replay(train.sort_values("creationtime").reset_index(drop=True))


if __name__ == "__main__":
    for what in sys.argv[1:]:
        {"single": single, "many": many, "tables": tables}[what]()
