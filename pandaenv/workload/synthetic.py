"""Surrogate records as a workload: with tasks of their own, or independent rows gathered into some.

In: a table, a file, a saved generator or an object that samples. Out: a `Workload`. Where the rows
have `task` and `dataset`, as those of `generators.grouped` do, they are used as they are; else they
are gathered into tasks and moved into bursts.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from foundations import checks
from pandaenv import schema
from pandaenv.sites import Catalogue

from .base import Workload, seconds_of, site_rows
from .bursting import move_into_bursts
from .gathering import drop_rare_sites, gather
from .pools import file_identity, find_source, read_pool
from .recorded import recorded_tasks
from .tasks import Tasks

N_POOL = 330_000
"""Rows drawn from a live generator: eight weeks at the default rate."""


class Synthetic(Workload):
    """Surrogate records as a workload: a pool of rows, or a generator that makes them.

    Args:
        source: a table of surrogate records; a Parquet or CSV file of one; the folder of a saved
            generator; an object with `sample(n, seed=)`; or the name of a bundled pool,
            "tabddpm", "tabar" or "masked".
        n: rows to draw where `source` is a generator.
        seed: of that draw.

    Raises:
        ValueError: an unknown name, a missing file, or none of these.
    """

    def __init__(self, source: Any = "tabddpm", *, n: int = N_POOL, seed: int = 0):
        self.source, self.n, self.seed = source, checks.whole("n", n, least=1), checks.seed(seed)
        if isinstance(source, str | Path):
            self.source = find_source(source)
        elif not _is_table_or_generator(source):
            known = "a table, a file or a generator"
            raise ValueError(f"a synthetic workload needs {known}, got {type(source).__name__}")

    @property
    def records(self) -> pd.DataFrame:
        """The pool, read or sampled when first asked for."""
        return self.table[list(schema.COLUMNS)]

    @cached_property
    def table(self) -> pd.DataFrame:
        """The records, and their `task` and `dataset` where they have these."""
        if isinstance(self.source, Path) and self.source.is_file():
            return read_pool(self.source, file_identity(self.source))
        drawn = self.source
        if not isinstance(drawn, pd.DataFrame):
            drawn = _load_generator(drawn).sample(self.n, seed=self.seed)
        return schema.check(drawn, groups=None)

    def arrivals(self, catalogue: Catalogue, rng: np.random.Generator) -> tuple[np.ndarray, Tasks]:
        """The second of each row and its task: its own, or that it was gathered into."""
        site = site_rows(self.records, catalogue)
        told = recorded_tasks(self.table, site)
        return (seconds_of(self.records), told) if told else self._gathered(site, rng)

    def _gathered(self, site: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Tasks]:
        """Seconds of the rows in the bursts of the tasks they were gathered into, and the tasks."""
        format_ = self.records["datatype"].cat.codes.to_numpy().astype(np.int64)
        site = drop_rare_sites(format_, site)
        tasks = gather(self.records, site, rng)
        return move_into_bursts(seconds_of(self.records), tasks.task, rng), tasks


def _is_table_or_generator(source: Any) -> bool:
    is_column = isinstance(source, pd.Series | pd.Index)  # they have a method `sample` too
    return isinstance(source, pd.DataFrame) or (hasattr(source, "sample") and not is_column)


def _load_generator(source: Any) -> Any:
    """The generator saved in a folder, or the object given."""
    if not isinstance(source, Path):
        return source
    import generators  # not needed, and torch not imported, unless a generator is asked for

    return generators.load(source)
