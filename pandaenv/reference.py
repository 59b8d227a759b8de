"""The reference workload: job records of a grid that never was, made by mechanism and calibrated.

In: days, seed and rate. Out: a record table (the nine columns of `schema`), its hidden truth (task,
data set, replicas) and a comparison with published quantiles. It stands in for ATLAS's records,
which are not public; a number without a public source is called ASSUMED.

How a record comes about: users arrive and leave, each with an era of data, favourite formats, a way
to split work and a home cloud. Their tasks arrive by day, week, drift and campaign (`_arrivals`). A
task reads a new data set or one used before (`_formats`, `_datasets`), is cut into jobs of whole
files (`_sizes`), belongs to one of three classes of work (`_work`) and is submitted in batches
(`_emission`). PanDA's analysis rule sends it to a queue that holds its data, against a light model
of what runs and waits (`_broker`). Jobs finish, fail, or go down with their task (`_outcomes`).
`python -m benchmarks.calibration` says how near all this comes, and where it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real

import numpy as np
import pandas as pd
from numba import njit

from pandaenv import bursts, schema, sites
from pandaenv.brokerage import CAP_FLOOR, analysis_site, is_healthy
from pandaenv.bursts import JOBS_PER_TASK
from pandaenv.calibration import calibration

__all__ = ["RATE", "Tasks", "calibration", "records", "tasks"]

DAY = 86_400
RATE = 11_000
"""Jobs a day: 1.65 M records in 150 days (Park et al. 2024, section IV)."""
BURN_IN = 4
"""Days of tasks before the first record, whose late jobs fall into the table."""

# --- time: all ASSUMED but Sunday, the autocorrelation and the day-to-day spread -----------------
WEEK = np.array([1.12, 1.15, 1.15, 1.13, 1.04, 0.81, 0.60])
"""Arrival of tasks by weekday from Monday, over the mean day (published: Sunday 0.60-0.65)."""
DAY_AMPLITUDE, DAY_PEAK_HOUR = 0.35, 14.5
DRIFT_SD, DRIFT_AUTOCORRELATION = 0.08, 0.71
"""Weekly drift of log rate; the lag-1 autocorrelation is that of weekly DAOD task counts."""
CAMPAIGN_DAYS, CAMPAIGN_WIDTH, CAMPAIGN_GAIN = 12.0, 0.7, (0.2, 0.5)
"""A campaign begins every 12 days, lasts about 0.7 days and adds so much to the rate."""

# --- formats: names are public, shares ASSUMED after the published task mix ----------------------
ERAS = ("run2", "run3", "legacy", "other")
ERA_SHARE = np.array([0.50, 0.27, 0.20, 0.03])
ERA_SLOPE = np.array([0.0, 0.8, -0.9, 0.0])
"""Change of a log share over 150 days: Run 3 grows, the old release falls."""
PROJECTS = {
    "run2": "mc20_13TeV .74 data18_13TeV .08 data17_13TeV .07 data16_13TeV .07 data15_13TeV .04",
    "run3": "mc23_13p6TeV .68 mc21_13p6TeV .05 data22_13p6TeV .12 data23_13p6TeV .10 "
    "data24_13p6TeV .05",
    "legacy": "mc16_13TeV .76 data18_13TeV .08 data16_13TeV .06 data17_13TeV .05 "
    "data15_13TeV .03 mc15_13TeV .02",
    "other": "data15_hi .18 data18_hi .22 data23_hi .10 mc16_5TeV .10 data17_5TeV .10 valid1 .14 "
    "mc12_8TeV .06 data12_8TeV .05 mc23_5p36TeV .05",
}
PROJECT_SLOPE = {"data24_13p6TeV": 2.0, "mc21_13p6TeV": -1.5, "mc15_13TeV": -1.0}
PRODSTEPS = ("PhysCont", "deriv", "merge", "recon")
FAMILIES = {
    "PHYS": (1, {"run2": 0.52, "run3": 0.50, "legacy": 0.10, "other": 0.15}),
    "PHYSLITE": (1, {"run2": 0.08, "run3": 0.22, "legacy": 0.01, "other": 0.03}),
    "HIGG": (11, {"run2": 0.10, "run3": 0.04, "legacy": 0.25, "other": 0.02}),
    "TOPQ": (6, {"run2": 0.07, "run3": 0.02, "legacy": 0.17, "other": 0.02}),
    "EXOT": (24, {"run2": 0.06, "run3": 0.03, "legacy": 0.15, "other": 0.03}),
    "SUSY": (18, {"run2": 0.04, "run3": 0.02, "legacy": 0.10, "other": 0.02}),
    "STDM": (9, {"run2": 0.03, "run3": 0.02, "legacy": 0.07, "other": 0.05}),
    "JETM": (13, {"run2": 0.02, "run3": 0.04, "legacy": 0.04, "other": 0.06}),
    "EGAM": (9, {"run2": 0.02, "run3": 0.03, "legacy": 0.02, "other": 0.03}),
    "FTAG": (4, {"run2": 0.02, "run3": 0.04, "legacy": 0.03, "other": 0.02}),
    "BPHY": (12, {"run2": 0.02, "run3": 0.01, "legacy": 0.03, "other": 0.08}),
    "TAUP": (4, {"run2": 0.01, "run3": 0.01, "legacy": 0.01, "other": 0.01}),
    "MUON": (5, {"run2": 0.01, "run3": 0.02, "legacy": 0.01, "other": 0.02}),
    "TRUTH": (4, {"run2": 0.02, "run3": 0.02, "legacy": 0.03, "other": 0.06}),
    "HION": (5, {"run2": 0.001, "run3": 0.001, "legacy": 0.001, "other": 0.40}),
    "LLP": (1, {"run2": 0.01, "run3": 0.03, "legacy": 0.001, "other": 0.001}),
}
"""Number of formats of each family and its share of tasks by era (2022: HIGG .25, PHYS .19, TOPQ
.16, EXOT .14, SUSY .07, STDM .06, JETM .04, EGAM .02; in 2024 PHYS dominates)."""
FORMAT_SEED = 2024
"""Sizes, costs and drifts of formats are drawn once with this seed: all workloads share them."""

# --- sizes ---------------------------------------------------------------------------------------
FILE_BYTES = {"PHYSLITE": 1.0e9, "PHYS": 2.4e9, "TRUTH": 3.0e8}
"""Median file of a format; PHYSLITE published, PHYS after 3 times its bytes an event, TRUTH and
the others ASSUMED."""
FILE_BYTES_OTHER, FILE_BYTES_SPREAD = 1.3e9, 0.5
FILE_SPREAD_DATASET, FILE_SPREAD = 0.40, 0.15
"""Spread of ln(file bytes) over the data sets of a format and inside one (published sum: 0.43)."""
TINY_SHARE, TINY_DEX = 0.11, (0.6, 3.3)
"""Data sets of small signal samples and by how many decades their files are smaller; ASSUMED."""
MAX_FILES, MAX_FILES_SMALL = 200, 12
"""Input files a job may have at most, and one cut at 20 GB or less; ASSUMED."""
SMALL_JOB = 20e9
CAP_BYTES = 100_000_000_000
"""The published extract caps bytes at 1e11, where 1.9 % of its rows sit."""
SPLITS = np.array(
    [
        # files a job, bytes a job (0: not used), share of tasks
        (1, 0, 0.125), (2, 0, 0.12), (3, 0, 0.05), (5, 0, 0.085), (10, 0, 0.035), (20, 0, 0.01),
        (0, 5e9, 0.14), (0, 10e9, 0.24), (0, 15e9, 0.08), (0, 20e9, 0.05),
        (0, 50e9, 0.022), (0, 100e9, 0.012), (0, 300e9, 0.034),
    ]
)  # fmt: skip
"""How users cut tasks into jobs: so many files, or whole files up to so many bytes; ASSUMED,
fitted to the published bytes and files a job."""
SPLIT_HABIT = 0.5
"""Chance that a user cuts a task as usual; ASSUMED."""
TASK_JOBS = (45.0, 2.6, 2_400.0)
"""Jobs of a task before scaling to 142 on average: median, spread of the logarithm, cut-off."""
REUSE, REUSE_OWN = 0.25, 0.75
"""A task reads a data set used before (ASSUMED); the user's own (93 % have one user)."""
REPLICAS_MEAN, REPLICAS_SHAPE, REPLICAS_MAX = 4.4, 3.0, 21

