"""From a mixed table to arrays a network can learn, and back.

In: a `pandas.DataFrame`. Between: `Layout` splits it into `numbers` (n, d) float64 and `codes`
(n, c) int64 and joins them again under the same columns, order and dtypes; `Numericals` maps each
numerical column to a category (an atom, or a quantile cell) and a share inside the cell.

Source: the quantile-normal map of Kotelnikov et al. (2023), "TabDDPM", arXiv 2209.15421 (there
scikit-learn's), restated so that ties and single values that hold much of the mass survive.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from .arrays import pack_columns, unpack_columns

EXACT = 2.0**53  # beyond it a float64 no longer holds every integer
MAX_DECIMALS = 9  # floats that end within so many decimals are given back so


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


@dataclass(frozen=True)
class Layout:
    """The columns of a table in order, and the way from rows to arrays and back."""

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Layout:
        """Learn the layout of a checked table (see `check`)."""
        return cls(tuple(_describe(table[name]) for name in table.columns))

    @classmethod
    def from_json(cls, columns: list[dict]) -> Layout:
        """Inverse of `to_json`; JSON's lists become tuples again."""
        tuples = lambda v: tuple(v) if isinstance(v, list) else v  # noqa: E731
        return cls(tuple(Column(**{k: tuples(v) for k, v in c.items()}) for c in columns))

    def to_json(self) -> list[dict]:
        """One plain dict per column."""
        return [asdict(column) for column in self.columns]

    @property
    def numericals(self) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if c.numerical)

    @property
    def categoricals(self) -> tuple[Column, ...]:
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
            c.name: _undescribe(c, (numbers if c.numerical else codes)[:, places[c.name]])
            for c in self.columns
        }
        return pd.DataFrame(data, columns=[c.name for c in self.columns])


