"""Any table as a plain one, and back: dates, spans, integers beyond 2**53, missing values.

In: a `pandas.DataFrame`. Out: a `PlainView`, which turns such a table into one of numbers that a
float64 holds and of categories, with nothing missing, and restores the dtypes that came.

- A date is days since a Monday (1969-12-29, UTC), so that its fraction is the hour and its
  remainder by 7 the weekday; a span of time is days. Both come back on the grid they lay on.
- An integer beyond 2**53 counts steps from the smallest one.
- A column of Arrow's or a sparse dtype becomes one of numpy's, an Arrow dictionary its values.
- A missing category is a category of its own, "(missing)"; that very text in a later table is a
  category never seen. A missing number gets the lower median of its column, a value that was seen,
  and a truth beside it, "NAME is missing", says so.

Columns that are plain already are left alone, so most tables pass as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from math import gcd
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from .checks import is_number, is_whole
from .tables import is_numerical

EXACT = 2**53  # beyond it a float64 no longer holds every integer
DAY_NS = 86_400 * 10**9
CENTURY_NS = 36_525 * DAY_NS
MONDAY_NS = -3 * DAY_NS  # 1969-12-29
KINDS = ("date", "span", "integer", "number", "category", "nothing")


@dataclass(frozen=True)
class Special:
    """A column that is not plain.

    dtype: as it came; flag: name of the truth that says what is missing; missing: the category that
    stands for it; fill: the number that does; origin, step, top: smallest value, grid and largest
    value of what is a whole number, in nanoseconds for times; place: of a column of
    nothing in the table.
    """

    name: str
    dtype: str
    kind: str
    flag: str | None = None
    missing: str | None = None
    fill: float = 0.0
    origin: int = 0
    step: int = 1
    top: int = 0
    place: int = 0


@dataclass(frozen=True)
class PlainView:
    """The columns of a table that are not plain."""

    specials: tuple[Special, ...] = ()

    @classmethod
    def of(cls, table: pd.DataFrame) -> PlainView:
        """What a table has of dates, spans, huge integers and missing values."""
        names = set(table.columns)
        found = [_special(table[name], names, place) for place, name in enumerate(table.columns)]
        return cls(tuple(special for special in found if special is not None))

    @classmethod
    def from_json(cls, specials: Iterable[Mapping[str, Any]]) -> PlainView:
        """Inverse of `to_json`."""
        return cls(tuple(Special(**special) for special in specials))

    def to_json(self) -> list[dict[str, Any]]:
        """One plain dict for each special column."""
        return [asdict(special) for special in self.specials]

    @property
    def dates(self) -> tuple[str, ...]:
        """Names of the columns that are dates."""
        return tuple(s.name for s in self.specials if s.kind == "date")

    def unbounded(self, name: str) -> PlainView:
        """The view that restores a column of dates also a century beyond those seen."""

        def widened(special: Special) -> Special:
            if special.name != name or special.kind != "date":
                return special
            reach = CENTURY_NS // special.step * special.step
            return replace(special, origin=special.origin - reach, top=special.top + reach)

        return PlainView(tuple(map(widened, self.specials)))

    def to_plain(self, table: pd.DataFrame) -> pd.DataFrame:
        """The plain table; what is missing here and was not in the first table stays missing."""
        known = {s.name: s for s in self.specials}
        if not known:
            return table
        columns: dict[str, pd.Series] = {}
        flags = {s.flag for s in self.specials}  # free in the first table, not in any other
        for name in (name for name in table.columns if name not in flags):
            special = known.get(name)
            if special is None or not _suits(special, table[name]):
                columns[name] = table[name]
            elif special.kind != "nothing":
                if special.flag is not None:
                    columns[special.flag] = table[name].isna()
                columns[name] = _to_plain(special, table[name])
        return pd.DataFrame(columns, index=table.index)

    def restore(self, plain: pd.DataFrame) -> pd.DataFrame:
        """Inverse of `to_plain`: the columns of the first table, with its dtypes."""
        if not self.specials:
            return plain
        known = {s.name: s for s in self.specials}
        flags = {s.flag for s in self.specials}
        columns = {
            name: _restore(known[name], plain) if name in known else plain[name]
            for name in plain.columns
            if name not in flags
        }
        out = pd.DataFrame(columns, index=plain.index)
        for special in self.specials:
            if special.kind == "nothing":
                nothing = pd.Series(None, plain.index, _dtype(special.dtype))
                out.insert(special.place, special.name, nothing)
        return out

    def plain_where(self, where: Mapping[str, Any]) -> dict[str, Any]:
        """A condition on columns as one on plain columns; None asks for missing values.

        Raises: ValueError for what is no date where a date is.
        """
        known, out = {s.name: s for s in self.specials}, {}
        for name, value in where.items():
            special = known.get(name)
            if special is None:
                out[name] = value
                continue
            if special.flag is not None:
                out[special.flag] = value is None
            if special.kind == "category":
                out[name] = _plain_levels(special, value)
            elif value is not None:
                out[name] = _plain_value(special, value)
            elif special.flag is None:
                raise ValueError(f"{name}: no value was missing in training")
        return out

    def resolution(self, name: str) -> float:
        """Distance of the lines of the grid a plain date or span comes back on; 0 for others."""
        grids = {s.name: s.step / DAY_NS for s in self.specials if s.kind in ("date", "span")}
        return grids.get(name, 0.0)


def _special(column: pd.Series, taken: set[str], place: int) -> Special | None:
    """How a column is made plain; None if it is."""
    name, dtype = column.name, str(column.dtype)
    gaps = column.isna().to_numpy()
    if gaps.all() and len(gaps):
        return Special(name, dtype, "nothing", place=place)
    kind = _kind(column)
    if kind == "category":
        if not gaps.any():
            return Special(name, dtype, kind) if dtype.startswith("dictionary") else None
        return Special(name, dtype, kind, missing=_free_twice("(missing)", _texts(column)))
    flag = _free(f"{name} is missing", taken) if gaps.any() else None
    if kind == "number":
        if flag is None:
            foreign = isinstance(column.dtype, pd.ArrowDtype | pd.SparseDtype)
            return Special(name, dtype, kind) if foreign else None
        values = np.sort(_floats(column.dropna()))
        return Special(name, dtype, kind, flag, fill=float(values[(len(values) - 1) // 2]))
    values = np.unique(integers_of(kind, column[~gaps]))
    origin, top = int(values[0]), int(values[-1])
    step = gcd(*(int(v) - origin for v in values)) or 1
    return Special(name, dtype, kind, flag, origin=origin, step=step, top=top)


def _kind(column: pd.Series) -> str:
    if types.is_datetime64_any_dtype(column.dtype):
        return "date"
    if types.is_timedelta64_dtype(column.dtype) or str(column.dtype).startswith("duration"):
        return "span"
    if not is_numerical(column) or types.is_complex_dtype(column.dtype):
        return "category"
    if not _is_whole(column):
        return "number"
    known = column.dropna()
    return "integer" if max(abs(int(known.min())), abs(int(known.max()))) > EXACT else "number"


def _suits(special: Special, column: pd.Series) -> bool:
    """Whether a column is of the kind of the first table's, so that it can be made plain."""
    if special.kind == "nothing" or column.isna().all():
        return True
    kinds = {_kind(column), special.kind}
    return len(kinds) == 1 or kinds == {"number", "integer"}


