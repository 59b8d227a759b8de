"""From a mixed table to arrays a model can learn, and back.

In: a `pandas.DataFrame`. Out: a `Layout`, which splits such a table into `numbers` (n, d) float64
and `codes` (n, c) int64 and joins them again under the same columns, order and dtypes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from foundations.tables import check_shape, is_numerical

EXACT = 2.0**53  # beyond it a float64 no longer holds every integer
MAX_DECIMALS = 9  # floats that end within so many decimals are given back so
PLACES = (0, 1, 2, 3, 4, 6, MAX_DECIMALS)  # numbers of decimals that are tried


@dataclass(frozen=True)
class Column:
    """What is known of one column: enough to give it back as it came."""

    name: str
    dtype: str
    numerical: bool
    low: float = 0.0  # smallest and largest value seen, numericals only
    high: float = 0.0
    decimals: int | None = None  # all values end here; None: no such grid
    categories: tuple[Any, ...] = ()  # values seen, categoricals only; a code is a place in it
    levels: tuple[Any, ...] | None = None  # all levels of a pandas categorical, seen or not
    ordered: bool = False
    is_date: bool = False  # days since a Monday


@dataclass(frozen=True)
class Layout:
    """The columns of a table in order, and the way from rows to arrays and back."""

    columns: tuple[Column, ...]

    @classmethod
    def from_table(cls, table: pd.DataFrame, dates: Iterable[str] = ()) -> Layout:
        """Learn the layout of a checked table (see `check`); `dates` are days since a Monday."""
        columns = (_describe(table[name]) for name in table.columns)
        return cls(tuple(replace(c, is_date=True) if c.name in dates else c for c in columns))

    @classmethod
    def from_json(cls, columns: list[dict]) -> Layout:
        """Inverse of `to_json`; JSON's lists become tuples again."""
        return cls(tuple(Column(**as_tuples(column)) for column in columns))

    def to_json(self) -> list[dict]:
        """One plain dict per column."""
        return [asdict(column) for column in self.columns]

    @property
    def numericals(self) -> tuple[Column, ...]:
        """The numerical columns, in the order of `numbers`."""
        return tuple(c for c in self.columns if c.numerical)

    @property
    def categoricals(self) -> tuple[Column, ...]:
        """The categorical columns, in the order of `codes`."""
        return tuple(c for c in self.columns if not c.numerical)

    def split(self, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (n, d) float64 and codes (n, c) int64; a category never seen has code -1.

        Raises `ValueError` when a column is missing.
        """
        missing = [c.name for c in self.columns if c.name not in table.columns]
        if missing:
            raise ValueError(f"the table must have the fitted columns, missing {missing}")
        numbers = [_as_float(table[c.name]) for c in self.numericals]
        codes = [_codes(c, table[c.name]) for c in self.categoricals]
        n = len(table)
        return (
            np.column_stack(numbers) if numbers else np.empty((n, 0)),
            np.column_stack(codes).astype(np.int64) if codes else np.empty((n, 0), np.int64),
        )

    def join(self, numbers: np.ndarray, codes: np.ndarray) -> pd.DataFrame:
        """Inverse of `split`: numbers cut to the seen range, rounded as seen, dtypes given back."""
        places = {
            c.name: j for group in (self.numericals, self.categoricals) for j, c in enumerate(group)
        }
        data = {
            c.name: _restore(c, (numbers if c.numerical else codes)[:, places[c.name]])
            for c in self.columns
        }
        return pd.DataFrame(data, columns=[c.name for c in self.columns])

    def settle(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers (n, d) as `join` gives them: in the seen range, on the seen grid, float64."""
        columns = [
            _as_float(_restore(c, x)) for c, x in zip(self.numericals, numbers.T, strict=True)
        ]
        return np.column_stack(columns) if columns else numbers


def as_tuples(options: dict[str, Any]) -> dict[str, Any]:
    """The dict with its lists, as JSON gives them, turned into tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}


def check(table: pd.DataFrame) -> None:
    """Refuse what no generator can learn from, in one sentence that names the column.

    Raises `ValueError` for other dtypes, missing values, infinities and integers beyond float64 in
    a plain table (`foundations.plain`).
    """
    for name in table.columns:
        _check_column(table[name])


def check_frame(table: Any) -> None:
    """Refuse what is no table at all.

    Raises `TypeError` for what is no DataFrame, `ValueError` for an empty table and for names that
    repeat or are no strings.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"a generator fits a pandas.DataFrame, got {type(table).__name__}")
    names = list(table.columns)
    bad = [name for name in names if not isinstance(name, str)]
    if bad:
        raise ValueError(f"column names must be strings, got {bad[0]!r}")
    check_shape(table.columns, len(table), "the table")


