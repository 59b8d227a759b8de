"""Generators that see a row as a few small indices and learn the likelihood of each given others.

In: a table. Out: bins of its numericals, its fields in an order, and a network over them trained by
likelihood. `TabAR` and the masked `TabDDPM` are of this kind; they differ in their network and in
how they draw.

The order is the one in which rows are drawn when nothing is known of them: the time column, then
categoricals, then numericals, each group by the information its columns share (`ordering`).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from . import training
from .arrays import pack_columns, pack_weights, unpack_columns, unpack_weights
from .base import Generator
from .bins import Bins, bins_of
from .coded import CodedFile, CodedRows
from .conditions import Given, Rows, reject
from .counts import Histogram
from .devices import seeded, to_array, to_tensor
from .drawing import FREE, Limits, PartialRows
from .fields import KINDS, Field, encode, fit_column, list_fields, time_column
from .layout import Column, Layout
from .likelihood import (
    FEW,
    AveragedNet,
    FieldNet,
    ValidatedDescent,
    n_validation_rows,
    select_heads,
    set_weights,
)
from .options import Config, not_negative, positive, share_below_one, whole
from .ordering import JointCounts, by_information
from .plan import Plan
from .sources import InMemory, Source
from .training import Pace

INFORMATION_BINS = 16  # of a number, by which columns are ordered


@dataclass(frozen=True)
class FieldConfig(Config):
    """How columns become fields, and how long and how fast is learned."""

    order: str | tuple[str, ...] = "information"  # "table", or the names of all columns
    given: tuple[str, ...] = ()  # columns never learned or drawn, only known: see `completion`
    time: str | None = None  # column in days since a Monday; None: one called creationtime or time
    n_coarse: int = whole(64, least=2)  # bins of a numerical at most, fewer for small tables
    n_fine: int = whole(32, least=1)  # bins of a coarse bin at most
    atom: int = whole(20, least=1)  # rows that make a value an atom
    blur: int = whole(8, least=1)  # rows whose ground is drawn from evenly
    batch_size: int = whole(512, least=1)
    lr: float = positive(6e-3)
    weight_decay: float = not_negative(0.01)
    warmup: int = whole(100, least=0)  # steps of rising rate
    epochs: float = positive(20.0)  # without budget or steps
    ema: float = share_below_one(0.998)  # of the weights
    validation: float = share_below_one(0.05)  # of rows, to choose weights and heads by; 0: none


class FieldGenerator(Generator):
    """A generator over fields; subclasses make the network and draw from it."""

    learns_files = True
    bins_: list[Bins]
    net_: FieldNet | None

    @abstractmethod
    def _make_net(self, fields: list[Field]) -> FieldNet:
        """The network of these fields, with no weights yet."""

    def _fit(self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, plan: Plan) -> None:
        self._fit_source(InMemory(self.view_, layout, numbers, codes), plan)

    def _fit_source(self, source: Source, plan: Plan) -> None:
        config, layout = self.config, source.layout
        when = time_column(layout, config.time)
        columns = [source.histogram(j, config.atom) for j in range(len(layout.numericals))]
        known = replace(config, n_fine=1)  # what is never drawn needs no fine bins
        each = [known if c.name in config.given else config for c in layout.numericals]
        self.bins_ = [fit_column(c, each[j], j == when) for j, c in enumerate(columns)]
        coded, shared = self._code(source, columns, when)
        found = list_fields(layout, self.bins_, self._order(layout, shared, when), when)
        fields = self._mark(layout, found)
        self.net_ = self._make_net(fields) if fields else None
        if not fields:
            return
        x = coded.of_fields([self._in_table_order(layout, when).index(f) for f in found])
        rng = seeded(plan.seed)
        self.net_.start(x, rng)
        validation, train = self._split(x, rng)
        if not self.net_.learns or len(x) < FEW:
            self.net_.switch_heads(torch.zeros_like(self.net_.used_heads()))
        else:
            self._learn(train, validation, plan)

    def _in_table_order(self, layout: Layout, when: int | None) -> list[Field]:
        """The fields in which rows are coded, before their order is known."""
        return list_fields(layout, self.bins_, _places(layout), when)

    def _code(
        self, source: Source, columns: list[Histogram], when: int | None
    ) -> tuple[CodedRows | None, np.ndarray]:
        """The rows as fields in the order of the table, and what each two columns share."""
        layout, fields = source.layout, self._in_table_order(source.layout, when)
        coarse = [bins_of(c, INFORMATION_BINS, 1) for c in columns]
        sizes = [len(c.categories) for c in layout.categoricals] + [b.sizes[0] for b in coarse]
        joint = JointCounts(sizes if self.config.order == "information" else [])
        file = CodedFile(source.n, [f.size for f in fields], source.folder) if fields else None
        for numbers, codes in source.parts():
            if file:
                file.add(encode(fields, self.bins_, numbers, codes))
            if joint.sizes:
                cells = (b.encode(x)[0] for b, x in zip(coarse, numbers.T, strict=True))
                joint.add(np.column_stack([codes, *cells]))
        return file and file.rows(), joint.shared()

    def _split(self, x: CodedRows, rng: torch.Generator) -> tuple[Tensor, CodedRows]:
        """Validation and training rows, at random."""
        n = n_validation_rows(len(x), self.config.validation)
        shuffled = torch.randperm(len(x), generator=rng)
        if len(x) <= torch.iinfo(torch.int32).max:
            shuffled = shuffled.int()  # kept as long as it is learned from
        return x[shuffled[:n].long()], x.take(shuffled[n:])

    def _learn(self, train: CodedRows, validation: Tensor, plan: Plan) -> None:
        """Train, and keep the weights and the heads that do best on the validation rows."""
        config = self.config
        per_epoch = max(1, len(train) // config.batch_size)
        every = max(50, per_epoch // 2)
        learner = ValidatedDescent(AveragedNet(self.net_), train, validation, config, every)
        steps = max(1, round(config.epochs * per_epoch))
        pace = Pace(config.batch_size, config.lr, steps, config.warmup, ema=0.0)
        self._train(learner, plan, pace)
        with training.steady_threads():
            learner.check()
            set_weights(self.net_, learner.module.best)
            if len(validation):
                select_heads(self.net_, validation)

    def _order(
        self, layout: Layout, shared: np.ndarray, when: int | None
    ) -> list[tuple[bool, int]]:
        """Columns as (is it numerical, its number among its kind), in the order of the fields."""
        names = [c.name for c in layout.categoricals + layout.numericals]
        order = self.config.order
        if order == "information":
            ranked = _by_information(shared, len(layout.categoricals), when)
        else:
            order = [c.name for c in layout.columns] if order == "table" else order
            if sorted(order) != sorted(names):
                raise ValueError(f"order must name all columns {names}, got {list(order)}")
            ranked = [names.index(name) for name in order]
        places = _places(layout)
        return [places[i] for i in ranked]

    def _mark(self, layout: Layout, fields: list[Field]) -> list[Field]:
        """The fields, those of the columns that are only given marked as such."""
        names = [c.name for c in layout.columns]
        unknown = sorted(set(self.config.given) - set(names))
        if unknown:
            raise ValueError(f"given must name columns of {names}, got {unknown[0]!r}")
        return [f._replace(is_given=column_of(layout, f) in self.config.given) for f in fields]

    def _sample(self, n: int, seed: int, given: dict[int, int]) -> Rows:
        return self._sample_given(n, seed, Given({j: (k,) for j, k in given.items()}))

    def _sample_given(self, n: int, seed: int, given: Given, **options: Any) -> Rows:
        if not given:
            return self._draw_rows(n, seed, FREE, **options)
        steps = [self._resolution(c) for c in self.layout_.numericals]
        limits = Limits.of(given, self.net_.fields if self.net_ else [], self.bins_, steps)

        def draw(m: int, s: int) -> Rows:
            numbers, codes = self._draw_rows(m, s, limits, **options)
            return self.settle(numbers, codes), codes

        # rounding may move a number over the end of its range
        return reject(draw, n, seed, given, batch=n + n // 32 + 32)

    def _resolution(self, column: Column) -> float:
        """Distance of the lines of the grid on which a number comes back, 0 where there is none."""
        rounded = 0.0 if column.decimals is None else 10.0**-column.decimals
        return max(rounded, self.view_.resolution(column.name))

    def _draw_rows(self, n: int, seed: int, limits: Limits, **options: Any) -> Rows:
        if self.config.given:
            raise ValueError(f"{self.name} has columns that must be given: complete its rows")
        if not self.net_:
            return self.from_rows(np.empty((n, 0), np.int64), np.empty((n, 0)))
        rng = seeded(seed)
        with training.steady_threads():
            if limits.factor:
                draws = self._draw_given(n, limits, rng, **options)
            else:
                draws = self._draw(n, rng, **options)
        x = to_array(torch.cat([draw.x for draw in draws])[:n])
        return self.from_rows(x, np.concatenate([draw.numbers for draw in draws])[:n])

    @abstractmethod
    def draw_part(self, rows: PartialRows, part: list[int], rng: torch.Generator) -> PartialRows:
        """Rows with the fields `part` drawn, whole columns, given all that is known of them."""

    @abstractmethod
    def _draw(self, n: int, rng: torch.Generator, **options: Any) -> list[PartialRows]:
        """n rows, in parts."""

    @abstractmethod
    def _draw_given(
        self, n: int, limits: Limits, rng: torch.Generator, **options: Any
    ) -> list[PartialRows]:
        """At least n rows within the limits, in parts."""

    def no_fields(self, n: int) -> PartialRows:
        """n rows of which nothing is drawn."""
        return PartialRows(n, len(self.net_.fields), self.net_.d, len(self.bins_))

    def to_rows(self, table: pd.DataFrame) -> Tensor:
        """Indices x (n, F) of the rows of a table; a category never seen becomes the first."""
        numbers, codes = self.split(table)
        with self.here():
            return to_tensor(encode(self.net_.fields, self.bins_, numbers, codes.clip(0)))

    def from_rows(self, x: np.ndarray, drawn: np.ndarray) -> Rows:
        """Numbers and codes of rows x (n, F) and of the numbers (n, numericals) drawn for them."""
        numbers = np.zeros((len(x), len(self.bins_)))
        codes = np.zeros((len(x), len(self.layout_.categoricals)), np.int64)
        for j, bins in enumerate(self.bins_):
            numbers[:, j] = bins.low[0]
        for i, f in enumerate(self.net_.fields if self.net_ else ()):
            if f.kind == "category":
                codes[:, f.column] = x[:, i]
            elif f.kind == "coarse":
                numbers[:, f.column] = drawn[:, f.column]
        return numbers, codes

    def _to_arrays(self) -> dict[str, np.ndarray]:
        arrays = pack_columns("bins", self.bins_)
        fields = self.net_.fields if self.net_ else []
        rows = [[KINDS.index(f.kind), f.column, f.size] for f in fields]
        arrays["fields"] = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return arrays | pack_weights("weights", self.net_)

    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        self.bins_ = list(unpack_columns(Bins, "bins", arrays, len(layout.numericals)))
        fields = [Field(KINDS[k], int(j), int(size)) for k, j, size in arrays["fields"]]
        fields = self._mark(layout, fields)
        if not self._fits(layout, fields) or f"bins.{len(self.bins_)}.cut" in arrays:
            raise ValueError("its fields are of other columns")
        self.net_ = self._make_net(fields) if fields else None
        unpack_weights("weights", self.net_, arrays)

    def _fits(self, layout: Layout, fields: list[Field]) -> bool:
        """Whether the fields are those of the layout's columns that vary."""
        sizes = {("category", j): len(c.categories) for j, c in enumerate(layout.categoricals)}
        for j, bins in enumerate(self.bins_):
            sizes |= {(kind, j): size for kind, size in zip(KINDS[1:3], bins.sizes, strict=True)}
        varying = {place for place, size in sizes.items() if size > 1}
        return varying == {(f.kind, f.column) for f in fields if not f.is_known} and all(
            f.is_known or sizes[f.kind, f.column] == f.size for f in fields
        )


def _places(layout: Layout) -> list[tuple[bool, int]]:
    """All columns as (is it numerical, its number among its kind), categoricals first."""
    places = [(False, j) for j in range(len(layout.categoricals))]
    return places + [(True, j) for j in range(len(layout.numericals))]


def column_of(layout: Layout, field: Field) -> str:
    """Name of the column of a field."""
    group = layout.categoricals if field.kind == "category" else layout.numericals
    return group[field.column].name


def _by_information(shared: np.ndarray, n_categoricals: int, when: int | None) -> list[int]:
    """The time column, then categoricals, then numericals, each group by information."""
    first = [] if when is None else [n_categoricals + when]
    rest = [i for i in range(n_categoricals, len(shared)) if i not in first]
    return by_information(shared, [first, list(range(n_categoricals)), rest])
