"""Which data set a group reads: a new one, or one read before.

In: the kind of each group (its format, say) and, in training, the data set it read. Out: a `Reuse`
and, in sampling, the data set of each group. A group may read the data sets of its kind that were
read before it. That it reads an old one at all is a logistic regression on how many there are and
how many groups of the kind came; which one is a choice model (McFadden 1974) on three things:

    score = a log(uses) + b log(1 + stack distance) + c log(days since its last use + 1 hour)

The stack distance is the number of data sets of the kind used since (Mattson et al. 1970). A
stream remembers what it has seen itself, as the table did: at its beginning every data set is new.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

HOUR = 1 / 24
MOST = 3_000  # choices learned from, evenly over the table
PRIOR = 1e-2  # weight of the squared coefficients


class Shelf:
    """The data sets of one kind so far, the last used at the end; arrays grow by doubling."""

    def __init__(self) -> None:
        self.n, self.groups = 0, 0
        self.dataset, self.uses = np.empty(8, np.int64), np.empty(8)
        self.last = np.empty(8)

    def features(self, now: float) -> np.ndarray:
        """(n, 3) features of each data set; see the top of this file."""
        order = np.arange(self.n)
        rank = np.empty(self.n)
        rank[np.argsort(self.last[: self.n], kind="stable")] = order[::-1]
        age = np.log(np.maximum(now - self.last[: self.n], 0.0) + HOUR)
        return np.column_stack([np.log(self.uses[: self.n]), np.log1p(rank), age])

    def use(self, place: int | None, dataset: int, now: float) -> None:
        """Note a use of the data set at a place, or of a new one (None)."""
        self.groups += 1
        if place is None:
            if self.n == len(self.uses):
                for name in ("dataset", "uses", "last"):
                    setattr(self, name, np.concatenate([getattr(self, name)] * 2))
            place, self.n = self.n, self.n + 1
            self.dataset[place], self.uses[place] = dataset, 0.0
        self.uses[place] += 1
        self.last[place] = now

    def numbers(self) -> np.ndarray:
        """What the chance of an old data set depends on."""
        return np.array([1.0, np.log(self.n), np.log(self.groups)])


@dataclass(frozen=True)
class Reuse:
    """Coefficients of the chance that a data set is old (3,), and of which one it is (3,)."""

    old: np.ndarray
    which: np.ndarray

    @classmethod
    def fit(cls, start: np.ndarray, kind: np.ndarray, dataset: np.ndarray) -> Reuse:
        """Learn from G groups in order of start (days): kinds and data sets, (G,) each."""
        numbers, is_old, choices = [], [], []
        for shelf, place, now in _walk(start, kind, dataset):
            if shelf.n:
                numbers.append(shelf.numbers())
                is_old.append(place is not None)
                if place is not None and shelf.n > 1:
                    choices.append((shelf.features(now), place))
        if not numbers:
            return cls(np.array([-20.0, 0.0, 0.0]), np.zeros(3))
        return cls(_fit_chance(np.array(numbers), np.array(is_old)), _fit_choice(choices))

    def draw(
        self, rng: np.random.Generator, start: np.ndarray, kind: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Data set (G,), from 0 in order of first use, and the group that read it before or -1."""
        shelves: dict[int, Shelf] = {}
        dataset, before = np.empty(len(start), np.int64), np.full(len(start), -1)
        last, u = np.full(len(start), -1), rng.random((len(start), 2))
        n = 0
        for i, (k, now) in enumerate(zip(kind.tolist(), start.tolist(), strict=True)):
            shelf = shelves.setdefault(k, Shelf())
            place = self._choose(shelf, now, *u[i])
            d = n if place is None else int(shelf.dataset[place])
            n += place is None
            shelf.use(place, d, now)
            dataset[i], before[i], last[d] = d, last[d], i
        return dataset, before

    def _choose(self, shelf: Shelf, now: float, chance: float, which: float) -> int | None:
        """Place of the data set on the shelf at two uniform numbers; None for a new one."""
        if not shelf.n or chance >= self.chance(shelf):
            return None
        upto = np.cumsum(self.shares(shelf, now))
        return min(int(np.searchsorted(upto, which * upto[-1], side="right")), shelf.n - 1)

    def chance(self, shelf: Shelf) -> float:
        """Chance that the next group of a kind reads a data set on its shelf."""
        return float(1 / (1 + np.exp(-shelf.numbers() @ self.old)))

    def shares(self, shelf: Shelf, now: float) -> np.ndarray:
        """(n,) chance of each data set on the shelf, if it is an old one."""
        score = shelf.features(now) @ self.which
        odds = np.exp(score - score.max())
        return odds / odds.sum()


def _walk(
    start: np.ndarray, kind: np.ndarray, dataset: np.ndarray
) -> Iterator[tuple[Shelf, int | None, float]]:
    """Each group's shelf as it finds it, and the place of its data set there, None if new."""
    shelves: dict[int, Shelf] = {}
    places: dict[int, tuple[int, int]] = {}
    for k, d, now in zip(kind.tolist(), dataset.tolist(), start.tolist(), strict=True):
        shelf = shelves.setdefault(k, Shelf())
        home, place = places.get(d, (k, None))
        place = place if home == k else None
        yield shelf, place, now
        if d not in places:
            places[d] = (k, shelf.n)
        shelf.use(place, d, now)


def _fit_chance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients of a logistic regression of y (n,) on x (n, 3)."""

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        p = 1 / (1 + np.exp(-z))
        value = np.logaddexp(0, z).sum() - z[y].sum() + PRIOR * (w @ w)
        return value, x.T @ (p - y) + 2 * PRIOR * w

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="BFGS").x


def _fit_choice(choices: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """Coefficients by maximum likelihood of which of several rows of features was chosen."""
    if not choices:
        return np.zeros(3)
    picked = [choices[i] for i in np.linspace(0, len(choices) - 1, MOST).astype(int)]
    picked = picked if len(choices) > MOST else choices
    x = np.concatenate([features for features, _ in picked])
    sizes = np.array([len(features) for features, _ in picked])
    first = np.cumsum(sizes) - sizes
    chosen = x[first + np.array([place for _, place in picked])]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        top = np.maximum.reduceat(z, first)
        odds = np.exp(z - np.repeat(top, sizes))
        total = np.add.reduceat(odds, first)
        mean = np.add.reduceat(x * (odds / np.repeat(total, sizes))[:, None], first)
        value = (np.log(total) + top).sum() - (chosen @ w).sum() + PRIOR * (w @ w)
        return value, (mean - chosen).sum(0) + 2 * PRIOR * w

    return minimize(loss, np.zeros(3), jac=True, method="BFGS").x
