"""Tasks, data sets and cores that records tell are kept."""

import numpy as np
import pandas as pd
import pytest

from foundations.units import DAY_S
from pandaenv import sites
from pandaenv.workload import Trace

CATALOGUE = sites.catalogue(40)


def test_recorded_tasks_data_sets_and_cores_are_taken_as_told(rows):
    few = rows[:3_000].assign(
        jeditaskid=np.arange(3_000) // 10 + 17, corecount=np.where(np.arange(3_000) < 50, 4, 1)
    )
    jobs = Trace(few).stream(CATALOGUE, rate=None, load=0.6).jobs
    order = np.argsort(few["creationtime"].to_numpy(), kind="stable")
    assert np.array_equal(jobs.task, (np.arange(3_000) // 10)[order])
    assert np.array_equal(jobs.dataset, jobs.task)
    assert np.array_equal(jobs.cores, few["corecount"].to_numpy()[order])
    assert np.array_equal(jobs.time, few["creationtime"].to_numpy()[order] * DAY_S)
    named = few.drop(columns="jeditaskid").assign(proddblock=np.where(few.index < 9, "a", "b"))
    assert len(Trace(named).stream(CATALOGUE, rate=None, load=0.6).jobs.replicas) == 2


def test_core_counts_are_taken_as_told_without_tasks_too(rows):
    few = rows[:3_000].assign(corecount=np.arange(3_000) % 16 + 1)
    jobs = Trace(few).stream(CATALOGUE, rate=None, load=0.6).jobs
    order = np.argsort(few["creationtime"].to_numpy(), kind="stable")
    assert np.array_equal(jobs.cores, few["corecount"].to_numpy()[order])
    untold = Trace(rows[:3_000]).stream(CATALOGUE, rate=None, load=0.6).jobs
    assert np.array_equal(jobs.task, untold.task)


def test_tasks_and_cores_may_be_of_any_type_that_tells_them_apart(rows):
    few = rows[:300]
    number = np.arange(300) // 10
    plain = few.assign(jeditaskid=number, corecount=8)
    same = few.assign(jeditaskid=pd.Categorical(number.astype(str)), corecount=["8"] * 300)
    one, other = (Trace(t).stream(CATALOGUE, rate=None, load=0.6).jobs for t in (plain, same))
    assert np.array_equal(one.task, other.task) and np.array_equal(one.cores, other.cores)
    for odd, message in (
        ({"jeditaskid": [[1]] * 300}, "jeditaskid must hold single values"),
        ({"corecount": [True] * 300}, "corecount must be a whole number .*, got True in row 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Trace(few.assign(**odd)).stream(CATALOGUE, rate=None, load=0.6)


@pytest.mark.parametrize(
    "column, value, message",
    [
        ("jeditaskid", None, "jeditaskid must be there for every record, not so in row 3"),
        ("corecount", 0, "corecount must be a whole number of at least 1 and less .*, got 0"),
        ("corecount", 1.5, "corecount must be a whole number of at least 1 and .* got 1.5 in"),
        ("corecount", np.inf, "corecount must be a whole number of at least 1 and .*, got inf"),
        ("corecount", 2.0**31, r"less than 2\^31, got 2147483648.0 in row 3"),
    ],
)
@pytest.mark.parametrize("has_tasks", [True, False])
def test_told_tasks_and_cores_must_be_whole(rows, column, value, message, has_tasks):
    table = rows[:10].assign(jeditaskid=1.0, corecount=1.0)
    table.loc[3, column] = value
    if not has_tasks and column != "jeditaskid":
        table = table.drop(columns="jeditaskid")
    with pytest.raises(ValueError, match=message):
        Trace(table).stream(CATALOGUE, rate=None, load=0.6)
