"""The grid behind the reference workload: PanDA's analysis rule over a light model of its queues.

In: jobs in order of time, their data sets' replicas and a catalogue. Out: the queue of each job.
"""

import numpy as np
from numba import njit

from foundations.units import DAY_S, HOUR_S
from pandaenv import sites
from pandaenv.brokerage import CAP_FLOOR, analysis_site, is_healthy

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
    return _broker_kernel(
        job["second"].astype(np.float64),
        job["task"],
        job["batch"],
        rng.random(len(job["task"])),
        task["dataset"],
        task["work_class"],
        task["is_himem"],
        task["cloud"],
        dataset["replicas"],
        slots,
        work_s.mean() * MEAN_POWER / grid.power,
        grid.failure_rate,
        grid.tier,
        np.array([clouds[c] for c in grid.cloud]),
        suffix == "_SHORT",
        suffix == "_HIMEM",
    )


@njit(cache=True)
def _broker_kernel(
    second,
    job_task,
    batch,
    u,
    dataset,
    work_class,
    is_himem,
    home,
    replicas,
    slots,
    service,
    failure_rate,
    tier,
    cloud,
    is_short_queue,
    is_himem_queue,
):
    """Walk through the jobs in time; a task keeps its queue until a batch is brokered anew."""
    n_sites = len(slots)
    running, queued = np.zeros(n_sites), np.zeros(n_sites)
    finished, failed = np.zeros(n_sites), np.zeros(n_sites)
    queue_of, batch_of = np.full(len(dataset), -1), np.full(len(dataset), -1)
    site = np.empty(len(second), np.int64)
    clock = second[0]
    for j in range(len(second)):
        if second[j] > clock + MODEL_STEP:
            _advance(
                running, queued, finished, failed, slots, service, failure_rate, second[j] - clock
            )
            clock = second[j]
        i = job_task[j]
        s = queue_of[i]
        if s < 0 or (
            batch[j] != batch_of[i]
            and (
                u[j] < REBROKER
                or not is_healthy(running[s], queued[s], finished[s], failed[s], CAP_FLOOR)
            )
        ):
            has_data = replicas[dataset[i]]
            allowed = (
                (~is_short_queue | (work_class[i] == 0))
                & (~is_himem_queue | is_himem[i])
                & ((tier < 3) | (cloud == home[i]))
            )
            if (allowed & has_data).any():  # wait for the data's queues, do not move the data
                allowed &= has_data
            draw = hash01(i, j)
            s = analysis_site(has_data, allowed, running, queued, finished, failed, CAP_FLOOR, draw)
            queue_of[i] = s
        batch_of[i] = batch[j]
        queued[s] += 1.0
        site[j] = s
    return site


@njit(cache=True)
def _advance(running, queued, finished, failed, slots, service, failure_rate, dt):
    """Let dt seconds pass: a share of what runs ends, what waits starts, memories fade in a day."""
    fade = np.exp(-dt / DAY_S)
    for s in range(len(running)):
        ended = running[s] * (1.0 - np.exp(-dt / service[s]))
        finished[s] = finished[s] * fade + ended * (1.0 - failure_rate[s])
        failed[s] = failed[s] * fade + ended * failure_rate[s]
        started = min(queued[s], slots[s] - running[s] + ended)
        running[s] += started - ended
        queued[s] -= started