def _is_whole(column: pd.Series) -> bool:
    return types.is_integer_dtype(column.dtype)


def _texts(column: pd.Series) -> set[str]:
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    values = column.cat.categories if is_category else column.dropna()
    return {value for value in values if isinstance(value, str)}


def _free(name: str, taken: set) -> str:
    while name in taken:
        name += "_"
    return name


def _free_twice(name: str, taken: set) -> str:
    """A name of which the one `_unseen` makes is free, too."""
    while name in taken or _unseen(name) in taken:
        name += "_"
    return name


def _unseen(missing: str | None) -> str:
    """A category that no training table has, for the text that stands for missing ones."""
    return f"{missing}_"


def integers_of(kind: str, column: pd.Series) -> np.ndarray:
    """The values (n,) of a column without gaps as whole numbers, of nanoseconds for times."""
    if kind == "integer":
        return column.to_numpy(dtype=object)
    if kind == "date":
        times = pd.DatetimeIndex(pd.to_datetime(column.to_numpy(dtype=object), utc=True))
        return times.as_unit("ns").asi8
    return pd.TimedeltaIndex(column.to_numpy(dtype=object)).as_unit("ns").asi8


def _to_plain(special: Special, column: pd.Series) -> pd.Series:
    gaps = column.isna()
    if special.kind == "category":
        return _with_level(special, column)
    if special.kind == "number":
        fill = special.fill if special.flag is not None else np.nan
        plain = pd.Series(np.where(gaps, fill, _floats(column)), column.index)
        whole = special.dtype.lower().removeprefix("sparse[").startswith(("int", "uint"))
        return plain.astype(np.int64) if whole and plain.notna().all() else plain
    out = np.full(len(column), np.nan)
    out[~gaps] = scaled(special, integers_of(special.kind, column[~gaps]))
    if special.flag is not None and gaps.any():
        out[gaps] = scaled(special, np.array([middle_of(special)], dtype=object))[0]
    return pd.Series(out, index=column.index)


def _with_level(special: Special, column: pd.Series) -> pd.Series:
    """The column with a category for what is missing, and another for one that is called so."""
    missing, unseen = special.missing, _unseen(special.missing)
    if isinstance(column.dtype, pd.CategoricalDtype):
        if missing in column.cat.categories:
            column = _renamed(column, missing, unseen)
        return column.cat.add_categories(missing).fillna(missing)
    plain = pd.Series(column.tolist(), column.index, dtype=object)
    if missing is None:
        return plain
    return plain.mask(plain == missing, unseen).where(column.notna(), missing)


def _renamed(column: pd.Series, old: Any, new: str) -> pd.Series:
    """A categorical with one category renamed, to one that may be there."""
    levels = [new if level == old else level for level in column.cat.categories]
    values = column.astype(object)
    return values.mask(values == old, new).astype(pd.CategoricalDtype(dict.fromkeys(levels)))


