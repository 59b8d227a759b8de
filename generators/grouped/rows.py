"""What a row of a group looks like beside what its group shares.

In: arrays of a table and its `Groups`. Out: `Shape`, which says of each column whether it is one
value a group or changes inside; of each group what its rows share (parent's columns); of each row
what it is given, and what is new in it (child's columns).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from generators.bins import fit_bins

from .groups import Groups, most_frequent
from .scale import Scale
from .submodels import Columns

AS_BEFORE, USUAL, OTHER, N_CODES = 0, 1, 2, 3
"""How a new category is told: as in the row before, the group's usual one, the one before the last
change; any other has its code above these."""
FEW = 6
"""Levels up to which a group's share of each is learned, else that of its usual one alone."""
SECONDS = 86_400.0
CONSTANT = 0.999  # share of rows that agree with their group, from which a column is one value


@dataclass(frozen=True, eq=False)
class Shape:
    """The columns of a table beside groups and data sets, by their numbers among their kind."""

    when: int
    """The numerical column of times."""
    kinds: tuple[int, ...]
    """Categoricals that are one value a group, and one a data set where there are such."""
    shared: tuple[int, ...]
    """Categoricals that are one value a group, the kinds among them."""
    changing: tuple[int, ...]
    """The other categoricals."""
    levels: tuple[int, ...]
    """Of each of `changing`: how many levels have shares of their own, 0 for the usual one."""
    numbers: tuple[int, ...]
    """The other numericals."""
    scales: tuple[Scale, ...]
    """Of each of `numbers`."""
    per_day: float
    """Steps of the clock in a day: what gaps and spans are counted in."""
    long: float
    """The longest gap inside a bout, in these steps."""
    step: bool
    """Whether times lie on the steps."""

    def counted(self) -> list[tuple[int, int, str]]:
        """What is counted of the changing columns: place, level (-1 the usual one), name."""
        found = []
        for i, (j, n) in enumerate(zip(self.changing, self.levels, strict=True)):
            found += [(i, k, f"{j} {k}") for k in range(n)] or [(i, -1, f"{j}")]
        return found

    def scored(self, numbers: np.ndarray) -> np.ndarray:
        """Normal scores (N, len(self.numbers)) of numbers (N, d)."""
        out = np.empty((len(numbers), len(self.numbers)))
        for j, (column, scale) in enumerate(zip(self.numbers, self.scales, strict=True)):
            out[:, j] = scale.score(numbers[:, column])
        return out


def find_shape(when: int, groups: Groups, numbers: np.ndarray, codes: np.ndarray) -> Shape:
    """The shape of a table whose rows are in order of group and time."""
    of, n = groups.of_row, len(groups.size)
    usual = [most_frequent(of, column, n) for column in codes.T]
    shared = tuple(j for j, x in enumerate(codes.T) if np.mean(x == usual[j][of]) >= CONSTANT)
    kinds = shared
    if (groups.dataset >= 0).all():
        kinds = tuple(j for j in shared if _is_shared(groups.dataset, usual[j]))
    others = tuple(j for j in range(numbers.shape[1]) if j != when)
    changing = tuple(j for j in range(codes.shape[1]) if j not in shared)
    grid = fit_bins(numbers[:, when], 4, 1, days=True).grid
    shape = Shape(
        when=when,
        kinds=kinds,
        shared=shared,
        changing=changing,
        levels=tuple(int(n) if n <= FEW else 0 for n in codes.max(0)[list(changing)] + 1),
        numbers=others,
        scales=tuple(Scale.of(numbers[:, j]) for j in others),
        per_day=float(grid[2] / grid[1]) if grid[1] else SECONDS,
        long=np.inf,
        step=bool(grid[1]),
    )
    gap = gaps(shape, groups, numbers[:, when])
    return replace(shape, long=part_gaps(np.delete(gap, groups.first[:-1])))


def _is_shared(dataset: np.ndarray, code: np.ndarray) -> bool:
    """Whether the groups of a data set have the same code, but for a few."""
    usual = most_frequent(dataset, code, int(dataset.max()) + 1)
    return bool(np.mean(usual[dataset] == code) >= CONSTANT)


