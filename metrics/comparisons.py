"""One synthetic table set against the real ones: what every measure gets.

In: the rows of the table that are scored, and the prepared real tables. Out: a `Comparison`, whose
rows come into memory when they are first asked for. `Cache` keeps what several measures, or several
tables, need: each is made once.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pandas as pd

if TYPE_CHECKING:
    from .evaluation import Evaluator
    from .frames import OnDisk
    from .streams import Stream

Made = TypeVar("Made")


class Cache:
    """An object that keeps what functions made of it."""

    def once(self, make: Callable[[Self], Made]) -> Made:
        """`make(self)`, computed at the first call and kept."""
        made: dict[Callable, Any] = self.__dict__.setdefault("_made", {})
        if make not in made:
            made[make] = make(self)
        return made[make]


class Comparison(Cache):
    """A table to be scored against real tables.

    table: n rows, perhaps on disk. large_table: n_mlef rows, perhaps on disk. real: the prepared
    real tables, and the settings. stream: the whole table in order of time, where it has groups.
    """

    def __init__(
        self,
        table: "pd.DataFrame | OnDisk",
        large_table: "pd.DataFrame | OnDisk",
        real: "Evaluator",
        stream: "Stream | None" = None,
    ):
        self.table, self.large_table, self.real = table, large_table, real
        self.stream = stream

    @cached_property
    def rows(self) -> pd.DataFrame:
        """`table` in memory, at most `in_memory` rows of it."""
        return self.real.in_memory(self.table)

    @cached_property
    def large_rows(self) -> pd.DataFrame:
        """`large_table` in memory, at most `in_memory` rows of it."""
        return self.real.in_memory(self.large_table)
