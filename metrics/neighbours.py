"""Exact nearest records in a table of numbers and categories, at a million rows.

In: numbers already scaled and categories as integer codes. Out: the k nearest rows of the index,
with d(x, y) = (sum_i |x_i - y_i|^p + sum_j w_j [x_j != y_j])^(1/p), i over numbers, j over
categories.

A row that mismatches the query in exactly the columns S costs at least w(S), the sum of their
weights. So the sets S are visited in increasing w(S): rows are grouped by their categories outside
S, each group holds a k-d tree over its numbers (Friedman, Bentley & Finkel 1977), and a query is
finished as soon as its k-th best cost is not above w(S). With many categorical columns there are
too many sets. So once the visits have cost as much as comparing the open queries with every row,
the open queries are finished in one tree over all rows, which counts mismatches row by row. This
fallback is exact, too, and at worst a brute-force scan, so a query never takes more than about
twice that scan. `NeighbourIndex.work` says how many queries took the fallback.

Growth: near n log n where the nearest rows agree in most categories, whatever the distribution of
the numbers (groups of all rows, all rows equal, every category distinct). With five categories a
million rows drawn uniformly at random take about twice as long as a million job records, and
records with every column shuffled separately about three times (`benchmarks.speed.neighbours`). A
table that lies wholly outside, moved by two spans of the index, visits every set of columns for
every row: about sixty times the seconds at 262,000 rows, growing as n^1.6. The quadratic fallback
needs a dozen nearly independent categories or more: then about 10 ns for each pair of rows.

Every bound is a float64 sum of the same terms in the same order as the cost it bounds, and rounding
is monotone, so the distances equal those of brute force to the last bit.
"""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from foundations.checks import whole

from .kdtree import LEAF, UNSORTED, Costs, Queries, Trees, build_trees, search, sort_by_group

VISIT, PAIR = 500.0, 10.0  # ns: to group and search one row or query; to compare one pair
MAX_KEY = 2**62  # products of cardinalities above this are compressed on the way
MAX_TABLE = 2**22  # keys below this are numbered by a table, others by sorting


