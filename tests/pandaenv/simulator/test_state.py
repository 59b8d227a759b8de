import numpy as np

from pandaenv.simulator.state import make_grid
from tests.pandaenv.simulator.grids import jobs, sites


def test_estimates_are_kept_in_whole_mflop():
    stream = jobs([0, 1], [5.0, 7.0], [[True]])
    assert make_grid(sites([1], [1]), stream).stream["estimate"].tolist() == [6000, 6000]
    own = make_grid(sites([1], [1]), stream, np.array([1.5, 2.0]))
    assert own.stream["estimate"].tolist() == [1500, 2000]
