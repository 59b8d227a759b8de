"""The fields of a row: each column as one or two small indices, and what the time column adds.

In: a `Layout`, the bins of its numericals, an order of columns. Out: `Field`s in order, and rows as
indices x (n, F) of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .bins import Bins, bins_of
from .counts import Histogram
from .layout import Layout

if TYPE_CHECKING:
    from .fielded import FieldConfig

TIME_NAMES = ("creationtime", "time")  # columns in days since a Monday, unless one is named
CLOCKS = {"hour": 24, "weekday": 7}
KNOWN = ("cell", *CLOCKS)  # kinds of fields that follow from those before
KINDS = ("category", "coarse", "fine", *KNOWN)


class Field(NamedTuple):
    """One index of a row: "category", "coarse", "fine", or a clock read off the time column."""

    kind: str
    column: int  # among the categoricals, or among the numericals
    size: int
    is_given: bool = False  # only ever known, never drawn

    @property
    def is_known(self) -> bool:
        """It follows from the fields before it."""
        return self.kind in KNOWN


def time_column(layout: Layout, name: str | None) -> int | None:
    """Which numerical column is the time: the named one, one called as in `TIME_NAMES`, a date."""
    names = [c.name for c in layout.numericals]
    if name is not None and name not in names:
        raise ValueError(f"time must be one of the numerical columns {names}, got {name!r}")
    known = [n for n in ((name,) if name else TIME_NAMES) if n in names]
    dates = [j for j, c in enumerate(layout.numericals) if c.is_date]
    return names.index(known[0]) if known else dates[0] if dates else None


def fit_column(column: Histogram, config: FieldConfig, days: bool) -> Bins:
    """Bins of a column of n rows, fewer where these are few: 24 rows a cell, sqrt(n) / 2 coarse."""
    n_coarse = min(config.n_coarse, max(4, int(math.sqrt(column.n) / 2)))
    n_fine = min(config.n_fine, max(1, column.n // (24 * n_coarse)))
    return bins_of(column, n_coarse, n_fine, blur=config.blur, days=days)


def list_fields(
    layout: Layout, bins: list[Bins], order: list[tuple[bool, int]], when: int | None
) -> list[Field]:
    """Fields in order; a column with one value has none."""
    fields = []
    for is_number, j in order:
        if not is_number:
            fields += [Field("category", j, len(layout.categoricals[j].categories))]
            continue
        coarse, fine = bins[j].sizes
        fields += [Field("coarse", j, coarse)] + [Field("fine", j, fine)] * (fine > 1)
        if j == when and fine > 1:
            fields += [Field("cell", j, coarse * fine)]
        if j == when:
            fields += [Field(kind, j, size) for kind, size in CLOCKS.items() if coarse > 1]
    return [f for f in fields if f.size > 1]


def encode(
    fields: list[Field], bins: list[Bins], numbers: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    """Indices x (n, F) int64 of rows."""
    places = [b.encode(x) for b, x in zip(bins, numbers.T, strict=True)]
    columns = []
    for f in fields:
        if f.kind == "category":
            columns.append(codes[:, f.column])
        elif f.kind == "cell":
            columns.append(columns[-2] * fields[len(columns) - 1].size + columns[-1])
        elif f.is_known:
            columns.append(clock(f.kind, numbers[:, f.column]))
        else:
            columns.append(places[f.column][f.kind == "fine"])
    return np.column_stack(columns).astype(np.int64)


def clock(kind: str, days: np.ndarray) -> np.ndarray:
    """Hour of the day or day of the week, int64, of days (n,) since a Monday."""
    if kind == "hour":
        return np.minimum((days % 1 * 24).astype(np.int64), 23)
    return (np.floor(days) % 7).astype(np.int64)
