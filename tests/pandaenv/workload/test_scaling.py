"""The grid is scaled to the load."""

import numpy as np
import pytest

from pandaenv.workload import Trace
from pandaenv.workload.scaling import share_slots
from tests.pandaenv.workload.burst_records import CATALOGUE


@pytest.mark.parametrize("n", [0, 104, 105, 1_000, 12_345])
def test_slots_are_shared_by_size_and_no_site_is_too_small(n):
    size = CATALOGUE.cores
    slots = share_slots(n, size)
    assert slots.sum() == max(n, 8 * len(size)) and slots.min() >= 8
    free = slots > 8
    if free.sum() > 1:
        ratio = slots[free] / size[free]
        assert np.abs(ratio / ratio.mean() - 1).max() < 1.01 / slots[free].min()


def test_a_site_keeps_its_disk_and_ingress_per_slot(stream):
    grid = stream.catalogue
    assert np.allclose(grid.disk / grid.cores, CATALOGUE.disk / CATALOGUE.cores)
    assert np.allclose(grid.ingress / grid.cores, CATALOGUE.ingress / CATALOGUE.cores)
    assert np.array_equal(grid.link, CATALOGUE.link)
    assert stream.scale == grid.cores.sum() / CATALOGUE.cores.sum()
    assert grid.names == CATALOGUE.names


def test_power_keeps_its_proportions(stream):
    ratio = stream.catalogue.power / CATALOGUE.power
    assert np.allclose(ratio, ratio[0]) and abs(ratio[0] - 1) < 0.2


def test_a_grid_beyond_all_bounds_is_refused(records):
    for changed, load in ((records, 1e-300), (records.assign(workload=1e300), 0.6)):
        with pytest.raises(ValueError, match=r"at most 1e\+09 slots"):
            Trace(changed).stream(CATALOGUE, rate=700, load=load)
