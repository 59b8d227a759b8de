"""The map: sites lie on it and in their region, larger ones in larger discs."""

import numpy as np
import pytest

from pandaenv.env import site_map
from pandaenv.sites import catalogue


@pytest.mark.parametrize("which", [1, 40, "tier1", "all"])
def test_sites_lie_on_the_map_and_in_their_region(which):
    grid = catalogue(which)
    clouds = list(dict.fromkeys(grid.cloud))
    discs, regions = site_map.layout(tuple(grid.cloud), tuple(grid.cores.tolist()))
    assert (discs[:, :2] - discs[:, 2:] > 0).all()
    assert (discs[:, :2] + discs[:, 2:] < site_map.MAP_SIZE).all()
    for (x, y, radius), cloud in zip(discs, grid.cloud, strict=True):
        u, v, reach = regions[clouds.index(cloud)]
        assert np.hypot(x - u, y - v) + radius < reach


def test_a_larger_site_has_a_larger_disc_by_area():
    discs, _ = site_map.layout(("UK", "XX"), (100, 25))
    free, _ = site_map.layout(("UK",) * 40, (20,) * 40)
    assert discs[0, 2] >= discs[1, 2] and np.ptp(free[:, 2]) == 0
    a, b = site_map.layout(("UK",) * 9, (400,) + (100,) * 8)[0][:2, 2]
    assert a <= site_map.RADII[1] and a / b <= 2.0
