"""Environments go on alike wherever they are taken: copied, pickled, in another process."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import pandaenv  # noqa: F401  registers the environments
from pandaenv.sb3 import PandaVecEnv
from pandaenv.scenarios import SCENARIOS
from pandaenv.workload import Trace
from pandaenv.wrappers import SiteScores
from tests.pandaenv.simulator.grids import records

TIER1 = "PandaSiteAllocationTier1-v0"
N_SITES, N_BEFORE, N_AFTER = 13, 40, 60
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda env: pickle.loads(pickle.dumps(env))}


@pytest.fixture(scope="module")
def small():
    return {"workload": Trace(records()), "rate": 800, "episode_jobs": 150}


def same(one, other) -> bool:
    """Equal to the last bit, whatever a step gives."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    one, other = np.asarray(one), np.asarray(other)
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


def assert_goes_on_alike(env, take_along, act):
    """Play, copy, and play on in both; then a whole new episode in both, drawn on from there."""
    for k in range(N_BEFORE):
        env.step(act(k))
    twin = take_along(env)
    for k in range(N_BEFORE, N_BEFORE + N_AFTER):
        assert same(env.step(act(k)), twin.step(act(k))), f"step {k}"
    assert same(env.reset(), twin.reset())
    for k in range(20):
        assert same(env.step(act(k)), twin.step(act(k))), f"step {k} of the next episode"


@pytest.mark.parametrize("take_along", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("reward", ["flow_time", "accrued"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_copy_of_an_environment_goes_on_alike(small, scenario, reward, take_along):
    env = gym.make(TIER1, scenario=scenario, reward=reward, **small)
    env.reset(seed=2)
    assert_goes_on_alike(env, take_along, lambda k: 7 * k % N_SITES)


@pytest.mark.parametrize("take_along", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize(
    ("options", "act"),
    [
        ({"candidates": 4, "reward": "relative"}, lambda k: k % 4),
        ({}, lambda k: np.cos(k * np.arange(N_SITES), dtype=np.float32)),
    ],
    ids=["candidates", "scores"],
)
def test_a_copy_of_another_kind_goes_on_alike(small, options, act, take_along):
    env = gym.make(TIER1, observation="dict", reveal="estimate", **small, **options)
    env = env if options else SiteScores(env)
    env.reset(seed=2)
    assert_goes_on_alike(env, take_along, act)


@pytest.mark.parametrize("take_along", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_copy_of_many_goes_on_alike(small, n_threads, take_along):
    envs = gym.make_vec(TIER1, 3, scenario="outage", n_threads=n_threads, **small).unwrapped
    envs.reset(seed=5)
    assert_goes_on_alike(envs, take_along, lambda k: (k + np.arange(3)) % N_SITES)


@pytest.mark.parametrize("take_along", COPIES.values(), ids=COPIES)
def test_a_copy_of_the_native_one_goes_on_alike(small, take_along):
    envs = PandaVecEnv(3, sites="tier1", **small)
    envs.seed(5)
    envs.reset()
    assert_goes_on_alike(envs, take_along, lambda k: (k + np.arange(3)) % N_SITES)


def test_a_copy_does_not_touch_what_it_was_made_from(small):
    env = gym.make(TIER1, **small)
    env.reset(seed=0)
    twin = copy.deepcopy(env)
    before = [array.tobytes() for array in env.unwrapped.worlds]
    for k in range(50):
        twin.step(k % N_SITES)
    assert before == [array.tobytes() for array in env.unwrapped.worlds]


def test_other_processes_give_the_same(small):
    def make():
        return gym.make(f"pandaenv:{TIER1}", **small)

    ours, theirs = PandaVecEnv(2, sites="tier1", **small), SubprocVecEnv([make, make])
    here = DummyVecEnv([make, make])
    try:
        for envs in (ours, theirs, here):
            envs.seed(3)
        first = ours.reset()
        assert same(first, theirs.reset()) and same(first, here.reset())
        for k in range(160):  # across the end of an episode
            actions = (k + np.arange(2)) % N_SITES
            got, expected, near = (envs.step(actions) for envs in (ours, theirs, here))
            assert same(got[:3], near[:3]) and same(got[0], expected[0])
            assert same(got[1], np.float32(expected[1])) and same(got[2], expected[2])
            for mine, other in zip(got[3], expected[3], strict=True):
                assert same(mine, {key: other[key] for key in mine})
        assert same(ours.env_method("action_masks"), theirs.env_method("action_masks"))
    finally:
        theirs.close()


def test_gymnasiums_processes_give_the_same(small):
    ours = gym.make_vec(TIER1, 2, **small)
    theirs = gym.make_vec(TIER1, 2, "async", **small)
    try:
        assert same(ours.reset(seed=3), theirs.reset(seed=3))
        for k in range(160):
            actions = (k + np.arange(2)) % N_SITES
            assert same(ours.step(actions), theirs.step(actions))
    finally:
        theirs.close()
