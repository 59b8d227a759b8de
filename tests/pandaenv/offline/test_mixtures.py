"""Policies that explore: how often, only where allowed, the same again; mixtures take turns."""

import numpy as np
import pytest

from pandaenv import policies
from pandaenv.offline.mixtures import EpsilonRandom, Mixture
from pandaenv.offline.trajectories import play
from tests.pandaenv.offline.carts import First, grid


def test_a_policy_explores_in_its_share_of_placements_and_only_where_it_may():
    env = grid(episode_jobs=100)
    firsts, n = [], 0
    for seed in range(10):
        episode = play(env, EpsilonRandom(First(), 0.4), seed)
        rows = np.arange(len(episode["actions"]))
        assert episode["action_masks"][rows, episode["actions"]].all()
        allowed = episode["action_masks"].sum(axis=1)
        is_first = episode["actions"] == episode["action_masks"].argmax(axis=1)
        firsts.append((is_first - 0.4 / allowed)[allowed > 1])
    stays = np.concatenate(firsts)
    n = len(stays)
    assert abs(stays.mean() - 0.6) < 4 * np.sqrt(0.25 / n)


def test_without_exploration_it_is_the_policy_below():
    env, rule = grid(), policies.make("panda_analysis")
    alone, explored = play(env, rule, 3), play(env, EpsilonRandom(rule, 0.0), 3)
    np.testing.assert_array_equal(alone["actions"], explored["actions"])


def test_one_seed_explores_the_same_again():
    env, policy = grid(), EpsilonRandom(policies.make("random"), 0.5)
    once, again, other = play(env, policy, 3), play(env, policy, 3), play(env, policy, 4)
    np.testing.assert_array_equal(once["actions"], again["actions"])
    assert (once["actions"] != other["actions"]).any()


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(epsilon):
    with pytest.raises(ValueError, match=r"epsilon must be in \[0, 1\]"):
        EpsilonRandom(First(), epsilon)


def test_policies_of_a_mixture_take_turns():
    mixed = Mixture((policies.make("random"), First(), EpsilonRandom(First(), 0.1)))
    assert mixed.names == ["random", "first", "first+0.1 random"]
    assert [mixed.turn(i) for i in range(4)] == [0, 1, 2, 0]
    with pytest.raises(ValueError, match="at least one policy"):
        Mixture(())
