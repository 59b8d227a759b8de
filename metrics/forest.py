"""k-d trees over groups of rows, and the search for the nearest row of a group, in numba.

In: numbers of rows, and the group of each. Out: a `Forest`; `search` fills in the k best rows of
many queries in parallel, each in the tree of its own group. Both work on plain arrays and in a
fixed order, so the threads do not show in the result.
Source: Friedman, Bentley & Finkel (1977), with the split at the median of the widest axis.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

LEAF = 12  # rows below which a tree node is scanned
CHUNK = 256  # queries at most handed to a thread at a time
EQUAL, UNPLANTED = -1, -2  # axes of nodes that are not split
WORTH = 5  # a tree over n rows pays from about WORTH log2(n) queries on, else they scan the rows


class Forest(NamedTuple):
    """k-d trees over groups of rows: rows starts[g]:starts[g + 1] form the tree of group g.

    Shapes: points (n, d); rows (n,) numbers in the index; axis (n,) split at the middle row of
    a node (EQUAL: all points of the node are; UNPLANTED: they lie in no order); starts (groups +
    1,).
    """

    points: np.ndarray
    rows: np.ndarray
    axis: np.ndarray
    starts: np.ndarray


def plant(numbers, group, n_groups, asked=None) -> Forest:
    """Trees over the rows (n, d) of groups 0..n_groups - 1; rows of group -1 are left out.

    `asked` (n_groups,) queries there will be in each group: those asked little get no tree.
    """
    rows, starts = sort_by_group(group, n_groups)
    points = numbers[rows]
    axis = np.full(len(rows), EQUAL, np.int64)
    sizes = np.diff(starts)
    is_large = sizes > LEAF
    pays = is_large if asked is None else asked > WORTH * np.log2(np.maximum(sizes, 1))
    axis[(starts[:-1] + starts[1:])[is_large & ~pays] >> 1] = UNPLANTED
    busy = np.flatnonzero(is_large & pays)
    if busy.size:
        _build(points, rows, axis, starts, busy[np.argsort(-sizes[busy], kind="stable")])
    return Forest(points, rows, axis, starts)


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


@njit(parallel=True, cache=True)
def _build(points, rows, axis, starts, groups):
    for i in prange(groups.size):
        _build_tree(points, rows, axis, starts[groups[i]], starts[groups[i] + 1])


@njit(cache=True)
def _build_tree(points, rows, axis, lo, hi):
    """Arrange rows lo:hi so that the middle row of a node is the median of its widest axis."""
    stack = np.empty((130, 2), np.int64)
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


@njit(inline="always")
def _cost(point, x, start, p1):
    """start + sum_i |x_i - y_i|^p, summed in column order."""
    cost = start
    for d in range(x.size):
        delta = abs(x[d] - point[d])
        cost += delta if p1 else delta * delta
    return cost


@njit(inline="always")
def _bound(gap, start):
    """The same sum over the distances to a node's cell: never above the cost of a row in it."""
    bound = start
    for d in range(gap.size):
        bound += gap[d]
    return bound


@njit(inline="always")
def _start(row_codes, query_code, weights, ones, w, r):
    """Cost before the numbers: w, or the mismatches counted where the forest carries codes."""
    if ones:  # whole numbers may be summed in any order, many at a time
        count = 0
        for j in range(query_code.size):
            count += row_codes[r, j] != query_code[j]
        return w + count
    for j in range(weights.size):
        w += weights[j] if row_codes[r, j] != query_code[j] else 0.0
    return w


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


@njit(parallel=True, cache=True)
def search(
    points,
    rows,
    axis,
    starts,
    row_codes,
    query_codes,
    weights,
    numbers,
    active,
    group,
    floor,
    w,
    p1,
    exclude_self,
    best_cost,
    best_row,
):
    """Search group[i] of the forest for query active[i]; no row there costs less than floor[query].

    row_codes follow `rows`; they and `weights` are empty where every row starts at cost w.
    """
    size = min(CHUNK, 1 + active.size // 64)  # few queries may be long ones: share them out
    n_chunks = (active.size + size - 1) // size
    ones = weights.size > 0 and (weights == 1.0).all()
    n_axes = points.shape[1]
    last = best_cost.shape[1] - 1
    for chunk in prange(n_chunks):
        node = np.empty((130, 2), np.int64)
        gap = np.empty((130, n_axes))
        no_code = np.empty(0, np.int32)
        for u in range(chunk * size, min(active.size, (chunk + 1) * size)):
            q = active[u]
            x = numbers[q]
            code = query_codes[q] if weights.size else no_code
            best, held = best_cost[q], best_row[q]
            node[0, 0], node[0, 1] = starts[group[u]], starts[group[u] + 1]
            gap[0] = 0.0
            top = 1
            while top > 0:
                top -= 1
                if _bound(gap[top], floor[q]) >= best[last]:
                    continue
                lo, hi = node[top]
                if hi <= lo:
                    continue
                mid = (lo + hi) >> 1
                d = axis[mid] if hi - lo > LEAF else UNPLANTED
                if d < 0:
                    equal = d == EQUAL and weights.size == 0
                    for r in range(lo, hi):
                        cost = _cost(points[r], x, _start(row_codes, code, weights, ones, w, r), p1)
                        if cost < best[last]:
                            if not (exclude_self and rows[r] == q):
                                _offer(cost, rows[r], best, held)
                        elif equal:
                            break
                        if best[last] <= floor[q]:
                            break
                    continue
                cost = _cost(points[mid], x, _start(row_codes, code, weights, ones, w, mid), p1)
                if cost < best[last] and not (exclude_self and rows[mid] == q):
                    _offer(cost, rows[mid], best, held)
                delta = abs(x[d] - points[mid, d])
                far = max(gap[top, d], delta if p1 else delta * delta)
                gap[top + 1] = gap[top]
                gap[top, d] = far
                if x[d] < points[mid, d]:
                    node[top + 1, 0], node[top + 1, 1] = lo, mid
                    node[top, 0], node[top, 1] = mid + 1, hi
                else:
                    node[top + 1, 0], node[top + 1, 1] = mid + 1, hi
                    node[top, 0], node[top, 1] = lo, mid
                top += 2
