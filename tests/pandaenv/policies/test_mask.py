import numpy as np

from pandaenv.policies import broker_floor, mark_allowed
from pandaenv.simulator import Simulator
from tests.pandaenv.simulator.grids import crowded, jobs, sites


def mask_of(simulator: Simulator, cap_floor: float = 1.0) -> list[int]:
    mask = np.full(simulator.catalogue.n_sites, 9, np.int8)
    mark_allowed(simulator.grid, simulator.worlds, 0, cap_floor, mask)
    return mask.tolist()


def test_a_site_over_the_brokers_cap_is_masked():
    assert mask_of(crowded(4, 8)) == [1, 1, 1]
    assert mask_of(crowded(4, 9)) == [0, 1, 1]
    assert mask_of(crowded(4, 9), cap_floor=5.0) == [1, 1, 1]


def test_a_site_with_too_few_cores_is_masked():
    assert mask_of(crowded(4, 0, cores=8)) == [0, 0, 1]
    assert mask_of(crowded(4, 0, cores=9)) == [1, 1, 1]  # nobody has them: it is lost anywhere


def test_a_site_that_is_down_is_masked():
    outages = np.array([[np.inf, np.inf], [2.0, 1e9], [np.inf, np.inf]])
    assert mask_of(crowded(4, 0, outages=outages)) == [1, 0, 1]


def test_where_nothing_is_left_first_the_cap_then_the_outage_is_lifted():
    catalogue = sites([1, 1], [1.0, 1.0])
    stream = jobs(np.arange(9.0), np.full(9, 1e6), [[True, True]])
    full = np.array([0, 1] * 4)
    assert mask_of(Simulator(catalogue, stream).replay(full)) == [1, 1]
    down = np.array([[6.5, 1e9], [np.inf, np.inf]])
    assert mask_of(Simulator(catalogue, stream, outages=down).replay(full)) == [0, 1]
    down = np.array([[6.5, 1e9], [6.5, 1e9]])
    assert mask_of(Simulator(catalogue, stream, outages=down).replay(full)) == [1, 1]


def test_after_the_last_job_all_sites_are_marked():
    simulator = crowded(4, 9)
    simulator.place(1)
    assert mask_of(simulator) == [1, 1, 1]


def test_the_cap_floor_shrinks_with_the_grid_but_not_below_one():
    assert broker_floor(1.0) == 20 and broker_floor(0.1) == 2 and broker_floor(1e-4) == 1
