"""What holds for all tests: one thread for torch, and kernels compiled before the workers begin.

Small nets gain nothing from a second thread, and on a busy machine the threads wait for each other.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, also by children
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # numba may raise that number; none may spin

ROOT = Path(__file__).parent.parent
WARM = (["tables"], ["single", "many"])
"""What is compiled at the same time, before several processes of tests begin."""


def pytest_sessionstart(session):
    is_shared = bool(session.config.getoption("numprocesses", None))
    if is_shared and not hasattr(session.config, "workerinput"):
        command = [sys.executable, "-m", "tests.warm"]
        running = [subprocess.Popen([*command, *parts], cwd=ROOT) for parts in WARM]
        assert [one.wait() for one in running] == [0] * len(running)


@pytest.fixture(scope="module")
def trace():
    """A small stream of recorded jobs."""
    from pandaenv.workload import Trace
    from tests.pandaenv.simulator.grids import records

    return Trace(records())


@pytest.fixture(scope="module")
def make(trace):
    """Make a Tier-1 environment on a small stream; an episode lasts nine hours."""
    import gymnasium as gym

    import pandaenv  # noqa: F401  registers the environments

    def make(**options):
        small = {"workload": trace, "rate": 800, "episode_jobs": 300} | options
        return gym.make("PandaSiteAllocationTier1-v0", **small)

    return make
