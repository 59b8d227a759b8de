"""Who plays the episodes of an offline data set: policies, their blends with chance, mixtures.

In: names of `pandaenv.policies`, and an agent where one is given. Out: a `Mixture`, which says of
episode i what plays it. `SETS` is the recipe of every named data set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pandaenv import policies

EXPLORE = 1
"""What a blend adds to the seed of its own chance; the policy below it draws from the seed alone.
"""


@dataclass(frozen=True)
class Behaviour:
    """A policy by name, which now and then goes anywhere."""

    policy: str
    epsilon: float = 0.0
    """Share of placements, in [0, 1], that go to any allowed site, all alike."""


@dataclass(frozen=True)
class Recipe:
    """An environment, and behaviours that take turns: episode i is played by number i mod n."""

    env: str
    behaviours: tuple[Behaviour, ...]


EXPERT = "greedy"
"""The best rule that knows no more than a broker does; a trained agent may take its place."""

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


class Blend:
    """A policy that goes anywhere it may in a share of the placements.

    It acts on one world or, where the policy below does, on many, as `pandaenv.policies.Rule`;
    world i gets what the single blend of seed i chooses.

    Args:
        policy: has `reset` and `act`, or `act_all`.
        epsilon: the share, in [0, 1].
    """

    def __init__(self, policy, epsilon: float):
        if not 0.0 <= epsilon <= 1.0:
            raise ValueError(f"epsilon must be in [0, 1], got {epsilon!r}")
        self.policy, self.epsilon = policy, epsilon
        self.name = f"{getattr(policy, 'name', type(policy).__name__)}+{epsilon:g} random"

    def reset(self, seed) -> None:
        """Start anew, for one world or, with a seed for each, for many."""
        self.policy.reset(seed)
        seeds = [seed] if np.ndim(seed) == 0 else seed
        self._rngs = [np.random.default_rng([s, EXPLORE]) for s in seeds]

    def act(self, env) -> int:
        return int(self._strayed(np.array([self.policy.act(env)]), env)[0])

    def act_all(self, envs) -> np.ndarray:
        """A site for the waiting job of each world, int64 (n,)."""
        return self._strayed(self.policy.act_all(envs), envs)

    def _strayed(self, sites: np.ndarray, envs) -> np.ndarray:
        masks = envs.unwrapped.episodes.view.mask
        for w, rng in enumerate(self._rngs):
            stray, where = rng.random(2)
            if stray < self.epsilon:
                allowed = np.flatnonzero(masks[w])
                sites[w] = allowed[int(where * len(allowed))]
        return sites


class Mixture:
    """Policies that take turns, episode by episode.

    Args:
        policies: at least one; episode i is played by number i mod n.
    """

    def __init__(self, policies):
        self.policies = tuple(policies)
        if not self.policies:
            raise ValueError("a mixture needs at least one policy, got none")

    def turn(self, i: int) -> int:
        """Number of the policy that plays episode i."""
        return i % len(self.policies)

    @property
    def names(self) -> list[str]:
        return [getattr(p, "name", type(p).__name__) for p in self.policies]


def mixture(behaviours, agent=None) -> Mixture:
    """Make the behaviours of a recipe; an agent, if given, plays in `EXPERT`'s place."""
    return Mixture(_make(behaviour, agent) for behaviour in behaviours)


def _make(behaviour: Behaviour, agent):
    is_agent = agent is not None and behaviour.policy == EXPERT
    policy = agent if is_agent else policies.make(behaviour.policy)
    return Blend(policy, behaviour.epsilon) if behaviour.epsilon else policy


def recipe(name: str) -> Recipe:
    """The recipe of a named data set."""
    if name not in SETS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(SETS)}")
    return SETS[name]
