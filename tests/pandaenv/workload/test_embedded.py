"""The reference workload keeps its true tasks."""

import numpy as np
import pandas as pd

from pandaenv import reference, sites
from pandaenv.workload import Reference


def test_the_reference_keeps_its_true_tasks_data_sets_cores_and_replicas():
    workload = Reference(days=7, seed=4, rate=11_000)
    truth = reference.tasks(7, 4, 11_000)
    grid = sites.catalogue("all")
    jobs = workload.stream(grid, rate=None, load=0.6).jobs
    order = np.argsort(workload.records["creationtime"].to_numpy(), kind="stable")
    told = truth.jobs.iloc[order]
    pairs = pd.DataFrame({"task": jobs.task, "true": told["task"].to_numpy()}).drop_duplicates()
    assert len(pairs) == pairs["task"].nunique() == pairs["true"].nunique()
    assert np.array_equal(jobs.cores, told["cores"])
    held = truth.replicas[told["dataset"].to_numpy()]
    assert (jobs.replicas[jobs.dataset] >= held).all()
    sets = np.unique(jobs.dataset, return_index=True)[1]
    is_site = [sites.resolve_queue(n) == n for n in truth.sites]
    true_count = held[:, is_site].sum(axis=1)
    assert abs(true_count[sets].mean() / 4.4 - 1) < 0.1
    few = workload.stream(sites.catalogue("tier1"), rate=None, load=0.6).jobs
    assert few.replicas.sum(axis=1).mean() > 4  # those outside the catalogue lie elsewhere
