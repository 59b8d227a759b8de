import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import InvalidAction
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3_env

import pandaenv  # noqa: F401  registers the environments
from pandaenv import policies
from pandaenv.policies import expected_finish
from pandaenv.scenarios import Scenario
from pandaenv.workload import Trace
from tests.pandaenv.simulator.grids import records

ID = "PandaSiteAllocationTier1-v0"
ROUGH = Scenario(outage_every_s=86_400.0, outage_length_s=36_000.0)
N_SITES = 13


@pytest.fixture(scope="module")
def make():
    small = {"workload": Trace(records()), "rate": 800, "episode_jobs": 120, "scenario": ROUGH}
    return lambda **options: gym.make(ID, **small | options)


def ends(env, is_true=False) -> np.ndarray:
    """Seconds until the waiting job would end at each site, inf where it may not go."""
    env = env.unwrapped
    finish = [expected_finish(env.grid, env.worlds, 0, s, is_true, np.inf) for s in range(N_SITES)]
    return np.where(env.mask > 0, finish, np.inf)


@pytest.mark.parametrize("observation", ["flat", "dict"])
def test_gymnasium_and_stable_baselines3_accept_it(make, observation):
    options = {"observation": observation, "candidates": 4, "reward": "relative"}
    check_env(make(**options).unwrapped, skip_render_check=True)
    check_sb3_env(make(**options))


def test_candidates_are_the_allowed_sites_that_finish_first_with_their_rows(make):
    env, whole = make(candidates=5, observation="dict"), make(observation="dict")
    rng = np.random.default_rng(0)
    (seen, info), (expected, _) = env.reset(seed=2), whole.reset(seed=2)
    n_few = 0
    for _ in range(120):
        end = ends(whole)
        n_allowed = int(np.isfinite(end).sum())
        first = np.argsort(end, kind="stable")[: min(5, n_allowed)]
        rows = info["candidates"]
        assert rows.tolist() == np.resize(first, 5).tolist()
        n_few += n_allowed < 5
        for name in ("job", "grid"):
            assert seen[name].tobytes() == expected[name].tobytes()
        blocks = seen["sites"].reshape(5, 10)
        assert blocks[:, :8].tobytes() == expected["sites"].reshape(-1, 8)[rows].tobytes()
        late = end[rows] / env.unwrapped.unit
        assert blocks[:, 8] == pytest.approx(late / (1 + late), rel=1e-6)
        assert blocks[:, 9] == pytest.approx(np.exp(-2 * (late - late[0])), rel=1e-5, abs=1e-30)
        assert (env.unwrapped.action_masks() == 1).all() and info["action_mask"].tolist() == [1] * 5
        action = int(rng.integers(5))
        seen, reward, *_, info = env.step(action)
        expected, its_reward, *_, its = whole.step(int(rows[action]))
        assert reward == its_reward and info["cost_rejected"] == 0
    assert info["candidates"].tolist() == list(range(5)) and (seen["job"] == 0).all()


def test_a_list_longer_than_the_allowed_sites_goes_round(make):
    env = make(candidates=13)
    _, info = env.reset(seed=0)
    n_few = 0
    for _ in range(119):
        allowed = np.flatnonzero(env.unwrapped.mask)
        rows = info["candidates"]
        assert set(rows.tolist()) == set(allowed.tolist())
        assert (rows[len(allowed) :] == rows[: 13 - len(allowed)]).all()
        n_few += len(allowed) < 13
        *_, info = env.step(12)
        assert info["cost_rejected"] == 0
    assert n_few > 0


def test_the_first_candidate_is_the_choice_of_greedy(make):
    env, whole, greedy = make(candidates=1), make(), policies.make("greedy")
    env.reset(seed=3)
    flows = [-env.step(0)[1] for _ in range(120)]
    assert flows == [-step.reward for step in policies.steps(whole, greedy, seed=3)]


@pytest.mark.parametrize("candidates", [None, 6])
def test_a_relative_reward_is_the_flow_time_told_from_the_best_site(make, candidates):
    env, exact = make(reward="relative", candidates=candidates), make()
    rng = np.random.default_rng(1)
    env.reset(seed=4)
    exact.reset(seed=4)
    total = 0.0
    for _ in range(120):
        best = ends(exact, is_true=True).min() / exact.unwrapped.unit
        action = int(rng.integers(env.action_space.n))
        site = int(env.unwrapped.episodes.view.order[0, action]) if candidates else action
        _, reward, *_, info = env.step(action)
        _, paid, *_ = exact.step(site)
        assert info["flow_time"] == paid
        assert reward == pytest.approx(paid + best, rel=1e-12, abs=1e-12)
        total += paid
    assert total < 0


def test_flat_observations_have_the_blocks_in_a_row(make):
    flat, parts = make(candidates=4), make(candidates=4, observation="dict")
    one, other = flat.reset(seed=1)[0], parts.reset(seed=1)[0]
    assert one.tobytes() == b"".join(other[name].tobytes() for name in ("job", "sites", "grid"))
    assert one.shape == (12 + 10 * 4 + 6,) == flat.observation_space.shape


def test_specs_remember_it():
    env = gym.make(ID, episode_jobs=50, candidates=np.int64(3))
    assert gym.make(EnvSpec.from_json(env.spec.to_json())).action_space.n == 3


@pytest.mark.parametrize("k", [0, 14, 2.0, True])
def test_the_number_is_checked(make, k):
    with pytest.raises(ValueError, match=r"candidates must be a whole number .*, got"):
        make(candidates=k)


def test_wrong_actions_and_policies_are_errors(make):
    env = make(candidates=4)
    env.reset(seed=0)
    for action in (4, -1, 1.0, None):
        with pytest.raises(InvalidAction, match=r"in \[0, 4\)"):
            env.step(action)
    rule = policies.make("greedy")
    rule.reset(0)
    with pytest.raises(ValueError, match="among all sites, got an environment of 4 candidates"):
        rule.act(env)
