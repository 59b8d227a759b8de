import numpy as np

from pandaenv.schema import STATUSES
from pandaenv.simulator import Simulator
from pandaenv.simulator.log import named, status_codes
from pandaenv.simulator.state import STATES
from tests.pandaenv.simulator.grids import tiny_grid


def test_stages_name_sites_and_states():
    catalogue, stream = tiny_grid()
    log = Simulator(catalogue, stream).replay(np.array([0, 0, -1])).log()
    assert list(log.columns) == [
        "index",
        "site",
        "source",
        "state",
        "attempts",
        "submit",
        "ready",
        "first_start",
        "start",
        "end",
    ]
    assert log["site"].fillna("-").tolist() == ["site0", "site0", "-", "-"]
    assert log["state"].tolist() == ["running", "moving", "rejected", "future"]
    assert set(log["state"]) <= set(STATES)
    assert log["submit"].isna().tolist() == [False, False, False, True]


def test_records_carry_the_simulated_end_by_pandas_names():
    state = np.array([1, 3, 4, 5, 6, 7], np.int8)  # moving, running, finished, failed, lost, ...
    codes = status_codes(state, np.full(6, STATUSES.index("cancelled")))
    assert named(codes, STATUSES).tolist() == [
        None,
        None,
        "finished",
        "cancelled",
        "failed",
        "closed",
    ]