# --- work ----------------------------------------------------------------------------------------
WORK_MODES = np.array(
    [(0.08, 1.85, 0.40, 0.41), (0.467, 3.57, 0.54, 0.12), (0.453, 4.505, 0.445, 0.16)]
)
"""Share, mode and spread below and above it of log10(CPU s) of the three classes of tasks (normals
of two pieces); fitted to the published histogram with failures and spread inside tasks on top."""
WORK_WEIGHTS = {"bytes": 0.85, "user": 0.40, "format": 0.30, "dataset": 0.30, "noise": 0.27}
"""What makes a task long: ASSUMED but fitted to corr(log bytes, log CPU) = 0.56."""
WORK_DRIFT = -0.3
"""Mean log10(CPU s) over 150 days; published for later months."""
BYTES_SLOPE, JOB_SPREAD = 0.9, (0.06, 0.20)
"""CPU seconds against bytes inside a task, and the spread of what is left; ASSUMED."""
SITE_SPREAD = 0.17
"""Spread of log10(CPU s) over queues beyond their speed; ASSUMED."""
MEAN_POWER = 12.0
EIGHT_CORE_SHARE = 0.03

# --- outcomes: the mix of four states is ASSUMED -------------------------------------------------
TASK_FAILURE = (0.12, 4.0)
"""Beta distribution of the failed share that the users' own code brings to a task."""
KILLED_SHARE, CANCELLED_SPAN = 0.07, 0.25
"""Tasks killed half way: what runs then is cancelled, what has not run is closed."""
STRAY_CLOSED, STRAY_CANCELLED = 0.012, 0.002
EARLY_FAILURE = 0.4
"""Share of the failed jobs that stop at once (published: failed jobs are often short)."""
EARLY_CPU, CLOSED_CPU = (1.70, 0.30), (1.55, 0.15)
"""Mean and spread of log10(CPU s) of early failures and of closed jobs (the pilot's own)."""

