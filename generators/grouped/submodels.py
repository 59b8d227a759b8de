"""The two models inside: tables of numbers and codes learned, and completed row by row.

In: columns by name, float64 numbers or int64 codes, and which of them are only ever given. Out: a
`Submodel`, whose completions take and give the same numbers and codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from generators.completion import Completion, completion
from generators.fielded import FieldGenerator
from generators.plan import Plan
from generators.tabar import TabAR
from generators.tabddpm import MaskedTabDDPM

Columns = dict[str, np.ndarray]
"""Values (n,) by name: float64 for a number, int64 for a category."""
KINDS: dict[str, type[FieldGenerator]] = {"tabddpm": MaskedTabDDPM, "tabar": TabAR}


class Submodel:
    """A model of rows some of whose columns are always given."""

    def __init__(self, model: FieldGenerator):
        self.model = model

    @classmethod
    def make(cls, kind: str, columns: Iterable[str], given: Iterable[str], **options) -> Submodel:
        """An untrained one of columns that are drawn in this order."""
        if kind == "tabddpm":
            options["shuffled"] = 0.0  # they are never drawn in any other order
        return cls(KINDS[kind](order=tuple(columns), given=tuple(given), **options))

    def fit(self, columns: Columns, plan: Plan, least: int, label: str, device: str) -> None:
        """Learn the rows; `least` steps where the plan names neither steps nor a budget."""
        rows = len(next(iter(columns.values())))
        batch, epochs = self.model.config.batch_size, self.model.config.epochs
        steps = plan.steps
        if steps is None and plan.budget is None:
            steps = max(least, round(epochs * rows * 0.95 / batch))
        checkpoint = plan.checkpoint
        if checkpoint is not None:
            checkpoint = checkpoint.with_name(f"{checkpoint.name}.{label}")
        self.model.fit(
            to_frame(columns),
            seed=plan.seed,
            budget=plan.budget,
            steps=steps,
            progress=plan.progress,
            checkpoint=checkpoint,
            every=plan.every,
            device=device,
            callback=plan.callback,
        )

    def begin(self, n: int, seed: int) -> Drawing:
        """n rows of which nothing is known yet."""
        return Drawing(self, completion(self.model, n, seed))


class Drawing:
    """A completion in numbers and codes."""

    def __init__(self, submodel: Submodel, rows: Completion):
        self.submodel, self.rows = submodel, rows

    def reveal(self, columns: Mapping[str, np.ndarray]) -> None:
        """Make columns known; a code never seen counts as the next lower one that was."""
        self.rows.reveal({name: self._place(name, x) for name, x in columns.items()})

    def draw(self, names: Iterable[str]) -> Columns:
        """Draw columns given all that is known."""
        return {name: self._value(name, x) for name, x in self.rows.draw(names).items()}

    def take(self, rows: np.ndarray | slice) -> Drawing:
        """A copy of some of the rows."""
        return Drawing(self.submodel, self.rows.take(rows))

    def _place(self, name: str, values: np.ndarray) -> np.ndarray:
        codes = self.rows.codes.get(name)
        if codes is None:
            return values
        return (np.searchsorted(codes, values, side="right") - 1).clip(0)

    def _value(self, name: str, values: np.ndarray) -> np.ndarray:
        codes = self.rows.codes.get(name)
        return values if codes is None else codes[values]


def to_frame(columns: Columns) -> pd.DataFrame:
    """A table whose codes are categories."""
    return pd.DataFrame(
        {
            name: pd.Categorical(x) if x.dtype.kind == "i" else x.astype(np.float64)
            for name, x in columns.items()
        }
    )
