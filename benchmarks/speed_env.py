"""How fast environments step: alone, in batches, under SB3, against one that does nothing.

In: a seed. Out: steps per CPU-second of each, and their ratio to the null environment of the same
observation in the same run; times of reset and of making one; bytes an environment.
"""

import subprocess
import sys
import time
from collections.abc import Callable

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv

from pandaenv import policies
from pandaenv.sb3 import PandaVecEnv

ID = "PandaSiteAllocation-v0"
RULES = ("random", "panda_analysis")
N_BATCH, N_SB3 = 256, 64
WINDOW_S = 1.0
"""CPU-seconds a line is measured, at least."""


class NullEnv(gym.Env):
    """Shows the same observation again and again, copied as a real one must be."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space
        self.seen = observation_space.sample()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.seen.copy(), {}

    def step(self, action):
        return self.seen.copy(), 0.0, False, False, {}


def measure(seed: int) -> dict:
    """All lines; rates are steps (placements) per CPU-second."""
    env = gym.make(ID)
    env.reset(seed=seed)
    gym.register("NullOfTheSameObservation-v0", NullEnv)
    spaces = env.observation_space, env.action_space
    null = gym.make("NullOfTheSameObservation-v0", observation_space=spaces[0],
                    action_space=spaces[1])  # fmt: skip
    lines = {
        "null, raw": _line(_steps(NullEnv(*spaces), seed), 1),
        "null, gym.make": _line(_steps(null, seed), 1),
    }
    for rule in RULES:
        for reward in ("flow_time", "accrued"):
            lines[f"single, gym.make, {reward}, {rule}"] = _line(_single(reward, rule, seed), 1)
            lines[f"vector({N_BATCH}), {reward}, {rule}"] = _line(
                _vector(reward, rule, seed), N_BATCH
            )
    lines[f"native VecEnv({N_SB3}), flow_time, random"] = _line(_native(seed), N_SB3)
    lines["DummyVecEnv(8), flow_time, random"] = _line(_dummy(seed), 8)
    null_rate = lines["null, gym.make"]["per_cpu_second"]
    for line in lines.values():
        line["ratio_to_null"] = line["per_cpu_second"] / null_rate
    return {
        "steps": lines,
        "reset": {"seconds": _reset_seconds(env, seed)},
        "make_and_reset": {
            "new_process_seconds": _new_process_seconds(),
            "same_process_seconds": _make_seconds(seed),
        },
        "bytes_an_env": _bytes_an_env(seed),
    }


def _line(step: Callable[[], None], n: int) -> dict:
    """Rate of a function that makes n steps, the median of windows of CPU time; one warms up."""
    step()
    rates, total = [], 0.0
    while total < WINDOW_S or len(rates) < 5:
        begin, calls = time.process_time(), 0
        while calls == 0 or time.process_time() - begin < 0.1:
            step()
            calls += 1
        spent = time.process_time() - begin
        rates.append(n * calls / spent)
        total += spent
    return {"per_cpu_second": float(np.median(rates)), "n": n, "windows": len(rates)}


def _steps(env: gym.Env, seed: int) -> Callable[[], None]:
    env.reset(seed=seed)
    return lambda: env.step(0)


def _single(reward: str, rule: str, seed: int) -> Callable[[], None]:
    """Steps alone: the sites a rule chose are noted first, then played again and again."""
    env, policy = gym.make(ID, reward=reward), policies.make(rule)
    env.reset(seed=seed)
    policy.reset(seed)
    sites, over = [], False
    while not over:
        sites.append(policy.act(env))
        _, _, terminated, truncated, _ = env.step(sites[-1])
        over = terminated or truncated
    left: list[int] = []

    def step():
        if not left:
            env.reset(seed=seed)
            left.extend(reversed(sites))
        env.step(left.pop())

    return step


def _vector(reward: str, rule: str, seed: int) -> Callable[[], None]:
    """Steps of a batch, the policy's choice included, from the middle of an episode on."""
    envs, policy = gym.make_vec(ID, num_envs=N_BATCH, reward=reward), policies.make(rule)
    envs.reset(seed=seed)
    policy.reset(range(seed, seed + N_BATCH))
    for _ in range(500):
        envs.step(policy.act_all(envs))
    return lambda: envs.step(policy.act_all(envs))


def _native(seed: int) -> Callable[[], None]:
    envs, policy = PandaVecEnv(N_SB3), policies.make("random")
    envs.seed(seed)
    envs.reset()
    policy.reset(range(N_SB3))
    return lambda: envs.step(policy.act_all(envs))


def _dummy(seed: int) -> Callable[[], None]:
    envs = DummyVecEnv([lambda: gym.make(ID)] * 8)
    envs.seed(seed)
    envs.reset()
    rng = np.random.default_rng(seed)
    return lambda: envs.step(rng.integers(0, envs.action_space.n, 8))


def _reset_seconds(env: gym.Env, seed: int) -> float:
    """Median CPU time of a reset to a window that has been warmed up."""
    spent = []
    for i in range(10):
        begin = time.process_time()
        env.reset(seed=seed + i, options={"window": 0})
        spent.append(time.process_time() - begin)
    return float(np.median(spent[1:]))


def _make_seconds(seed: int) -> float:
    """Wall time of another gym.make and reset in this process."""
    begin = time.perf_counter()
    gym.make(ID).reset(seed=seed, options={"window": 0})
    return time.perf_counter() - begin


def _new_process_seconds() -> float:
    """Wall time of import, gym.make and reset in a new process, kernels compiled before."""
    code = f"import gymnasium, pandaenv; gymnasium.make({ID!r}).reset(seed=0)"
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begin


def _bytes_an_env(seed: int) -> int:
    """Arrays of a batch of 64 over 64; the stream, grid and snapshots are shared by all."""
    episodes = gym.make_vec(ID, num_envs=64).unwrapped.episodes
    episodes.begin(0, np.random.default_rng(seed))
    arrays = [*episodes.worlds, *episodes.view, *episodes.plans, episodes.cost, episodes.reward]
    return sum(array.nbytes for array in arrays) // 64
