"""Which rows of a table belong together, and in what order they came.

In: a table and the names of its columns of groups and of data sets. Out: `Groups`, numbered by
their first rows, and what the two columns look like, so that a sample has the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api import types


@dataclass(frozen=True, eq=False)
class Groups:
    """G groups of N rows.

    rows (N,): the table's rows, group by group, each in order of time; first (G + 1,): where each
    group begins in `rows`, and N; dataset (G,): number of each group's data set, all -1 if none.
    """

    rows: np.ndarray
    first: np.ndarray
    dataset: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """(G,) rows of each group."""
        return np.diff(self.first)

    @property
    def of_row(self) -> np.ndarray:
        """(N,) group of each entry of `rows`."""
        return np.repeat(np.arange(len(self.size)), self.size)

    def before(self) -> np.ndarray:
        """(G,) the group that read each group's data set before it, -1 where there is none."""
        last: dict[int, int] = {}
        found = np.full(len(self.dataset), -1)
        for i, d in enumerate(self.dataset.tolist()):
            found[i], last[d] = last.get(d, -1), i
        return found

    @classmethod
    def of(cls, time: np.ndarray, group: np.ndarray, dataset: np.ndarray | None) -> Groups:
        """Groups of rows at times (N,), by their numbers (N,); ties keep the order of the table.

        A group whose rows name several data sets reads the one that most of them name.
        """
        start = np.full(group.max() + 1, np.inf)
        np.minimum.at(start, group, time)
        rank = np.empty(len(start), np.int64)
        rank[np.argsort(start, kind="stable")] = np.arange(len(start))
        rows = np.lexsort((time, rank[group]))
        first = np.append(0, np.cumsum(np.bincount(rank[group])))
        if dataset is None:
            return cls(rows, first, np.full(len(start), -1))
        usual = most_frequent(rank[group][rows], dataset[rows], len(start))
        return cls(rows, first, pd.factorize(usual)[0].astype(np.int64))


def most_frequent(group: np.ndarray, code: np.ndarray, n: int) -> np.ndarray:
    """(n,) code that most rows (N,) of each group have; of several the smallest."""
    width = int(code.max(initial=0)) + 1
    pair, count = np.unique(group * width + code, return_counts=True)
    order = np.lexsort((pair, -count, pair // width))
    _, at = np.unique((pair // width)[order], return_index=True)
    found = np.zeros(n, np.int64)
    found[np.unique(group)] = (pair % width)[order][at]
    return found


def numbered(table: pd.DataFrame, name: str) -> np.ndarray:
    """(N,) number of each value of a column of names, in the order first met.

    Raises: ValueError where a value is missing, or is neither a whole number nor a string.
    """
    column = table[name]
    if column.isna().any():
        row = int(column.isna().to_numpy().argmax())
        n = int(column.isna().sum())
        raise ValueError(
            f"{name}: every row must name its own, {n} of {len(column)} are missing (NaN), "
            f"e.g. row {row}"
        )
    if not (types.is_integer_dtype(column.dtype) or _is_text(column)):
        raise ValueError(f"{name}: must hold whole numbers or strings, got {column.dtype}")
    return pd.factorize(column)[0].astype(np.int64)


def _is_text(column: pd.Series) -> bool:
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    return all(isinstance(value, str) for value in values)


@dataclass(frozen=True)
class Names:
    """The columns of names of a table: groups first, then data sets where it has them.

    dtypes: of each by name; columns: all of the table in order.
    """

    dtypes: dict[str, str]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, table: pd.DataFrame, group: str, dataset: str | None) -> Names:
        """The names of a table; ValueError where it has no column of groups."""
        found = [group, *([dataset] if dataset in table.columns else [])]
        for name in found:
            if name not in table.columns:
                has = list(table.columns)
                raise ValueError(f"a grouped table needs the column {name!r}, got {has}")
        return cls({name: str(table[name].dtype) for name in found}, tuple(table.columns))

    def added(self, table: pd.DataFrame, *numbers: np.ndarray) -> pd.DataFrame:
        """A table with its columns of names, numbered from 0 in order of first rows."""
        for (name, dtype), number in zip(self.dtypes.items(), numbers, strict=False):
            table[name] = _named(pd.factorize(number)[0], dtype)
        return table[list(self.columns)]


def _named(numbers: np.ndarray, dtype: str) -> pd.Series:
    """Numbers (N,) as a column of names like the one that was learned."""
    if dtype.lower().startswith(("int", "uint")):
        return pd.Series(numbers).astype(dtype)
    texts = pd.Series(numbers.astype(str), dtype=object)
    return texts.astype("category" if dtype.startswith("category") else dtype)
