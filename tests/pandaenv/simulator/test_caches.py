"""Caches by hand: what is kept, for how long, and who may read it."""

import numpy as np
import pytest

from pandaenv.simulator import Simulator
from pandaenv.simulator.state import CACHE_SHARE, copies_of
from tests.pandaenv.simulator.grids import jobs, random_grid, sites

KEPT = 1000
"""Bytes of the cache of site 1; site 0 has every original, and channels move 1 byte/s."""


def place(time, dataset, *, site=1, nbytes=400.0, work=10.0, outages=None):
    """Jobs on site 1 (or as told) of two; the world after the last placement."""
    n = int(np.max(dataset)) + 1
    catalogue = sites([4, 4], [1, 1], ingress=8.0, disk=[0.0, (KEPT + 0.5) / CACHE_SHARE])
    stream = jobs(
        time, np.broadcast_to(work, len(time)), [[True, False]] * n, dataset=dataset, nbytes=nbytes
    )
    where = np.broadcast_to(site, len(time))
    return Simulator(catalogue, stream, outages=outages).replay(where)


def kept(simulator) -> dict[int, int]:
    """Bytes by data set of the copies at site 1."""
    copy = copies_of(simulator.worlds, 0)
    assert (copy["site"] == 1).all()
    return dict(sorted(zip(copy["dataset"].tolist(), copy["nbytes"].tolist(), strict=True)))


def waits(simulator) -> list[float]:
    log = simulator.log()
    return (log["ready"] - log["submit"]).tolist()


def test_what_was_moved_is_there_for_the_next_once_it_has_come():
    # job 0 moves for 400 s; job 1 comes before that and moves too; jobs 2 and 3 find a copy
    simulator = place([0, 100, 400, 10_000], [0] * 4).drain()
    assert waits(simulator) == [400, 400, 0, 0] and kept(simulator) == {0: 400}
    assert simulator.log()["source"].fillna("here").tolist() == ["site0", "site0", "here", "here"]


def test_the_copy_unused_for_longest_goes_first():
    # 0 and 1 come, 0 is used again at 2000, so 2 drives 1 out; then 1 comes back for 0's sake
    simulator = place([0, 500, 2000, 3000], [0, 1, 0, 2]).drain()
    assert kept(simulator) == {0: 400, 2: 400}
    simulator = place([0, 500, 2000, 3000, 4000], [0, 1, 0, 2, 1]).drain()
    assert kept(simulator) == {1: 400, 2: 400} and waits(simulator) == [400, 400, 0, 400, 400]


def test_a_copy_in_use_stays_and_what_does_not_fit_is_used_and_not_kept():
    # jobs 0 and 1 run until 20,000; job 2 reads what it brought, job 3 must bring it again
    simulator = place([0, 500, 2000, 3000], [0, 1, 2, 2], work=[2e4, 2e4, 10, 10]).drain()
    assert kept(simulator) == {0: 400, 1: 400} and waits(simulator) == [400, 400, 400, 400]


def test_a_job_that_queues_again_after_an_outage_finds_its_data():
    outages = np.array([[np.inf] * 2, [5000.0, 6000.0]])
    simulator = place([0, 500, 2000], [0, 1, 2], work=[2e4, 2e4, 10], outages=outages).drain()
    log = simulator.log()
    assert log["attempts"].tolist() == [2, 2, 1] and log["start"].tolist() == [6000, 6000, 2400]
    assert kept(simulator) == {0: 400, 1: 400}


def test_an_input_larger_than_the_cache_is_used_and_not_kept():
    simulator = place([0, 2000, 4000], [0, 1, 0], nbytes=[1001, 1000, 1001]).drain()
    assert kept(simulator) == {1: 1000} and waits(simulator) == [1001, 1000, 1001]


def test_a_larger_part_takes_the_place_of_a_smaller_one_and_serves_it():
    simulator = place([0, 2000, 4000, 6000], [0] * 4, nbytes=[300, 500, 500, 200]).drain()
    assert kept(simulator) == {0: 500} and waits(simulator) == [300, 500, 0, 0]


def test_input_of_no_bytes_and_originals_take_no_room():
    assert kept(place([0, 10], [0, 0], nbytes=0.0).drain()) == {}
    assert kept(place([0, 10], [0, 0], site=0).drain()) == {}


def test_a_copy_on_a_fast_link_is_the_source_and_stays_while_it_is_read():
    # site 0 has the original on a slow link (0.7 MB/s), site 1 gets a copy, site 2 reads it there
    slow_to_2 = np.array([[0, 1, 7], [1, 0, 1], [7, 1, 0]])
    catalogue = sites(
        [9] * 3,
        [1] * 3,
        ingress=[8e9, 8e9, 8.0],
        closeness=slow_to_2,
        disk=[0, 1000.5 / CACHE_SHARE, 0],
    )
    stream = jobs(
        [0, 100, 200, 300],
        [1.0] * 4,
        [[True, False, False]] * 3,
        dataset=[0, 0, 1, 2],
        nbytes=[600, 600, 400, 600],
    )
    simulator = Simulator(catalogue, stream).replay(np.array([1, 2, 1, 1]))
    assert simulator.log()["source"].tolist()[1] == "site1"
    simulator.drain()  # job 1 reads data set 0 until 700, so data set 2 finds no room at 300
    assert kept(simulator) == {0: 600, 1: 400}


def test_no_copy_that_comes_later_changes_what_has_been_placed():
    rng = np.random.default_rng(4)
    catalogue, stream, outages = random_grid(rng, 4, 400, every_s=40.0)
    actions = rng.integers(0, 4, 400)
    simulator = Simulator(catalogue, stream, seed=1, outages=outages)
    sources, readies = [], []
    for action in actions:
        simulator.place(int(action))
        row = simulator.worlds.job[0][len(sources)]
        sources.append(int(row["source"]))
        readies.append(float(row["end"] if row["state"] == 1 else row["ready"]))
    log = simulator.drain().worlds.job[0]
    ran = log["state"] != 7
    assert log["source"].tolist() == sources
    assert np.array_equal(log["ready"][ran], np.array(readies)[ran])
    site = simulator.worlds.site[0]
    assert site["unused"].tolist() == site["cached"].tolist() and site["cached"].any()


@pytest.mark.parametrize("seed", range(3))
def test_copies_save_transfers(seed):
    rng = np.random.default_rng(seed)
    catalogue, stream, _ = random_grid(rng, 4, 500, failures=False, every_s=60.0)
    actions = rng.integers(0, 4, 500)
    bare = sites(
        catalogue.cores, catalogue.power, ingress=catalogue.ingress, closeness=catalogue.closeness
    )
    moved = [
        Simulator(grid, stream).replay(actions).drain().log()["source"].notna().sum()
        for grid in (catalogue, bare)
    ]
    assert moved[0] < moved[1]
