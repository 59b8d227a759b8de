"""Blends and mixtures: how often they stray, that the mask holds, and who plays what."""

import numpy as np
import pytest

from pandaenv import policies
from pandaenv.offline import mixtures
from pandaenv.offline.mixtures import SETS, Behaviour, Blend, Mixture, mixture, recipe
from pandaenv.offline.trajectories import play
from tests.pandaenv.offline.carts import grid


class First:
    """Always the first site that is allowed."""

    name = "first"

    def reset(self, seed):
        pass

    def act(self, env):
        return int(env.unwrapped.mask.argmax())


def test_a_blend_strays_in_its_share_of_placements_and_only_where_it_may():
    env = grid(episode_jobs=100)
    firsts, n = [], 0
    for seed in range(10):
        episode = play(env, Blend(First(), 0.4), seed)
        rows = np.arange(len(episode["actions"]))
        assert episode["action_masks"][rows, episode["actions"]].all()
        allowed = episode["action_masks"].sum(axis=1)
        is_first = episode["actions"] == episode["action_masks"].argmax(axis=1)
        firsts.append((is_first - 0.4 / allowed)[allowed > 1])
    stays = np.concatenate(firsts)
    n = len(stays)
    assert abs(stays.mean() - 0.6) < 4 * np.sqrt(0.25 / n)


def test_a_blend_without_chance_is_the_policy_below_it():
    env, rule = grid(), policies.make("panda_analysis")
    alone, blended = play(env, rule, 3), play(env, Blend(rule, 0.0), 3)
    np.testing.assert_array_equal(alone["actions"], blended["actions"])


def test_a_blend_of_one_seed_does_the_same_again():
    env, blend = grid(), Blend(policies.make("random"), 0.5)
    once, again, other = play(env, blend, 3), play(env, blend, 3), play(env, blend, 4)
    np.testing.assert_array_equal(once["actions"], again["actions"])
    assert (once["actions"] != other["actions"]).any()


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(epsilon):
    with pytest.raises(ValueError, match=r"epsilon must be in \[0, 1\]"):
        Blend(First(), epsilon)


def test_an_agent_plays_in_the_place_of_the_expert():
    mixed = mixture((Behaviour("random"), Behaviour("greedy"), Behaviour("greedy", 0.1)), First())
    assert mixed.names == ["random", "first", "first+0.1 random"]
    assert [mixed.turn(i) for i in range(4)] == [0, 1, 2, 0]
    with pytest.raises(ValueError, match="at least one policy"):
        Mixture(())


def test_every_named_set_can_be_made():
    assert len(SETS) == 10
    for name in SETS:
        assert mixture(recipe(name).behaviours).policies
        assert name.startswith("panda-tier1") == ("Tier1" in recipe(name).env)
    with pytest.raises(ValueError, match="unknown data set 'nope'; known: panda-random-v0"):
        recipe("nope")
    assert mixtures.EXPERT in policies.names()
