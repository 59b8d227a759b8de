"""How the jobs of a task are submitted: a few scouts, then batches over hours.

In: the number of jobs of each task. Out: batch and second of every job. The reference workload
submits its tasks by this rule, and `pandaenv.workload.bursting` moves surrogate rows into bursts by
the same one.
No public source was found for it: all numbers are ASSUMED.

Units: seconds; T tasks, N jobs.
"""

from typing import NamedTuple

import numpy as np

from foundations.units import HOUR_S

JOBS_PER_TASK = 142
"""1.23 M jobs came from 8,680 tasks in a published extract."""
N_SCOUTS = 10
"""Jobs that go first, all at once."""
DELAY_H, DELAY_SPREAD = 0.7, 0.8
"""Hours from the scouts to the first batch: median, and spread of its logarithm."""
LENGTH_H, LENGTH_SPREAD, LENGTH_POWER, LONGEST_H = 3.0, 0.9, 0.6, 60.0
"""Hours over which the batches of a task of 142 jobs come: median and spread of its logarithm; how
they grow with the number of jobs, and the most before the delay."""
BATCH_JOBS = (10, 60)
JITTER_S = 20.0
"""Mean wait of a job after its batch, exponential."""


class Pace(NamedTuple):
    """What makes one task slower than another, (T,) each."""

    delay: np.ndarray  # over the median
    length: np.ndarray  # over the median
    batch_jobs: np.ndarray  # jobs a batch


def pace(rng: np.random.Generator, n: int) -> Pace:
    """Draw the pace of n tasks."""
    spread = [[DELAY_SPREAD], [LENGTH_SPREAD]]
    delay, length = np.exp(rng.standard_normal((2, n)) * spread)
    return Pace(delay, length, rng.integers(*BATCH_JOBS, n))


def submit(
    rng: np.random.Generator, start: np.ndarray, jobs: np.ndarray, paces: Pace
) -> dict[str, np.ndarray]:
    """Task, rank inside it, batch and second of every job, task by task, (N,) each.

    Args:
        start: second at which the scouts of each task come, (T,).
        jobs: jobs of each task, (T,).
    """
    task = np.repeat(np.arange(len(jobs)), jobs)
    rank = np.arange(len(task)) - np.repeat(np.cumsum(jobs) - jobs, jobs)
    batch = np.where(rank < N_SCOUTS, 0, 1 + (rank - N_SCOUTS) // paces.batch_jobs[task])
    n_batches = np.maximum(1, -(-(jobs - N_SCOUTS) // paces.batch_jobs))
    hours = np.minimum(LENGTH_H * paces.length * (jobs / JOBS_PER_TASK) ** LENGTH_POWER, LONGEST_H)
    offset = DELAY_H * paces.delay[task] + hours[task] * (batch / (n_batches + 1)[task])
    jitter = rng.exponential(JITTER_S, len(task))
    second = start[task] + np.where(batch > 0, offset * HOUR_S, 0.0) + jitter
    return {"task": task, "rank": rank, "batch": batch, "second": second}