def _check_column(column: pd.Series) -> None:
    dtype = column.dtype
    is_number = is_numerical(column) and not types.is_complex_dtype(dtype)
    if not (is_number or _is_categorical(dtype)):
        raise ValueError(
            f"{column.name}: dtype must be a number, category, string or bool, got {dtype}"
        )
    _refuse(column, column.isna().to_numpy(), "are missing (NaN)")
    if is_number:
        _check_numbers(column)
    else:
        _check_categories(column)


def _is_categorical(dtype: Any) -> bool:
    return (
        isinstance(dtype, pd.CategoricalDtype)
        or types.is_object_dtype(dtype)
        or types.is_string_dtype(dtype)
        or types.is_bool_dtype(dtype)
    )


def _check_numbers(column: pd.Series) -> None:
    values = _as_float(column)
    _refuse(column, ~np.isfinite(values), "are not finite")
    if types.is_integer_dtype(column.dtype):
        _refuse(column, np.abs(values) > EXACT, "are integers beyond 2**53")


def _check_categories(column: pd.Series) -> None:
    kinds = (str, bool, int, float, np.generic)
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    odd = [value for value in values if not isinstance(value, kinds)]
    if odd:
        raise ValueError(
            f"{column.name}: categories must be strings, numbers or bools, "
            f"got {type(odd[0]).__name__}, e.g. {odd[0]!r}"
        )
    for text in {value for value in values if isinstance(value, str)}:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{column.name}: categories must be Unicode, got {text!r}") from None


def _refuse(column: pd.Series, bad: np.ndarray, what: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        value = column.iloc[row]
        raise ValueError(
            f"{column.name}: {int(bad.sum())} of {len(column)} rows {what}, "
            f"e.g. row {row} = {value}"
        )


def _as_float(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _plain(column: pd.Series) -> pd.Index:
    """The values as an object Index, so that lookups do not depend on the string dtype."""
    return pd.Index(column.astype(object).to_numpy(), dtype=object)


def _index(values: tuple) -> pd.Index:
    index = np.empty(len(values), dtype=object)
    index[:] = values
    return pd.Index(index)


def _codes(column: Column, values: pd.Series) -> np.ndarray:
    if isinstance(values.dtype, pd.CategoricalDtype):
        levels = _index(tuple(_native(v) for v in values.cat.categories))
        place = np.append(_index(column.categories).get_indexer(levels), -1)
        return place[values.cat.codes.to_numpy()]
    return _index(column.categories).get_indexer(_plain(values))


def _distinct(column: pd.Series) -> pd.Index:
    """Values of a categorical column, each once; not the unused levels."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories().cat.categories.to_series()
    return _plain(column).unique()


def _describe(column: pd.Series) -> Column:
    name, dtype = str(column.name), str(column.dtype)
    if is_numerical(column):
        values = _as_float(column)
        low, high = float(values.min()), float(values.max())
        return Column(name, dtype, True, low, high, _decimals(column))
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _describe_levels(column)
    categories = sorted((_native(v) for v in _distinct(column)), key=lambda v: (str(type(v)), v))
    return Column(name, dtype, False, categories=tuple(categories))


def _describe_levels(column: pd.Series) -> Column:
    levels = tuple(_native(v) for v in column.cat.categories)
    seen = np.bincount(column.cat.codes, minlength=len(levels)) > 0
    return Column(
        str(column.name),
        f"category:{column.cat.categories.dtype}",
        False,
        categories=tuple(v for v, s in zip(levels, seen, strict=True) if s),
        levels=levels,
        ordered=bool(column.cat.ordered),
    )


def _native(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _decimals(column: pd.Series) -> int | None:
    if types.is_integer_dtype(column.dtype):
        return 0
    values = _as_float(column)
    if np.abs(values).max() >= EXACT * 10.0**-MAX_DECIMALS:
        return 0 if np.abs(values).max() < EXACT and (values == np.rint(values)).all() else None
    for decimals in PLACES:
        rounded = np.round(values, decimals).astype(str(column.dtype).lower())
        if (rounded == column.to_numpy()).all():
            return decimals
    return None


def _restore(column: Column, values: np.ndarray) -> pd.Series:
    if column.numerical:
        values = values if column.decimals is None else np.round(values, column.decimals)
        return pd.Series(np.clip(values, column.low, column.high)).astype(column.dtype)
    if column.levels is not None:
        place = _index(column.levels).get_indexer(_index(column.categories))
        levels = pd.Index(list(column.levels), dtype=column.dtype.split(":", 1)[1])
        dtype = pd.CategoricalDtype(levels, column.ordered)
        return pd.Series(pd.Categorical.from_codes(place[values], dtype=dtype))
    seen = _index(column.categories).to_numpy()
    return pd.Series(seen[values], dtype=object).astype(column.dtype)
