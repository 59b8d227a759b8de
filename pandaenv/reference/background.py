"""The grid behind the reference workload: PanDA's analysis rule over a light model of its queues.

In: jobs in order of time, their data sets' replicas and a catalogue. Out: the queue of each job.
"""

from typing import NamedTuple

import numpy as np

from foundations.units import DAY_S, HOUR_S
from pandaenv import sites
from pandaenv.brokerage import CAP_FLOOR, analysis_site, is_healthy
from pandaenv.kernel_cache import cached_njit

from .datasets import BNL_SHARE
from .outcomes import MEAN_POWER
from .sizes import hash01

BACKGROUND_LOAD = 0.6
REBROKER = 0.025
"""Chance that a batch is brokered anew (65 % of data sets are used at one site)."""
MODEL_STEP = 300.0
"""Seconds between two looks of the broker at the queues."""


def broker(
    rng: np.random.Generator, task: dict, dataset: dict, job: dict, grid: sites.Catalogue
) -> np.ndarray:
    """Queue of each job by PanDA's analysis rule, int64 (N,)."""
    work_s = 10 ** (task["log_work"][job["task"]] + 0.1)
    span = job["second"][-1] - job["second"][0] + HOUR_S
    weight = grid.cores * np.where(np.array(grid.names) == "BNL-ATLAS", BNL_SHARE, 1.0)
    slots = np.maximum(weight / weight.sum() * work_s.sum() / span / BACKGROUND_LOAD, 1.0)
    suffix = np.array([n.removeprefix(sites.resolve_queue(n)) for n in grid.names])
    clouds = {name: i for i, name in enumerate(sites.SITES)}
    jobs = Jobs(
        job["second"].astype(np.float64), job["task"], job["batch"], rng.random(len(job["task"]))
    )
    tasks = Tasks(task["dataset"], task["work_class"], task["is_himem"], task["cloud"])
    queues = Queues(
        slots,
        work_s.mean() * MEAN_POWER / grid.power,
        grid.failure_rate,
        grid.tier,
        np.array([clouds[c] for c in grid.cloud]),
        suffix == "_SHORT",
        suffix == "_HIMEM",
    )
    return _queue_of_jobs(jobs, tasks, dataset["replicas"], queues)


class Jobs(NamedTuple):
    """N jobs in order of time; arrays (N,)."""

    second: np.ndarray  # float64
    task: np.ndarray
    batch: np.ndarray
    u: np.ndarray  # uniform in [0, 1)


class Tasks(NamedTuple):
    """T tasks; arrays (T,)."""

    dataset: np.ndarray
    work_class: np.ndarray  # 0: short
    is_himem: np.ndarray  # bool
    cloud: np.ndarray  # of its user


class Queues(NamedTuple):
    """S queues; arrays (S,)."""

    slots: np.ndarray
    service: np.ndarray  # s, mean of a job
    failure_rate: np.ndarray
    tier: np.ndarray
    cloud: np.ndarray
    is_short: np.ndarray  # bool
    is_himem: np.ndarray  # bool


class Load(NamedTuple):
    """Jobs at S queues; float64 arrays (S,)."""

    running: np.ndarray
    queued: np.ndarray
    finished: np.ndarray  # in about the last day
    failed: np.ndarray


@cached_njit
def _queue_of_jobs(jobs, tasks, replicas, queues):
    """Walk through the jobs in time; a task keeps its queue until a batch is brokered anew."""
    n_sites, n_tasks = len(queues.slots), len(tasks.dataset)
    load = Load(np.zeros(n_sites), np.zeros(n_sites), np.zeros(n_sites), np.zeros(n_sites))
    queue_of, batch_of = np.full(n_tasks, -1), np.full(n_tasks, -1)
    site = np.empty(len(jobs.second), np.int64)
    clock = jobs.second[0]
    for j in range(len(jobs.second)):
        if jobs.second[j] > clock + MODEL_STEP:
            _advance(load, queues, jobs.second[j] - clock)
            clock = jobs.second[j]
        i = jobs.task[j]
        is_new_batch = jobs.batch[j] != batch_of[i]
        if queue_of[i] < 0 or (is_new_batch and _is_moved(jobs.u[j], load, queue_of[i])):
            has_data = replicas[tasks.dataset[i]]
            queue_of[i] = _choose_queue(tasks, i, has_data, queues, load, hash01(i, j))
        batch_of[i] = jobs.batch[j]
        load.queued[queue_of[i]] += 1.0
        site[j] = queue_of[i]
    return site


@cached_njit
def _is_moved(u, load, s):
    """Whether a new batch is brokered anew: by chance, or where its queue s is not healthy."""
    running, queued, finished, failed = load
    return u < REBROKER or not is_healthy(running[s], queued[s], finished[s], failed[s], CAP_FLOOR)


@cached_njit
def _choose_queue(tasks, i, has_data, queues, load, u):
    """The queue of task i by PanDA's analysis rule."""
    allowed = (
        (~queues.is_short | (tasks.work_class[i] == 0))
        & (~queues.is_himem | tasks.is_himem[i])
        & ((queues.tier < 3) | (queues.cloud == tasks.cloud[i]))
    )
    if (allowed & has_data).any():  # wait for the data's queues, do not move the data
        allowed &= has_data
    running, queued, finished, failed = load
    return analysis_site(has_data, allowed, running, queued, finished, failed, CAP_FLOOR, u)


@cached_njit
def _advance(load, queues, dt):
    """Let dt seconds pass: a share of what runs ends, what waits starts, memories fade in a day."""
    running, queued, finished, failed = load
    fade = np.exp(-dt / DAY_S)
    for s in range(len(running)):
        ended = running[s] * (1.0 - np.exp(-dt / queues.service[s]))
        finished[s] = finished[s] * fade + ended * (1.0 - queues.failure_rate[s])
        failed[s] = failed[s] * fade + ended * queues.failure_rate[s]
        started = min(queued[s], queues.slots[s] - running[s] + ended)
        running[s] += started - ended
        queued[s] -= started
