"""When tasks of the reference workload begin, and when their jobs are submitted.

In: days and a rate. Out: starts of tasks of a Poisson stream whose rate varies with hour, weekday,
week and campaigns; then the second of each job. All numbers are ASSUMED except the Sunday rate, the
autocorrelation of the weekly drift and the spread from day to day.
"""

import numpy as np

from foundations.units import DAY_S

from . import bursts
from .bursts import JOBS_PER_TASK

BURN_IN = 4
"""Days of tasks before the first record, whose late jobs fall into the table."""
WEEK = np.array([1.12, 1.15, 1.15, 1.13, 1.04, 0.81, 0.60])
"""Arrival of tasks by weekday from Monday, over the mean day (published: Sunday 0.60-0.65)."""
DAY_AMPLITUDE, DAY_PEAK_HOUR = 0.35, 14.5
"""Relative amplitude of the daily cycle and the hour of its maximum; ASSUMED."""
DRIFT_SD, DRIFT_AUTOCORRELATION = 0.08, 0.71
"""Weekly drift of log rate; the lag-1 autocorrelation is that of weekly DAOD task counts."""
CAMPAIGN_DAYS, CAMPAIGN_WIDTH, CAMPAIGN_GAIN = 12.0, 0.7, (0.2, 0.5)
"""A campaign begins every 12 days, lasts about 0.7 days and adds so much to the rate."""


def draw(rng: np.random.Generator, days: int, rate: float) -> dict[str, np.ndarray]:
    """Starts of tasks in days, float64 (T,) sorted, of a Poisson stream, and their campaigns."""
    hour = np.arange(-BURN_IN * 24, days * 24)
    t = (hour + 0.5) / 24
    profile = 1 + DAY_AMPLITUDE * np.cos(2 * np.pi * (hour + 0.5 - DAY_PEAK_HOUR) / 24)
    base = profile * WEEK[(hour // 24) % 7] * np.exp(_drift(rng, t))
    n = rng.poisson((days + BURN_IN) / CAMPAIGN_DAYS)
    centre, gain = rng.uniform(-BURN_IN, days, n), rng.uniform(*CAMPAIGN_GAIN, n)
    bump = gain * np.exp(-0.5 * ((t[:, None] - centre) / CAMPAIGN_WIDTH) ** 2)
    rates = np.hstack([base[:, None], base[:, None] * bump])  # (hours, 1 + campaigns)
    total = rates.sum(1)
    rates *= rate / JOBS_PER_TASK / 24 / total[t > 0].mean()
    which = np.repeat(np.arange(rates.size), rng.poisson(rates.ravel()))
    start = (hour[which // rates.shape[1]] + rng.random(which.size)) / 24
    campaign = which % rates.shape[1] - 1
    if not ((start >= 0) & (start < days / 2)).any():  # a very small workload has one task at least
        start, campaign = np.append(start, days / 2 * rng.random()), np.append(campaign, -1)
    order = np.argsort(start, kind="stable")
    return {"start": start[order], "campaign": campaign[order]}


def _drift(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Slow drift of the log rate: an autoregression over weeks, straight lines between them."""
    n = int(t[-1] // 7) + 3
    x = rng.standard_normal(n) * DRIFT_SD
    for i in range(1, n):
        x[i] = DRIFT_AUTOCORRELATION * x[i - 1] + np.sqrt(1 - DRIFT_AUTOCORRELATION**2) * x[i]
    return np.interp(t, 7.0 * (np.arange(n) - 1), x)


def phase(day: np.ndarray) -> np.ndarray:
    """Where a day stands in the drifts, from -0.5 (day 0) to 0.5 (day 150 and later)."""
    return np.clip(day / 150, 0.0, 1.0) - 0.5


def submit(rng: np.random.Generator, task: dict, days: int, n_rows: int) -> dict[str, np.ndarray]:
    """Task and whole second of each of the n_rows jobs, in order of time.

    Task sizes are scaled so that slightly more than n_rows jobs fall inside the days; the surplus
    is dropped at random.
    """
    n = len(task["start"])
    pace = bursts.pace(rng, n)
    seed = rng.spawn(1)[0].bit_generator.random_raw(2)
    scale = n_rows / task["jobs"].sum() * 1.02
    while True:
        jobs = np.ceil(task["jobs"] * scale).astype(np.int64)
        job = bursts.submit(np.random.default_rng(seed), task["start"] * DAY_S, jobs, pace)
        job["second"] = np.floor(job["second"]).astype(np.int64)
        inside = np.flatnonzero((job["second"] >= 0) & (job["second"] < days * DAY_S))
        if inside.size >= n_rows:
            break
        scale *= 1.02 * n_rows / max(inside.size, n_rows / 10)
    kept = np.sort(np.random.default_rng(seed[::-1]).permutation(inside)[:n_rows])
    order = kept[np.argsort(job["second"][kept], kind="stable")]
    task["n_jobs"] = jobs
    return {name: x[order] for name, x in job.items()}
