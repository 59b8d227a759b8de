"""k-d trees over groups of rows, and the search for the nearest rows of a group, in numba.

In: the numbers of each row, and the group it belongs to. Out: `Trees`, one tree for each group.
`search` finds the k nearest rows of many queries in parallel, each in the tree of its own group.
Every query is searched in a fixed order, so the result does not depend on the number of threads.
Source: Friedman, Bentley & Finkel (1977), with the split at the median of the widest axis.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from foundations.forks import Forkable

LEAF = 12  # a node with at most this many rows is scanned
CHUNK = 256  # most queries handed to a thread at a time
DEPTH = 130  # room on the stack of nodes: two for each level of 2^64 rows
EQUAL, UNSORTED = -1, -2  # axes of nodes that are not split
MIN_QUERIES = 5  # a tree over n rows pays from about 5 log2(n) queries on; fewer scan the rows


class Trees(NamedTuple):
    """k-d trees over groups of rows: rows starts[g]:starts[g + 1] form the tree of group g.

    points: (n, d), in the order of the trees. rows: (n,) numbers of these rows in the index.
    axis: (n,) axis that the middle row of a node splits (EQUAL: all points of the node are equal;
    UNSORTED: the node is in no order). starts: (groups + 1,).
    """

    points: np.ndarray
    rows: np.ndarray
    axis: np.ndarray
    starts: np.ndarray


class Queries(NamedTuple):
    """Which queries to search, and where.

    numbers: (m, d) of all queries. codes: (m, c) of all queries. active: (a,) queries to search.
    group: (a,) tree of each active query. floor: (m,) cost that no row of its tree is below.
    """

    numbers: np.ndarray
    codes: np.ndarray
    active: np.ndarray
    group: np.ndarray
    floor: np.ndarray


class Costs(NamedTuple):
    """What a row costs before its numbers are compared.

    start: cost of every row. row_codes: (n, c) categories in the order of the trees, compared row
    by row. weights: (c,) cost of each mismatch; empty where categories are not compared. ones:
    whether all weights are 1. p1: whether numbers cost |x - y| instead of (x - y)^2.
    """

    start: float
    row_codes: np.ndarray
    weights: np.ndarray
    ones: bool
    p1: bool


def build_trees(
    numbers: np.ndarray, group: np.ndarray, n_groups: int, n_queries: np.ndarray | None = None
) -> Trees:
    """Trees over the rows (n, d) of groups 0..n_groups - 1; rows of group -1 are left out.

    n_queries: (n_groups,) queries each group will get; groups with few get no tree.
    """
    rows, starts = sort_by_group(group, n_groups)
    points = numbers[rows]
    axis = np.full(len(rows), EQUAL, np.int64)
    sizes = np.diff(starts)
    is_large = sizes > LEAF
    pays = is_large
    if n_queries is not None:
        pays = n_queries > MIN_QUERIES * np.log2(np.maximum(sizes, 1))
    axis[(starts[:-1] + starts[1:])[is_large & ~pays] >> 1] = UNSORTED
    split = np.flatnonzero(is_large & pays)
    if split.size:
        _build(points, rows, axis, starts, split[np.argsort(-sizes[split], kind="stable")])
    return Trees(points, rows, axis, starts)


@njit(cache=True)
def sort_by_group(group, n_groups):
    """Rows of groups 0..n_groups-1 in counting-sort order, and where each group starts."""
    starts = np.zeros(n_groups + 1, np.int64)
    for g in group:
        if g >= 0:
            starts[g + 1] += 1
    starts = np.cumsum(starts)
    at = starts[:-1].copy()
    rows = np.empty(starts[-1], np.int64)
    for r in range(group.size):
        g = group[r]
        if g >= 0:
            rows[at[g]] = r
            at[g] += 1
    return rows, starts


@Forkable
@njit(parallel=True, cache=True)
def _build(points, rows, axis, starts, groups):
    for i in prange(groups.size):
        _build_tree(points, rows, axis, starts[groups[i]], starts[groups[i] + 1])


@njit(cache=True)
def _build_tree(points, rows, axis, lo, hi):
    """Arrange rows lo:hi so that the middle row of a node is the median of its widest axis."""
    stack = np.empty((DEPTH, 2), np.int64)
    stack[0, 0], stack[0, 1], depth = lo, hi, 1
    while depth > 0:
        depth -= 1
        lo, hi = stack[depth]
        if hi - lo <= LEAF:
            continue
        widest, width = _widest_axis(points, lo, hi)
        if not width > 0.0:
            continue
        mid = (lo + hi) >> 1
        _select(points, rows, lo, hi - 1, mid, widest)
        axis[mid] = widest
        stack[depth, 0], stack[depth, 1] = lo, mid
        stack[depth + 1, 0], stack[depth + 1, 1] = mid + 1, hi
        depth += 2


@njit(cache=True)
def _widest_axis(points, lo, hi):
    widest, width = -1, 0.0
    for d in range(points.shape[1]):
        low = high = points[lo, d]
        for r in range(lo + 1, hi):
            low = min(low, points[r, d])
            high = max(high, points[r, d])
        if high - low > width:
            widest, width = d, high - low
    return widest, width


@njit(cache=True)
def _select(points, rows, lo, hi, k, d):
    """Quickselect on axis d with three-way partition, so that ties stay linear."""
    while lo < hi:
        a, b, c = points[lo, d], points[(lo + hi) >> 1, d], points[hi, d]
        pivot = max(min(a, b), min(max(a, b), c))
        below, i, above = lo, lo, hi
        while i <= above:
            if points[i, d] < pivot:
                _swap(points, rows, below, i)
                below += 1
                i += 1
            elif points[i, d] > pivot:
                _swap(points, rows, i, above)
                above -= 1
            else:
                i += 1
        if k < below:
            hi = below - 1
        elif k > above:
            lo = above + 1
        else:
            return


@njit(cache=True)
def _swap(points, rows, a, b):
    if a != b:
        for d in range(points.shape[1]):
            points[a, d], points[b, d] = points[b, d], points[a, d]
        rows[a], rows[b] = rows[b], rows[a]


@Forkable
@njit(parallel=True, cache=True)
def search(trees, queries, costs, exclude_self, best_cost, best_row):
    """Improve best_cost and best_row (m, k) of the active queries by the rows of their trees.

    exclude_self: query q is row q of the index and is not its own neighbour.
    """
    points, rows, axis, starts = trees  # arrays in tuples would be counted at every access
    numbers, codes, active, group, floor = queries
    start, row_codes, weights, ones, p1 = costs
    size = min(CHUNK, 1 + active.size // 64)  # few queries may be long ones: share them out
    for chunk in prange((active.size + size - 1) // size):
        nodes = np.empty((DEPTH, 2), np.int64)
        gaps = np.empty((DEPTH, points.shape[1]))
        no_code = np.empty(0, np.int32)
        for i in range(chunk * size, min(active.size, (chunk + 1) * size)):
            q = active[i]
            code = codes[q] if weights.size else no_code
            own = q if exclude_self else -1
            best, held = best_cost[q], best_row[q]
            nodes[0, 0], nodes[0, 1] = starts[group[i]], starts[group[i] + 1]
            gaps[0] = 0.0
            _search_tree(
                points, rows, axis, row_codes, weights, ones, p1, start,
                numbers[q], code, own, floor[q], nodes, gaps, best, held,
            )  # fmt: skip


@njit(inline="always")
def _search_tree(
    points,
    rows,
    axis,
    row_codes,
    weights,
    ones,
    p1,
    start,
    x,
    code,
    own,
    floor,
    nodes,
    gaps,
    best,
    held,
):
    """Visit the nodes on the stack, the nearest first, until none can hold a better row."""
    last, top = best.size - 1, 1
    while top > 0:
        top -= 1
        lo, hi = nodes[top]
        if _bound(gaps[top], floor) >= best[last] or hi <= lo:
            continue
        mid = (lo + hi) >> 1
        d = axis[mid] if hi - lo > LEAF else UNSORTED
        if d < 0:
            equal = d == EQUAL and weights.size == 0
            for r in range(lo, hi):
                cost = _cost(points[r], x, _start(row_codes, code, weights, ones, start, r), p1)
                if cost < best[last]:
                    if rows[r] != own:
                        _offer(cost, rows[r], best, held)
                elif equal:
                    break
                if best[last] <= floor:
                    break
            continue
        cost = _cost(points[mid], x, _start(row_codes, code, weights, ones, start, mid), p1)
        if cost < best[last] and rows[mid] != own:
            _offer(cost, rows[mid], best, held)
        _push_halves(nodes, gaps, top, mid, d, x[d] - points[mid, d], p1)
        top += 2


@njit(inline="always")
def _push_halves(nodes, gaps, top, mid, axis, delta, p1):
    """Replace the node on top of the stack by its halves, the one with the query on top."""
    lo, hi = nodes[top]
    size = abs(delta)
    gaps[top + 1] = gaps[top]
    gaps[top, axis] = max(gaps[top, axis], size if p1 else size * size)
    if delta < 0:
        nodes[top + 1, 0], nodes[top + 1, 1] = lo, mid
        nodes[top, 0], nodes[top, 1] = mid + 1, hi
    else:
        nodes[top + 1, 0], nodes[top + 1, 1] = mid + 1, hi
        nodes[top, 0], nodes[top, 1] = lo, mid


@njit(inline="always")
def _bound(gap, floor):
    """floor + sum of the distances to a node's cell: never above the cost of a row in it."""
    bound = floor
    for d in range(gap.size):
        bound += gap[d]
    return bound


@njit(inline="always")
def _cost(point, x, start, p1):
    """start + sum_i |x_i - y_i|^p, summed in column order."""
    cost = start
    for d in range(x.size):
        delta = abs(x[d] - point[d])
        cost += delta if p1 else delta * delta
    return cost


@njit(inline="always")
def _start(row_codes, code, weights, ones, start, r):
    """What row r costs before its numbers: `start` and the weights of the mismatches."""
    if ones:  # whole numbers may be summed in any order, many at a time
        count = 0
        for j in range(code.size):
            count += row_codes[r, j] != code[j]
        return start + count
    for j in range(weights.size):
        start += weights[j] if row_codes[r, j] != code[j] else 0.0
    return start


@njit(cache=True)
def _offer(cost, row, best_cost, best_row):
    """Insert a candidate below the k-th best, unless its row is held (at no higher cost)."""
    for i in range(best_row.size):
        if best_row[i] == row:
            return
    i = best_row.size - 1
    while i > 0 and best_cost[i - 1] > cost:
        best_cost[i], best_row[i] = best_cost[i - 1], best_row[i - 1]
        i -= 1
    best_cost[i], best_row[i] = cost, row
