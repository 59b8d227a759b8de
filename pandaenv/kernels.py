"""How the kernels of the simulator are compiled.

In: a function over arrays of records. Out: the same, compiled by numba when first called and kept
on disk.

Kernels own no memory: counting references to the arrays they pass on took a third of a step, so
they do not, and cannot make arrays (numba says so when it compiles one that would). A division by
zero gives what NumPy gives. What is a `part` of other kernels is copied into them: passing it the
arrays of a world would cost more than most of what is done there.
"""

from numba import njit

kernel = njit(cache=True, error_model="numpy", _nrt=False)
part = njit(cache=True, error_model="numpy", _nrt=False, forceinline=True)
