"""Policies that choose a site for the next job.

A policy is any object with

    reset(seed: int) -> None    before an episode; the policy's own randomness starts anew
    act(env) -> int             the site for the job that waits in `env`

where `env` is a `PandaSiteAllocationEnv`, wrapped or not, between steps. It may read whatever a
broker could know: `env.unwrapped.grid`, `.worlds` (world 0), `.mask` (S,) int8, `.cap_floor`, and
never draws from the environment's random numbers, so that all policies meet the same world. One
that reads only what an agent sees takes `env.unwrapped.observation`.

Those made by name act on many worlds too: `reset(seeds)` takes a seed for each, and `act_all(envs)`
gives a site for each, int64 (n,), in one kernel call. `envs` is a vector environment or a
`PandaVecEnv`; world i gets what the single policy of seed i chooses.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from foundations import checks
from pandaenv.simulator.state import NONE

from .choices import RULES, choose_all, known_of

N_DRAWN = 256
"""Random numbers drawn at a time for each world."""


class Policy(Protocol):
    """What a policy offers, see the top of this file."""

    def reset(self, seed: int) -> None: ...

    def act(self, env: Any) -> int: ...


class Rule:
    """A policy by name; it never chooses a masked site.

    | name | the site it takes, among those allowed; ties go to the larger |
    |---|---|
    | random | any, all alike |
    | round_robin | the next one in order |
    | least_loaded | fewest jobs per slot, this one counted |
    | data_local | the same among those that hold the input, else that of the fastest transfer |
    | panda_analysis | by PanDA's rule for user analysis, see `pandaenv.brokerage` |
    | panda_production | by its rule for production |
    | recorded | where the record says it ran; if not allowed, that of the fastest link from there |
    | greedy | earliest finish, by what a broker expects of the jobs it has placed (see `reveal`) |
    | greedy_true | the same by the true work of all jobs, which no broker knows |
    """

    def __init__(self, name: str):
        self.name, self._which = name, RULES.index(name)
        self._rngs: list[np.random.Generator] = []

    def __repr__(self) -> str:
        return f"Rule({self.name!r})"

    def reset(self, seed: int | Sequence[int]) -> None:
        """Start anew, for one world or, with a seed for each, for many."""
        each = [seed] if np.ndim(seed) == 0 else seed
        try:
            self._rngs = [np.random.default_rng(s) for s in each]
        except (TypeError, ValueError):
            raise ValueError(
                f"seed must be a whole number of at least 0, or one a world, got {seed!r}"
            ) from None
        self._drawn = np.empty((N_DRAWN, len(self._rngs)))
        self._last = np.full(len(self._rngs), NONE)
        self._n_acts = 0

    def act(self, env: Any) -> int:
        """The site for the job that waits in `env`."""
        return int(self.act_all(env)[0])

    def act_all(self, envs: Any) -> np.ndarray:
        """A site for the waiting job of each world, int64 (n,); 0 where none waits."""
        episodes = envs.unwrapped.episodes
        check_sites(episodes)
        if episodes.n != len(self._rngs):
            n = f"{episodes.n}, got {len(self._rngs)}"
            raise ValueError(f"a policy must be reset with one seed a world ({n})")
        if self._n_acts % N_DRAWN == 0:
            for i, rng in enumerate(self._rngs):
                self._drawn[:, i] = rng.random(N_DRAWN)
        u = self._drawn[self._n_acts % N_DRAWN]
        self._n_acts += 1
        known = known_of(episodes.prepared.stream)
        choose_all(episodes.bound, self._which, known, u, self._last)
        return self._last.copy()


def check_sites(episodes: Any) -> None:
    """Refuse an environment whose actions are candidates: a policy names sites."""
    if episodes.n_candidates:
        k = episodes.n_candidates
        raise ValueError(f"a policy chooses among all sites, got an environment of {k} candidates")


def make(name: str) -> Rule:
    """Make a policy by name; call its `reset` before the first `act`."""
    return Rule(checks.known("policy", name, RULES))


def names() -> tuple[str, ...]:
    """Names that `make` knows."""
    return RULES
