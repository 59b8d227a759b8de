"""Episodes as arrays: many worlds at once are single ones, and what cannot be stored is refused."""

import gymnasium as gym
import numpy as np
import pytest

from pandaenv import policies
from pandaenv.offline.mixtures import EpsilonRandom
from pandaenv.offline.trajectories import check_episode, check_spaces, play, play_many
from tests.pandaenv.offline.carts import Coin, assert_equal, grid, walk


@pytest.mark.parametrize(
    "policy", [policies.make("greedy"), EpsilonRandom(policies.make("random"), 0.5)]
)
def test_many_at_once_are_single_episodes_bit_for_bit(policy):
    env = grid()
    envs = gym.make_vec(env.spec, num_envs=4)
    seeds = [5, 6, 7]
    for seed, episode in zip(seeds, play_many(envs, policy, seeds), strict=True):
        assert_equal(episode, play(env, policy, seed))


def test_episodes_of_different_length_end_where_they_end():
    envs = gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync")

    class Coins:
        def reset(self, seeds):
            self.rngs = [np.random.default_rng(s) for s in seeds]

        def act_all(self, envs):
            return np.array([int(rng.integers(2)) for rng in self.rngs])

    played = play_many(envs, Coins(), [0, 1, 2])
    lengths = [len(episode["rewards"]) for episode in played]
    assert len(set(lengths)) > 1
    for seed, episode in enumerate(played):
        check_episode(episode)
        assert_equal(episode, play(gym.make("CartPole-v1"), Coin(), seed))


def test_an_episode_has_a_row_a_step_and_the_types_of_its_file():
    episode = play(grid(), policies.make("random"), 0)
    assert {key: (len(v), v.dtype.kind) for key, v in episode.items() if v.ndim == 1} == {
        "actions": (25, "i"),
        "rewards": (25, "f"),
        "costs": (25, "f"),
        "terminals": (25, "b"),
        "timeouts": (25, "b"),
        "cost_wait": (25, "f"),
        "cost_transfer": (25, "f"),
        "cost_failure": (25, "f"),
        "cost_rejected": (25, "f"),
    }
    assert episode["action_masks"].dtype == np.int8
    same = episode["next_observations"][:-1] == episode["observations"][1:]
    assert same.all() and episode["observations"].dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"costs": None}, "missing: costs"),
        ({"rewards": np.ones(4)}, "one row a step in every array"),
        ({"terminals": np.zeros(5, bool)}, "got 0 in 5 steps"),
        ({"timeouts": np.ones(5, bool)}, "got 5 in 5 steps"),
        ({"rewards": np.array([1, 2, np.nan, 4, 5])}, "rewards has another in step 2"),
    ],
)
def test_a_broken_episode_is_refused(changes, message):
    episode = {k: v for k, v in (walk() | changes).items() if v is not None}
    with pytest.raises(ValueError, match=message):
        check_episode(episode)


def test_nested_observations_are_refused():
    with pytest.raises(ValueError, match="need flat Box observations, got Dict"):
        check_spaces(grid(observation="dict"))
