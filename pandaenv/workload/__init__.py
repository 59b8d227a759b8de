"""Where jobs come from: recorded, surrogate and reference records as a stream of jobs."""

from .base import Workload
from .embedded import Reference
from .jobs import JobArrays
from .making import make
from .pools import BUNDLED, NAMES, file_identity
from .scaling import capacity
from .stream import Stream, Window
from .synthetic import Synthetic
from .trace import Trace

__all__ = [
    "BUNDLED",
    "NAMES",
    "JobArrays",
    "Reference",
    "Stream",
    "Synthetic",
    "Trace",
    "Window",
    "Workload",
    "capacity",
    "file_identity",
    "make",
]