@dataclass(frozen=True)
class Work:
    """What the last query cost: sets of columns visited, queries that took the fallback."""

    subsets: int
    fallback: int


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

    def __init__(
        self,
        numbers: np.ndarray,
        codes: np.ndarray,
        weights: np.ndarray | None = None,
        p: int = 2,
    ):
        self.numbers, codes = _checked(numbers, codes, "index")
        if len(self.numbers) == 0:
            raise ValueError("an index needs at least one row, got 0")
        if p not in (1, 2):
            raise ValueError(f"p must be 1 or 2, got p={p}")
        self.p = p
        self.weights = _checked_weights(weights, codes.shape[1])
        self._levels = [np.unique(column) for column in codes.T]
        self.codes = self._encode(codes)
        self._one_tree: Trees | None = None  # over all rows
        self._by_code: tuple[np.ndarray, Trees] | None = None  # rows that agree in all categories
        self.work = Work(0, 0)

    def __len__(self) -> int:
        return len(self.numbers)

    def query(
        self, numbers: np.ndarray, codes: np.ndarray, k: int = 1, exclude_self: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (distance (m, k) float64, row (m, k) int64), nearest first.

        With `exclude_self` query row i is index row i and is not its own neighbour (leave-one-out).
        Rows at equal distance come in an order that is fixed for given tables but otherwise
        unspecified. Where the index holds fewer than k candidates, or the sum of the powers is no
        longer a float64, the distance is inf, the row -1.
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
        whole("k", k, 1)
        if exclude_self and len(numbers) != len(self):
            raise ValueError(
                f"exclude_self needs the {len(self)} rows of the index, got {len(numbers)}"
            )

    def _encode(self, codes: np.ndarray) -> np.ndarray:
        """Codes 0..K-1 of the categories of the index; -1 for those it never saw."""
        out = np.empty(codes.shape, np.int64, order="F")
        for j, levels in enumerate(self._levels):
            out[:, j] = _place(levels, codes[:, j])
        return out

    def _search(self, numbers, codes, best: "Best") -> None:
        floor = _unseen_cost(codes, self.weights)
        slack = 1.0 if _exact_sums(self.weights) else 1.0 - 1e-12
        n_subsets, spent = 0, 0.0
        for subset in _subsets_by_weight(self.weights):
            weight = _weight(self.weights, subset)
            np.maximum(floor, weight * slack, out=floor)  # sums of fractions may come out of order
            active = np.flatnonzero(best.cost[:, -1] > floor)
            if active.size == 0:
                break
            if spent >= PAIR * active.size * len(self):
                self._finish(numbers, codes, active, floor, best)
                self.work = Work(n_subsets, active.size)
                return
            self._visit(numbers, codes, active, subset, weight, best)
            n_subsets, spent = n_subsets + 1, spent + VISIT * (active.size + len(self))
        self.work = Work(n_subsets, 0)

    def _visit(self, numbers, codes, active, subset, weight, best: "Best") -> None:
        """Compare the active queries with the rows that agree with them outside `subset`."""
        kept = [j for j in range(codes.shape[1]) if j not in subset]
        seen = active[(codes[np.ix_(active, kept)] >= 0).all(axis=1)] if kept else active
        if seen.size == 0:
            return
        trees, query_group = self._trees(codes[seen], kept)
        there = query_group >= 0
        seen, query_group = seen[there], query_group[there]
        order = _by_place(numbers[seen], query_group, len(trees.starts) - 1)
        floor = np.full(len(numbers), weight)
        none = np.empty((0, 0), np.int32)
        queries = Queries(numbers, none, seen[order], query_group[order], floor)
        costs = Costs(weight, none, self.weights[:0], False, self.p == 1)
        search(trees, queries, costs, best.exclude_self, best.cost, best.row)

    def _trees(self, codes, kept) -> tuple[Trees, np.ndarray]:
        """Trees over rows grouped by the columns `kept`, and the group of each query or -1.

        The trees of all columns, where nearly every query looks, are kept for the next table.
        """
        size = math.prod(len(self._levels[j]) for j in kept)
        if len(kept) < len(self._levels) or size > MAX_KEY:
            row_group, query_group, n_groups = self._groups(codes, kept)
            n_queries = np.bincount(query_group, minlength=n_groups)
            return build_trees(self.numbers, row_group, n_groups, n_queries), query_group
        if self._by_code is None:
            levels, row_group = np.unique(self._key(self.codes, kept), return_inverse=True)
            self._by_code = levels, build_trees(self.numbers, row_group, len(levels))
        levels, trees = self._by_code
        return trees, _place(levels, self._key(codes, kept))

    def _key(self, codes, kept) -> np.ndarray:
        """One number for the categories in the columns `kept`; there must be at most MAX_KEY."""
        key = np.zeros(len(codes), np.int64)
        for j in kept:
            key *= len(self._levels[j])
            key += codes[:, j]
        return key

    def _groups(self, codes, kept):
        """Group numbers by the columns `kept` of the rows (-1: no query there) and the queries."""
        size = math.prod(len(self._levels[j]) for j in kept)
        if size <= MAX_TABLE:
            return _numbered(self._key(self.codes, kept), self._key(codes, kept), size)
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
        trees = self._one_tree
        if trees is None:
            together = np.zeros(len(self), np.int64)
            trees = build_trees(self.numbers, together, 1, np.array([active.size]))
        if len(self) <= LEAF or trees.axis[len(self) >> 1] != UNSORTED:
            self._one_tree = trees
        group = np.zeros(active.size, np.int64)
        order = _by_place(numbers[active], group, 1)
        queries = Queries(numbers, codes.astype(np.int32), active[order], group, floor)
        row_codes = self.codes[trees.rows].astype(np.int32)
        ones = self.weights.size > 0 and bool((self.weights == 1.0).all())
        costs = Costs(0.0, row_codes, self.weights, ones, self.p == 1)
        search(trees, queries, costs, best.exclude_self, best.cost, best.row)


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
    valid = weights.shape == (n_columns,) and (weights >= 0).all()
    if not (valid and (weights <= np.finfo(float).max / max(1, n_columns)).all()):
        raise ValueError(f"weights must be {n_columns} finite numbers >= 0, got {weights.tolist()}")
    return weights


def _exact_sums(weights) -> bool:
    """Whether sums of the weights are never rounded, so that their order is their true order."""
    return bool((weights == np.rint(weights)).all() and weights.sum() < 2**53)


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


def _place(levels, values) -> np.ndarray:
    """Place of each value among the sorted levels; -1 for those that are none."""
    if levels[0] == 0 and levels[-1] == len(levels) - 1:
        return np.where((values >= 0) & (values < len(levels)), values, -1)
    at = np.minimum(np.searchsorted(levels, values), len(levels) - 1)
    return np.where(levels[at] == values, at, -1)


def _numbered(row_key, query_key, size) -> tuple[np.ndarray, np.ndarray, int]:
    """As `_dense`, of keys 0..size - 1."""
    is_asked = np.zeros(size, bool)
    is_asked[query_key] = True
    number = np.where(is_asked, np.cumsum(is_asked) - 1, -1)
    return number[row_key], number[query_key], int(is_asked.sum())


def _dense(row_key, query_key) -> tuple[np.ndarray, np.ndarray, int]:
    """Number the keys that occur among the queries 0..G-1; rows with none of them get -1."""
    levels, query_group = np.unique(query_key, return_inverse=True)
    return _place(levels, row_key), query_group, len(levels)


def _by_place(numbers, group, n_groups) -> np.ndarray:
    """Order of queries in which neighbours in the table follow each other, for the cache."""
    if numbers.shape[1] == 0:
        return sort_by_group(group, n_groups)[0]
    order = np.argsort(numbers[:, 0], kind="stable")
    return order[sort_by_group(group[order], n_groups)[0]]