# --- the grid in the background ------------------------------------------------------------------
BACKGROUND_LOAD = 0.6
BNL_SHARE = 4.0
"""BNL, the paper's top site, gives user analysis so many times the slots and replicas of its
size."""
TIER3_REPLICAS, HOME_REPLICA = 1.0, 0.3
"""Weight of a Tier-3 as a place for replicas, and chance of an extra one in the user's cloud."""
REBROKER, HIMEM_SHARE = 0.025, 0.06
"""Chance that a batch is brokered anew (65 % of data sets are used at one site), and share of
tasks that need a high-memory queue."""
MODEL_STEP = 300.0
"""Seconds between two looks of the broker at the queues."""


@dataclass(frozen=True, eq=False)
class Tasks:
    """What the records hide.

    Attributes:
        jobs: one row for each record, in its order: task, dataset, user, cores, work_class (0
            short, 1 medium, 2 long), all integers.
        replicas: which queues reach a replica of a data set, bool (D, S); row = `jobs.dataset`.
        sites: the S names of `sites.catalogue("all")`.
    """

    jobs: pd.DataFrame
    replicas: np.ndarray
    sites: tuple[str, ...]


def records(days: int = 150, seed: int = 0, rate: float = RATE) -> pd.DataFrame:
    """Record table of whole days from a Monday 00:00, exactly round(days x rate) rows by time.

    Same arguments and versions, same bytes.

    Example:
        >>> records(days=1, rate=500).shape
        (500, 9)
    """
    return _generate(*_checked(days, seed, rate))[0].copy()


def tasks(days: int = 150, seed: int = 0, rate: float = RATE) -> Tasks:
    """The hidden truth of `records(days, seed, rate)`, row by row."""
    truth = _generate(*_checked(days, seed, rate))[1]
    return Tasks(truth.jobs.copy(), truth.replicas.copy(), truth.sites)


def _checked(days: int, seed: int, rate: float) -> tuple[int, int, float]:
    if not (isinstance(days, Real) and days % 1 == 0 and 1 <= days <= 3_650):
        raise ValueError(f"days must be a whole number between 1 and 3650, got {days!r}")
    if not (isinstance(seed, Integral) and seed >= 0):
        raise ValueError(f"seed must be a whole number not below 0, got {seed!r}")
    if not (isinstance(rate, Real) and 10 <= rate <= 1e7):
        raise ValueError(f"rate must be between 10 and 1e7 jobs a day, got {rate!r}")
    return int(days), int(seed), float(rate)


@lru_cache(maxsize=1)
def _generate(days: int, seed: int, rate: float) -> tuple[pd.DataFrame, Tasks]:
    """Records and truth, from independent random streams for each step."""
    streams = np.random.default_rng(seed).spawn(9)
    grid, formats = sites.catalogue("all"), _format_table()
    task = _arrivals(streams[0], days, rate)
    users = _users(streams[1], days, formats)
    _choose_users(streams[2], task, users)
    _formats(streams[3], task, users, formats)
    dataset = _datasets(streams[4], task, users, formats, grid)
    _sizes(streams[5], task, users, dataset)
    _work(streams[6], task, users, formats, dataset)
    job = _emission(streams[7], task, days, round(days * rate))
    rng = streams[8]
    job["nfiles"], job["nbytes"] = _cut(task, dataset, job)
    job["site"] = _broker(rng, task, dataset, job, grid)
    _outcomes(rng, task, job, grid)
    return _frame(task, job, formats, grid), _truth(task, dataset, job, grid)


