"""What holds for all tests: one thread for torch, and no compiled kernel older than its sources.

Small nets gain nothing from a second thread, and on a busy machine the threads wait for each other.
Numba notices a change of the file a cached kernel stands in, not of the files whose kernels it
calls; a changed simulator would otherwise be tested as it was.
"""

import os
from contextlib import suppress
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, also by children

PACKAGES = ("pandaenv", "metrics", "generators")


def pytest_configure(config):
    for package in PACKAGES:
        folder = Path(__file__).parent.parent / package
        newest = max(
            (p.stat().st_mtime for p in folder.rglob("*.py") if "njit" in p.read_text()),
            default=0.0,
        )
        for compiled in folder.rglob("__pycache__/*.nb[ic]"):
            with suppress(FileNotFoundError):  # another run of the tests may take it away first
                if compiled.stat().st_mtime < newest:
                    compiled.unlink()


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
