"""The rows of many groups drawn together: all first rows, then all second ones, and so on.

In: what the groups share (parent's columns), the child's model, a seed. Out: for each row its group
and its gap in steps, its categories and its scores. A row is drawn given its group and the rows
before it, so a group of a thousand rows takes a thousand draws, whatever the number of groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .rows import Shape, of_chain, untell
from .submodels import Columns, Drawing, Submodel

STRETCH = 2.0  # by how much at most long gaps are stretched or shortened to meet the span


@dataclass(eq=False)
class Chain:
    """Where G groups are, largest first, each after the same number of rows."""

    begun: np.ndarray
    """(G,) long gaps so far."""
    elapsed: np.ndarray
    """(G,) steps since the first row."""
    gap: np.ndarray
    """(G,) steps before the last row."""
    since: np.ndarray
    """(G,) rows since the last long gap."""
    last: np.ndarray
    """(G, changing) codes of the last row."""
    other: np.ndarray
    """(G, changing) codes before the last change."""
    changes: np.ndarray
    """(G, changing) changes so far."""
    used: np.ndarray
    """(G, counted) rows so far that have what is counted."""
    residual: np.ndarray
    """(G, numbers) residuals of the last row."""

    @classmethod
    def of(cls, shape: Shape, parents: Columns) -> Chain:
        """The chain before the first rows."""
        n = len(parents["size"])
        usual = [parents[f"usual {j}"] for j in shape.changing]
        last = np.column_stack(usual) if usual else np.zeros((n, 0), np.int64)
        widths = len(shape.changing), len(shape.counted()), len(shape.numbers)
        rest = [np.zeros((n, width)) for width in widths]
        return cls(*np.zeros((4, n)), last, last.copy(), *rest)


def draw_rows(shape: Shape, child: Submodel, parents: Columns, seed: int) -> tuple[np.ndarray, ...]:
    """Group (N,), gap (N,) in steps, codes (N, changing) and scores (N, numbers) of all rows.

    Rows are in order of group and of time.
    """
    size = parents["size"].astype(np.int64)
    order = np.argsort(-size, kind="stable")
    sorted_parents = {name: x[order] for name, x in parents.items()}
    first = np.cumsum(size) - size
    n = int(size.sum())
    gap = np.zeros(n)
    codes = np.zeros((n, len(shape.changing)), np.int64)
    residual = np.zeros((n, len(shape.numbers)))
    base = child.begin(len(size), seed)
    base.reveal({name: x for name, x in sorted_parents.items() if name != "start"})
    chain = Chain.of(shape, sorted_parents)
    for k in range(int(size.max(initial=0))):
        m = int(np.searchsorted(-size[order], -k, side="left"))
        at = first[order[:m]] + k
        gap[at], codes[at], residual[at] = _next(shape, base, chain, sorted_parents, m, k)
    of = np.repeat(np.arange(len(size)), size)
    gap = meet_spans(shape, of, gap, parents["span"])
    scores = np.empty_like(residual)
    for j in range(len(shape.numbers)):
        scores[:, j] = parents[f"centre {j}"][of] + parents[f"spread {j}"][of] * residual[:, j]
    return of, gap, codes, scores


def _next(
    shape: Shape, base: Drawing, chain: Chain, parents: Columns, m: int, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row k of the m groups that have one: gaps (m,), codes and residuals; the chain moves on."""
    rows = base.take(slice(0, m))
    rows.reveal(_known(shape, chain, parents, m, k))
    new = rows.draw(new_columns(shape))
    gap = np.maximum(new["gap"], 0.0) if k else np.zeros(m)
    _move_clock(shape, chain, gap, k)
    for i, j in enumerate(shape.changing):
        last, other = chain.last[:m, i].copy(), chain.other[:m, i]
        code = untell(new[f"new {j}"], last, parents[f"usual {j}"][:m], other)
        chain.other[:m, i] = np.where(code != last, last, other)
        chain.changes[:m, i] += (code != last) & (k > 0)
        chain.last[:m, i] = code
    for c, (i, level, _) in enumerate(shape.counted()):
        wanted = level if level >= 0 else parents[f"usual {shape.changing[i]}"][:m]
        chain.used[:m, c] += chain.last[:m, i] == wanted
    for j in range(len(shape.numbers)):
        chain.residual[:m, j] = new[f"residual {j}"]
    return gap, chain.last[:m], chain.residual[:m]


def _known(shape: Shape, chain: Chain, parents: Columns, m: int, k: int) -> Columns:
    """The columns `of_chain` of row k of the first m groups."""
    left = parents["size"][:m] - k
    known = {
        "rank": np.full(m, float(k)),
        "rows left": left,
        "bouts left": parents["bouts"][:m] - 1.0 - chain.begun[:m],
        "span left": parents["span"][:m] - chain.elapsed[:m],
        "last gap": chain.gap[:m],
        "since": chain.since[:m] + (k > 0),
    }
    for i, j in enumerate(shape.changing):
        known[f"last {j}"] = chain.last[:m, i]
        known[f"is usual {j}"] = (chain.last[:m, i] == parents[f"usual {j}"][:m]).astype(np.int64)
        known[f"changes left {j}"] = parents[f"changes {j}"][:m] - chain.changes[:m, i]
    for c, (*_, name) in enumerate(shape.counted()):
        in_all = np.rint(parents[f"share {name}"][:m] * parents["size"][:m])
        known[f"left {name}"] = (in_all - chain.used[:m, c]) / left
    for j in range(len(shape.numbers)):
        known[f"last residual {j}"] = chain.residual[:m, j]
    return known


def _move_clock(shape: Shape, chain: Chain, gap: np.ndarray, k: int) -> None:
    m, is_long = len(gap), gap > shape.long
    chain.begun[:m] += is_long
    chain.elapsed[:m] += gap
    chain.gap[:m] = gap
    chain.since[:m] = np.where(is_long | (k == 0), 0.0, chain.since[:m] + 1)


def given_columns(shape: Shape, parents: list[str]) -> list[str]:
    """Names of what a row is given."""
    return [*(name for name in parents if name != "start"), *of_chain(shape)]


def new_columns(shape: Shape) -> list[str]:
    """Names of what is drawn of a row, in order."""
    numbers = [f"residual {j}" for j in range(len(shape.numbers))]
    return ["gap", *(f"new {j}" for j in shape.changing), *numbers]


def meet_spans(shape: Shape, of: np.ndarray, gap: np.ndarray, span: np.ndarray) -> np.ndarray:
    """Gaps (N,) whose long ones are stretched so that each group lasts as long as it should."""
    is_long = gap > shape.long
    n = len(span)
    short = np.bincount(of[~is_long], weights=gap[~is_long], minlength=n)
    long = np.bincount(of[is_long], weights=gap[is_long], minlength=n)
    factor = np.divide(span - short, long, out=np.ones(n), where=long > 0)
    factor = factor.clip(1 / STRETCH, STRETCH)
    stretched = np.where(is_long, gap * factor[of], gap)
    return np.rint(stretched) if shape.step else stretched
