"""Exact nearest records in a table of numbers and categories, at a million rows.

In: numbers already scaled and categories as integer codes. Out: the k nearest rows of the index,
with d(x, y) = (sum_i |x_i - y_i|^p + sum_j w_j [x_j != y_j])^(1/p), i over numbers, j over
categories.

A row that mismatches the query in exactly the columns S costs at least w(S), the sum of their
weights. So the sets S are visited in increasing w(S): rows are grouped by their categories outside
S, each group holds a k-d tree over its numbers (Friedman, Bentley & Finkel 1977), and a query
leaves as soon as its k-th best cost is not above w(S). With many categorical columns there are too
many sets: after `MAX_SUBSETS` of them, or when few queries are left, the rest is finished in one
tree over all rows that counts mismatches row by row, which is exact too and at worst a brute-force
scan (`NeighbourIndex.work` says how many queries took that road).

Every bound is a float64 sum of the same terms in the same order as the cost it bounds, and rounding
is monotone, so the distances are those of brute force to the last bit.
"""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit, prange

LEAF = 12  # rows below which a tree node is scanned
CHUNK = 256  # queries handed to a thread at a time
MAX_SUBSETS = 256  # sets of mismatching columns tried before the single tree takes over
FEW = 16  # queries left for which one more grouping of all rows costs more than a scan
MAX_KEY = 2**62  # products of cardinalities above this are compressed on the way


@dataclass(frozen=True)
class Work:
    """What the last query cost: sets of columns tried, queries finished in the single tree."""

    subsets: int
    fallback: int


class Forest(NamedTuple):
    """k-d trees over groups of rows: rows starts[g]:starts[g + 1] form the tree of group g.

    Shapes: points (n, d); rows (n,) numbers in the index; axis (n,) split at the middle row of
    a node (-1: all points of the node are equal); starts (groups + 1,).
    """

    points: np.ndarray
    rows: np.ndarray
    axis: np.ndarray
    starts: np.ndarray