def _floats(column: pd.Series) -> np.ndarray:
    """The numbers (n,) as float64, NaN where missing."""
    if isinstance(column.dtype, pd.SparseDtype):
        return np.asarray(column.array, dtype=np.float64)
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


DECIMAL = re.compile(r"decimal(\d+)\((\d+), (-?\d+)\)\[pyarrow\]")
DICTIONARY = re.compile(r"dictionary<values=(\w+), indices=(\w+), ordered=([01])>\[pyarrow\]")


def _dtype(text: str) -> Any:
    """The dtype of its name, those of Arrow that pandas cannot read from text included."""
    if found := DECIMAL.fullmatch(text):
        import pyarrow as pa

        bits, digits, scale = found.groups()
        return pd.ArrowDtype(getattr(pa, f"decimal{bits}")(int(digits), int(scale)))
    if found := DICTIONARY.fullmatch(text):
        import pyarrow as pa

        values, indices, ordered = found.groups()
        kinds = pa.type_for_alias(indices), pa.type_for_alias(values)
        return pd.ArrowDtype(pa.dictionary(*kinds, ordered == "1"))
    return types.pandas_dtype(text)


def middle_of(special: Special) -> int:
    """The whole number on the grid of a date, span or integer that stands for a missing one."""
    return special.origin + (special.top - special.origin) // special.step // 2 * special.step


def scaled(special: Special, values: np.ndarray) -> np.ndarray:
    """Days of times, steps from the origin of integers, as float64."""
    if special.kind == "integer":
        return np.array([(int(v) - special.origin) // special.step for v in values], np.float64)
    zero = MONDAY_NS if special.kind == "date" else 0
    return (values.astype(np.int64) - zero) / DAY_NS


def _restore(special: Special, plain: pd.DataFrame) -> pd.Series:
    column = plain[special.name]
    if special.kind == "category":
        return _without_level(special, column)
    gaps = plain[special.flag].astype(bool) if special.flag is not None else None
    if special.kind == "number":
        values = column
    else:
        values = pd.Series(_from_scaled(special, column.to_numpy(np.float64)), plain.index)
    if special.dtype.startswith("decimal"):
        places = int(special.dtype.split(", ")[1].split(")")[0])
        values = values.map(lambda x: Decimal(f"{x:.{places}f}"))
    values = values.astype(_dtype(special.dtype))
    return values if gaps is None else values.mask(gaps)


def _without_level(special: Special, column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = column.cat.categories
        left = pd.Index(list(levels[levels != special.missing])).infer_objects()
        return column.cat.set_categories(left)
    values = column.astype(object)
    if special.missing is not None:
        values[(column == special.missing).to_numpy()] = None
    return values if special.dtype == "object" else values.astype(_dtype(special.dtype))


def _from_scaled(special: Special, values: np.ndarray) -> Any:
    """The whole numbers, dates or spans of scaled values, on the column's grid."""
    if special.kind == "integer":
        last = (special.top - special.origin) // special.step
        return [special.origin + special.step * min(max(round(v), 0), last) for v in values]
    zero = MONDAY_NS if special.kind == "date" else 0
    offset = values * DAY_NS - (special.origin - zero)
    ns = special.origin + np.rint(offset / special.step).astype(np.int64) * special.step
    ns = np.clip(ns, special.origin, special.top)
    if special.kind == "span":
        return pd.to_timedelta(ns, unit="ns")
    times = pd.to_datetime(ns, unit="ns", utc=True)
    zone = getattr(_dtype(special.dtype), "tz", None)
    if zone is None and "tz=" in special.dtype:
        return times
    return times.tz_convert(zone) if zone is not None else times.tz_localize(None)


def _plain_levels(special: Special, value: Any) -> Any:
    """A category or several, None as the one that stands for missing values."""
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain_levels(special, one) for one in value]
    if special.missing is not None and isinstance(value, str) and value == special.missing:
        raise ValueError(
            f"{special.name}: {value!r} was not seen in training; None asks for missing values"
        )
    return special.missing if value is None else value


def _plain_value(special: Special, value: Any) -> Any:
    """A value or the ends of a range, scaled."""
    if special.kind in ("category", "number", "nothing"):
        return value
    if isinstance(value, tuple):
        return tuple(None if end is None else _plain_value(special, end) for end in value)
    if special.kind == "integer":
        if not is_whole(value):
            raise ValueError(f"{special.name}: where takes an integer or a range, got {value!r}")
        return (int(value) - special.origin) / special.step
    try:
        if is_number(value):
            raise TypeError("a number has no unit")
        made = pd.Timedelta(value) if special.kind == "span" else pd.Timestamp(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{special.name}: where takes a {special.kind}, got {value!r}") from error
    if special.kind == "date":
        zone = getattr(_dtype(special.dtype), "tz", None)
        made = made.tz_localize(zone) if made.tzinfo is None and zone is not None else made
        made = made.tz_convert("UTC").tz_localize(None) if made.tzinfo is not None else made
    zero = MONDAY_NS if special.kind == "date" else 0
    return (made.as_unit("ns").value - zero) / DAY_NS
