"""Closeness and throughput between sites."""

import dataclasses

import numpy as np
import pytest

from pandaenv import sites
from pandaenv.sites import catalogue


def test_closeness_is_symmetric_with_the_published_medians(everything):
    d, cloud = everything.closeness, np.array(everything.cloud)
    other, same = ~np.eye(150, dtype=bool), cloud[:, None] == cloud
    assert (d == d.T).all() and (np.diag(d) == 0).all() and (d[other] >= 1).all()
    assert np.median(d[same & other]) == 4 and np.median(d[~same]) == 5
    assert (d[other] == 11).mean() == pytest.approx(0.14, abs=0.02)


def test_a_pair_keeps_its_link_in_every_catalogue(everything):
    some = catalogue(["MWT2", "BNL-ATLAS", "DESY-HH"])
    rows = [everything.index(n) for n in some.names]
    assert (some.closeness == everything.closeness[np.ix_(rows, rows)]).all()
    assert (some.closeness == sites.derive_closeness(some.names, some.tier, some.cloud)).all()


def test_links_fall_with_closeness_and_scale_together(everything):
    assert (np.diff(sites.THROUGHPUT) <= 0).all()
    np.testing.assert_array_equal(everything.link, sites.THROUGHPUT[everything.closeness])
    half = dataclasses.replace(everything, link_scale=0.5)
    np.testing.assert_array_equal(half.link, everything.link / 2)
