"""Recipes of the named offline data sets: the environment, and the policies that play in it.

In: the name of a data set, and a trained agent where one is to play. Out: its `Recipe`, and the
`Mixture` of policies made from it. `SETS` holds the recipe of every named data set.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from foundations import checks
from pandaenv import policies
from pandaenv.policies import Policy

from .mixtures import EpsilonRandom, Mixture


@dataclass(frozen=True)
class Behaviour:
    """A behaviour policy, one that generates data: a policy by name, with some exploration."""

    policy: str
    epsilon: float = 0.0
    """Share of placements, in [0, 1], that go to an allowed site drawn uniformly."""


@dataclass(frozen=True)
class Recipe:
    """An environment, and n behaviours that take turns: number i mod n plays episode i."""

    env: str
    behaviours: tuple[Behaviour, ...]


EXPERT = "greedy"
"""The best rule that knows no more than a broker does; a trained agent may replace it."""

MIXES = {
    "random": (Behaviour("random"),),
    "brokerage": (Behaviour("panda_analysis"),),
    "medium": (
        Behaviour(EXPERT, 0.5),
        Behaviour("data_local", 0.3),
        Behaviour("least_loaded", 0.3),
    ),
    "expert": (Behaviour(EXPERT), Behaviour(EXPERT, 0.05)),
    "mixed": (
        Behaviour("random"),
        Behaviour("panda_analysis"),
        Behaviour("panda_production"),
        Behaviour("least_loaded", 0.1),
        Behaviour("data_local"),
        Behaviour("data_local", 0.2),
        Behaviour(EXPERT),
        Behaviour(EXPERT, 0.1),
        Behaviour(EXPERT, 0.25),
        Behaviour(EXPERT, 0.5),
    ),
}
SETS = {
    f"panda-{prefix}{mix}-v0": Recipe(env, behaviours)
    for prefix, env in (("", "PandaSiteAllocation-v0"), ("tier1-", "PandaSiteAllocationTier1-v0"))
    for mix, behaviours in MIXES.items()
}


def find_recipe(name: str) -> Recipe:
    """The recipe of a named data set; a `ValueError` lists the names if it is unknown."""
    return SETS[checks.known("data set", name, SETS)]


def make_mixture(behaviours: Iterable[Behaviour], agent: Policy | None = None) -> Mixture:
    """Make the policies of a recipe; an agent, if given, replaces `EXPERT`."""
    return Mixture(_make_policy(behaviour, agent) for behaviour in behaviours)


def _make_policy(behaviour: Behaviour, agent: Policy | None) -> Policy:
    is_agent = agent is not None and behaviour.policy == EXPERT
    policy = agent if is_agent else policies.make(behaviour.policy)
    return EpsilonRandom(policy, behaviour.epsilon) if behaviour.epsilon else policy
