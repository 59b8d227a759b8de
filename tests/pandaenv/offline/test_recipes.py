"""Recipes of the named data sets: all can be made, and an agent replaces the expert."""

import pytest

from pandaenv import policies
from pandaenv.offline.recipes import EXPERT, SETS, Behaviour, find_recipe, make_mixture
from tests.pandaenv.offline.carts import First


def test_an_agent_replaces_the_expert():
    behaviours = (Behaviour("random"), Behaviour("greedy"), Behaviour("greedy", 0.1))
    assert make_mixture(behaviours, First()).names == ["random", "first", "first+0.1 random"]


def test_every_named_set_can_be_made():
    assert len(SETS) == 10
    for name in SETS:
        assert make_mixture(find_recipe(name).behaviours).policies
        assert name.startswith("panda-tier1") == ("Tier1" in find_recipe(name).env)
    with pytest.raises(ValueError, match="unknown data set 'nope'; known: panda-random-v0"):
        find_recipe("nope")
    assert EXPERT in policies.names()
