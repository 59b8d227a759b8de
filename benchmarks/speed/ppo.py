"""How fast agents learn: PPO end to end, on the native vector environment and on the common one.

In: a seed. Out: placements learned from per second of each algorithm of `benchmarks.play.learner`
as the table of agents uses it, where the time goes (choosing and stepping, learning), and ratios to
the same learner on `DummyVecEnv(8)` and, with the native one, to an environment that does nothing.
Torch takes as many threads as the process may use cores.
"""

import os
import time

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from benchmarks.play.learner import make_model
from benchmarks.play.recipes import Recipe
from benchmarks.play.training_reward import TrainingReward
from pandaenv.sb3 import PandaVecEnv

ID = "PandaSiteAllocation-v0"
ALGORITHMS = ("ppo", "maskable", "scoring")
WARM, ROLLOUTS = 2, 8
"""Rollouts before the clock runs, and while it does."""


class Nothing(VecEnv):
    """Shows the same observations again and again, as many as a native one."""

    def __init__(self, like: PandaVecEnv):
        super().__init__(like.num_envs, like.observation_space, like.action_space)
        self.seen, self.episodes = like.reset(), like.episodes
        self.masks = [np.ones(like.action_space.n, np.int8)] * self.num_envs
        self.infos = [{"cost": 0.0}] * self.num_envs

    def reset(self):
        return self.seen

    def step_async(self, actions):
        pass

    def step_wait(self):
        return self.seen, np.zeros(self.num_envs), np.zeros(self.num_envs, bool), self.infos

    def close(self):
        pass

    def env_method(self, method_name, *args, indices=None, **kwargs):
        return self.masks

    def has_attr(self, attr_name):
        return attr_name == "action_masks"

    def get_attr(self, attr_name, indices=None):
        return [None] * self.num_envs

    def set_attr(self, attr_name, value, indices=None):
        raise AttributeError(attr_name)

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * self.num_envs


class Clock(BaseCallback):
    """Seconds spent collecting."""

    def _on_rollout_start(self) -> None:
        self.began = time.perf_counter()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.collecting = getattr(self, "collecting", 0.0) + time.perf_counter() - self.began


def measure(seed: int) -> dict:
    """All lines; `per_second` is placements collected and learned from per second of wall time."""
    before = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        return _measured(seed)
    finally:
        torch.set_num_threads(before)


def _measured(seed: int) -> dict:
    lines = {}
    for algorithm in ALGORITHMS:
        recipe = Recipe(algorithm=algorithm, width=32 if algorithm == "scoring" else 64)
        native = PandaVecEnv(recipe.n_envs)
        native.seed(seed)
        ours = lines[f"{algorithm}, native VecEnv({recipe.n_envs})"] = timed(recipe, native, seed)
        idle = lines[f"{algorithm}, no environment"] = timed(recipe, Nothing(native), seed)
        ours["ratio_to_no_environment"] = ours["per_second"] / idle["per_second"]
    recipe = Recipe(algorithm="ppo", width=64, n_envs=8, n_steps=440)
    dummy = DummyVecEnv([lambda: gym.make(ID)] * 8)
    dummy.seed(seed)
    common = lines["ppo, DummyVecEnv(8)"] = timed(recipe, dummy, seed)
    ours = lines[f"ppo, native VecEnv({Recipe().n_envs})"]
    ours["ratio_to_dummy"] = ours["per_second"] / common["per_second"]
    return {"end_to_end": lines, "threads": torch.get_num_threads()}


def timed(recipe: Recipe, envs: VecEnv, seed: int) -> dict:
    """Rate of a learner, and the share of its time that goes to collecting."""
    model = make_model(recipe, TrainingReward(envs, recipe), seed)
    length = recipe.n_steps * recipe.n_envs
    model.learn(WARM * length)
    clock, begin, spent = Clock(), time.perf_counter(), time.process_time()
    model.learn(ROLLOUTS * length, clock, reset_num_timesteps=False)
    seconds, spent = time.perf_counter() - begin, time.process_time() - spent
    n = ROLLOUTS * length
    return {
        "per_second": n / seconds,
        "per_cpu_second": n / spent,
        "seconds": seconds,
        "n": n,
        "collecting_share": clock.collecting / seconds,
        "n_epochs": recipe.n_epochs,
        "batch_size": recipe.batch_size,
        "width": recipe.width,
        "n_envs": recipe.n_envs,
    }
