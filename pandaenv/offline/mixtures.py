"""Policies that generate data: a mixture takes turns, an epsilon-random policy explores.

In: policies, see `pandaenv.policies`. Out: a `Mixture`, which says of episode i which policy plays
it, and `EpsilonRandom`, a policy that sometimes chooses at random.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

EXPLORATION_KEY = 1
"""Second entry of the seed of an exploration's random numbers; the policy itself uses the first
alone."""


class Mixture:
    """Policies that take turns, episode by episode.

    Args:
        policies: n of them, at least one; number i mod n plays episode i.
    """

    def __init__(self, policies: Iterable[Any]):
        self.policies = tuple(policies)
        if not self.policies:
            raise ValueError("a mixture needs at least one policy, got none")

    @property
    def names(self) -> list[str]:
        """Names of the policies, in order."""
        return [_name(policy) for policy in self.policies]

    def turn(self, i: int) -> int:
        """Number of the policy that plays episode i."""
        return i % len(self.policies)


class EpsilonRandom:
    """A policy that sends a share of the jobs to an allowed site drawn uniformly.

    It acts in one environment or, where the policy below it does, in many, see
    `pandaenv.policies.Rule`; environment i gets what the single policy of seed i chooses.

    Args:
        policy: has `reset` and `act`, or `act_all`.
        epsilon: the share, in [0, 1].
    """

    def __init__(self, policy: Any, epsilon: float):
        if not 0.0 <= epsilon <= 1.0:
            raise ValueError(f"epsilon must be in [0, 1], got {epsilon!r}")
        self.policy, self.epsilon = policy, epsilon
        self.name = f"{_name(policy)}+{epsilon:g} random"

    def reset(self, seed: int | Sequence[int]) -> None:
        """Seed one environment or, with a seed for each, many."""
        self.policy.reset(seed)
        seeds = [seed] if np.ndim(seed) == 0 else seed
        self._rngs = [np.random.default_rng([s, EXPLORATION_KEY]) for s in seeds]

    def act(self, env: Any) -> int:
        """A site for the waiting job."""
        return int(self._explored(np.array([self.policy.act(env)]), env)[0])

    def act_all(self, envs: Any) -> np.ndarray:
        """A site for the waiting job of each environment, int64 (n,)."""
        return self._explored(self.policy.act_all(envs), envs)

    def _explored(self, sites: np.ndarray, envs: Any) -> np.ndarray:
        """The chosen sites (n,), some of them replaced by random ones."""
        masks = envs.unwrapped.episodes.view.mask
        for i, rng in enumerate(self._rngs):
            explores, which = rng.random(2)
            if explores < self.epsilon:
                allowed = np.flatnonzero(masks[i])
                sites[i] = allowed[int(which * len(allowed))]
        return sites


def _name(policy: Any) -> str:
    return getattr(policy, "name", type(policy).__name__)
