"""What holds for all tests: one thread for torch, and no compiled kernel older than its sources.

Small nets gain nothing from a second thread, and on a busy machine the threads wait for each other.
Numba notices a change of the file a cached kernel stands in, not of the files whose kernels it
calls; a changed simulator would otherwise be tested as it was.
"""

import os
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, also by children

PACKAGES = ("pandaenv", "metrics", "generators")


def pytest_configure(config):
    for package in PACKAGES:
        folder = Path(__file__).parent.parent / package
        newest = max(
            (p.stat().st_mtime for p in folder.glob("*.py") if "njit" in p.read_text()), default=0.0
        )
        for compiled in folder.glob("__pycache__/*.nb[ic]"):
            with suppress(FileNotFoundError):  # another run of the tests may take it away first
                if compiled.stat().st_mtime < newest:
                    compiled.unlink()
