import pickle
import subprocess
import sys

import numpy as np
import pytest
from numba.core.errors import NumbaError

from pandaenv.kernels import kernel, part, prefetch
from pandaenv.simulator.draws import mix


@part
def scaled(rows, i):
    return rows[i].x / rows[i].y


@kernel
def total(rows, table):
    s = 0.0
    for i in range(len(rows)):
        prefetch(rows, i)
        prefetch(table, i)
        prefetch(table, i, 1)
        s += scaled(rows, i) + table[i, 1]
    return s


@kernel
def made(n):
    return np.empty(n)[0]


def test_asking_for_memory_changes_nothing():
    rows = np.array([(1.0, 2.0), (6.0, 4.0)], [("x", "f8"), ("y", "f4")])
    table = np.array([[0.0, 10.0], [0.0, 20.0]])
    before = rows.tobytes(), table.tobytes()
    assert total(rows, table) == 0.5 + 1.5 + 30.0
    assert (rows.tobytes(), table.tobytes()) == before


def test_a_part_is_compiled_once_for_whole_numbers_of_all_sizes():
    row = np.array([(3.0, 2.0)], [("x", "f8"), ("y", "f4")])

    @part
    def first(rows, i, is_given):
        return rows[i].x if is_given else -1.0

    @kernel
    def both(rows, small, large):
        return first(rows, small, True) + first(rows, large, False) + first(rows, 0, small == large)

    assert both(row, np.int8(0), np.int64(0)) == 3.0 - 1.0 + 3.0
    assert len(first.overloads) == 1


def test_python_can_call_a_part_whether_or_not_a_kernel_has():
    rows = np.array([(1.0, 2.0), (6.0, 4.0)], [("x", "f8"), ("y", "f4")])
    for _ in range(2):
        assert scaled(rows, 1) == scaled(rows, np.int16(1)) == 1.5
        total(rows, np.zeros((2, 2)))


def test_a_part_can_be_sent_to_another_process():
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer)(3))"
    sent = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(mix), capture_output=True, check=True
    )
    assert int(sent.stdout) == mix(3)


def test_a_division_by_zero_gives_what_numpy_gives():
    rows = np.array([(1.0, 0.0)], [("x", "f8"), ("y", "f4")])
    assert total(rows, np.zeros((1, 2))) == np.inf


def test_a_kernel_cannot_make_arrays():
    with pytest.raises(NumbaError, match="Failed in nopython mode"):
        made(3)