def check(table: Any) -> None:
    """Refuse what no generator can learn from, in one sentence that names the column.

    Raises `TypeError` for what is no DataFrame, `ValueError` for an empty table, names that repeat
    or are no strings, other dtypes, missing values, infinities and integers beyond float64.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"a generator fits a pandas.DataFrame, got {type(table).__name__}")
    names = list(table.columns)
    bad = [name for name in names if not isinstance(name, str)]
    if bad:
        raise ValueError(f"column names must be strings, got {bad[0]!r}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        times = names.count(twice[0])
        raise ValueError(f"column names must be unique, got {twice[0]!r} {times} times")
    if not len(table) or not names:
        raise ValueError(f"the table must have rows and columns, got {len(table)} x {len(names)}")
    for name in names:
        _check_column(table[name])


def is_numerical(column: pd.Series) -> bool:
    """Number dtypes are numerical; category, string, object and bool are categorical."""
    types = pd.api.types
    return types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)


def _check_column(column: pd.Series) -> None:
    name, dtype = column.name, column.dtype
    text = (
        isinstance(dtype, pd.CategoricalDtype)
        or pd.api.types.is_object_dtype(dtype)
        or pd.api.types.is_string_dtype(dtype)
        or pd.api.types.is_bool_dtype(dtype)
    )
    number = is_numerical(column) and not pd.api.types.is_complex_dtype(dtype)
    if not (text or number):
        raise ValueError(f"{name}: dtype must be a number, category, string or bool, got {dtype}")
    _refuse(column, column.isna().to_numpy(), "are missing (NaN)")
    if number:
        values = _as_float(column)
        _refuse(column, ~np.isfinite(values), "are not finite")
        if pd.api.types.is_integer_dtype(dtype):
            _refuse(column, np.abs(values) > EXACT, "are integers beyond 2**53")
    else:
        odd = [
            v for v in _distinct(column) if not isinstance(v, (str, bool, int, float, np.generic))
        ]
        if odd:
            raise ValueError(
                f"{name}: categories must be strings, numbers or bools, got {type(odd[0]).__name__}"
            )


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
        levels = [_native(v) for v in column.cat.categories]
        seen = np.bincount(column.cat.codes, minlength=len(levels)) > 0
        values = tuple(v for v, s in zip(levels, seen, strict=True) if s)
        dtype = f"category:{column.cat.categories.dtype}"
        return Column(
            name,
            dtype,
            False,
            categories=values,
            levels=tuple(levels),
            ordered=bool(column.cat.ordered),
        )
    values = sorted((_native(v) for v in _distinct(column)), key=lambda v: (str(type(v)), v))
    return Column(name, dtype, False, categories=tuple(values))


def _native(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _decimals(column: pd.Series) -> int | None:
    if pd.api.types.is_integer_dtype(column.dtype):
        return 0
    values = _as_float(column)
    if np.abs(values).max() >= EXACT * 10.0**-MAX_DECIMALS:
        return 0 if np.abs(values).max() < EXACT and (values == np.rint(values)).all() else None
    for decimals in (0, 1, 2, 3, 4, 6, MAX_DECIMALS):
        rounded = np.round(values, decimals).astype(str(column.dtype).lower())
        if (rounded == column.to_numpy()).all():
            return decimals
    return None


def _undescribe(column: Column, values: np.ndarray) -> pd.Series:
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


@dataclass(frozen=True)
class Scale:
    """The distribution of one numerical column: atoms, and knots of the quantile map of the rest.

    Shapes: atoms (a,) ascending; value, below, upto (m,) ascending: the knot values and the shares
    of the other rows below them and up to them (equal where the value came once).
    """

    atoms: np.ndarray
    value: np.ndarray
    below: np.ndarray
    upto: np.ndarray
    n_cells: int
    n_rows: int

    @property
    def n_codes(self) -> int:
        """Atoms first, then quantile cells; no cells when every row is an atom."""
        return len(self.atoms) + (self.n_cells if len(self.value) else 0)

    def encode(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Atom (n,), -1 where none, and the interval of shares [below, upto] each value stands for.

        Values outside the seen range go to its ends.
        """
        at = np.clip(np.searchsorted(self.atoms, x), 0, max(len(self.atoms) - 1, 0))
        atom = np.where(self.atoms[at] == x, at, -1) if len(self.atoms) else np.full(len(x), -1)
        if not len(self.value):  # constant or all atoms: an unseen value goes to the nearest
            nearest = np.abs(x[:, None] - self.atoms).argmin(1) if len(self.atoms) else atom
            return np.where(atom < 0, nearest, atom), np.zeros(len(x)), np.ones(len(x))
        knot = np.clip(np.searchsorted(self.value, x), 0, len(self.value) - 1)
        shares = np.interp(
            x, np.repeat(self.value, 2), np.column_stack([self.below, self.upto]).ravel()
        )
        exact = self.value[knot] == x
        return (
            atom,
            np.where(exact, self.below[knot], shares),
            np.where(exact, self.upto[knot], shares),
        )

    def place(self, code: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Values of codes and of shares inside their cells, both (n,); the inverse of `encode`."""
        a = len(self.atoms)
        if not len(self.value):
            return self.atoms[code]
        u = (np.maximum(code - a, 0) + np.clip(share, 0.0, 1.0)) / self.n_cells
        x = np.interp(u, np.column_stack([self.below, self.upto]).ravel(), np.repeat(self.value, 2))
        return np.where(code < a, self.atoms[np.minimum(code, a - 1)], x) if a else x


def fit_scale(
    x: np.ndarray,
    *,
    n_cells: int = 1,
    atom_share: float = 1.0,
    max_atoms: int = 64,
    n_knots: int = 4096,
) -> Scale:
    """Learn the scale of one column (n,).

    An atom is a value that holds at least `atom_share` of the rows, at most `max_atoms` of them,
    the most frequent first; a constant column is one atom. The rows beside the atoms are cut into
    their share of `n_cells` quantile cells. Of more than `n_knots` distinct values
    the knots are the most repeated ones and those at even shares between them.
    """
    value, count = np.unique(x, return_counts=True)
    often = np.argsort(-count, kind="stable")[:max_atoms]
    often = np.sort(often[(count[often] >= max(2, atom_share * len(x))) | (len(value) == 1)])
    atoms = value[often]
    value, count = np.delete(value, often), np.delete(count, often)
    n = int(count.sum())
    upto = np.cumsum(count) / max(n, 1)
    below = upto - count / max(n, 1)
    single = count == 1  # a value that came once holds no mass: samples lie between, not on it
    middle = (below + upto) / 2
    below, upto = np.where(single, middle, below), np.where(single, middle, upto)
    if len(value) > n_knots:
        keep = _knots(middle, count, n_knots)
        value, below, upto = value[keep], below[keep], upto[keep]
    # a cell holds as many rows as it would without atoms: finer ones only cost the learner
    cells = max(1, round(n_cells * n / len(x)))
    return Scale(atoms, value, below, upto, cells if len(value) > cells else 1, len(x))


def _knots(middle: np.ndarray, count: np.ndarray, n_knots: int) -> np.ndarray:
    repeated = np.argsort(-count, kind="stable")[: n_knots // 4]
    repeated = repeated[count[repeated] > 1]
    even = np.searchsorted(middle, np.linspace(0, 1, n_knots - len(repeated)))
    return np.unique(
        np.concatenate([repeated, np.minimum(even, len(middle) - 1), [0, len(middle) - 1]])
    )


@dataclass(frozen=True)
class Numericals:
    """All numerical columns of a table, each on its own `Scale`."""

    scales: tuple[Scale, ...]

    @classmethod
    def fit(cls, numbers: np.ndarray, **options: Any) -> Numericals:
        """Learn from numbers (n, d); options as for `fit_scale`."""
        return cls(tuple(fit_scale(x, **options) for x in numbers.T))

    def encode(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Atoms (n, d) int64, -1 where none, and the shares below and up to each value (n, d)."""
        parts = [scale.encode(x) for scale, x in zip(self.scales, numbers.T, strict=True)]
        if not parts:
            return (
                np.empty((len(numbers), 0), np.int64),
                np.empty((len(numbers), 0)),
                np.empty((len(numbers), 0)),
            )
        atom, below, upto = (np.column_stack(p) for p in zip(*parts, strict=True))
        return atom, below, upto

    def decode(self, codes: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Numbers (n, d) of codes and shares inside the cells; inverse of `encode`."""
        columns = [scale.place(codes[:, j], shares[:, j]) for j, scale in enumerate(self.scales)]
        return np.column_stack(columns) if columns else np.empty((len(codes), 0))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays under names of their own, for `save`."""
        return pack_columns("scale", self.scales)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], n_columns: int) -> Numericals:
        """Inverse of `to_arrays`."""
        return cls(unpack_columns(Scale, "scale", arrays, n_columns))


def to_normal(share: np.ndarray, n_rows: int) -> np.ndarray:
    """Standard normal quantile of shares in [0, 1], its ends where 1 of 2 n_rows lies beyond."""
    edge = 0.5 / max(n_rows, 1)
    return ndtri(np.clip(share, edge, 1 - edge))
