"""What a first pass over a table in parts learns of its columns: all that can be known by counting.

In: the frames of a data set, one after the other. Out: the `PlainView` and the `Layout` of the
whole table, as if it had been in memory, and the counted values of its plain numbers. Categories,
ends, grids, decimals, medians and counts are exact.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from foundations.plain import PlainView, Special, integers_of, middle_of, scaled
from foundations.tables import is_numerical

from .counts import EXACT, Counted, Counts, count
from .layout import MAX_DECIMALS, PLACES, Layout, check

MOST_CATEGORIES = 1 << 20


class Decimals:
    """In how many decimals all values seen end."""

    def __init__(self, dtype: Any):
        self.dtype, self.largest, self.is_whole = dtype, 0.0, True
        self.left = list(PLACES)

    def add(self, value: np.ndarray) -> None:
        """Take values (m,) into account."""
        own = value.astype(self.dtype)
        self.largest = max(self.largest, float(np.abs(value).max()))
        self.is_whole &= bool((value == np.rint(value)).all())
        self.left = [d for d in self.left if (np.round(value, d).astype(self.dtype) == own).all()]

    def number(self) -> int | None:
        """As `layout` says it of a column in memory."""
        if self.largest >= EXACT * 10.0**-MAX_DECIMALS:
            return 0 if self.largest < EXACT and self.is_whole else None
        return self.left[0] if self.left else None


class ColumnSurvey:
    """One column, part after part.

    Args:
        dtype: as the parts have it where nothing is missing.
        folder: for what is counted and does not fit in memory.
    """

    def __init__(self, name: str, dtype: Any, folder: Path):
        self.name, self.dtype, self.kind = name, dtype, _kind(dtype)
        self.n = self.n_missing = 0
        self.levels: dict[Hashable, int] = {}  # rows of each, in the order in which they came
        self.levels_dtype: Any = None
        self.counts = Counts(folder)
        plain = str(dtype).lower() if self.kind == "number" else "float64"
        self.decimals = Decimals(plain if plain.startswith("float") else "float64")
        self.ends: tuple[int, int] | None = None  # of times, in nanoseconds
        self.step = 0

    def add(self, part: pd.Series) -> None:
        """Count the values of one part."""
        gaps = part.isna().to_numpy()
        known = part[~gaps] if gaps.any() else part
        if self.kind == "category":
            self._add_categories(known)
        elif len(known) and self.kind == "number":
            self._add_numbers(known.to_numpy(np.float64))
        elif len(known):
            self._add_times(known)
        self.n, self.n_missing = self.n + len(part), self.n_missing + int(gaps.sum())

    def _add_categories(self, known: pd.Series) -> None:
        if isinstance(known.dtype, pd.CategoricalDtype):
            levels = known.cat.categories
            rows = np.bincount(known.cat.codes, minlength=len(levels))
        else:
            found = known.value_counts()
            levels, rows = found.index, found.to_numpy()
        self.levels_dtype = levels.dtype if self.levels_dtype is None else self.levels_dtype
        for level, n in zip(levels, rows.tolist(), strict=True):
            self.levels[level] = self.levels.get(level, 0) + n
        if len(self.levels) > MOST_CATEGORIES:
            raise ValueError(
                f"{self.name}: at most {MOST_CATEGORIES:,} categories can be learned, got more"
            )

    def _add_numbers(self, x: np.ndarray) -> None:
        self._refuse(~np.isfinite(x), x, "are not finite")
        if not str(self.dtype).lower().startswith("float"):
            rule = "are integers beyond 2**53, which only a table in memory may hold"
            self._refuse(np.abs(x) > EXACT, x, rule)
        self._add_counted(count(x))

    def _refuse(self, bad: np.ndarray, x: np.ndarray, what: str) -> None:
        if bad.any():
            at = int(bad.argmax())
            raise ValueError(
                f"{self.name}: {int(bad.sum())} of {len(x)} rows {what}, "
                f"e.g. near row {self.n + at} = {x[at]:g}"
            )

    def _add_times(self, known: pd.Series) -> None:
        times = integers_of(self.kind, known)
        value = np.unique(times)
        first, last = int(value[0]), int(value[-1])
        low, high = self.ends or (first, last)
        self.step = int(np.gcd.reduce(np.append(value - first, [self.step, first - low])))
        self.ends = min(low, first), max(high, last)
        self._add_counted(count(scaled(Special(self.name, "", self.kind), times)))

    def _add_counted(self, found: Counted) -> None:
        self.counts.add(*found)
        self.decimals.add(found[0])

    @property
    def is_empty(self) -> bool:
        """Whether all values are missing."""
        return self.n_missing == self.n

    def witness(self) -> pd.Series:
        """A few rows with the dtype, the ends, the categories and the gaps of the whole column."""
        values = [] if self.is_empty else self._values()
        gap = [None] * (self.n_missing > 0)
        if self.kind != "category":
            return pd.Series([*values, *gap], dtype=self._frame_dtype(), name=self.name)
        if isinstance(self.dtype, pd.CategoricalDtype):
            levels = pd.Index(list(self.levels), dtype=self.levels_dtype)
            dtype = pd.CategoricalDtype(levels, self.dtype.ordered)
            return pd.Series(pd.Categorical([*values, *gap], dtype=dtype), name=self.name)
        return pd.Series([*values, *gap], dtype=self._frame_dtype(), name=self.name)

    def _values(self) -> list[Any]:
        if self.kind == "category":
            return [level for level, n in self.levels.items() if n]
        if self.kind == "number":
            whole = types.is_integer_dtype(self.dtype)
            return [int(x) if whole else x for x in (self.counts.low, self.counts.high)]
        low, high = self.ends or (0, 0)
        times = pd.to_datetime if self.kind == "date" else pd.to_timedelta
        found = times(np.array([low, low + self.step, high], np.int64), unit="ns")
        zone = getattr(self.dtype, "tz", None)
        return list(found if zone is None else found.tz_localize("UTC").tz_convert(zone))

    def _frame_dtype(self) -> Any:
        """numpy's integers and truths have no gaps: pandas reads such a column as another."""
        if self.n_missing and isinstance(self.dtype, np.dtype):
            if self.dtype.kind in "iu":
                return np.dtype(np.float64)
            if self.dtype.kind == "b":
                return np.dtype(object)
        return self.dtype

    def fill(self, special: Special) -> Special:
        """Put into the gaps of a number what stands for them; the special column that says so."""
        if special.flag is None or special.kind == "nothing":
            return special
        if special.kind == "number":
            known = self.n - self.n_missing
            special = replace(special, fill=self.counts.at((known - 1) // 2))
            value = special.fill
        else:
            value = float(scaled(special, np.array([middle_of(special)], dtype=object))[0])
        self._add_counted((np.array([value]) + 0.0, np.array([self.n_missing])))
        return special


def _kind(dtype: Any) -> str:
    if types.is_datetime64_any_dtype(dtype):
        return "date"
    if types.is_timedelta64_dtype(dtype):
        return "span"
    return "number" if is_numerical(dtype) else "category"


class Survey:
    """All columns of a table in parts.

    Args:
        dtypes: by column, as the parts have them where nothing is missing.
        folder: for what is counted and does not fit in memory.
    """

    def __init__(self, dtypes: pd.Series, folder: Path):
        self.columns = {
            name: ColumnSurvey(name, dtype, folder / str(i))
            for i, (name, dtype) in enumerate(dtypes.items())
        }

    def add(self, part: pd.DataFrame) -> None:
        """Count the rows of one part."""
        for name, column in self.columns.items():
            column.add(part[name])

    def finish(self) -> tuple[PlainView, Layout]:
        """The view and the layout of the whole table; ValueError for what cannot be learned."""
        rows = [column.witness() for column in self.columns.values()]
        n = max(map(len, rows))
        padded = {s.name: s.iloc[np.minimum(np.arange(n), len(s) - 1)].array for s in rows}
        witness = pd.DataFrame(padded)
        view = PlainView.of(witness)
        view = PlainView(tuple(self.columns[s.name].fill(s) for s in view.specials))
        plain = view.to_plain(witness)
        check(plain)
        layout = Layout.from_table(plain, view.dates)
        columns = (
            replace(c, decimals=self._decimals(c.name, plain[c.name].dtype)) if c.numerical else c
            for c in layout.columns
        )
        return view, Layout(tuple(columns))

    def _decimals(self, name: str, dtype: Any) -> int | None:
        return 0 if types.is_integer_dtype(dtype) else self.columns[name].decimals.number()
