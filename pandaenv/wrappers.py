"""Other ways to choose a site: among few candidates, or by scores for all.

In: a `PandaSiteAllocationEnv`, wrapped or not. Out: the same task with another action space (and,
for `TopCandidates`, another observation); rewards, costs and worlds stay the same.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import InvalidAction
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import ArrayLike

from foundations import checks
from pandaenv.env import blocks
from pandaenv.env.actions import one_site
from pandaenv.env.allocation import Action, Observation
from pandaenv.env.observation import N_GRID, N_JOB, N_SITE, space
from pandaenv.policies import rank


class TopCandidates(gym.Wrapper, RecordConstructorArgs):
    """Show and offer only the k sites of most promise, best first.

    Sites are ranked by `pandaenv.policies.rank`: allowed ones first, the earliest finish that a
    broker expects first among them. Action i takes candidate i. Observations are those of k sites:
    `sites` (8 k,) has the candidates, one after the other; the blocks `job` and `grid` stay.
    Masks, in `info["action_mask"]` and `action_masks()`, are int8 (k,); `info["candidates"]` and
    `candidates` name the rows of the sites, int64 (k,).

    Args:
        env: the environment.
        k: candidates, 1 to S.
    """

    def __init__(self, env: gym.Env, k: int = 8):
        RecordConstructorArgs.__init__(self, k=k.item() if isinstance(k, np.integer) else k)
        gym.Wrapper.__init__(self, env)
        n_sites = env.unwrapped.episodes.n_sites
        checks.whole("k", k, least=1, most=n_sites)
        self.candidates = np.zeros(int(k), np.int64)
        self.action_space = Discrete(int(k))
        self.observation_space: Box | Dict = space(int(k), env.unwrapped.is_flat)

    def reset(
        self, *, seed: int | None = None, options: dict | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        _, info = self.env.reset(seed=seed, options=options)
        return self._seen(info)

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        site = int(self.candidates[one_site(action, len(self.candidates))])
        _, reward, terminated, truncated, info = self.env.step(site)
        observation, info = self._seen(info)
        return observation, reward, terminated, truncated, info

    def action_masks(self) -> np.ndarray:
        """1 where a candidate may take the job, int8 (k,); never all zero."""
        return self.unwrapped.mask[self.candidates]

    def _seen(self, info: dict[str, Any]) -> tuple[Observation, dict[str, Any]]:
        env = self.unwrapped
        rank(env.grid, env.worlds, 0, env.mask, self.candidates)
        flat = env.episodes.view.flat[0]
        sites = flat[N_JOB:-N_GRID].reshape(-1, N_SITE)[self.candidates].ravel()
        flat = np.concatenate([flat[:N_JOB], sites, flat[-N_GRID:]])
        own = {"action_mask": self.action_masks(), "candidates": self.candidates.copy()}
        return flat if env.is_flat else blocks(flat), info | own


class SiteScores(gym.ActionWrapper, RecordConstructorArgs):
    """Take a score for each site, `Box(-1, 1, (S,), float32)`; the best allowed site gets the job.

    For libraries without discrete actions. Ties go to the larger site. Only the order of scores
    counts, so they may lie outside of the box.
    """

    def __init__(self, env: gym.Env):
        RecordConstructorArgs.__init__(self)
        gym.ActionWrapper.__init__(self, env)
        n_sites = env.unwrapped.episodes.n_sites
        self.action_space = Box(-1.0, 1.0, (n_sites,), np.float32)

    def action(self, action: ArrayLike) -> int:
        """The allowed site of the highest score."""
        scores = np.asarray(action)
        is_number = scores.dtype.kind in "iuf"
        if scores.shape != self.action_space.shape or not is_number or np.isnan(scores).any():
            raise InvalidAction(
                f"an action must be {self.action_space.shape[0]} numbers, got {action!r}"
            )
        allowed = np.flatnonzero(self.unwrapped.mask)
        return int(allowed[scores[allowed].argmax()])
