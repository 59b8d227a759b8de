import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import pandaenv  # noqa: F401  registers the environments
from pandaenv.policies import make, names
from pandaenv.scenarios import Scenario
from pandaenv.workload import Trace
from tests.pandaenv.simulator.grids import records

ID = "PandaSiteAllocationTier1-v0"
ROUGH = Scenario(outage_every_s=86_400.0, outage_length_s=7_200.0)


@pytest.fixture(scope="module")
def options():
    return {"workload": Trace(records()), "rate": 800, "episode_jobs": 120, "load": 0.8}


def test_make_knows_its_names_and_lists_them():
    assert names()[0] == "random" and len(set(names())) == 9
    assert [make(name).name for name in names()] == list(names())
    with pytest.raises(ValueError, match="unknown policy 'nope'; known: random, round_robin"):
        make("nope")


@pytest.mark.parametrize("name", names())
def test_a_batch_chooses_what_single_policies_choose(options, name):
    n, seed = 3, 5
    envs = gym.make_vec(ID, num_envs=n, scenario=ROUGH, **options)
    envs.reset(seed=seed)
    policy = make(name)
    policy.reset(range(seed, seed + n))
    singles = [gym.make(ID, scenario=ROUGH, **options) for _ in range(n)]
    alone = [make(name) for _ in range(n)]
    for i in range(n):
        singles[i].reset(seed=seed + i)
        alone[i].reset(seed + i)
    for _ in range(120):
        actions = policy.act_all(envs)
        assert actions.tolist() == [p.act(e) for p, e in zip(alone, singles, strict=True)]
        masks = envs.unwrapped.action_masks()
        assert masks[np.arange(n), actions].all()
        for env, action in zip(singles, actions, strict=True):
            env.step(action)
        *_, info = envs.step(actions)
        assert (info["cost_rejected"] == 0).all()
    assert policy.act_all(envs).tolist() == [0] * n  # no job waits


def test_a_policy_refuses_what_is_no_seed():
    for seed in ("a", -1, 1.5, ["a"]):
        with pytest.raises(ValueError, match="seed must be a whole number of at least 0, or one"):
            make("random").reset(seed)


def test_a_policy_needs_a_seed_for_each_world(options):
    envs = gym.make_vec(ID, num_envs=2, **options)
    envs.reset(seed=0)
    policy = make("random")
    policy.reset(0)
    with pytest.raises(ValueError, match="one seed a world"):
        policy.act_all(envs)
    with pytest.raises(ValueError, match=r"one seed a world \(2, got 0\)"):
        make("random").act_all(envs)


def test_a_policy_needs_an_environment_that_was_reset(options):
    policy = make("random")
    policy.reset(0)
    with pytest.raises(ResetNeeded, match="no job to place: call reset"):
        policy.act(gym.make(ID, **options))


def test_random_numbers_are_those_of_the_generator_one_by_one(options):
    env = gym.make(ID, **options)
    env.reset(seed=0)
    policy, rng = make("random"), np.random.default_rng(3)
    policy.reset(3)
    mask = np.flatnonzero(env.unwrapped.mask)
    expected = [mask[int(rng.random() * len(mask))] for _ in range(600)]
    assert [policy.act(env) for _ in range(600)] == expected


def test_round_robin_goes_round_the_allowed_sites(options):
    env = gym.make(ID, **options)
    env.reset(seed=0)
    policy = make("round_robin")
    policy.reset(0)
    n = int(env.action_space.n)
    mask = env.unwrapped.mask
    mask[[0, 3]] = 0
    assert [policy.act(env) for _ in range(n)] == [s for s in range(n) if s not in (0, 3)] + [1, 2]
