import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import InvalidAction
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3_env

import pandaenv  # noqa: F401  registers the environments
from pandaenv.scenarios import Scenario
from pandaenv.workload import Trace
from pandaenv.wrappers import SiteScores
from tests.pandaenv.simulator.grids import records

ID = "PandaSiteAllocationTier1-v0"
ROUGH = Scenario(outage_every_s=86_400.0, outage_length_s=36_000.0)


@pytest.fixture(scope="module")
def make():
    small = {"workload": Trace(records()), "rate": 800, "episode_jobs": 120, "scenario": ROUGH}
    return lambda **options: gym.make(ID, **small | options)


@pytest.mark.parametrize("observation", ["flat", "dict"])
@pytest.mark.parametrize("candidates", [None, 4])
def test_gymnasium_and_stable_baselines3_accept_it(make, observation, candidates):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*different from the unwrapped version")
        env = SiteScores(make(observation=observation, candidates=candidates))
        check_env(env, skip_render_check=True)
        check_sb3_env(SiteScores(make(observation=observation, candidates=candidates)))


def test_scores_choose_the_best_allowed_site(make):
    env, plain = SiteScores(make()), make()
    env.reset(seed=0)
    plain.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(100):
        scores, mask = env.action_space.sample(), plain.unwrapped.mask
        site = max(np.flatnonzero(mask), key=lambda s: scores[s])
        if rng.random() < 0.2:
            scores[:] = 0.5
            site = np.flatnonzero(mask)[0]
        got, expected = env.step(scores), plain.step(site)
        assert got[0].tobytes() == expected[0].tobytes() and got[1] == expected[1]
        assert got[4]["cost_rejected"] == 0


@pytest.mark.parametrize("score", [-np.inf, np.inf, -5.0])
def test_scores_that_are_all_alike_choose_the_first_allowed_site(make, score):
    env = SiteScores(make(scenario="outage"))
    _, info = env.reset(seed=1)
    n_masked = 0
    for _ in range(120):
        n_masked += info["action_mask"][0] == 0
        *_, info = env.step(np.full(13, score, np.float32))
        assert info["cost_rejected"] == 0
    assert n_masked > 0


def test_specs_remember_the_wrapper():
    env = SiteScores(gym.make(ID, episode_jobs=50))
    twin = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(twin, SiteScores) and twin.action_space.shape == (13,)


def test_wrong_actions_are_errors(make):
    env = SiteScores(make())
    env.reset(seed=0)
    for action in (0, np.zeros(12), np.full(13, np.nan), ["a"] * 13, np.zeros(13, complex)):
        with pytest.raises(InvalidAction, match="must be 13 numbers"):
            env.step(action)
