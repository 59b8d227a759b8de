"""Parallel kernels that a forked process may call too.

In: a kernel compiled with `parallel=True`. Out: a function that runs it, or in a process forked
after GNU OpenMP had begun its work, the same kernel compiled without threads: there OpenMP would
end the process, and a `multiprocessing.Pool` would wait for it for ever.
"""

import os
from functools import cached_property
from types import FunctionType
from typing import Any

import numba


def is_forked() -> bool:
    """Whether this process was forked from one whose kernels had run in threads of OpenMP."""
    return _state["forked"]


class Forkable:
    """A parallel kernel, without threads where `is_forked` says so."""

    def __init__(self, kernel: Any):
        self.kernel, self.py_func = kernel, getattr(kernel, "py_func", kernel)

    @cached_property
    def alone(self) -> Any:
        """The same kernel in one thread, under a name and in a cache of its own."""
        python = self.py_func
        copy = FunctionType(python.__code__, python.__globals__, python.__name__ + "_alone")
        copy.__qualname__ = python.__qualname__ + "_alone"
        return numba.njit(cache=os.path.isfile(python.__code__.co_filename))(copy)

    def __call__(self, *arguments: Any) -> Any:
        return (self.alone if is_forked() else self.kernel)(*arguments)


def _note_fork() -> None:
    try:
        _state["forked"] = _state["forked"] or numba.threading_layer() == "omp"
    except ValueError:  # no parallel kernel has run
        pass


_state = {"forked": False}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
