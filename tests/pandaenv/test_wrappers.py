import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import InvalidAction
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3_env

import pandaenv  # noqa: F401  registers the environments
from pandaenv import policies
from pandaenv.scenarios import Scenario
from pandaenv.workload import Trace
from pandaenv.wrappers import SiteScores, TopCandidates
from tests.pandaenv.simulator.grids import records

ID = "PandaSiteAllocationTier1-v0"
ROUGH = Scenario(outage_every_s=86_400.0, outage_length_s=36_000.0)


@pytest.fixture(scope="module")
def make():
    small = {"workload": Trace(records()), "rate": 800, "episode_jobs": 120, "scenario": ROUGH}
    return lambda **options: gym.make(ID, **small | options)


@pytest.mark.parametrize("observation", ["flat", "dict"])
@pytest.mark.parametrize("wrapper", [lambda e: TopCandidates(e, 4), SiteScores], ids=["top", "box"])
def test_gymnasium_and_stable_baselines3_accept_them(make, observation, wrapper):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*different from the unwrapped version")
        check_env(wrapper(make(observation=observation)), skip_render_check=True)
        check_sb3_env(wrapper(make(observation=observation)))


def test_candidates_are_the_sites_that_finish_first_with_their_rows(make):
    env = TopCandidates(make(observation="dict"), 5)
    whole = make(observation="dict")
    greedy = policies.make("greedy")
    greedy.reset(0)
    rng = np.random.default_rng(0)
    seen, info = env.reset(seed=2)
    expected, its = whole.reset(seed=2)
    n_masked = 0
    for _ in range(120):
        rows = info["candidates"]
        assert len(set(rows.tolist())) == 5 and rows[0] == greedy.act(env)
        for name in ("job", "grid"):
            assert seen[name].tobytes() == expected[name].tobytes()
        assert seen["sites"].tobytes() == expected["sites"].reshape(-1, 8)[rows].tobytes()
        assert (info["action_mask"] == its["action_mask"][rows]).all()
        assert (env.action_masks() == info["action_mask"]).all() and info["action_mask"][0]
        n_masked += (its["action_mask"] == 0).any()
        action = int(rng.integers(5))
        seen, reward, *_, info = env.step(action)
        expected, its_reward, *_, its = whole.step(int(rows[action]))
        assert reward == its_reward
    assert n_masked > 0
    assert info["candidates"].tolist() == list(range(5)) and (seen["job"] == 0).all()


def test_allowed_sites_come_before_masked_ones(make):
    env = TopCandidates(make(), 13)
    _, info = env.reset(seed=0)
    for _ in range(119):
        mask = info["action_mask"]
        assert (np.diff(mask.astype(int)) <= 0).all()
        assert sorted(info["candidates"].tolist()) == list(range(13))
        *_, info = env.step(0)


def test_flat_observations_of_candidates_have_their_blocks_in_a_row(make):
    flat, parts = TopCandidates(make(), 4), TopCandidates(make(observation="dict"), 4)
    one, other = flat.reset(seed=1)[0], parts.reset(seed=1)[0]
    assert one.tobytes() == b"".join(other[name].tobytes() for name in ("job", "sites", "grid"))
    assert one.shape == (12 + 8 * 4 + 6,)


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


def test_specs_remember_the_wrappers(make):
    env = TopCandidates(gym.make(ID, episode_jobs=50), k=np.int64(3))
    twin = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(twin, TopCandidates) and twin.action_space.n == 3


@pytest.mark.parametrize("k", [0, 14, 2.0, True])
def test_k_is_checked(make, k):
    with pytest.raises(ValueError, match=r"k must be a whole number between 1 and 13, got"):
        TopCandidates(make(), k)


def test_wrong_actions_are_errors(make):
    env = TopCandidates(make(), 4)
    env.reset(seed=0)
    for action in (4, -1, 1.0, None):
        with pytest.raises(InvalidAction, match=r"in \[0, 4\)"):
            env.step(action)
    env = SiteScores(make())
    env.reset(seed=0)
    for action in (0, np.zeros(12), np.full(13, np.nan), ["a"] * 13, np.zeros(13, complex)):
        with pytest.raises(InvalidAction, match="must be 13 numbers"):
            env.step(action)
