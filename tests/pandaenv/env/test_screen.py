"""The screen of text: what it says of a schedule worked out by hand, and that it fits."""

import numpy as np
import pytest

from pandaenv.env.screen import screen
from pandaenv.simulator import Simulator
from pandaenv.sites import catalogue
from tests.pandaenv.simulator.grids import jobs, sites, tiny_grid


def world(simulator):
    return simulator.grid, simulator.worlds, 0, simulator.catalogue


def test_the_screen_of_tiny_grid_is_what_the_schedule_says():
    simulator = Simulator(*tiny_grid()).replay(np.array([0, 0, 0]))  # t = 20, see test_simulator
    lines = screen(*world(simulator)).splitlines()
    assert lines[0] == "week 1, Mon 00:00 UTC - job 3 of 4 placed"
    assert lines[1] == "in the grid: 3 jobs: 1 move input, 1 queued, 1 running"
    assert lines[2] == "ended: 0 finished, 0 failed, 0 lost, 0 rejected"
    assert lines[5].split() == ["site1", "2", "[..................]", "0", "0", "0%"]
    assert lines[6].split() == ["site0", "1", "[##################]", "1", "1", "0%"]
    after = screen(*world(simulator.drain()))
    assert "in the grid: 0 jobs" in after and "ended: 3 finished" in after


def test_the_screen_tells_outages_failures_and_rejections():
    stream = jobs([0.0, 1.0, 2.0], [1e4] * 3, [[True, True]], cores=[1, 1, 9])
    outages = np.array([[1.5, 1e4], [np.inf, np.inf]])
    simulator = Simulator(sites([2, 2], [1, 1]), stream, outages=outages)
    lines = screen(*world(simulator.replay(np.array([0, 1, 1])))).splitlines()
    assert "1 rejected" in lines[2] and "down" in lines[5] and lines[5].endswith("50%")


@pytest.mark.parametrize("n_sites", [1, 18, 19, 40, 150])
def test_the_screen_fits_a_terminal_whatever_the_grid(n_sites):
    grid = catalogue(n_sites)
    stream = jobs([0.0, 9e9], [1e5, 1e5], np.ones((1, n_sites)) > 0)
    simulator = Simulator(grid, stream).replay(np.array([0, 0]))
    lines = screen(*world(simulator)).splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    shown = sum(line.startswith(grid.names) for line in lines)
    rest = [line for line in lines if "smaller sites" in line]
    assert shown == n_sites or int(rest[0].split()[0]) == n_sites - shown
