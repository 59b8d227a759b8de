"""What rows are asked for: `where` of `sample`, as codes of categories and ranges of numbers.

In: a `Layout` and a dict from columns to a category, several categories, a number, or a range
(low, high) with both ends allowed and None for an open one. Out: `Given`.

    where = {"computingsite": ["BNL-ATLAS", "CERN-PROD"], "creationtime": (30, 37)}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from foundations.checks import SEED_BITS, is_number

from .layout import Column, Layout

MAX_TRIES = 200  # batches drawn before rejection gives up
Rows = tuple[np.ndarray, np.ndarray]
"""Numbers (n, d) and codes (n, c)."""


@dataclass(frozen=True)
class Given:
    """What rows must hold: allowed codes by categorical column, ranges by numerical column."""

    codes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    ranges: dict[int, tuple[float, float]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.codes or self.ranges)

    @property
    def fixed(self) -> dict[int, int]:
        """The columns that must hold one category."""
        return {j: allowed[0] for j, allowed in self.codes.items() if len(allowed) == 1}

    @property
    def is_fixed(self) -> bool:
        """Whether no column has a choice."""
        return len(self.fixed) == len(self.codes) and not self.ranges

    def held_by(self, numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Which rows (n,) hold it."""
        held = np.ones(len(codes), bool)
        for j, allowed in self.codes.items():
            held &= np.isin(codes[:, j], allowed)
        for j, (low, high) in self.ranges.items():
            held &= (numbers[:, j] >= low) & (numbers[:, j] <= high)
        return held


def parse(layout: Layout, where: Mapping[str, Any]) -> Given:
    """The condition in codes and ranges.

    Raises:
        ValueError: an unknown column, a category or a range that was not seen in training, or a
            value that is neither, in one sentence that names the column.
    """
    names = [c.name for c in layout.columns]
    given = Given()
    for name, value in where.items():
        if name not in names:
            raise ValueError(f"where takes the columns {names}, got {name!r}")
        column = layout.columns[names.index(name)]
        if column.numerical:
            given.ranges[layout.numericals.index(column)] = _range(column, value)
        else:
            given.codes[layout.categoricals.index(column)] = _codes(column, value)
    return given


def reject(
    draw: Callable[[int, int], Rows], n: int, seed: int, given: Given, batch: int | None = None
) -> Rows:
    """n rows that hold what is given, by throwing the others away.

    Args:
        draw: n, seed -> numbers and codes.
        batch: rows drawn at once.

    Raises:
        ValueError: too few rows hold the condition.
    """
    kept: list[Rows] = []
    found, batch = 0, batch or max(n, 1024)
    for attempt in range(MAX_TRIES):
        numbers, codes = draw(batch, later_seed(seed, attempt * 1_000_003))
        held = given.held_by(numbers, codes)
        kept.append((numbers[held], codes[held]))
        found += int(held.sum())
        if found >= n:
            break
    else:
        raise ValueError(
            f"where: {found} of {MAX_TRIES * batch} drawn rows hold the condition, "
            f"too few for n={n}"
        )
    numbers, codes = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return numbers[:n], codes[:n]


def later_seed(seed: int, by: int) -> int:
    """The seed so many places after one; the first follows the last."""
    return (seed + by) % 2**SEED_BITS


def reject_codes(
    draw: Callable[[int, int], Rows], n: int, seed: int, codes: Mapping[int, int]
) -> Rows:
    """The same for a single code of each of some categorical columns."""
    return reject(draw, n, seed, Given({j: (k,) for j, k in codes.items()}))


def _codes(column: Column, value: Any) -> tuple[int, ...]:
    """Codes of one category, or of several."""
    wanted = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    if not wanted:
        raise ValueError(f"{column.name}: where needs at least one category")
    for one in wanted:
        if one not in column.categories:
            raise ValueError(f"{column.name}: {one!r} was not seen in training")
    return tuple(sorted({column.categories.index(one) for one in wanted}))


def _range(column: Column, value: Any) -> tuple[float, float]:
    """Both ends of a range, or of a single number."""
    ends = value if isinstance(value, tuple) and len(value) == 2 else (value, value)
    if not all(is_number(end) or (end is None and ends is value) for end in ends):
        raise ValueError(
            f"{column.name}: where takes a number or a range (low, high), got {value!r}"
        )
    low = -inf if ends[0] is None else float(ends[0])
    high = inf if ends[1] is None else float(ends[1])
    if not low <= high:
        raise ValueError(f"{column.name}: a range must not end before it begins, got {value!r}")
    if high < column.low or low > column.high:
        raise ValueError(
            f"{column.name}: no value in [{low:g}, {high:g}] was seen in training, "
            f"only [{column.low:g}, {column.high:g}]"
        )
    return low, high
