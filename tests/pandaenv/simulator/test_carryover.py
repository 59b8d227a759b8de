import numpy as np
import pytest

from pandaenv.simulator import Simulator, advance, place_all
from pandaenv.simulator.carryover import carry
from pandaenv.simulator.log import stages
from pandaenv.simulator.state import copies_of, make_worlds
from tests.pandaenv.simulator.grids import random_grid


def halfway(seed: int):
    """A crowded world stopped in the middle of its stream, and what it has still to place."""
    rng = np.random.default_rng(seed)
    catalogue, stream, outages = random_grid(rng, 4, 400, every_s=40.0)
    actions = rng.integers(0, 4, len(stream))
    simulator = Simulator(catalogue, stream, seed=seed, outages=outages).replay(actions[:200])
    return simulator, actions[200:]


@pytest.mark.parametrize("seed", range(4))
def test_a_world_carried_over_goes_on_as_it_would_have(seed):
    simulator, rest = halfway(seed)
    target = make_worlds(3, 4, 400, 10, 2, 400)
    n_carried = carry(simulator.worlds, 0, target, 1, len(rest))
    assert n_carried == simulator.worlds.world[0]["in_system"] > 0
    place_all(simulator.grid, target, 1, rest)
    advance(simulator.grid, target, 1, np.inf)
    expected = simulator.replay(rest).drain().log().set_index("index")
    log = stages(target.job[1, : n_carried + 200], simulator.catalogue.names).set_index("index")
    assert len(log) == n_carried + 200
    assert log.equals(expected.loc[log.index])
    copies = [
        sorted(copies_of(worlds, w)[["site", "dataset", "nbytes"]].tolist())
        for worlds, w in ((simulator.worlds, 0), (target, 1))
    ]
    assert copies[0] == copies[1] != []


def test_only_jobs_after_those_carried_are_the_agents():
    simulator, rest = halfway(0)
    target = make_worlds(1, 4, 400, 8, 1, 400)
    n_carried = carry(simulator.worlds, 0, target, 0, len(rest))
    world = target.world[0]
    assert world["first_own"] == world["next"] == n_carried
    assert world["own_in_system"] == 0 and world["n_rows"] == n_carried + 200
    place_all(simulator.grid, target, 0, rest[:5])
    assert target.world[0]["own_in_system"] + target.world[0]["own_lost"] <= 5


def test_carrying_leaves_the_source_as_it_was():
    simulator, rest = halfway(1)
    before = [array.tobytes() for array in simulator.worlds]
    carry(simulator.worlds, 0, make_worlds(1, 4, 400, 8, 1, 400), 0, len(rest))
    assert before == [array.tobytes() for array in simulator.worlds]
