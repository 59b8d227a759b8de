"""Playing: one step after the other, each with what was seen, done and got."""

import gymnasium as gym
import numpy as np
import pytest

from pandaenv.offline import collect
from pandaenv.policies import make, steps, vector_steps
from tests.pandaenv.offline.carts import Coin, grid


@pytest.fixture(scope="module")
def env():
    return grid(episode_jobs=12)


def test_an_episode_is_played_to_its_end_and_its_steps_join(env):
    played = list(steps(env, make("random"), 3))
    assert [step.is_last for step in played] == [False] * 11 + [True]
    for one, following in zip(played, played[1:], strict=False):
        assert one.next_observation is following.observation
        assert one.info["action_mask"] is following.mask
    assert all(step.mask[step.action] for step in played)


def test_a_function_is_no_policy(env, tmp_path):
    with pytest.raises(ValueError, match="policy must have the methods reset and act; reset is"):
        steps(env, lambda env: 0, 3)
    envs = gym.make_vec(env.spec, num_envs=2)
    with pytest.raises(ValueError, match="methods reset and act_all; act_all is missing"):
        vector_steps(envs, Coin(), [1, 2])
    with pytest.raises(ValueError, match="policy must have the methods reset and act; reset is"):
        collect(env, lambda env: 0, tmp_path / "a.hdf5", episodes=1)
    assert not list(tmp_path.iterdir())


def test_reset_comes_before_the_first_step_is_asked_for(env):
    played = steps(env, make("random"), 3, window=1)
    world = env.unwrapped.worlds.world[0]
    assert env.unwrapped.episodes.window[0] == 1 and world["next"] == world["first_own"]
    next(played)
    assert world["next"] == world["first_own"] + 1


def test_another_environment_needs_no_mask():
    played = list(steps(gym.make("CartPole-v1"), Coin(), 0))
    assert played[0].mask is None and played[-1].terminated
    assert len(played) == sum(step.reward for step in played)


def test_each_environment_of_a_vector_plays_its_seed_and_window(env):
    seeds, windows = [4, 5, 6], np.array([1, 0, 1])
    envs = gym.make_vec(env.spec, num_envs=3)
    played = vector_steps(envs, make("greedy"), seeds, windows)
    together = [next(played) for _ in range(12)]
    assert together[-1].is_last.all() and not together[-2].is_last.any()
    for i, (seed, window) in enumerate(zip(seeds, windows.tolist(), strict=True)):
        alone = list(steps(env, make("greedy"), seed, window))
        assert [step.action for step in alone] == [step.action[i] for step in together]
        assert [step.reward for step in alone] == [step.reward[i] for step in together]
        np.testing.assert_array_equal(alone[0].observation, together[0].observation[i])
