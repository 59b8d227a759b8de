"""A stream drawn from its parts: starts, parents, data sets, rows.

In: what was learned (`Learned`), a span of days, a factor on the number of groups, a seed. Out: a
`Stream` of rows in order of time, in numbers and codes of the plain table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generators.conditions import later_seed

from .arrivals import Arrivals
from .children import draw_rows
from .reuse import Reuse
from .rows import Shape
from .submodels import Columns, Submodel

RECENT = 4
"""Weeks at the end of the days learned from: what groups beyond them are like."""
SURPLUS, SLACK = 1.03, 1.08
"""Rows drawn for each one asked for before whole groups are left out: aimed at, and at most."""
TRIES = 12


@dataclass(frozen=True, eq=False)
class Learned:
    """The parts of a grouped generator."""

    shape: Shape
    arrivals: Arrivals
    reuse: Reuse | None
    parent: Submodel
    child: Submodel
    rows_a_day: float


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows in order of time: numbers (N, d), codes (N, c), group (N,) and data set (N,)."""

    numbers: np.ndarray
    codes: np.ndarray
    group: np.ndarray
    dataset: np.ndarray

    def take(self, rows: np.ndarray | slice) -> Stream:
        """Some of the rows."""
        parts = (self.numbers, self.codes, self.group, self.dataset)
        return Stream(*(part[rows] for part in parts))

    def __len__(self) -> int:
        return len(self.group)

    @classmethod
    def joined(cls, parts: list[Stream], when: int) -> Stream:
        """Streams of the same days laid over each other, in order of time."""
        numbers = np.concatenate([part.numbers for part in parts])
        order = np.argsort(numbers[:, when], kind="stable")
        names = [_apart([getattr(part, name) for part in parts]) for name in ("group", "dataset")]
        codes = np.concatenate([part.codes for part in parts])
        return cls(numbers, codes, *names).take(order)


def draw_stream(learned: Learned, begin: float, end: float, factor: float, seed: int) -> Stream:
    """All rows of [begin, end) days of a stream with `factor` times as many groups as learned."""
    start, parents, dataset = draw_groups(learned, begin, end, factor, seed)
    return _fill(learned, start, parents, dataset, end, seed)


def draw_n(learned: Learned, n: int, begin: float, end: float, seed: int) -> Stream:
    """n rows of a stream of [begin, end) days: whole groups drawn at random, the last one cut."""
    factor, rng = n / (learned.rows_a_day * (end - begin)), np.random.default_rng([seed, n])
    for attempt in range(10 * TRIES):
        seed_now = later_seed(seed, 1_000_003 * attempt)
        start, parents, dataset = draw_groups(learned, begin, end, factor * SURPLUS, seed_now)
        expected = _expected_rows(learned.shape, start, parents, end)
        if expected < n or (attempt < TRIES and expected > SLACK * n + learned_size(parents)):
            factor *= np.clip(n * SURPLUS / max(expected, 1.0), 0.5, 2.0)
            continue
        stream = _fill(learned, start, parents, dataset, end, seed_now)
        if len(stream) >= n:
            return stream.take(_whole_groups(stream.group, n, rng))
        factor *= 1.05
    raise ValueError(f"n={n} rows were not reached by {10 * TRIES} streams of this model")


def _apart(parts: list[np.ndarray]) -> np.ndarray:
    """Numbers of several streams made different from each other."""
    ends = np.cumsum([0, *(int(part.max(initial=-1)) + 1 for part in parts)])
    return np.concatenate([part + end for part, end in zip(parts, ends[:-1], strict=True)])


def learned_size(parents: Columns) -> float:
    """Rows of the largest group."""
    return float(parents["size"].max(initial=0))


def _expected_rows(shape: Shape, start: np.ndarray, parents: Columns, end: float) -> float:
    """Rows before the end, were those of each group evenly spread."""
    span = parents["span"] / shape.per_day
    inside = np.divide(end - start, span, out=np.ones(len(start)), where=span > 0).clip(0, 1)
    return float((parents["size"] * inside).sum())


