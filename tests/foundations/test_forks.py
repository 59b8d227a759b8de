"""Parallel kernels in forked processes."""

import os
import subprocess
import sys

import pytest

FORKED = """
import os, numba, numpy as np
from foundations.forks import Forkable, is_forked

@Forkable
@numba.njit(parallel=True)
def doubled(x):
    out = np.empty_like(x)
    for i in numba.prange(x.size):
        out[i] = 2 * x[i]
    return out


x = np.arange(100)
assert (doubled(x) == 2 * x).all() and not is_forked()
child = os.fork()
if child == 0:
    os._exit(0 if (doubled(x) == 2 * x).all() else 3)
status = os.waitpid(child, 0)[1]
print("told", numba.threading_layer(), status)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_runs_a_kernel_that_ran_in_threads_before():
    command = [sys.executable, "-c", FORKED]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert answer.stdout.split()[-1] == "0"
