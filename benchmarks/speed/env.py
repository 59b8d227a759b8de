"""How fast environments step: alone, in batches, under SB3, against one that does nothing.

In: a seed. Out: steps (placements) per CPU-second of each, and their ratio to the null environment
of the same observation in the same run; seconds of reset and of making one; bytes an environment.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv

from pandaenv import policies
from pandaenv.sb3 import PandaVecEnv

ID = "PandaSiteAllocation-v0"
NULL_ID = "NullOfTheSameObservation-v0"
RULES = ("random", "panda_analysis")
REWARDS = ("accrued", "flow_time")
N_BATCH, N_SB3 = 256, 64
SB3 = (f"native VecEnv({N_SB3})", "DummyVecEnv(8)")
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
    """All lines, each against the null environment made by gym.make."""
    env = gym.make(ID)
    env.reset(seed=seed)
    lines = {name: _line(step, n) for name, (step, n) in _subjects(env, seed)}
    null = lines["null, gym.make"]["per_cpu_second"]
    for line in lines.values():
        line["ratio_to_null"] = line["per_cpu_second"] / null
    return {
        "steps": lines,
        "incremental_over_full_observation": _ratio(
            lines, f"vector({N_BATCH}), accrued, random", f"vector({N_BATCH}), all sites anew"
        ),
        "native_over_dummy": _ratio(lines, *(f"{name}, flow_time, random" for name in SB3)),
        "reset": {"seconds": _reset_seconds(env, seed)},
        "make_and_reset": {
            **_new_process(),
            "same_process_seconds": _make_seconds(seed),
        },
        **_bytes_an_env(seed),
    }


def _subjects(env: gym.Env, seed: int):
    """Name, step and placements a step of each line, made one after the other."""
    spaces = env.observation_space, env.action_space
    yield "null, raw", (_steps(NullEnv(*spaces), seed), 1)
    gym.register(NULL_ID, NullEnv)
    null = gym.make(NULL_ID, observation_space=spaces[0], action_space=spaces[1])
    yield "null, gym.make", (_steps(null, seed), 1)
    for reward in REWARDS:
        for rule in RULES:
            name = f"{reward}, {rule}"
            yield f"single, gym.make, {name}", (_single(reward, rule, seed), 1)
            yield f"vector({N_BATCH}), {name}", (_vector(reward, rule, seed), N_BATCH)
    yield f"vector({N_BATCH}), all sites anew", (_vector("accrued", "random", seed, True), N_BATCH)
    native, dummy = (f"{name}, flow_time, random" for name in SB3)
    yield native, (_native(seed), N_SB3)
    yield dummy, (_dummy(seed), 8)


def _line(step: Callable[[], object], n: int) -> dict:
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


def _ratio(lines: dict, one: str, other: str) -> float:
    return lines[one]["per_cpu_second"] / lines[other]["per_cpu_second"]


def _steps(env: gym.Env, seed: int) -> Callable[[], object]:
    env.reset(seed=seed)
    return lambda: env.step(0)


def _single(reward: str, rule: str, seed: int) -> Callable[[], object]:
    """Steps alone: the sites a rule chose are noted first, then played again and again."""
    env, policy = gym.make(ID, reward=reward), policies.make(rule)
    sites = [step.action for step in policies.steps(env, policy, seed)]
    left: list[int] = []

    def step():
        if not left:
            env.reset(seed=seed)
            left.extend(reversed(sites))
        env.step(left.pop())

    return step


def _vector(reward: str, rule: str, seed: int, is_full: bool = False) -> Callable[[], object]:
    """Steps of a batch, the policy's choice included, from the middle of an episode on.

    If is_full every site is looked at anew in each step, as if an event had touched it.
    """
    envs, policy = gym.make_vec(ID, num_envs=N_BATCH, reward=reward), policies.make(rule)
    envs.reset(seed=seed)
    policy.reset(range(seed, seed + N_BATCH))
    for _ in range(500):
        envs.step(policy.act_all(envs))
    touched = envs.unwrapped.episodes.worlds.touched

    def step():
        if is_full:
            touched[:] = True
        envs.step(policy.act_all(envs))

    return step


def _native(seed: int) -> Callable[[], object]:
    envs, policy = PandaVecEnv(N_SB3), policies.make("random")
    envs.seed(seed)
    envs.reset()
    policy.reset(range(N_SB3))
    return lambda: envs.step(policy.act_all(envs))


def _dummy(seed: int) -> Callable[[], object]:
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


def _new_process() -> dict:
    """Seconds of import, gym.make and reset in a first process, and in the next one.

    The first finds neither kernels nor, as wherever Python may write them, byte codes compiled.
    """
    code = f"import gymnasium, pandaenv; gymnasium.make({ID!r}).reset(seed=0)"
    with tempfile.TemporaryDirectory() as folder:
        kept = {
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": folder,
            "NUMBA_CACHE_DIR": folder,
        }
        spent = {}
        for name in ("first_process", "new_process"):
            begin, before = time.perf_counter(), os.times()
            subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | kept)
            seconds, after = time.perf_counter() - begin, os.times()
            user, system = (after[i] - before[i] for i in (2, 3))  # of children
            spent |= {f"{name}_seconds": seconds, f"{name}_cpu_seconds": user + system}
    return spent


def _bytes_an_env(seed: int) -> dict:
    """Memory of a batch over its size; the stream, the grid and the snapshots are shared by all.

    First the room set aside, then by how much the process grew after 500 steps.
    """
    resident, n = _resident(), N_BATCH
    envs, policy = gym.make_vec(ID, num_envs=n), policies.make("random")
    envs.reset(seed=seed, options={"window": 0})
    policy.reset(range(n))
    for _ in range(500):
        envs.step(policy.act_all(envs))
    episodes = envs.unwrapped.episodes
    arrays = [*episodes.worlds, *episodes.view, *episodes.plans, episodes.cost, episodes.reward]
    return {
        "bytes_an_env": sum(array.nbytes for array in arrays) // n,
        "resident_bytes_an_env": (_resident() - resident) // n,
    }


def _resident() -> int:
    """Bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