def _whole_groups(group: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n rows, in their order, of groups drawn at random; the last one loses its last rows."""
    place = rng.permutation(int(group.max(initial=0)) + 1)[group]
    return np.sort(np.argsort(place, kind="stable")[:n])


# --- groups ---------------------------------------------------------------------------------------


def draw_groups(
    learned: Learned, begin: float, end: float, factor: float, seed: int
) -> tuple[np.ndarray, Columns, np.ndarray]:
    """Starts (G,), parent's columns and data sets (G,) of the groups that begin in the span."""
    arriving, choosing, mapping = np.random.default_rng(seed).spawn(3)
    shape = learned.shape
    start = learned.arrivals.draw(arriving, begin, end, factor)
    if shape.step:
        start = np.floor(start * shape.per_day) / shape.per_day
    drawing = learned.parent.begin(len(start), seed)
    drawing.reveal({"start": _as_learned(learned.arrivals, start, mapping)})
    parents = drawing.draw(usual(shape.kinds)) if len(start) else _no_groups(shape)
    dataset, before = np.full(len(start), -1), np.full(len(start), -1)
    if learned.reuse is not None and len(start):
        kind = number_kinds(shape, parents, len(start))
        dataset, before = learned.reuse.draw(choosing, start, kind)
    rest = rest_of_parent(shape)
    parents |= {name: np.zeros(len(start)) for name in rest}
    for rows in _generations(before):
        part = drawing.take(rows)
        if learned.reuse is not None:
            part.reveal(before_columns(shape, parents, before[rows]))
        for name, x in part.draw(rest).items():
            x = as_own(parents, name, x, before[rows]) if name.startswith("usual") else x
            parents[name] = parents[name].astype(x.dtype)
            parents[name][rows] = x
    return start, {"start": start} | _possible(shape, parents), dataset


def usual(columns: tuple[int, ...]) -> list[str]:
    """The parent's names of categorical columns."""
    return [f"usual {j}" for j in columns]


def rest_of_parent(shape: Shape) -> list[str]:
    """What is drawn of a group once its data set is known, in order."""
    shared = [j for j in shape.shared if j not in shape.kinds]
    numbers = range(len(shape.numbers))
    return [
        *usual((*shared, *shape.changing)),
        *("size", "bouts", "span"),
        *(f"changes {j}" for j in shape.changing),
        *(f"share {name}" for *_, name in shape.counted()),
        *(f"{what} {j}" for what in ("centre", "spread") for j in numbers),
    ]


def number_kinds(shape: Shape, parents: Columns, n: int) -> np.ndarray:
    """(n,) number of each group's kind: the combination of its kinds' columns."""
    if not shape.kinds:
        return np.zeros(n, np.int64)
    codes = np.column_stack([parents[name] for name in usual(shape.kinds)])
    return np.unique(codes, axis=0, return_inverse=True)[1].ravel()


def before_columns(shape: Shape, parents: Columns, before: np.ndarray) -> Columns:
    """What groups know of the one that read their data set before, (n,) or -1 where it is new."""
    is_new = before < 0
    known = {name: parents[name][before.clip(0)] for name in rest_of_parent(shape)}
    zeros = {f"before {name}": np.where(is_new, np.zeros_like(x), x) for name, x in known.items()}
    return {"is new": is_new.astype(np.int64)} | zeros


def told(shape: Shape, parents: Columns, before: np.ndarray, reads: bool) -> Columns:
    """The parent's columns as they are learned; `reads`: groups read data sets."""
    known = before_columns(shape, parents, before) if reads else {}
    names = [name for name in rest_of_parent(shape) if name.startswith("usual")]
    return parents | known | {name: as_before(parents, name, before) for name in names}


def as_before(parents: Columns, name: str, before: np.ndarray) -> np.ndarray:
    """A category of all groups, 0 where it is that of the group before and its code + 1 else."""
    own = parents[name]
    return np.where((before >= 0) & (own == own[before.clip(0)]), 0, own + 1)


def as_own(parents: Columns, name: str, told: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Inverse of `as_before` for some groups, whose groups before are known."""
    other = parents[name][before.clip(0)].astype(np.int64)
    return np.where(told > 0, told - 1, np.where(before >= 0, other, 0))


def _generations(before: np.ndarray) -> list[np.ndarray]:
    """Groups whose data set is new, then those that follow one of these, and so on."""
    depth = np.zeros(len(before), np.int64)
    for i in np.flatnonzero(before >= 0):  # in order of start, so the one before is done
        depth[i] = depth[before[i]] + 1
    return (
        [np.flatnonzero(depth == k) for k in range(int(depth.max(initial=-1)) + 1)]
        if len(depth)
        else []
    )


def _as_learned(arrivals: Arrivals, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Starts whose like were learned: those beyond go back whole weeks into the last RECENT."""
    late = start >= arrivals.end
    weeks = int(min(RECENT, max((arrivals.end - arrivals.begin) // 7, 1)))
    back = np.floor((start - arrivals.end) / 7) + 1 + rng.integers(0, weeks, len(start))
    return np.where(late, np.maximum(start - 7 * back, arrivals.begin), start)


def _no_groups(shape: Shape) -> Columns:
    return {name: np.zeros(0, np.int64) for name in usual(shape.kinds)}


def _possible(shape: Shape, parents: Columns) -> Columns:
    """The same, no group with more bouts than rows, nor lasting with one row; shares sum to 1."""
    size = np.maximum(np.rint(parents["size"]), 1.0)
    bouts = np.clip(np.rint(parents["bouts"]), 1.0, size)
    span = np.where(size > 1, np.maximum(parents["span"], 0.0), 0.0)
    out = parents | {"size": size, "bouts": bouts, "span": span}
    for j, n in zip(shape.changing, shape.levels, strict=True):
        names = [f"share {j} {k}" for k in range(n)]
        total = sum(out[name] for name in names) if names else 1.0
        out |= {name: out[name] / np.maximum(total, 1e-9) for name in names}
    return out


# --- rows -----------------------------------------------------------------------------------------


def _fill(
    learned: Learned,
    start: np.ndarray,
    parents: Columns,
    dataset: np.ndarray,
    end: float,
    seed: int,
) -> Stream:
    """The rows of groups that come before the end, in order of time."""
    shape = learned.shape
    of, gap, changing, scores = draw_rows(shape, learned.child, parents, seed)
    first = np.cumsum(parents["size"].astype(np.int64)) - parents["size"].astype(np.int64)
    elapsed = np.cumsum(gap)
    elapsed -= elapsed[first[of]]
    time = start[of] + elapsed / shape.per_day
    if shape.step:
        time = np.rint(time * shape.per_day) / shape.per_day
    numbers = np.zeros((len(of), len(shape.numbers) + 1))
    numbers[:, shape.when] = time
    for j, (column, scale) in enumerate(zip(shape.numbers, shape.scales, strict=True)):
        numbers[:, column] = scale.values(scores[:, j])
    codes = np.zeros((len(of), len(shape.shared) + len(shape.changing)), np.int64)
    for j in shape.shared:
        codes[:, j] = parents[f"usual {j}"][of]
    for i, j in enumerate(shape.changing):
        codes[:, j] = changing[:, i]
    rows = np.flatnonzero(time < end)
    rows = rows[np.argsort(time[rows], kind="stable")]
    return Stream(numbers[rows], codes[rows], of[rows], dataset[of[rows]])
