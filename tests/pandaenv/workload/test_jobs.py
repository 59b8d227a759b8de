"""JobArrays: what it takes, what it refuses, and that nobody can change it afterwards."""

import numpy as np
import pytest

from pandaenv.workload.jobs import JobArrays


def traits(**changes) -> dict:
    """Three jobs on two sites and two data sets, with `changes` on top."""
    good = {
        "time": [0.0, 5.0, 5.0],
        "cores": [1, 8, 1],
        "work": [10.0, 20.0, 30.0],
        "nbytes": [0.0, 1e9, 2e9],
        "nfiles": [0, 1, 2],
        "dataset": [0, 1, 1],
        "format": [0, 3, 3],
        "status": [0, 1, 3],
        "site": [0, 1, 0],
        "replicas": [[True, False], [True, True]],
    }
    return good | changes


def test_jobs_keep_what_they_are_given():
    jobs = JobArrays(**traits())
    assert (len(jobs), jobs.n_sites, jobs.offered_work) == (3, 2, 60.0)
    assert jobs.time.dtype == np.float64 and jobs.cores.dtype == np.int64
    assert jobs.replicas.dtype == np.bool_


def test_jobs_cannot_be_changed_and_do_not_change_their_input():
    work = np.array([10.0, 20.0, 30.0])
    jobs = JobArrays(**traits(work=work))
    with pytest.raises(ValueError, match="read-only"):
        jobs.work[0] = 1.0
    work[0] = -1.0
    assert jobs.work[0] == 10.0


def test_a_job_without_a_task_is_of_its_data_sets():
    assert JobArrays(**traits()).task.tolist() == [0, 1, 1]
    told = JobArrays(**traits(task=[4, 9, 4]))
    assert told.task.tolist() == [4, 9, 4] and told.take([0, 2]).task.tolist() == [4, 4]
    with pytest.raises(ValueError, match="task must be at least 0: 1 of 3 .* job 1 = -1"):
        JobArrays(**traits(task=[0, -1, 0]))


def test_take_keeps_data_sets_and_order():
    jobs = JobArrays(**traits()).take(slice(1, None))
    assert jobs.time.tolist() == [5.0, 5.0] and jobs.dataset.tolist() == [1, 1]
    assert jobs.replicas.shape == (2, 2)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"time": [0.0, 5.0, 4.0]}, "time must be sorted by arrival: 1 of 3 .* job 2 = 4.0"),
        ({"time": [0.0, np.nan, 4.0]}, "time must be finite: 1 of 3 .* job 1 = nan"),
        ({"work": [0.0, 1.0, -1.0]}, "work must be positive: 2 of 3 .* job 0 = 0.0"),
        ({"work": [1.0, np.inf, 1.0]}, "work must be finite: .* job 1 = inf"),
        ({"cores": [1, 0, 1]}, "cores must be at least 1: .* job 1 = 0"),
        ({"cores": [1.0, 1.5, 1.0]}, "cores must be int64, got float64"),
        ({"nbytes": [0.0, 0.0, -1.0]}, "nbytes must be at least 0: .* job 2 = -1.0"),
        ({"nfiles": [0, -1, 0]}, "nfiles must be at least 0"),
        ({"format": [0, -1, 0]}, "format must be at least 0"),
        ({"dataset": [0, 2, 0]}, r"dataset must be in \[0, 2\): .* job 1 = 2"),
        ({"site": [-1, 0, 0]}, r"site must be in \[0, 2\): .* job 0 = -1"),
        ({"status": [0, 0, 4]}, r"status must be in \[0, 4\)"),
        ({"replicas": [[True, False], [False, False]]}, "each data set needs a replica: 1 of 2"),
        ({"replicas": [True, False]}, r"replicas must be \(data sets, sites\), got shape"),
        ({"cores": [1, 1]}, r"cores must have one value a job \(3\), got shape \(2,\)"),
        ({name: [] for name in traits() if name != "replicas"}, "at least one job, got none"),
    ],
)
def test_a_broken_rule_is_one_sentence(changes, message):
    empty = {
        name: np.array(part, float if name in ("time", "work", "nbytes") else int)
        if part == []
        else part
        for name, part in changes.items()
    }
    with pytest.raises(ValueError, match=message):
        JobArrays(**traits(**empty))