# --- time ----------------------------------------------------------------------------------------


def _arrivals(rng: np.random.Generator, days: int, rate: float) -> dict[str, np.ndarray]:
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


def _phase(day: np.ndarray) -> np.ndarray:
    """Where a day stands in the drifts, from -0.5 (day 0) to 0.5 (day 150 and later)."""
    return np.clip(day / 150, 0.0, 1.0) - 0.5


# --- formats and users ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Formats:
    """The physics shared by all workloads: K formats, P projects, four eras."""

    datatype: np.ndarray  # names (K,)
    project: np.ndarray  # names (P,)
    log_share: np.ndarray  # ln share of a format's tasks by era (4, K)
    slope: np.ndarray  # its change over 150 days (K,)
    log_project: np.ndarray  # ln share of a project by era (4, P)
    project_slope: np.ndarray  # (P,)
    file_bytes: np.ndarray  # median (K,)
    cost: np.ndarray  # how long its tasks run, standard normal (K,)


@lru_cache(maxsize=1)
def _format_table() -> Formats:
    rng = np.random.default_rng(FORMAT_SEED)
    names, share, median = [], [], []
    for family, (n, by_era) in FAMILIES.items():
        rank = 1.0 / np.arange(1, n + 1) ** 1.1
        names += [f"DAOD_{name}" for name in _members(family, n)]
        share += [[by_era[era] * r for era in ERAS] for r in rank / rank.sum()]
        other = FILE_BYTES_OTHER * np.exp(FILE_BYTES_SPREAD * rng.standard_normal(n))
        median += [FILE_BYTES.get(family, x) for x in other]
    project, log_project = _project_table()
    return Formats(
        datatype=np.array(names),
        project=project,
        log_share=np.log(np.array(share).T),
        slope=0.6 * rng.standard_normal(len(names)),
        log_project=log_project,
        project_slope=np.array([PROJECT_SLOPE.get(p, 0.0) for p in project]),
        file_bytes=np.array(median),
        cost=rng.standard_normal(len(names)),
    )


def _members(family: str, n: int) -> list[str]:
    """Names of a family's formats as ATLAS numbers them: PHYS, SUSY1.., HIGG1D1, HIGG2D1, ..."""
    if n == 1:
        return [family + ("1" if family == "LLP" else "")]
    if family == "HIGG":
        return [f"HIGG{1 + i % 8}D{1 + i // 8}" for i in range(n)]
    return [f"{family}{i + (family != 'TRUTH')}" for i in range(n)]


def _project_table() -> tuple[np.ndarray, np.ndarray]:
    """Names of the P projects and ln of their shares by era, (4, P)."""
    share = [dict(zip(t[::2], map(float, t[1::2]), strict=True)) for t in _project_words()]
    names = list(dict.fromkeys(name for era in share for name in era))
    with np.errstate(divide="ignore"):
        return np.array(names), np.log([[era.get(n, 0.0) for n in names] for era in share])


def _project_words() -> list[list[str]]:
    return [PROJECTS[era].split() for era in ERAS]


def _users(rng: np.random.Generator, days: int, formats: Formats) -> dict[str, np.ndarray]:
    """Users of the time span, arrays (U,); numbers, stays and habits are ASSUMED."""
    n = 120 + 6 * days
    start = rng.uniform(-60, days, n)
    era = _choice(rng, np.log(ERA_SHARE) + ERA_SLOPE * _phase(start)[:, None])
    habit = formats.log_share[era] + formats.slope * _phase(start)[:, None]
    return {
        "start": start,
        "end": start + 35 * np.exp(0.7 * rng.standard_normal(n)),
        "weight": np.exp(0.7 * rng.standard_normal(n)),
        "era": era,
        "first": _choice(rng, habit),
        "second": _choice(rng, habit),
        "cloud": rng.integers(0, len(sites.SITES), n),
        "work": rng.standard_normal(n),
        "split": _choice(rng, np.log(SPLITS[:, 2]), n),
        "failure": rng.beta(*TASK_FAILURE, n),
    }


def _choice(rng: np.random.Generator, log_share: np.ndarray, n: int | None = None) -> np.ndarray:
    """One column per row of unnormalised ln shares (n, K), by the Gumbel trick; int64 (n,)."""
    size = log_share.shape if n is None else (n, log_share.shape[-1])
    return np.argmax(log_share + rng.gumbel(size=size), axis=1)


