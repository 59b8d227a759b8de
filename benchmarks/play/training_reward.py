"""The reward that a learner sees: squashed, minus the priced cost.

In: a vector environment whose infos carry `cost`, a `Recipe`. Out: the same environment with
rewards for training; for `lagrangian` recipes a multiplier that holds the mean cost to the limit.

Source: Ray, Achiam and Amodei (2019), Benchmarking Safe Exploration, on the multiplier.
"""

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from .recipes import Recipe

MOST_EXCESS = 4.0
"""Costs this far over the limit, in limits, count as this far."""
DAMPING = 10.0
"""Weight of the present excess in the multiplier, in steps of its sum."""


class TrainingReward(VecEnvWrapper):
    """Gives the learner a squashed reward minus the priced cost; sums both as they were.

    Attributes:
        multiplier: price of a unit of cost.
        integral: the part of the multiplier that sums the excesses over the limit.
        totals: (sum of rewards, sum of costs, placements) since `clear_totals`.
    """

    def __init__(self, venv: VecEnv, recipe: Recipe):
        super().__init__(venv)
        self.recipe, self.multiplier, self.integral = recipe, 0.0, 0.0
        self.clear_totals()

    def clear_totals(self) -> None:
        self.totals = np.zeros(3)

    def reset(self) -> np.ndarray:
        return self.venv.reset()

    def step_wait(self):
        seen, rewards, dones, infos = self.venv.step_wait()
        cost = np.array([info.get("cost", 0.0) for info in infos])
        self.totals += rewards.sum(dtype=np.float64), cost.sum(), len(rewards)
        paid = rewards.astype(np.float64)
        if self.recipe.squash:
            paid = np.sign(paid) * np.log1p(np.abs(paid))
        paid -= self.multiplier * cost
        return seen, paid.astype(np.float32), dones, infos

    def update_multiplier(self) -> None:
        """Move the multiplier by the excess of the mean cost over the limit; never below 0.

        The sum of the excesses finds the price; the present excess on top damps oscillations.
        """
        excess = min(self.totals[1] / self.totals[2] / self.recipe.cost_limit - 1.0, MOST_EXCESS)
        self.integral = max(0.0, self.integral + self.recipe.multiplier_rate * excess)
        self.multiplier = max(0.0, self.integral + DAMPING * self.recipe.multiplier_rate * excess)
