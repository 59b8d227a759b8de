"""Where jobs come from: recorded, surrogate and reference records as a stream of jobs."""

from .jobs import JobArrays
from .sources import BUNDLED, NAMES, Reference, Synthetic, Trace, make, stamp
from .stream import Stream, Window, capacity

__all__ = [
    "BUNDLED",
    "NAMES",
    "JobArrays",
    "Reference",
    "Stream",
    "Synthetic",
    "Trace",
    "Window",
    "capacity",
    "make",
    "stamp",
]
