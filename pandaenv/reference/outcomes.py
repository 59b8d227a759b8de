"""How jobs of the reference workload end: finished, failed, or stopped with their task.

In: tasks, jobs with their queues, a catalogue. Out: final state and CPU seconds of each job. The
mix of the four states is ASSUMED.
"""

import numpy as np

from pandaenv import sites

from .formats import FORMAT_SEED

BYTES_SLOPE = 0.9
"""CPU seconds against bytes inside a task; ASSUMED."""
SITE_SPREAD = 0.17
"""Spread of log10(CPU s) over queues beyond their speed; ASSUMED."""
MEAN_POWER = 12.0
"""GFLOP/s per core to which the CPU seconds of a task refer."""
CANCELLED_SPAN = 0.25
"""Share of a killed task's jobs that run as it is killed: they are cancelled, later ones closed."""
STRAY_CLOSED, STRAY_CANCELLED = 0.012, 0.002
"""Shares of jobs closed or cancelled without their task; ASSUMED."""
EARLY_FAILURE = 0.4
"""Share of the failed jobs that stop at once (published: failed jobs are often short)."""
EARLY_CPU, CLOSED_CPU = (1.70, 0.30), (1.55, 0.15)
"""Mean and spread of log10(CPU s) of early failures and of closed jobs (the pilot's own)."""


def draw(rng: np.random.Generator, task: dict, job: dict, grid: sites.Catalogue) -> None:
    """Final state and whole CPU seconds of each job."""
    i, n = job["task"], len(job["task"])
    excess = np.log10(np.maximum(job["nbytes"], 1)) - task["log_bytes"][i]
    site_effect = SITE_SPREAD * np.random.default_rng(FORMAT_SEED).standard_normal(grid.n_sites)
    site_effect -= np.log10(grid.power / MEAN_POWER)
    log_cpu = task["log_work"][i] + BYTES_SLOPE * np.clip(excess, -1.5, 0.5)
    log_cpu += task["job_spread"][i] * rng.standard_normal(n) + site_effect[job["site"]]
    status = _status(rng, task, job, grid)
    early = (status == 1) & (rng.random(n) < EARLY_FAILURE)
    partial = ((status == 1) & ~early) | (status == 3)
    log_cpu = np.where(partial, log_cpu + np.log10(1 - rng.random(n)), log_cpu)
    z = rng.standard_normal(n)
    log_cpu = np.where(early, np.minimum(EARLY_CPU[0] + EARLY_CPU[1] * z, log_cpu), log_cpu)
    log_cpu = np.where(status == 2, CLOSED_CPU[0] + CLOSED_CPU[1] * z, log_cpu)
    job["status"] = status
    job["cpu_s"] = np.rint(10.0 ** np.clip(log_cpu, 0.8, 5.7))


def _status(rng: np.random.Generator, task: dict, job: dict, grid: sites.Catalogue) -> np.ndarray:
    """Code into schema.STATUSES (finished, failed, closed, cancelled), int64 (N,)."""
    i, n = job["task"], len(job["task"])
    p_failed = 1 - (1 - grid.failure_rate[job["site"]]) * (1 - np.minimum(task["failure"][i], 0.98))
    status = (rng.random(n) < p_failed).astype(np.int64)
    stray = rng.random(n)
    status[stray < STRAY_CLOSED] = 2
    status[stray > 1 - STRAY_CANCELLED] = 3
    progress = job["rank"] / task["n_jobs"][i] - task["kill_at"][i]
    status[(progress > 0) & (progress <= CANCELLED_SPAN)] = 3
    status[progress > CANCELLED_SPAN] = 2
    return status