def part_gaps(gap: np.ndarray) -> float:
    """The longest of the short gaps: logs are cut where two classes differ most (Otsu 1979)."""
    value, count = np.unique(gap, return_counts=True)
    if len(value) < 2:
        return np.inf
    x, upto = np.log1p(value), np.cumsum(count)
    total = np.cumsum(x * count)
    below, above = upto[:-1], upto[-1] - upto[:-1]
    difference = total[:-1] / below - (total[-1] - total[:-1]) / above
    return float(value[np.argmax(below * above * difference**2)])


# --- parents --------------------------------------------------------------------------------------


def describe_groups(
    shape: Shape, groups: Groups, time: np.ndarray, scores: np.ndarray, codes: np.ndarray
) -> Columns:
    """The parent's columns of G groups; time, scores (N, d) and codes are in order of the rows."""
    of, n = groups.of_row, len(groups.size)
    first, last = groups.first[:-1], groups.first[1:] - 1
    gap = gaps(shape, groups, time)
    out: Columns = {"start": time[first]}
    for j in order_categories(shape):
        out[f"usual {j}"] = most_frequent(of, codes[:, j], n)
    out["size"] = groups.size.astype(np.float64)
    out["bouts"] = 1.0 + np.add.reduceat(gap > shape.long, first)
    out["span"] = as_steps(shape, time[last] - time[first])
    for i, k, name in shape.counted():
        is_so = _has(shape, out, of, codes, i, k)
        out[f"share {name}"] = np.add.reduceat(is_so, first) / groups.size
    for j in shape.changing:
        out[f"changes {j}"] = 1.0 * np.add.reduceat(_changes(groups, codes[:, j]), first)
    for j in range(len(shape.numbers)):
        middle = medians(groups, scores[:, j])
        out[f"centre {j}"] = middle
        square = np.add.reduceat((scores[:, j] - middle[of]) ** 2, first)
        out[f"spread {j}"] = np.sqrt(square / groups.size)
    return out


def _has(
    shape: Shape, parents: Columns, of: np.ndarray, codes: np.ndarray, place: int, level: int
) -> np.ndarray:
    """(N,) which rows have a level of a changing column, or their group's usual one."""
    j = shape.changing[place]
    return codes[:, j] == (level if level >= 0 else parents[f"usual {j}"][of])


def _changes(groups: Groups, code: np.ndarray) -> np.ndarray:
    """(N,) which rows differ from the one before in their group."""
    changed = np.diff(code, prepend=code[:1]) != 0
    changed[groups.first[:-1]] = False
    return changed


def order_categories(shape: Shape) -> list[int]:
    """All categoricals: the kinds, what else is shared, what changes."""
    return [*shape.kinds, *(j for j in shape.shared if j not in shape.kinds), *shape.changing]


def as_steps(shape: Shape, days: np.ndarray) -> np.ndarray:
    """Days as steps of the clock, whole ones where times lie on them."""
    steps = days * shape.per_day
    return np.rint(steps) if shape.step else steps


def gaps(shape: Shape, groups: Groups, time: np.ndarray) -> np.ndarray:
    """(N,) steps since the row before in the group, 0 for the first."""
    gap = as_steps(shape, np.diff(time, prepend=time[:1]))
    gap[groups.first[:-1]] = 0.0
    return gap