class NeighbourIndex:
    """Exact k-nearest-neighbour index over a mixed table.

    Args:
        numbers: (n, d) float64, scaled by the caller; d may be 0.
        codes: (n, c) integers, one column per categorical; c may be 0.
        weights: (c,) cost of a mismatch in each categorical column, ones by default.
        p: 1 or 2, the power in the distance.

    Raises: ValueError for an empty table, NaN or infinite numbers, wrong shapes, negative weights.

    Example:
        >>> index = NeighbourIndex(np.array([[0.0], [1.0]]), np.array([[0], [1]]))
        >>> index.query(np.array([[0.2]]), np.array([[1]]))[1]
        array([[1]])
    """

    def __init__(self, numbers, codes, weights=None, p: int = 2):
        self.numbers, codes = _checked(numbers, codes, "index")
        if len(self.numbers) == 0:
            raise ValueError("an index needs at least one row, got 0")
        if p not in (1, 2):
            raise ValueError(f"p must be 1 or 2, got p={p}")
        self.p = p
        self.weights = _checked_weights(weights, codes.shape[1])
        self._levels = [np.unique(column) for column in codes.T]
        self.codes = self._encode(codes)
        self._whole: tuple[Forest, np.ndarray] | None = None
        self.work = Work(0, 0)

    def __len__(self) -> int:
        return len(self.numbers)

    def query(self, numbers, codes, k: int = 1, exclude_self: bool = False):
        """Return (distance (m, k) float64, row (m, k) int64), nearest first.

        With `exclude_self` query row i is index row i and is not its own neighbour (leave-one-out).
        Rows at equal distance come in an order that is fixed for given tables but otherwise
        unspecified. Where the index holds fewer than k candidates the distance is inf, the row -1.
        """
        numbers, codes = _checked(numbers, codes, "query")
        self._check_query(numbers, codes, k, exclude_self)
        codes = self._encode(codes)
        best = Best(len(numbers), k, exclude_self)
        self._search(numbers, codes, best)
        distance = np.sqrt(best.cost) if self.p == 2 else best.cost
        return distance, best.row

    def _check_query(self, numbers, codes, k, exclude_self) -> None:
        if numbers.shape[1] != self.numbers.shape[1] or codes.shape[1] != self.codes.shape[1]:
            raise ValueError(
                f"query must have {self.numbers.shape[1]} numbers and {self.codes.shape[1]} codes "
                f"a row as the index has, got {numbers.shape[1]} and {codes.shape[1]}"
            )
        if k < 1:
            raise ValueError(f"k must be positive, got k={k}")
        if exclude_self and len(numbers) != len(self):
            raise ValueError(
                f"exclude_self needs the {len(self)} rows of the index, got {len(numbers)}"
            )

    def _encode(self, codes: np.ndarray) -> np.ndarray:
        """Codes 0..K-1 of the categories of the index; -1 for those it never saw."""
        out = np.empty(codes.shape, np.int64)
        for j, levels in enumerate(self._levels):
            at = np.minimum(np.searchsorted(levels, codes[:, j]), len(levels) - 1)
            out[:, j] = np.where(levels[at] == codes[:, j], at, -1)
        return out

    def _search(self, numbers, codes, best: "Best") -> None:
        floor = _unseen_cost(codes, self.weights)
        slack = 1.0 if (self.weights == np.rint(self.weights)).all() else 1.0 - 1e-12
        n_subsets = 0
        for subset in _subsets_by_weight(self.weights):
            weight = _weight(self.weights, subset)
            np.maximum(floor, weight * slack, out=floor)  # sums of fractions may come out of order
            active = np.flatnonzero(best.cost[:, -1] > floor)
            if active.size == 0:
                break
            if n_subsets == MAX_SUBSETS or (active.size <= FEW and n_subsets > 0):
                self._finish(numbers, codes, active, floor, best)
                self.work = Work(n_subsets, active.size)
                return
            self._visit(numbers, codes, active, subset, weight, best)
            n_subsets += 1
        self.work = Work(n_subsets, 0)

    def _visit(self, numbers, codes, active, subset, weight, best: "Best") -> None:
        """Compare the active queries with the rows that agree with them outside `subset`."""
        kept = [j for j in range(codes.shape[1]) if j not in subset]
        seen = active[(codes[np.ix_(active, kept)] >= 0).all(axis=1)] if kept else active
        if seen.size == 0:
            return
        row_group, query_group, n_groups = self._groups(codes[seen], kept)
        forest = _forest(self.numbers, row_group, n_groups)
        order = _by_place(numbers[seen], query_group)
        none = np.empty((0, 0), np.int64)
        _query(
            *forest, none, none, self.weights[:0], numbers, seen[order], query_group[order],
            np.full(len(numbers), weight), weight, self.p == 1, best.exclude_self,
            best.cost, best.row,
        )  # fmt: skip

    def _groups(self, codes, kept):
        """Group numbers by the columns `kept` of the rows (-1: no query there) and the queries."""
        row_key = np.zeros(len(self), np.int64)
        query_key = np.zeros(len(codes), np.int64)
        size = 1
        for j in kept:
            n_levels = len(self._levels[j])
            if size * n_levels > MAX_KEY:
                row_key, query_key, size = _dense(row_key, query_key)
            row_key = np.where(row_key < 0, -1, row_key * n_levels + self.codes[:, j])
            query_key = query_key * n_levels + codes[:, j]
            size *= n_levels
        return _dense(row_key, query_key)

    def _finish(self, numbers, codes, active, floor, best: "Best") -> None:
        """Finish the active queries in one tree over all rows, counting mismatches row by row."""
        if self._whole is None:
            forest = _forest(self.numbers, np.zeros(len(self), np.int64), 1)
            self._whole = forest, self.codes[forest.rows]
        forest, row_codes = self._whole
        order = _by_place(numbers[active], np.zeros(active.size, np.int64))
        _query(
            *forest, row_codes, codes, self.weights, numbers, active[order],
            np.zeros(active.size, np.int64), floor, 0.0, self.p == 1, best.exclude_self,
            best.cost, best.row,
        )  # fmt: skip


class Best:
    """The k best candidates so far of every query: cost (m, k) ascending and row (m, k)."""

    def __init__(self, m: int, k: int, exclude_self: bool):
        self.cost = np.full((m, k), np.inf)
        self.row = np.full((m, k), -1, np.int64)
        self.exclude_self = exclude_self


def _checked(numbers, codes, what: str) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.ascontiguousarray(numbers, np.float64)
    codes = np.ascontiguousarray(codes, np.int64)
    if numbers.ndim != 2 or codes.ndim != 2 or len(numbers) != len(codes):
        raise ValueError(
            f"{what}: numbers and codes must be two-dimensional with equally many rows, "
            f"got shapes {numbers.shape} and {codes.shape}"
        )
    if not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        raise ValueError(
            f"{what}: numbers must be finite, "
            f"got {numbers[row, column]} in row {row}, column {column}"
        )
    return numbers, codes


