"""How the kernels of the simulator are compiled.

In: a function over arrays of records. Out: the same, compiled by numba when first called and kept
on disk.

Kernels own no memory: counting references to the arrays they pass on took a third of a step, so
they do not, and cannot make arrays (numba refuses to compile one that would). A division by
zero gives what NumPy gives. What is a `part` of other kernels is copied into them: passing it the
arrays of a world would cost more than most of what is done there.
"""

from contextlib import suppress
from pathlib import Path

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic


def forget_older(folder: Path) -> None:
    """Remove indices of compiled kernels that are older than any source file of the folder.

    Numba asks whether the file of a kernel has changed, not those of the kernels it calls.
    """
    newest = max(path.stat().st_mtime_ns for path in folder.glob("*.py"))
    for index in (folder / "__pycache__").glob("*.nbi"):
        with suppress(OSError):  # another process was first, or the folder is not ours
            if index.stat().st_mtime_ns < newest:
                index.unlink()


forget_older(Path(__file__).parent)
kernel = njit(cache=True, error_model="numpy", _nrt=False)
part = njit(cache=True, error_model="numpy", _nrt=False, forceinline=True)


@intrinsic
def prefetch(typing_context, array, *places):
    """Ask for the memory of an element to be brought near, by its first indices; changes nothing.

    A step of one world among many waits for memory more than for anything else, unless it is asked
    for a few worlds before.
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
        builder.call(name, [builder.bitcast(place, byte), for_reading, keep_near, is_data])
        return context.get_dummy_value()

    return types.void(array, types.BaseTuple.from_types(places)), generate
