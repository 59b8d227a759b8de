"""Surrogates with tasks of their own are used as they are; rows without are gathered."""

import gymnasium as gym
import numpy as np
import pytest

import pandaenv  # noqa: F401  the environments register themselves
from foundations.units import DAY_S
from generators.grouped import Grouped
from pandaenv import reference, schema, sites
from pandaenv.records import write
from pandaenv.workload import Synthetic, make

CATALOGUE = sites.catalogue(40)


@pytest.fixture(scope="module")
def table():
    return reference.records(days=14, seed=0, rate=400, groups=True)


def of_jobs(stream):
    """Seconds, tasks and data sets of the jobs, these two numbered from 0 as first met."""
    jobs = stream.jobs
    numbers = [
        np.unique(x, return_index=True, return_inverse=True) for x in (jobs.task, jobs.dataset)
    ]
    return jobs.time, *(np.argsort(np.argsort(first))[inverse] for _, first, inverse in numbers)


@pytest.mark.parametrize("kind", ["table", "parquet", "csv", "surrogate"])
def test_tasks_that_rows_tell_are_used_as_they_are(kind, table, tmp_path):
    source = Synthetic(table)
    if kind in ("parquet", "csv"):
        source = Synthetic(write(table, tmp_path / f"pool.{kind}"))
    if kind == "surrogate":
        source = make(_Resampled(table))
    stream = source.stream(CATALOGUE, rate=None, load=0.6)
    time, task, dataset = of_jobs(stream)
    assert not stream.gathered
    assert time == pytest.approx(table["creationtime"].to_numpy() * DAY_S)
    for found, name in ((task, "task"), (dataset, "dataset")):
        expected = table[name].to_numpy()
        pairs = set(zip(found.tolist(), expected.tolist(), strict=True))
        assert len(pairs) == len(set(expected.tolist())) == len(set(found.tolist())), name


class _Resampled:
    """A generator whose rows are those of a table."""

    def __init__(self, table):
        self.table = table

    def sample(self, n, seed=0):
        return self.table


def test_rows_without_tasks_are_gathered_and_info_says_so(table):
    alone = table[list(schema.COLUMNS)]
    one = table.drop(columns="dataset")
    for rows, gathered in ((table, False), (alone, True), (one, True)):
        env = gym.make(
            "PandaSiteAllocationTier1-v0", workload=Synthetic(rows), rate=300, episode_jobs=50
        )
        _, info = env.reset(seed=0)
        assert info["gathered"] is gathered
        *_, info = env.step(info["action_mask"].argmax())
        assert info["gathered"] is gathered


def test_a_grouped_generator_is_played_as_it_is(table):
    few = table[table.groupby("task")["task"].transform("size") <= 40]
    model = Grouped(d_trunk=8, d_head=8, batch_size=64).fit(few, steps=2, progress=False)
    source = Synthetic(model, n=900)
    stream = source.stream(CATALOGUE, rate=None, load=0.6)
    expected = model.sample(900, seed=0)
    assert len(np.unique(stream.jobs.task)) == expected["task"].nunique()
    assert len(stream.jobs.replicas) == expected["dataset"].nunique() and not stream.gathered
    assert source.stream(CATALOGUE, rate=50, load=0.6).rate == pytest.approx(50, rel=0.02)


def test_a_missing_task_is_refused(table):
    odd = table.assign(task=table["task"].where(table.index != 7).astype("float64"))
    with pytest.raises(ValueError, match=r"task: 1 of 5600 rows are missing|task.*missing"):
        Synthetic(odd).stream(CATALOGUE, rate=None, load=0.6)
