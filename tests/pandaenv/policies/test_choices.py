import numpy as np
import pytest

from pandaenv.policies import names, warm_up
from pandaenv.policies.choices import (
    Broker,
    Known,
    choose_each,
    earliest_finish,
    least_loaded,
    make_workspace,
)
from pandaenv.policies.estimates import expected_finish
from pandaenv.simulator import Simulator, advance_to_arrival
from tests.pandaenv.simulator.grids import crowded, jobs, random_grid, sites


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


def chosen(name: str, simulator: Simulator, mask=None, seed=0) -> int:
    """What a rule chooses for the next job of a simulator."""
    n = simulator.catalogue.n_sites
    advance_to_arrival(simulator.grid, simulator.worlds, 0)
    out = np.full(1, -1)
    masks = np.ones((1, n), np.int8) if mask is None else np.array([mask], np.int8)
    known = Known(simulator.catalogue.closeness, simulator.jobs.nfiles, simulator.jobs.site)
    u = np.random.default_rng(seed).random(1)
    rule = names().index(name)
    broker = Broker(rule, 1.0, known, make_workspace(simulator.catalogue.n_sites))
    choose_each(simulator.grid, simulator.worlds, broker, masks, u, out)
    return int(out[0])


def test_data_local_takes_the_least_loaded_holder_else_the_fastest_transfer():
    stream = jobs([0, 1, 2], [1e6] * 3, [[True, True, False]], nbytes=[0, 0, 1e9])
    grid = sites([2, 8, 8], [1.0] * 3, closeness=np.array([[0, 3, 6], [3, 0, 1], [6, 1, 0]]))
    simulator = Simulator(grid, stream).replay(np.array([1, 1]))
    assert chosen("data_local", simulator) == 1  # 3 / 8 against 1 / 2
    assert chosen("data_local", simulator, [1, 0, 1]) == 0
    assert chosen("data_local", simulator, [0, 0, 1]) == 2


def test_recorded_takes_the_recorded_site_or_its_nearest_neighbour():
    stream = jobs([0], [1.0], [[True] * 3])
    grid = sites([8, 8, 8], [1.0] * 3, closeness=np.array([[0, 6, 1], [6, 0, 3], [1, 3, 0]]))
    assert chosen("recorded", Simulator(grid, stream)) == 0
    assert chosen("recorded", Simulator(grid, stream), [0, 1, 1]) == 2
    assert chosen("recorded", Simulator(grid, stream), [0, 1, 0]) == 1


def test_greedy_weighs_power_transfer_and_queue():
    stream = jobs([0, 0, 1], [1000.0, 1e6, 1000.0], [[True, False]], nbytes=[0, 0, 8e5])
    # the mean work is 334,000: a run lasts 33,400 s at site 0, 16,700 s at site 1
    near = Simulator(sites([2, 2], [10.0, 20.0], ingress=8e3), stream)
    assert chosen("greedy", near.replay(np.array([0, 0]))) == 1  # 800 s to move
    far = Simulator(sites([2, 2], [10.0, 20.0], ingress=80.0), stream)
    assert chosen("greedy", far.replay(np.array([1, 1]))) == 0  # 80,000 s to move


@pytest.mark.parametrize("is_true", [False, True])
def test_greedy_takes_the_first_to_finish_though_it_does_not_work_all_of_them_out(is_true):
    rng = np.random.default_rng(4)
    catalogue, stream, _ = random_grid(rng, 6, 500, every_s=40.0)
    simulator = Simulator(catalogue, stream)
    grid, worlds, n_waits = simulator.grid, simulator.worlds, 0
    for _ in range(500):
        advance_to_arrival(grid, worlds, 0)
        mask = np.maximum(rng.random(6) < 0.7, np.arange(6) == rng.integers(6)).astype(np.int8)
        ends = [expected_finish(grid, worlds, 0, s, is_true, np.inf) for s in range(6)]
        first = min(np.flatnonzero(mask), key=lambda s: ends[s])
        assert earliest_finish(grid, worlds, 0, mask, is_true) == first
        n_waits += (worlds.site[0]["queued"] > 0).sum()
        simulator.place(int(rng.integers(6)))
    assert n_waits > 500


def test_true_work_shows_which_queue_ends_first():
    # site 0 runs a short job and site 1 a long one; expectations are alike, then powers decide
    stream = jobs([0, 0, 1], [1e3, 1e6, 1e3], [[True, True]])
    simulator = Simulator(sites([1, 1], [10.0, 10.1]), stream).replay(np.array([0, 1]))
    assert chosen("greedy", simulator) == 1
    assert chosen("greedy_true", simulator) == 0


def test_production_prefers_near_sites_where_nobody_has_the_data():
    closeness = np.array([[0, 1, 9], [1, 0, 9], [9, 9, 0]])
    stream = jobs([0], [1.0], [[True, False, False]], nbytes=1e9)
    simulator = Simulator(sites([8] * 3, [1.0] * 3, closeness=closeness), stream)
    picks = [chosen("panda_production", simulator, [0, 1, 1], seed) for seed in range(300)]
    # weight 1 + (9 - 1) / 8 = 2 against 1
    assert np.mean(np.array(picks) == 1) == pytest.approx(2 / 3, abs=0.08)
