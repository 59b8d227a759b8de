"""How tasks of the reference workload are cut into jobs: whole files up to a number or to bytes.

In: tasks, users and data sets. Out: files and bytes a job each task aims at, then those of each
job. ASSUMED, fitted to the published bytes and files a job.
"""

import numpy as np
from numba import njit

from .formats import choice

FILE_SPREAD = 0.15
"""Spread of ln(file bytes) inside a data set (with that over data sets, published: 0.43)."""
MAX_FILES, MAX_FILES_SMALL = 200, 12
"""Input files a job may have at most, and one cut at 20 GB or less; ASSUMED."""
SMALL_JOB = 20e9
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
EIGHT_CORE_SHARE = 0.03
HIMEM_SHARE = 0.06
"""Share of tasks that need a high-memory queue; ASSUMED."""


def choose(rng: np.random.Generator, task: dict, users: dict, dataset: dict) -> None:
    """How each task is cut: files or bytes a job, and how many jobs (still a real number)."""
    n, d = len(task["start"]), task["dataset"]
    own = users["split"][task["user"]]
    split = np.where(rng.random(n) < SPLIT_HABIT, own, choice(rng, np.log(SPLITS[:, 2]), n))
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


def cut(task: dict, dataset: dict, job: dict) -> tuple[np.ndarray, np.ndarray]:
    """Files and bytes of each job, int64 (N,) each: whole files of the task's data set in turn."""
    return _cut_kernel(
        job["task"],
        job["rank"],
        task["n_jobs"],
        task["dataset"],
        task["files_per_job"],
        task["bytes_per_job"],
        dataset["file_bytes"],
    )


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
            k = 1 + int(hash01(d, n_jobs[i]) * k)
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
        z += hash01(dataset * 4 + k, file)
    size = median * np.exp(FILE_SPREAD * 1.7320508 * z)
    u = hash01(dataset, file + 7_000_003)
    return max(1000, int(size * (u / 0.04 if u < 0.04 else 1.0)))  # some files end early


@njit(cache=True)
def hash01(a, b):
    """A uniform number in [0, 1) from two integers (splitmix64)."""
    z = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(b) * np.uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
