"""Benchmarks: one command for every published number, `python -m benchmarks.NAME --help`.

| command | what it measures |
|---|---|
| fidelity | Table I: generators against held-out records |
| memorisation | fidelity against closeness to the training rows |
| pretrain, sampler, anomalies | the bundled surrogates: training, sampling steps, anomaly scores |
| defects, calibration, tasks | the metrics, the reference workload, the task layer |
| policies, ppo, frontier, transfer | policies and agents, on the same worlds |
| offline, offline_agents, readers | offline data sets, agents trained on them, other libraries |
| load, speed, animate, flights | default load, speed, an animation, a public table |

Rooms: `inputs` (what commands take), `table1` (a run of Table I), `play` (episodes, training,
leaderboard), `report` (statistics, provenance, pages), `speed` (timings), `plain` (plain
implementations that speed is measured against).
"""
