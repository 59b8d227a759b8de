"""Rows gathered into tasks and data sets, against the published numbers and by hand."""

import numpy as np
import pandas as pd
import pytest

from pandaenv import sites
from pandaenv.workload import Synthetic
from pandaenv.workload.gathering import MAX_SITES, drop_rare_sites

CATALOGUE = sites.catalogue(40)


def test_tasks_have_the_published_size_and_data_sets_the_published_popularity(rows, arrived):
    own = arrived[1]
    size = np.bincount(own.task)
    assert size.min() >= 1 and abs(size.mean() / 142 - 1) < 0.05
    sets = np.sort(np.bincount(own.dataset))[::-1]
    top = {share: sets[: len(sets) // share].sum() / len(rows) for share in (100, 10)}
    assert abs(top[100] - 0.15) < 0.05 and abs(top[10] - 0.63) < 0.08
    used = pd.Series(own.site).groupby(own.dataset).nunique()
    assert abs((used == 1).mean() - 0.65) < 0.12 and abs(used.mean() - 1.56) < 0.25
    assert used.max() <= MAX_SITES


def test_a_task_reads_one_data_set_of_one_format(rows, arrived):
    own = arrived[1]
    assert pd.Series(own.dataset).groupby(own.task).nunique().max() == 1
    assert rows["datatype"].groupby(own.dataset).nunique().max() == 1
    assert set(np.diff(np.unique(own.task))) == {1} == set(np.diff(np.unique(own.dataset)))
    per_set = own.task.max() / own.dataset.max()
    assert 1.1 < per_set < 1.4


def test_rows_of_a_task_are_alike(rows, arrived):
    own = arrived[1]
    is_run = (rows["jobstatus"] == "finished").to_numpy()
    for name in ("inputfilebytes", "workload"):
        value = np.log10(rows[name].clip(lower=1))[is_run]
        inside = value.groupby(own.task[is_run]).transform("mean")
        by_format = value.groupby(rows["datatype"][is_run], observed=True).transform("mean")
        assert np.var(value - inside) < 0.9 * np.var(value - by_format)
    failed = pd.Series(~is_run).groupby(own.task).agg(["mean", "size"])
    large = failed[failed["size"] >= 100]["mean"]
    assert (large > 0.6).mean() < 0.02  # failures are no tasks of their own


def test_same_seed_same_tasks_and_another_seed_others(rows):
    one, two, other = (
        Synthetic(rows).arrivals(CATALOGUE, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert one[0].tobytes() == two[0].tobytes()
    assert one[1].task.tobytes() == two[1].task.tobytes()
    assert one[1].task.tobytes() != other[1].task.tobytes()


@pytest.mark.parametrize("n", [1, 2, 50])
def test_few_rows_are_tasks_too(rows, n):
    time, own = Synthetic(rows[:n]).arrivals(CATALOGUE, np.random.default_rng(0))
    assert len(time) == n and own.task.min() == own.dataset.min() == 0
    assert np.isfinite(time).all()


def test_sites_that_a_format_hardly_names_count_as_unknown():
    format_ = np.repeat([0, 1], [2_000, 100])
    site = np.r_[np.zeros(1_985), np.full(15, 3), np.zeros(98), np.full(2, 3)].astype(int)
    kept = drop_rare_sites(format_, site)
    assert (kept[1_985:2_000] == -1).all()  # 15 of 2,000: fewer than 20 and than 2 %
    assert (np.delete(kept, np.s_[1_985:2_000]) == np.delete(site, np.s_[1_985:2_000])).all()
