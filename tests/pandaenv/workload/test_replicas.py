"""Replicas by number and place."""

import numpy as np

from pandaenv import sites
from pandaenv.workload import Synthetic

CATALOGUE = sites.catalogue(40)


def test_replicas_are_4_4_on_average_and_at_every_site_where_a_job_ran(rows):
    jobs = Synthetic(rows).stream(CATALOGUE, rate=2_000, load=0.6).jobs
    count = jobs.replicas.sum(axis=1)
    assert jobs.replicas[jobs.dataset, jobs.site].all()
    assert abs(count.mean() - 4.4) < 0.4 and np.median(count) in (3, 4) and count.max() <= 21
    assert (count[:, None] > 0).all()
