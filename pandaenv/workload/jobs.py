"""The stream of jobs a grid is offered, as time-sorted arrays.

In: what is known of each job (size, input, recorded site and status). Out: `JobArrays`, checked
once and read-only after that, so that kernels may trust it without looking again.
Units: seconds, bytes, cores, GFLOP.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from pandaenv.schema import STATUSES


@dataclass(frozen=True, eq=False)
class JobArrays:
    """Jobs in order of arrival, one array for each property; N jobs, D data sets, S sites.

    Arrays are copied where they need another dtype, then made read-only.

    Raises:
        ValueError: an array that breaks the rule of its field; the message names the first job.
    """

    time: np.ndarray
    """(N,) float64 s since a Monday 00:00 UTC, not decreasing."""
    cores: np.ndarray
    """(N,) int64, at least 1."""
    work: np.ndarray
    """(N,) float64 GFLOP over all cores, positive."""
    nbytes: np.ndarray
    """(N,) float64 bytes of input, not negative."""
    nfiles: np.ndarray
    """(N,) int64 input files, not negative."""
    dataset: np.ndarray
    """(N,) int64 row of `replicas`, in [0, D)."""
    format: np.ndarray
    """(N,) int64 code of the data format (datatype), not negative."""
    status: np.ndarray
    """(N,) int64 recorded final state, code into `schema.STATUSES`."""
    site: np.ndarray
    """(N,) int64 recorded site, in [0, S)."""
    replicas: np.ndarray
    """(D, S) bool, True where a site holds the data set; no row is empty."""
    task: np.ndarray | None = None
    """(N,) int64 number of the task a job is of, not negative; its data set where none is given."""

    def __post_init__(self):
        if self.task is None:
            object.__setattr__(self, "task", self.dataset)
        for field in fields(self):
            object.__setattr__(self, field.name, _read_only(field.name, getattr(self, field.name)))
        _check_shapes(self)
        _check_values(self)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def n_sites(self) -> int:
        """S, the number of sites the replicas and recorded sites refer to."""
        return self.replicas.shape[1]

    @property
    def offered_work(self) -> float:
        """GFLOP of all jobs together."""
        return float(self.work.sum())

    def take(self, rows: slice | np.ndarray | list[int]) -> "JobArrays":
        """Return the jobs of `rows` (slice or increasing indices); data sets keep their numbers."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        chosen = {name: part[rows] for name, part in parts.items() if name != "replicas"}
        return JobArrays(**chosen, replicas=self.replicas)


FLOATS = ("time", "work", "nbytes")


def _read_only(name: str, values: ArrayLike) -> np.ndarray:
    """Return `values` as a read-only array of its field's dtype; a lossy conversion is an error."""
    array = np.asarray(values)
    dtype = np.dtype(np.float64 if name in FLOATS else bool if name == "replicas" else np.int64)
    if not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise ValueError(f"{name} must be {dtype}, got {array.dtype}")
    if array.dtype == dtype and array.flags.c_contiguous and not array.flags.writeable:
        return array
    array = np.array(array, dtype=dtype, order="C")
    array.flags.writeable = False
    return array


def _check_shapes(jobs: JobArrays) -> None:
    if jobs.replicas.ndim != 2:
        raise ValueError(f"replicas must be (data sets, sites), got shape {jobs.replicas.shape}")
    for field in fields(jobs):
        shape = getattr(jobs, field.name).shape
        if field.name != "replicas" and shape != (len(jobs.time),):
            expected = f"one value a job ({len(jobs.time)})"
            raise ValueError(f"{field.name} must have {expected}, got shape {shape}")
    if len(jobs.time) == 0:
        raise ValueError("a stream needs at least one job, got none")


def _check_values(jobs: JobArrays) -> None:
    n_datasets, n_sites = jobs.replicas.shape
    for name in FLOATS:
        _require_each(name, getattr(jobs, name), np.isfinite(getattr(jobs, name)), "finite")
    _require_each("time", jobs.time, np.r_[True, np.diff(jobs.time) >= 0], "sorted by arrival")
    _require_each("work", jobs.work, jobs.work > 0, "positive")
    _require_each("cores", jobs.cores, jobs.cores >= 1, "at least 1")
    _require_each("nbytes", jobs.nbytes, jobs.nbytes >= 0, "at least 0")
    _require_each("nfiles", jobs.nfiles, jobs.nfiles >= 0, "at least 0")
    _require_each("format", jobs.format, jobs.format >= 0, "at least 0")
    _require_each("task", jobs.task, jobs.task >= 0, "at least 0")
    for name, limit in (("dataset", n_datasets), ("status", len(STATUSES)), ("site", n_sites)):
        codes = getattr(jobs, name)
        _require_each(name, codes, (codes >= 0) & (codes < limit), f"in [0, {limit})")
    held = jobs.replicas.any(axis=1)
    if not held.all():
        count, row = np.count_nonzero(~held), int(np.argmin(held))
        raise ValueError(
            f"each data set needs a replica: {count} of {n_datasets} have none, e.g. row {row}"
        )


def _require_each(name: str, values: np.ndarray, good: np.ndarray, rule: str) -> None:
    if not good.all():
        count, row = np.count_nonzero(~good), int(np.argmin(good))
        broken = f"{count} of {len(good)} jobs are not, e.g. job {row} = {values[row]}"
        raise ValueError(f"{name} must be {rule}: {broken}")
