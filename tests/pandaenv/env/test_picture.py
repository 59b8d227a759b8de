"""The picture: what it shows of cores, queues, outages, transfers and the last day."""

import numpy as np
import pytest

from pandaenv.env import picture
from pandaenv.scenarios import untroubled
from pandaenv.simulator import Simulator
from tests.pandaenv.simulator.grids import jobs, random_grid, sites, tiny_grid

BLUE, GREY, ORANGE = (0x1F, 0x5F, 0xA8), (0x5A, 0x5A, 0x5A), (0xF2, 0xA3, 0x3A)


def halfway(n_sites=4, n_jobs=400, seed=0):
    rng = np.random.default_rng(seed)
    grid, stream, outages = random_grid(rng, n_sites, n_jobs, every_s=40.0)
    simulator = Simulator(grid, stream, seed=seed, outages=outages)
    return simulator.replay(rng.integers(0, n_sites, n_jobs // 2))


def world(simulator):
    return simulator.grid, simulator.worlds, 0, simulator.catalogue


def n_pixels(image, colour):
    return int((image == np.array(colour, np.uint8)).all(axis=2).sum())


def test_drawing_changes_nothing_and_repeats_itself():
    simulator = halfway()
    before = [array.tobytes() for array in simulator.worlds]
    one, other = (picture.picture(*world(simulator)) for _ in range(2))
    assert one.tobytes() == other.tobytes()
    assert one.shape == (picture.HEIGHT, picture.WIDTH, 3) and one.dtype == np.uint8
    assert before == [array.tobytes() for array in simulator.worlds]


def test_the_map_shows_busy_cores_queues_and_outages():
    stream = jobs(np.zeros(30), np.full(30, 1e5), [[True]])
    outages = np.array([[10.0, 20.0]])
    simulator = Simulator(sites([10], [1]), stream, outages=outages)
    idle = picture.picture(*world(simulator))
    half = picture.picture(*world(simulator.replay(np.zeros(5, int))))
    full = picture.picture(*world(simulator.replay(np.zeros(25, int))))
    blue, orange = ([n_pixels(i, c) for i in (idle, half, full)] for c in (BLUE, ORANGE))
    disc = (blue[2] - blue[0]) / 10  # pixels a core; the history below adds a few
    assert blue[1] - blue[0] == pytest.approx(5 * disc, rel=0.15)
    assert orange[0] == orange[1] and orange[2] - orange[0] == pytest.approx(15 * disc, rel=0.25)
    down = Simulator(sites([10], [1]), jobs([0.0, 15.0], [1e5] * 2, [[True]]), outages=outages)
    image = picture.picture(*world(down.replay(np.zeros(2, int))))
    assert n_pixels(image, GREY) > n_pixels(idle, GREY) + 500


def test_inputs_fly_from_their_source_as_far_as_time_has_passed():
    grid, stream = tiny_grid()
    simulator = Simulator(grid, stream).replay(np.array([0, 0, 0]))  # job 1 moves from 10 to 40
    place = np.array([[0.0, 0.0], [3.0, 6.0]])
    lines, dots = picture.transfers(simulator.grid, simulator.worlds, 0, place)
    assert lines.tolist() == [[[3.0, 6.0], [0.0, 0.0]]]
    np.testing.assert_allclose(dots, [[2.0, 4.0]])


def test_inputs_creep_while_links_are_degraded():
    grid, stream = tiny_grid()
    troubles = untroubled(2)
    slow = np.array(troubles.slow)
    slow[0] = 15.0, 35.0, 0.25  # job 1 moves from 10: 5 s, then 20 s worth 5 s, then 20 s
    simulator = Simulator(grid, stream, troubles=troubles._replace(slow=slow))
    place, done = np.array([[0.0, 0.0], [3.0, 6.0]]), []
    for site in (0, 0, 0, 0):
        simulator.place(site)
        _, dots = picture.transfers(simulator.grid, simulator.worlds, 0, place)
        done.append(dots[0, 0] if len(dots) else None)
    assert simulator.drain().log()["ready"][1] == 55
    # now is 0 (nothing moves), 10, 20 and 30
    assert done[:1] == [None]
    np.testing.assert_allclose(done[1:], [3, 3 - 3 * 6.25 / 30, 3 - 3 * 8.75 / 30])


def test_the_history_counts_the_jobs_that_were_there():
    simulator = Simulator(*tiny_grid()).replay(np.array([0, 0, 0, 1])).drain()
    hours, counts = picture.history(simulator.worlds, 0, n=86_401)
    second = {int(s): counts[:, i].tolist() for i, s in enumerate(np.rint(160 + hours * 3600))}
    # running, queued, moving; job 1 moves from 10 to 40, job 3 from 30 to 35 (see test_simulator)
    assert second[5] == [1, 0, 0] and second[15] == [1, 0, 1] and second[25] == [1, 1, 1]
    assert second[32] == [1, 1, 2] and second[37] == [2, 1, 1] and second[50] == [2, 2, 0]
    assert second[97] == [1, 2, 0] and second[110] == [1, 1, 0] and second[159] == [1, 0, 0]
    assert hours[0] == -24 and hours[-1] == 0 and counts[:, -1].tolist() == [0, 0, 0]
