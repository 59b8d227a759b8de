"""What a metric sees of a table: its numbers as float64, its categories as codes.

In: DataFrames whose dtypes are the schema: number columns are numerical; category, string, object
and bool columns categorical. Out: arrays, with codes over the union of the categories of all tables
given, so that a category unseen in training is scored and not refused. A table may also lie on
disk (`OnDisk`, made by `metrics.streaming`): what is read column by column or in batches works on
both.
"""

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from foundations.plain import PlainView
from foundations.tables import check_frame, is_numerical

LARGEST = 1e300  # numbers beyond it leave no room for a sum over the rows


class Coded(NamedTuple):
    """A table as arrays: numbers (n, d) float64 and codes (n, c) int64."""

    numbers: np.ndarray
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)


class OnDisk:
    """A table too large for memory: has `columns`, `dtypes`, `[name]`, `batches()`, `check(what)`.

    `[name]` is one column as a Series, `batches()` yields frames, `select(names)` reorders.
    """


def split(table: pd.DataFrame) -> tuple[list, list]:
    """Names of the numerical and of the categorical columns, in the table's order."""
    dtypes = table.dtypes
    numerical = [name for name in table.columns if is_numerical(dtypes[name])]
    return numerical, [name for name in table.columns if name not in numerical]


def view_of(table: Any) -> PlainView:
    """What is not plain in a frame: dates, spans, huge integers, missing values."""
    is_frame = isinstance(table, pd.DataFrame) and table.columns.is_unique
    return PlainView.of(table) if is_frame else PlainView()


def plain(view: PlainView, table: Any) -> Any:
    """A frame as a view sees it; a table on disk, or None, as it is."""
    is_frame = isinstance(table, pd.DataFrame) and table.columns.is_unique
    return view.to_plain(table) if is_frame else table


def seen(train: Any, *others: Any) -> list[Any]:
    """The tables as the view of the first sees them: dates as days, spans, huge integers, gaps."""
    view = view_of(train)
    return [plain(view, table) for table in (train, *others)]


def pair(
    train: Any, other: Any, names: tuple[str, str] = ("train", "synthetic")
) -> tuple[Any, Any]:
    """Two tables as the view of the first sees them, checked, columns in the order of the first."""
    train, other = seen(train, other)
    check(train, names[0])
    return train, aligned(train, other, names[1])


def check(table: Any, what: str) -> Any:
    """Return the table, or raise a ValueError that names the first value no metric can score."""
    if isinstance(table, OnDisk):
        return table.check(what)
    check_frame(table, what)
    for name in table.columns:
        check_column(table[name], what)
    return table


def check_column(column: pd.Series, what: str, start: int = 0) -> None:
    """Raise for a column no metric can score; its first row is number `start` of the table."""
    if types.is_datetime64_any_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
        raise ValueError(
            f"{what}: column {column.name!r} has dtype {column.dtype}; "
            "give times as numbers, for example days since the first"
        )
    if column.dtype == object:
        _check_objects(column, what, start)
    bad, word = column.isna().to_numpy(), "missing"
    if not bad.any() and is_numerical(column):
        if types.is_complex_dtype(column.dtype):
            raise ValueError(f"{what}: column {column.name!r} is complex; only reals are scored")
        size = np.abs(column.to_numpy(np.float64))
        bad, word = np.isinf(size), "infinite"
        if not bad.any():
            bad, word = size > LARGEST, f"beyond {LARGEST:g} in size"
    if bad.any():
        raise ValueError(
            f"{what}: column {column.name!r}: {bad.sum()} of {len(bad)} values are {word}, "
            f"e.g. row {start + int(np.argmax(bad))}"
        )


def _check_objects(column: pd.Series, what: str, start: int) -> None:
    for row, value in enumerate(column, start):
        if not isinstance(value, Hashable):
            raise ValueError(
                f"{what}: column {column.name!r} must hold single values, "
                f"got a {type(value).__name__} in row {row}"
            )


def aligned(train: Any, other: Any, what: str) -> Any:
    """The checked table `other` with its columns in the order of `train`; raise if they differ."""
    check(other, what)
    missing = [name for name in train.columns if name not in other.columns]
    extra = [name for name in other.columns if name not in train.columns]
    if missing or extra:
        raise ValueError(
            f"{what} must have the columns of train, got missing {missing} and unknown {extra}"
        )
    names = list(train.columns)
    other = other.select(names) if isinstance(other, OnDisk) else other[names]
    here, there = other.dtypes, train.dtypes
    for name in names:
        if is_numerical(there[name]) != is_numerical(here[name]):
            raise ValueError(
                f"{what}: column {name!r} must be of one kind everywhere, "
                f"got {there[name]} in train and {here[name]} here"
            )
        _check_kinds(train, other, name, what)
    return other


