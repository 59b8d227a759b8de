"""Workloads by name, file, table or generator.

In: what a user gives for a workload. Out: the workload.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from pandaenv.records import is_ingested, read

from .base import Workload
from .embedded import Reference
from .recorded import COLUMNS
from .synthetic import Synthetic
from .trace import Trace


def make(which: Any) -> Workload:
    """Return the workload of a name (one of NAMES), a file, a generator or a table.

    A table is taken as recorded jobs, and so is what `pandaenv ingest` wrote; any other file as
    surrogate records. Objects that have `stream` are returned as they are.

    Raises:
        ValueError: an unknown name, a missing file, or none of these.
    """
    if hasattr(which, "stream"):
        return which
    if isinstance(which, pd.DataFrame):
        return Trace(which)
    if isinstance(which, str) and which == "reference":
        return Reference()
    made = Synthetic(which)
    is_recorded = isinstance(made.source, Path) and is_ingested(made.source)
    if not is_recorded:
        return made
    also = [name for names in COLUMNS.values() for name in names]
    return Trace(read(made.source, groups=None, also=also))