def _choose_users(rng: np.random.Generator, task: dict, users: dict) -> None:
    """Give each task one of the users active on its day, by weight."""
    day = np.floor(task["start"]).astype(np.int64)
    u, user = rng.random(len(day)), np.empty(len(day), np.int64)
    for d in np.unique(day):
        is_active = (users["start"] <= d + 1) & (users["end"] > d)
        ladder = np.cumsum(users["weight"] * is_active)
        rows = day == d
        user[rows] = np.searchsorted(ladder, u[rows] * ladder[-1], side="right")
    task["user"] = np.minimum(user, len(users["weight"]) - 1)
    task["cloud"] = users["cloud"][task["user"]]


def _formats(rng: np.random.Generator, task: dict, users: dict, formats: Formats) -> None:
    """Format, project and production step of each task, were it to read a new data set."""
    n, user, when = len(task["start"]), task["user"], _phase(task["start"])[:, None]
    era = users["era"][user]
    any_format = _choice(rng, formats.log_share[era] + formats.slope * when)
    u = rng.random(n)
    habits = [users["first"][user], users["second"][user]]
    datatype = np.select([u < 0.72, u < 0.90], habits, any_format)
    # a campaign is one format of one era for most of its tasks
    leader = _campaign_leader(task["campaign"])
    follows = (task["campaign"] >= 0) & (rng.random(n) < 0.6)
    datatype = np.where(follows, datatype[leader], datatype)
    era = np.where(follows, era[leader], era)
    project = _choice(rng, formats.log_project[era] + formats.project_slope * when)
    task["datatype"], task["project"], task["era"] = datatype, project, era
    task["prodstep"] = _prodstep(rng, task, formats)


def _campaign_leader(campaign: np.ndarray) -> np.ndarray:
    """Row of the first task of each task's campaign, int64 (T,)."""
    _, first, inverse = np.unique(campaign, return_index=True, return_inverse=True)
    return first[inverse]


def _prodstep(rng: np.random.Generator, task: dict, formats: Formats) -> np.ndarray:
    """Production step given project, format and date; ASSUMED, `deriv` dominates in 2024."""
    name = formats.project[task["project"]]
    is_data = np.char.startswith(name, "data")
    is_old = np.isin(name, ["mc16_13TeV", "mc15_13TeV", "mc12_8TeV", "mc16_5TeV"])
    is_lite = formats.datatype[task["datatype"]] == "DAOD_PHYSLITE"
    late = 0.5 + _phase(task["start"])
    share = np.empty((len(name), 4))  # PhysCont, deriv, merge, recon
    share[:] = [0.001, 0.94, 0.05, 0.01]
    share[is_old] = [0.001, 0.32, 0.67, 0.01]
    share[is_data] = [0.45, 0.45, 0.09, 0.01]
    share[is_data & is_lite] = [0.85, 0.14, 0.005, 0.005]
    share[name == "valid1"] = [0.001, 0.19, 0.20, 0.61]
    share[is_data, 0] *= 1 + late[is_data]
    share[:, 2] *= 1.3 - 0.6 * late
    return _choice(rng, np.log(share))


# --- data sets -----------------------------------------------------------------------------------


def _datasets(
    rng: np.random.Generator, task: dict, users: dict, formats: Formats, grid: sites.Catalogue
) -> dict[str, np.ndarray]:
    """Give each task its data set; arrays (D,) of the data sets and their replicas (D, S)."""
    task["dataset"], first = _reuse(rng, task["user"], task["era"])
    for name in ("datatype", "project", "prodstep", "era"):
        task[name] = task[name][first][task["dataset"]]
    n, datatype = len(first), task["datatype"][first]
    scatter = FILE_SPREAD_DATASET * rng.standard_normal(n)
    is_tiny = (rng.random(n) < TINY_SHARE) & (formats.datatype[datatype] != "DAOD_PHYSLITE")
    tiny = np.where(is_tiny, rng.uniform(*TINY_DEX, n), 0.0)
    return {
        "file_bytes": formats.file_bytes[datatype] * np.exp(scatter) * 10.0**-tiny,
        "cost": rng.standard_normal(n),
        "jobs": _task_jobs(rng, n),
        "replicas": _replicas(rng, n, users["cloud"][task["user"][first]], grid),
    }