def _check_kinds(train: Any, other: Any, name: Any, what: str) -> None:
    """Raise where a column's categories would be alike if the ones were text and the others not.

    A table that was a CSV in between has "1" where it had 1: no row would match another.
    """
    if is_numerical(other.dtypes[name]) or isinstance(train, OnDisk) or isinstance(other, OnDisk):
        return
    ours, theirs = (set(table[name].dropna().unique().tolist()) for table in (train, other))
    if ours & theirs or not {str(v) for v in ours} & {str(v) for v in theirs}:
        return
    kinds = [type(next(iter(levels))).__name__ for levels in (ours, theirs)]
    raise ValueError(
        f"{what}: the categories of {name!r} must be of one type everywhere, got {kinds[0]} in "
        f"train and {kinds[1]} here; read both tables in the same way"
    )


def without_extra_columns(train: Any, table: Any) -> Any:
    """A table without the columns that train lacks; as it is if it does not have all of train's."""
    names, wanted = getattr(table, "columns", ()), list(getattr(train, "columns", ()))
    if not wanted or sorted(map(str, names)) == sorted(map(str, wanted)):
        return table
    if not all(list(some).count(name) == 1 for name in wanted for some in (names, wanted)):
        return table
    return table.select(wanted) if isinstance(table, OnDisk) else table[wanted]


def counts(table: pd.DataFrame, name) -> dict:
    """{category: number of rows} of one column, in order of first appearance."""
    found: dict = {}
    for part in parts(table, [name]):
        for value, n in zip(*_tallied(part[name]), strict=True):
            found[value] = found.get(value, 0) + int(n)
    return found


def _tallied(column: pd.Series) -> tuple[list, np.ndarray]:
    """(values, counts) with every value in use."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        count = np.bincount(column.cat.codes, minlength=len(column.cat.categories))
        used = np.flatnonzero(count)
        return list(column.cat.categories[used]), count[used]
    local, values = _factorize(column)
    return values, np.bincount(local, minlength=len(values))


def parts(table, names: list) -> Iterator[pd.DataFrame]:
    """Some columns of a table: all rows at once, or a row group at a time if it lies on disk."""
    return table.select(names).batches() if isinstance(table, OnDisk) else iter([table])


def blocks(table: pd.DataFrame, known: list[dict], size: int = 1 << 16) -> Iterator[Coded]:
    """The table as arrays, `size` rows at a time (a row group at a time if it lies on disk)."""
    for part in parts(table, list(table.columns)):
        data = encode(part, known)
        for start in range(0, len(data), size):
            yield Coded(data.numbers[start : start + size], data.codes[start : start + size])


def floats(column: pd.Series) -> np.ndarray:
    """A numerical column as float64."""
    return column.to_numpy(np.float64)


def numbers(table: pd.DataFrame) -> np.ndarray:
    """(n, d) float64 of the numerical columns."""
    names = split(table)[0]
    out = np.empty((len(table), len(names)))
    for i, name in enumerate(names):
        out[:, i] = table[name].to_numpy(np.float64)
    return out


def coded(*tables: pd.DataFrame) -> tuple[list[Coded], list[dict]]:
    """Encode tables of one schema over the union of their categories; also return the levels."""
    known = levels(*tables)
    return [encode(table, known) for table in tables], known


def levels(*tables: pd.DataFrame) -> list[dict]:
    """Per categorical column {category: code}, numbered in order of first appearance."""
    known: list[dict] = []
    for name in split(tables[0])[1]:
        code: dict = {}
        for table in tables:
            for value in counts(table, name):
                code.setdefault(value, len(code))
        known.append(code)
    return known


def encode(table: pd.DataFrame, known: list[dict]) -> Coded:
    """A table as arrays; categories that are not in `known` get code -1."""
    codes = np.empty((len(table), len(known)), np.int64)
    for j, (name, code) in enumerate(zip(split(table)[1], known, strict=True)):
        local, values = _factorize(table[name])
        codes[:, j] = np.array([code.get(value, -1) for value in values], np.int64)[local]
    return Coded(numbers(table), codes)


def _factorize(column: pd.Series) -> tuple[np.ndarray, list]:
    """(codes, values) with every value in use."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        local = column.cat.codes.to_numpy().astype(np.int64)
        used = np.flatnonzero(np.bincount(local, minlength=len(column.cat.categories)))
        at = np.zeros(len(column.cat.categories), np.int64)
        at[used] = np.arange(len(used))
        return at[local], [column.cat.categories[code] for code in used]
    local, values = pd.factorize(column)
    return local, list(values)
