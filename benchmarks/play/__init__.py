"""Episodes played and agents trained.

`episodes` plays one policy, `cells` all policies over loads and scenarios, `leaderboard` scores one
on frozen worlds. `learner` trains by PPO (`recipes`, `training_reward`, `checkpoints`),
`apprentices` on other sources of arrivals, `offline_learners` on offline data.
"""