def _checked_weights(weights, n_columns: int) -> np.ndarray:
    weights = np.ones(n_columns) if weights is None else np.asarray(weights, np.float64)
    if weights.shape != (n_columns,) or not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(f"weights must be {n_columns} finite numbers >= 0, got {weights.tolist()}")
    return weights


def _unseen_cost(codes, weights) -> np.ndarray:
    """(m,) least cost of each query: its categories that the index never saw mismatch every row."""
    cost = np.zeros(len(codes))
    for j, weight in enumerate(weights):
        cost[codes[:, j] < 0] += weight
    return cost


def _subsets_by_weight(weights: np.ndarray) -> Iterator[frozenset[int]]:
    """Sets of columns in increasing total weight, drawn lazily: there are 2^c of them.

    Columns are taken in increasing weight; the sets after one that ends in column j replace j by
    the next column or add the next one, so each is reached once and never before a cheaper one.
    """
    order = np.argsort(weights, kind="stable")
    heap = [(0.0, ())]
    while heap:
        _, chosen = heapq.heappop(heap)
        yield frozenset(int(order[i]) for i in chosen)
        after = chosen[-1] + 1 if chosen else 0
        if after < len(order):
            for child in {(*chosen[:-1], after), (*chosen, after)}:
                heapq.heappush(heap, (math.fsum(weights[order[list(child)]]), child))


def _weight(weights, columns) -> float:
    """Summed in column order, as the cost of a row is."""
    total = 0.0
    for j in sorted(columns):
        total += weights[j]
    return total


def _dense(row_key, query_key) -> tuple[np.ndarray, np.ndarray, int]:
    """Number the keys that occur among the queries 0..G-1; rows with none of them get -1."""
    levels, query_group = np.unique(query_key, return_inverse=True)
    at = np.minimum(np.searchsorted(levels, row_key), len(levels) - 1)
    return np.where(levels[at] == row_key, at, -1), query_group, len(levels)


def _forest(numbers, group, n_groups) -> Forest:
    rows, starts = _sort_by_group(group, n_groups)
    points = numbers[rows]
    axis = np.full(len(rows), -1, np.int64)
    sizes = np.diff(starts)
    busy = np.flatnonzero(sizes > LEAF)
    busy = busy[np.argsort(-sizes[busy], kind="stable")]
    _build(points, rows, axis, starts, busy)
    return Forest(points, rows, axis, starts)


def _by_place(numbers, group) -> np.ndarray:
    """Order of queries in which neighbours in the table follow each other, for the cache."""
    return np.lexsort((numbers[:, 0], group)) if numbers.shape[1] else np.argsort(group)


@njit(cache=True)
def _sort_by_group(group, n_groups):
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
def _start(row_codes, query_code, weights, w, r):
    """Cost before the numbers: w, or the mismatches counted where the forest carries codes."""
    for j in range(weights.size):
        if row_codes[r, j] != query_code[j]:
            w += weights[j]
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
def _query(
    points, rows, axis, starts, row_codes, query_codes, weights, numbers, active, group,
    floor, w, p1, exclude_self, best_cost, best_row,
):  # fmt: skip
    """Search group[i] of the forest for query active[i]; no row there costs less than floor[query].

    row_codes follow `rows`; they and `weights` are empty where every row starts at cost w.
    """
    n_chunks = (active.size + CHUNK - 1) // CHUNK
    n_axes = points.shape[1]
    last = best_cost.shape[1] - 1
    for chunk in prange(n_chunks):
        node = np.empty((130, 2), np.int64)
        gap = np.empty((130, n_axes))
        no_code = np.empty(0, np.int64)
        for u in range(chunk * CHUNK, min(active.size, (chunk + 1) * CHUNK)):
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
                d = axis[mid] if hi - lo > LEAF else -1
                if d < 0:
                    equal = hi - lo > LEAF and weights.size == 0
                    for r in range(lo, hi):
                        cost = _cost(points[r], x, _start(row_codes, code, weights, w, r), p1)
                        if cost < best[last]:
                            if not (exclude_self and rows[r] == q):
                                _offer(cost, rows[r], best, held)
                        elif equal:
                            break
                        if best[last] <= floor[q]:
                            break
                    continue
                cost = _cost(points[mid], x, _start(row_codes, code, weights, w, mid), p1)
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