def _reuse(
    rng: np.random.Generator, user: np.ndarray, era: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Data set of each task (T,), and the task that used each data set first (D,).

    A reusing task takes the data set of an earlier task drawn uniformly, so the often used are used
    more often: of the same user mostly, else of the same era.
    """
    n = len(user)
    wants, own, pick = rng.random(n) < REUSE, rng.random(n) < REUSE_OWN, rng.random(n)
    past: dict[tuple[str, int], list[int]] = {}
    dataset, first = np.empty(n, np.int64), []
    for i in range(n):
        by_user = past.setdefault(("user", user[i]), [])
        by_era = past.setdefault(("era", era[i]), [])
        pool = by_user if own[i] else by_era
        if wants[i] and pool:
            dataset[i] = pool[int(pick[i] * len(pool))]
        else:
            dataset[i] = len(first)
            first.append(i)
        by_user.append(dataset[i])
        by_era.append(dataset[i])
    return dataset, np.array(first)


def _task_jobs(rng: np.random.Generator, n: int) -> np.ndarray:
    """Jobs a task on each data set has if it takes about 5 GB a job; a cut-off lognormal."""
    median, spread, top = TASK_JOBS
    jobs = median * np.exp(spread * rng.standard_normal(n))
    return np.minimum(jobs, top * rng.uniform(0.5, 1, n))


def _replicas(
    rng: np.random.Generator, n: int, cloud: np.ndarray, grid: sites.Catalogue
) -> np.ndarray:
    """Which queues reach each data set, bool (D, S): replicas drawn by disk, often one at home."""
    site = np.array([grid.index(sites.resolve_queue(name)) for name in grid.names])
    is_site = site == np.arange(grid.n_sites)
    weight = np.where(is_site, np.sqrt(grid.disk / 1e15 * grid.cores / 1e3), 0.0)
    weight *= np.where(grid.tier == 3, TIER3_REPLICAS, 1.0)
    weight[grid.index("BNL-ATLAS")] *= BNL_SHARE
    extra = rng.gamma(REPLICAS_SHAPE, (REPLICAS_MEAN - 1 - HOME_REPLICA) / REPLICAS_SHAPE, n)
    count = np.minimum(1 + rng.poisson(extra), REPLICAS_MAX - 1)
    with np.errstate(divide="ignore"):
        key = np.log(weight) + rng.gumbel(size=(n, grid.n_sites))
    rank = np.argsort(np.argsort(-key, axis=1, kind="stable"), axis=1)
    has = rank < count[:, None]
    clouds = np.array(list(sites.SITES))
    at_home = np.array(grid.cloud) == clouds[cloud][:, None]
    home = np.argmax(np.where(at_home & is_site & (rank >= count[:, None]), key, -np.inf), axis=1)
    rows = np.flatnonzero(rng.random(n) < HOME_REPLICA)
    has[rows, home[rows]] = True
    return has[:, site]


# --- jobs of a task ------------------------------------------------------------------------------


def _sizes(rng: np.random.Generator, task: dict, users: dict, dataset: dict) -> None:
    """How each task is cut: files or bytes a job, and how many jobs (still a real number)."""
    n, d = len(task["start"]), task["dataset"]
    own = users["split"][task["user"]]
    split = np.where(rng.random(n) < SPLIT_HABIT, own, _choice(rng, np.log(SPLITS[:, 2]), n))
    n_files, limit, _ = SPLITS[split].T
    file_bytes = dataset["file_bytes"][d]
    expected = np.where(n_files > 0, n_files * file_bytes, _filled(limit, file_bytes))
    task["files_per_job"], task["bytes_per_job"] = n_files.astype(np.int64), limit
    task["log_bytes"] = np.log10(expected)
    task["n_files"] = expected / file_bytes
    task["jobs"] = dataset["jobs"][d] * task["n_files"] ** -0.15
    task["cores"] = np.where(rng.random(n) < EIGHT_CORE_SHARE, 8, 1)
    task["is_himem"] = rng.random(n) < HIMEM_SHARE


def _filled(limit: np.ndarray, file_bytes: np.ndarray) -> np.ndarray:
    """Bytes of the whole files that fit under a limit, at least one file."""
    most = np.where(limit > SMALL_JOB, MAX_FILES, MAX_FILES_SMALL)
    return np.clip(np.floor(limit / file_bytes), 1, most) * file_bytes


def _work(
    rng: np.random.Generator, task: dict, users: dict, formats: Formats, dataset: dict
) -> None:
    """log10(CPU s at mean power) of each task's average job, and its class.

    A score from bytes, user, format, data set and chance is ranked over the jobs, and the rank read
    off the three-mode distribution WORK_MODES: so the modes come out as fitted with any seed.
    """
    n, weight = len(task["start"]), task["jobs"]
    parts = {
        "bytes": np.clip(_standard(task["log_bytes"], weight), -2.5, 2.5),
        "user": users["work"][task["user"]],
        "format": formats.cost[task["datatype"]],
        "dataset": dataset["cost"][task["dataset"]],
        "noise": rng.standard_normal(n),
    }
    score = sum(WORK_WEIGHTS[name] * x for name, x in parts.items())
    task["log_work"], task["work_class"] = _read_modes(_weighted_rank(score, weight))
    task["log_work"] += WORK_DRIFT * _phase(task["start"])
    task["job_spread"] = rng.uniform(*JOB_SPREAD, n)
    task["failure"] = users["failure"][task["user"]] * rng.uniform(0, 2, n)
    killed = rng.random(n) < KILLED_SHARE
    task["kill_at"] = np.where(killed, rng.uniform(0.1, 0.9, n), 2.0)


def _standard(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    mean = np.average(x, weights=weight)
    return (x - mean) / max(np.sqrt(np.average((x - mean) ** 2, weights=weight)), 1e-9)


def _weighted_rank(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Where each value stands in the weighted sample, in (0, 1)."""
    order = np.argsort(x, kind="stable")
    below = np.cumsum(weight[order])
    rank = np.empty(len(x))
    rank[order] = (below - weight[order] / 2) / below[-1]
    return rank


def _read_modes(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of WORK_MODES at levels u, and the mode each level falls in."""
    from scipy.special import ndtr  # half a second that only who draws the reference needs

    share, mean, below, above = WORK_MODES.T
    x = np.linspace(0, 7, 1401)
    z = x[:, None] - mean
    left, right = 2 * below * ndtr(z / below), below - above + 2 * above * ndtr(z / above)
    cdf = (share * np.where(z < 0, left, right) / (below + above)).sum(1)
    return np.interp(u, cdf, x), np.searchsorted(np.cumsum(share)[:-1], u, side="right")


def _emission(
    rng: np.random.Generator, task: dict, days: int, n_rows: int
) -> dict[str, np.ndarray]:
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
        job = bursts.submit(np.random.default_rng(seed), task["start"] * DAY, jobs, pace)
        job["second"] = np.floor(job["second"]).astype(np.int64)
        inside = np.flatnonzero((job["second"] >= 0) & (job["second"] < days * DAY))
        if inside.size >= n_rows:
            break
        scale *= 1.02 * n_rows / max(inside.size, n_rows / 10)
    kept = np.sort(np.random.default_rng(seed[::-1]).permutation(inside)[:n_rows])
    order = kept[np.argsort(job["second"][kept], kind="stable")]
    task["n_jobs"] = jobs
    return {name: x[order] for name, x in job.items()}


def _cut(task: dict, dataset: dict, job: dict) -> tuple[np.ndarray, np.ndarray]:
    """Files and bytes of each job, int64 (N,) each: whole files of the task's data set in turn."""
    return _cut_kernel(
        job["task"], job["rank"], task["n_jobs"], task["dataset"], task["files_per_job"],
        task["bytes_per_job"], dataset["file_bytes"],
    )  # fmt: skip


@njit(cache=True)
def _cut_kernel(job_task, rank, n_jobs, dataset, files_per_job, bytes_per_job, file_bytes):
    nfiles = np.empty(len(job_task), np.int64)
    nbytes = np.empty(len(job_task), np.int64)
    for j in range(len(job_task)):
        i = job_task[j]
        d = dataset[i]
        k = files_per_job[i]
        limit = bytes_per_job[i]
        width = k if k > 0 else max(1, int(limit / file_bytes[d]) + 1)
        first = rank[j] * width
        if k > 1 and rank[j] == n_jobs[i] - 1:  # the last job takes what is left
            k = 1 + int(_hash01(d, n_jobs[i]) * k)
        n, total = 0, 0
        while n < (MAX_FILES if k > 0 or limit > SMALL_JOB else MAX_FILES_SMALL):
            size = _file_size(d, first + n, file_bytes[d])
            if n > 0 and (n >= k if k > 0 else total + size > limit):
                break
            n, total = n + 1, total + size
        nfiles[j], nbytes[j] = n, total
    return nfiles, nbytes


@njit(cache=True)
def _file_size(dataset, file, median):
    """Bytes of one file of a data set: the same for every task that reads it."""
    z = -2.0  # sum of four uniforms, variance 1/3
    for k in range(4):
        z += _hash01(dataset * 4 + k, file)
    size = median * np.exp(FILE_SPREAD * 1.7320508 * z)
    u = _hash01(dataset, file + 7_000_003)
    return max(1000, int(size * (u / 0.04 if u < 0.04 else 1.0)))  # some files end early


@njit(cache=True)
def _hash01(a, b):
    """A uniform number in [0, 1) from two integers (splitmix64)."""
    z = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(b) * np.uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


# --- brokerage -----------------------------------------------------------------------------------


def _broker(
    rng: np.random.Generator, task: dict, dataset: dict, job: dict, grid: sites.Catalogue
) -> np.ndarray:
    """Queue of each job by PanDA's analysis rule, int64 (N,)."""
    work_s = 10 ** (task["log_work"][job["task"]] + 0.1)
    span = job["second"][-1] - job["second"][0] + DAY / 24
    weight = grid.cores * np.where(np.array(grid.names) == "BNL-ATLAS", BNL_SHARE, 1.0)
    slots = np.maximum(weight / weight.sum() * work_s.sum() / span / BACKGROUND_LOAD, 1.0)
    suffix = np.array([n.removeprefix(sites.resolve_queue(n)) for n in grid.names])
    clouds = {name: i for i, name in enumerate(sites.SITES)}
    return _broker_kernel(
        job["second"].astype(np.float64), job["task"], job["batch"], rng.random(len(job["task"])),
        task["dataset"], task["work_class"], task["is_himem"], task["cloud"], dataset["replicas"],
        slots, work_s.mean() * MEAN_POWER / grid.power, grid.failure_rate, grid.tier,
        np.array([clouds[c] for c in grid.cloud]), suffix == "_SHORT", suffix == "_HIMEM",
    )  # fmt: skip


@njit(cache=True)
def _broker_kernel(
    second, job_task, batch, u, dataset, work_class, is_himem, home, replicas,
    slots, service, failure_rate, tier, cloud, is_short_queue, is_himem_queue,
):  # fmt: skip
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
            draw = _hash01(i, j)
            s = analysis_site(has_data, allowed, running, queued, finished, failed, CAP_FLOOR, draw)
            queue_of[i] = s
        batch_of[i] = batch[j]
        queued[s] += 1.0
        site[j] = s
    return site


@njit(cache=True)
def _advance(running, queued, finished, failed, slots, service, failure_rate, dt):
    """Let dt seconds pass: a share of what runs ends, what waits starts, memories fade in a day."""
    fade = np.exp(-dt / DAY)
    for s in range(len(running)):
        ended = running[s] * (1.0 - np.exp(-dt / service[s]))
        finished[s] = finished[s] * fade + ended * (1.0 - failure_rate[s])
        failed[s] = failed[s] * fade + ended * failure_rate[s]
        started = min(queued[s], slots[s] - running[s] + ended)
        running[s] += started - ended
        queued[s] -= started


# --- outcomes ------------------------------------------------------------------------------------


def _outcomes(rng: np.random.Generator, task: dict, job: dict, grid: sites.Catalogue) -> None:
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


# --- tables --------------------------------------------------------------------------------------


def _frame(task: dict, job: dict, formats: Formats, grid: sites.Catalogue) -> pd.DataFrame:
    i = job["task"]
    power = grid.power[job["site"]]
    columns = {
        "creationtime": job["second"] / DAY,
        "ninputdatafiles": job["nfiles"],
        "inputfilebytes": np.minimum(job["nbytes"], CAP_BYTES),
        "workload": task["cores"][i] * power * job["cpu_s"],
        "computingsite": _category(job["site"], grid.names),
        "project": _category(task["project"][i], formats.project),
        "prodstep": _category(task["prodstep"][i], PRODSTEPS),
        "datatype": _category(task["datatype"][i], formats.datatype),
        "jobstatus": _category(job["status"], schema.STATUSES),
    }
    return pd.DataFrame(columns)[list(schema.COLUMNS)]


def _category(codes: np.ndarray, names) -> pd.Categorical:
    """Categorical of the names in use, levels sorted."""
    names = np.asarray(names)
    used = np.flatnonzero(np.bincount(codes, minlength=len(names)))
    used = used[np.argsort(names[used])]
    place = np.full(len(names), -1)
    place[used] = np.arange(len(used))
    return pd.Categorical.from_codes(place[codes], categories=pd.Index(names[used], dtype="str"))


def _truth(task: dict, dataset: dict, job: dict, grid: sites.Catalogue) -> Tasks:
    i = job["task"]
    names = ("dataset", "user", "cores", "work_class")
    jobs = pd.DataFrame({"task": i} | {name: task[name][i] for name in names})
    return Tasks(jobs, dataset["replicas"], grid.names)
