"""How the kernels of the simulator are compiled.

In: a function over arrays of records. Out: the same, compiled by numba when first called and kept
on disk.

A `kernel` is called as it is; a `part` is inlined into the kernels that call it, since passing it
the arrays of a world would cost more than most of what it does. Neither counts references to
arrays, which took a third of a step, so neither can make arrays: numba refuses to compile one that
would. A division by zero gives what NumPy gives.
"""

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

from pandaenv.kernel_cache import KernelCache, cached_njit

LINE = 64
"""Bytes of a cache line."""
OPTIONS = {"error_model": "numpy", "_nrt": False}
kernel = cached_njit(**OPTIONS)


class Part(CPUDispatcher):
    """A function that is inlined into kernels.

    It is compiled once for integers of all sizes, which it takes as 64 bits, and without an entry
    for Python; either would add a third to the time of the first `gym.make`. A call from Python
    compiles it once more, by itself and in every process; call a kernel where that matters.
    """

    def __init__(self, function, locals=None, targetoptions=None):  # as numba unpickles it
        options = {
            "nopython": True,
            "forceinline": True,
            "no_cpython_wrapper": True,
            "no_cfunc_wrapper": True,
        } | OPTIONS
        super().__init__(function, targetoptions=options)
        self.enable_caching()
        self._alone = njit(**OPTIONS)(function)

    def enable_caching(self):
        """Keep the compiled code on disk."""
        self._cache = KernelCache(self.py_func)

    def get_call_template(self, args, kws):
        """What kernels ask for."""
        return super().get_call_template(
            [_wide(kind) for kind in args], {name: _wide(kind) for name, kind in kws.items()}
        )

    def add_overload(self, cres):
        """Let kernels find what was compiled; Python must not, there is no way in."""
        self.overloads[tuple(cres.signature.args)] = cres

    def __call__(self, *args, **kws):
        """What Python asks for."""
        return self._alone(*args, **kws)


def _wide(kind: types.Type) -> types.Type:
    kind = types.unliteral(kind)
    return types.int64 if isinstance(kind, types.Integer) and kind.signed else kind


part = Part


def _lines(size: int) -> list[int]:
    """Offsets into an element of `size` bytes, one in each cache line it may touch."""
    if LINE % size == 0:  # it does not cross lines
        return [0]
    return [0, *range(LINE, size - LINE, LINE), size - 1]


@intrinsic
def prefetch(typing_context, array, *places):
    """Prefetch the memory of an element, given by its indices, into the cache; changes no value.

    If the last indices are left out, only the first element of the row. A step of one world among
    many waits for memory more than for anything else, unless it was prefetched a few worlds before.
    """

    def generate(context, builder, signature, arguments):
        values = cgutils.unpack_tuple(builder, arguments[1])
        kind = signature.args[0]
        made = context.make_array(kind)(context, builder, arguments[0])
        zero = ir.Constant(ir.IntType(64), 0)
        indices = [
            context.cast(builder, value, given, types.intp)
            for value, given in zip(values, signature.args[1], strict=True)
        ]
        indices += [zero] * (kind.ndim - len(indices))
        place = cgutils.get_item_pointer(context, builder, kind, made, indices)
        byte, whole = ir.IntType(8).as_pointer(), ir.IntType(32)
        asked = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
        name = builder.module.declare_intrinsic("llvm.prefetch", [byte], asked)
        for_reading, keep_near, is_data = (ir.Constant(whole, value) for value in (0, 3, 1))
        start = builder.bitcast(place, byte)
        for offset in _lines(context.get_abi_sizeof(context.get_data_type(kind.dtype))):
            at = builder.gep(start, [ir.Constant(ir.IntType(64), offset)])
            builder.call(name, [at, for_reading, keep_near, is_data])
        return context.get_dummy_value()

    return types.void(array, types.BaseTuple.from_types(places)), generate