def medians(groups: Groups, x: np.ndarray) -> np.ndarray:
    """(G,) lower median of the values (N,) of each group, a value that one of its rows has."""
    order = np.lexsort((x, groups.of_row))
    return x[order][groups.first[:-1] + (groups.size - 1) // 2]


# --- rows -----------------------------------------------------------------------------------------


def of_chain(shape: Shape) -> list[str]:
    """What a row is given of those before it: how many they are; rows, bouts and span its group
    still has; the gap before the last one; rows since the last long gap; of categories the last
    one, whether it is the usual one, changes and shares still to come; residuals of numbers.
    """
    names = ["rank", "rows left", "bouts left", "span left", "last gap", "since"]
    for j in shape.changing:
        names += [f"last {j}", f"is usual {j}", f"changes left {j}"]
    names += [f"left {name}" for *_, name in shape.counted()]
    return names + [f"last residual {j}" for j in range(len(shape.numbers))]


def describe_rows(
    shape: Shape,
    groups: Groups,
    parents: Columns,
    time: np.ndarray,
    scores: np.ndarray,
    codes: np.ndarray,
) -> Columns:
    """The child's columns of N rows: of the parent, of the rows before, and what is new."""
    of, first = groups.of_row, groups.first[:-1]
    rank = np.arange(len(of)) - first[of]
    before = np.arange(len(of)) - (rank > 0)  # the row before, the first row itself
    gap = gaps(shape, groups, time)
    out = {name: x[of] for name, x in parents.items() if name != "start"}
    out |= _clock(shape, groups, parents, time, gap, rank, before)
    new: Columns = {"gap": gap}
    for j in shape.changing:
        known, new[f"new {j}"] = _category(groups, parents, codes[:, j], j, rank, before)
        out |= known
    for i, k, name in shape.counted():
        is_so = _has(shape, parents, of, codes, i, k)
        used = np.cumsum(is_so) - is_so
        left = np.rint(parents[f"share {name}"][of] * parents["size"][of]) - used + used[first][of]
        out[f"left {name}"] = left / out["rows left"]
    for j in range(len(shape.numbers)):
        spread = parents[f"spread {j}"][of]
        away = scores[:, j] - parents[f"centre {j}"][of]
        residual = np.divide(away, spread, out=np.zeros(len(of)), where=spread > 0)
        out[f"last residual {j}"] = np.where(rank > 0, residual[before], 0.0)
        new[f"residual {j}"] = residual
    return out | new


def _clock(
    shape: Shape,
    groups: Groups,
    parents: Columns,
    time: np.ndarray,
    gap: np.ndarray,
    rank: np.ndarray,
    before: np.ndarray,
) -> Columns:
    """Of N rows what those before say about time; `before` (N,) is the row before each."""
    of, first = groups.of_row, groups.first[:-1]
    long = np.cumsum(gap > shape.long)
    begins = (gap > shape.long) | (rank == 0)
    bout = np.maximum.accumulate(np.where(begins, np.arange(len(of)), 0))
    elapsed = as_steps(shape, time[before] - time[first][of])
    return {
        "rank": rank.astype(np.float64),
        "rows left": parents["size"][of] - rank,
        "bouts left": parents["bouts"][of] - 1.0 - (long - long[first][of])[before],
        "span left": parents["span"][of] - elapsed,
        "last gap": gap[before],
        "since": (np.arange(len(of)) - bout[before]).astype(np.float64),
    }


def _category(
    groups: Groups,
    parents: Columns,
    code: np.ndarray,
    j: int,
    rank: np.ndarray,
    before: np.ndarray,
) -> tuple[Columns, np.ndarray]:
    """Of N rows what those before say about a changing column, and how its code is new."""
    of, first = groups.of_row, groups.first[:-1]
    usual = parents[f"usual {j}"][of]
    last = np.where(rank > 0, code[before], usual)
    changed = _changes(groups, code)
    run = np.maximum.accumulate(np.where(changed | (rank == 0), np.arange(len(of)), 0))
    other = np.where(rank > 0, last[run][before], usual)
    so_far = np.cumsum(changed)
    done = (so_far - so_far[first][of])[before]
    known = {
        f"last {j}": last,
        f"is usual {j}": (last == usual).astype(np.int64),
        f"changes left {j}": parents[f"changes {j}"][of] - done,
    }
    return known, tell(code, last, usual, other)


def tell(code: np.ndarray, last: np.ndarray, usual: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How codes (N,) are new, beside those of the row before and of the group; see `AS_BEFORE`."""
    cases = [code == last, code == usual, code == other]
    return np.select(cases, [AS_BEFORE, USUAL, OTHER], code + N_CODES)


def untell(new: np.ndarray, last: np.ndarray, usual: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Inverse of `tell`."""
    cases = [new == AS_BEFORE, new == USUAL, new == OTHER]
    return np.select(cases, [last, usual, other], new - N_CODES)
