"""Another way to choose a site: by scores for all.

In: a `PandaSiteAllocationEnv`, wrapped or not. Out: the same task with another action space;
observations, rewards, costs and worlds stay the same.
"""

import gymnasium as gym
import numpy as np
from gymnasium.error import InvalidAction
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import ArrayLike


class SiteScores(gym.ActionWrapper, RecordConstructorArgs):
    """Take a score for each site, `Box(-1, 1, (S,), float32)`; the best allowed site gets the job.

    For libraries without discrete actions. Ties go to the larger site. Only the order of scores
    counts, so they may lie outside of the box.
    """

    def __init__(self, env: gym.Env):
        RecordConstructorArgs.__init__(self)
        gym.ActionWrapper.__init__(self, env)
        n_actions = env.unwrapped.episodes.n_actions
        self.action_space = Box(-1.0, 1.0, (n_actions,), np.float32)

    def action(self, action: ArrayLike) -> int:
        """The allowed site of the highest score."""
        scores = np.asarray(action)
        is_number = scores.dtype.kind in "iuf"
        if scores.shape != self.action_space.shape or not is_number or np.isnan(scores).any():
            raise InvalidAction(
                f"an action must be {self.action_space.shape[0]} numbers, got {action!r}"
            )
        allowed = np.flatnonzero(self.unwrapped.action_masks())
        return int(allowed[scores[allowed].argmax()])
