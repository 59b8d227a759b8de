"""pandaenv: brokering ATLAS analysis jobs as a reinforcement-learning problem.

Importing it registers the environments `PandaSiteAllocation-v0` and
`PandaSiteAllocationTier1-v0` with Gymnasium; everything else but `recommended` is imported where it
is used.
"""

from typing import Any

from gymnasium.envs.registration import register

from foundations import checks

__version__ = "0.1.0"

register(
    "PandaSiteAllocation-v0",
    entry_point="pandaenv.env:PandaSiteAllocationEnv",
    vector_entry_point="pandaenv.vector:PandaSiteAllocationVectorEnv",
)
register(
    "PandaSiteAllocationTier1-v0",
    entry_point="pandaenv.env:PandaSiteAllocationEnv",
    vector_entry_point="pandaenv.vector:PandaSiteAllocationVectorEnv",
    kwargs={"sites": "tier1", "rate": 2_000, "episode_jobs": 2_000},
)

LEARNERS = ("ppo", "maskable_ppo", "dqn")
"""Learners of Stable-Baselines3 and sb3-contrib whose curves `benchmarks.untouched` draws."""


def recommended(learner: str) -> dict[str, Any]:
    """Arguments of an environment on which a learner with its default settings learns.

    Actions are the sites of most promise, best first, and rewards are told from what the best of
    all sites would cost; `info["flow_time"]` keeps the exact one. The card of
    `PandaSiteAllocationEnv` says what both mean and has the measured curves.

        env = gym.make("PandaSiteAllocationTier1-v0", **pandaenv.recommended("ppo"))
        model = PPO("MlpPolicy", env).learn(100_000)

    Args:
        learner: `"ppo"`, `"maskable_ppo"` or `"dqn"`.

    Returns:
        Arguments for `gym.make`, `gym.make_vec` or `pandaenv.sb3.PandaVecEnv`.

    Raises:
        ValueError: a learner that was not tried.
    """
    checks.known("learner", learner, LEARNERS)
    return {"candidates": 8, "reward": "relative"}
