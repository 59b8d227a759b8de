"""Rows completed step by step: some columns become known, others are drawn given those.

In: a fitted `FieldGenerator` and values of some of its columns. Out: values of others. Each row has
conditions of its own, where `sample(where=...)` has one for all. Columns are drawn in the order in
which the model learned them; what is known by then must stand before them in that order, unless the
model learned any order.

Values are those of the plain table: numbers as float64, categories as codes into the layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from . import training
from .devices import seeded, to_array, to_tensor
from .drawing import PartialRows
from .fielded import FieldGenerator, column_of
from .fields import clock


class Completion:
    """n rows of which nothing is known yet.

    Args:
        model: a fitted model.
        rng: of what is drawn.
    """

    def __init__(self, model: FieldGenerator, n: int, rng: torch.Generator):
        self.model, self.rng = model, rng
        layout, net = model.layout_, model.net_
        self.rows = model.no_fields(n) if net else PartialRows(n, 0, 0, len(model.bins_))
        self.fields: dict[str, list[int]] = {}
        for i, f in enumerate(net.fields if net else ()):
            self.fields.setdefault(column_of(layout, f), []).append(i)
        kinds = (layout.categoricals, layout.numericals)
        self.place = {c.name: (c, j) for kind in kinds for j, c in enumerate(kind)}
        self.codes = {c.name: np.array(c.categories) for c in layout.categoricals}

    @torch.no_grad()
    def reveal(self, values: Mapping[str, np.ndarray]) -> None:
        """Make columns known as they are in `values`, (n,) each."""
        net, rows = self.model.net_, self.rows
        for name, column in values.items():
            c, j = self.place[name]
            if c.numerical:
                rows.numbers[:, j] = column
            for i, x in self._indices(name, np.asarray(column)):
                rows.x[:, i] = to_tensor(x)
                rows.s = rows.s + net.embed(i, rows.x[:, i])

    def _indices(self, name: str, column: np.ndarray) -> Iterable[tuple[int, np.ndarray]]:
        """The fields of a column and their values (n,)."""
        fields = self.fields.get(name, [])
        if not fields:
            return
        if not self.place[name][0].numerical:
            yield fields[0], column.astype(np.int64)
            return
        net, bins = self.model.net_, self.model.bins_[self.place[name][1]]
        coarse, fine = bins.encode(column)
        for i in fields:
            f = net.fields[i]
            if f.kind in ("coarse", "fine"):
                yield i, coarse if f.kind == "coarse" else fine
            elif f.kind == "cell":
                yield i, coarse * net.fields[i - 1].size + fine
            else:
                yield i, clock(f.kind, column)

    @torch.no_grad()
    def draw(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Draw columns, in the model's order; their values (n,) by name."""
        names = list(names)
        part = sorted(i for name in names for i in self.fields.get(name, ()))
        if part:
            with training.steady_threads():
                self.rows = self.model.draw_part(self.rows, part, self.rng)
        return {name: self._values(name) for name in names}

    def _values(self, name: str) -> np.ndarray:
        c, j = self.place[name]
        if not c.numerical:
            n = len(self.rows.x)
            fields = self.fields.get(name)
            return to_array(self.rows.x[:, fields[0]]) if fields else np.zeros(n, np.int64)
        if name not in self.fields:
            return np.full(len(self.rows.x), self.model.bins_[j].low[0])
        return self.rows.numbers[:, j].copy()

    def take(self, rows: np.ndarray | slice) -> Completion:
        """A copy of some of the rows, with what is known of them."""
        part = object.__new__(Completion)
        part.__dict__.update(self.__dict__)
        index = rows if isinstance(rows, slice) else to_tensor(rows)
        part.rows = object.__new__(PartialRows)
        part.rows.x = self.rows.x[index].clone()
        part.rows.s = self.rows.s[index].clone()
        part.rows.numbers = self.rows.numbers[rows].copy()
        part.rows.log_weight = self.rows.log_weight[index].clone()
        return part


def completion(model: FieldGenerator, n: int, seed: int) -> Completion:
    """n rows of a model of which nothing is known yet, drawn from a seed."""
    return Completion(model, n, seeded(seed))
