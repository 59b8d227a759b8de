import numpy as np
import pytest
from grids import jobs, random_grid, sites

from pandaenv.policies import allow, broker_floor, least_loaded, make, names, warm_up
from pandaenv.simulator import Simulator


def mask_of(simulator: Simulator, cap_floor: float = 1.0) -> list[int]:
    mask = np.full(simulator.catalogue.n_sites, 9, np.int8)
    allow(simulator.grid, simulator.worlds, 0, cap_floor, mask)
    return mask.tolist()


def crowded(n_running: int, n_waiting: int, *, outages=None, cores=1) -> Simulator:
    """Sites 0, 1 (n_running cores) and 2 (8 cores); site 0 busy, n_waiting more wait there."""
    n = n_running + n_waiting
    catalogue = sites([n_running, n_running, 8], [1.0] * 3)
    stream = jobs(np.arange(n + 1.0), np.full(n + 1, 1e6), [[True] * 3], cores=[1] * n + [cores])
    return Simulator(catalogue, stream, outages=outages).replay(np.zeros(n, int))


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


def test_least_loaded_counts_this_job_and_prefers_the_larger_site():
    simulator = crowded(4, 0)  # 4 of 4, 0 of 4, 0 of 8
    ones = np.ones(3, np.int8)
    assert least_loaded(simulator.grid, simulator.worlds, 0, ones) == 2
    assert least_loaded(simulator.grid, simulator.worlds, 0, np.array([1, 1, 0], np.int8)) == 1
    assert least_loaded(simulator.grid, simulator.worlds, 0, np.array([1, 0, 0], np.int8)) == 0


def test_the_analysis_rule_sends_jobs_to_their_data_and_away_from_queues():
    rng = np.random.default_rng(0)
    catalogue, stream, _ = random_grid(rng, 5, 400, failures=False, every_s=400.0)
    simulator = Simulator(catalogue, stream)
    warm_up(simulator.grid, simulator.worlds, 0, 400, 20.0)
    log = simulator.drain().log()
    ran = log["state"] != "rejected"
    placed = np.array([catalogue.index(s) for s in log["site"][ran]])
    local = stream.replicas[stream.dataset[ran], placed]
    fits = (stream.cores[:, None] <= catalogue.cores) & stream.replicas[stream.dataset]
    possible = fits.any(axis=1)[ran]
    assert local[possible].mean() > 0.95
    assert log["site"].nunique() == 5


def test_warming_up_is_the_same_every_time():
    runs = []
    for _ in range(2):
        catalogue, stream, _ = random_grid(np.random.default_rng(0), 5, 300)
        simulator = Simulator(catalogue, stream, seed=3)
        warm_up(simulator.grid, simulator.worlds, 0, 300, 2.0)
        runs.append(simulator.worlds.job[0].tobytes())
    assert runs[0] == runs[1]


def test_the_cap_floor_shrinks_with_the_grid_but_not_below_one():
    assert broker_floor(1.0) == 20 and broker_floor(0.1) == 2 and broker_floor(1e-4) == 1


def test_make_knows_its_names_and_lists_them():
    assert [type(make(name)).__name__ for name in names()] == [
        "Random", "LeastLoaded", "PandaAnalysis",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="unknown policy 'greedy'; known: random, least_loaded"):
        make("greedy")
