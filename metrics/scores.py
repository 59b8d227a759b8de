"""What one table scored: numbers by name, with spreads, intervals and values by column.

In: what a measure computed. Out: a `Score`; the scores of several measures add up to one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd


@dataclass
class Score:
    """The numbers of one table.

    values: by name, NaN where undefined. spread: standard deviation over seeds, where there were
    several. interval: 95 % confidence interval, bootstrapped over blocks. columns: by number and
    column. association: the association matrix, where diff-CORR was measured.
    """

    values: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    columns: dict[str, dict[str, float]] = field(default_factory=dict)
    association: pd.DataFrame | None = None

    @classmethod
    def of_columns(cls, by_column: pd.DataFrame, listed: Sequence[str]) -> "Score":
        """Means over the columns of a table (column, number); `listed` numbers also by column."""
        means = {name: float(by_column[name].mean()) for name in by_column}
        return cls(means, columns={name: by_column[name].to_dict() for name in listed})

    def add_runs(self, name: str, runs: Iterable[float]) -> None:
        """Set a number to the mean of runs with different seeds, with their spread."""
        runs = np.asarray(runs, float)
        self.values[name] = float(runs.mean())
        if len(runs) > 1:
            self.spread[name] = float(runs.std(ddof=1))

    def add(self, part: "Score") -> None:
        """Take over the numbers of another measure."""
        for name in ("values", "spread", "interval", "columns"):
            getattr(self, name).update(getattr(part, name))
        if part.association is not None:
            self.association = part.association
