"""The measure of how fast agents learn, on few steps."""

import pytest

pytest.importorskip("sb3_contrib")
from benchmarks.play.learner import Recipe
from benchmarks.speed import ppo
from pandaenv.sb3 import PandaVecEnv
from pandaenv.workload import Trace
from tests.pandaenv.simulator.grids import records


@pytest.fixture
def native():
    return PandaVecEnv(4, workload=Trace(records()), rate=800, episode_jobs=40, sites="tier1")


@pytest.mark.parametrize("algorithm", ppo.ALGORITHMS)
def test_a_line_says_what_was_done_in_what_time(native, algorithm):
    recipe = Recipe(algorithm=algorithm, n_envs=4, n_steps=8, batch_size=16, n_epochs=1, width=8)
    for envs in (native, ppo.Nothing(native)):
        line = ppo.timed(recipe, envs, 0)
        assert line["n"] == ppo.ROLLOUTS * 8 * 4
        assert line["per_second"] == pytest.approx(line["n"] / line["seconds"])
        assert 0 < line["collecting_share"] < 1 and line["per_cpu_second"] > 0
