"""A stream of jobs as a file that other simulators read: SWF, or the job CSV of CGSim."""

from .files import FORMATS, read, write

__all__ = ["FORMATS", "read", "write"]
