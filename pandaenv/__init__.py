"""pandaenv: brokering ATLAS analysis jobs as a reinforcement-learning problem.

Importing it registers the environments `PandaSiteAllocation-v0` and
`PandaSiteAllocationTier1-v0` with Gymnasium; everything else is imported where it is used.
"""

from gymnasium.envs.registration import register

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
