"""SMOTE-NC as a generator: new rows between a row and one of its nearest.

Chawla, Bowyer, Hall & Kegelmeyer (2002), "SMOTE: Synthetic Minority Over-sampling Technique",
JAIR 16, arXiv 1106.1813, section 6.1 (SMOTE-NC, for nominal and continuous columns).

| symbol | in code | shape |
|---|---|---|
| x, z | `numbers`, `codes` | (n, d), (n, c) |
| med, the median of the standard deviations | `penalty` | scalar |
| the k nearest rows of each row | `neighbours_` | (n, k) |
| the gap between a row and its neighbour | `gap` | (m, 1) |

Departures from the paper: see the DIFF lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from metrics.neighbours import NeighbourIndex

from .base import Generator
from .conditions import Given, Rows, reject_codes
from .layout import Layout
from .options import Config, share, whole
from .plan import Plan

CHUNK = 65_536  # rows mixed at once, so that only the table itself grows with n


@dataclass(frozen=True)
class SMOTEConfig(Config):
    """Defaults are the paper's but for `rare`."""

    k: int = whole(5, least=1)  # nearest neighbours a row may be mixed with (section 4.2)
    rare: float = share(0.01)  # of rows, below which a level is kept; 0 is the paper's vote alone


def neighbours(numbers: np.ndarray, codes: np.ndarray, k: int) -> np.ndarray:
    """Row numbers (n, k) of the k nearest other rows, by the distance of SMOTE-NC.

    Squared distance: the squared differences of the numbers, plus med^2 for each category that
    differs, med being the median of the numericals' standard deviations.
    """
    # DIFF: paper uses the raw units; we divide each numerical by its standard deviation because a
    # column of bytes (1e10) would drown all others. The median of the deviations is then 1.
    unit = np.abs(numbers).max(axis=0, initial=0.0)
    small = numbers[:, unit > 0] / unit[unit > 0]  # 1e300 squared would be infinite
    spread = small.std(axis=0)
    scaled = small[:, spread > 0] / spread[spread > 0]
    penalty = 1.0
    index = NeighbourIndex(scaled, codes, weights=np.full(codes.shape[1], penalty**2), p=2)
    return index.query(scaled, codes, k=k, exclude_self=True)[1]


def interpolate(
    numbers: np.ndarray, rows: np.ndarray, mates: np.ndarray, gap: np.ndarray
) -> np.ndarray:
    """Numbers (m, d) on the way from rows to their mates (both (m,)), at gap (m, 1) in [0, 1]."""
    return numbers[rows] + gap * (numbers[mates] - numbers[rows])


def vote(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The most frequent code (m, c) among neighbours (m, k, c); a tie goes to one of the tied."""
    ballots = (codes[:, :, None] == codes[:, None, :]).sum(2) + rng.random(codes.shape) * 0.5
    return np.take_along_axis(codes, ballots.argmax(1)[:, None], axis=1)[:, 0]


def keep_rare(codes: np.ndarray, voted: np.ndarray, rare: list[np.ndarray]) -> np.ndarray:
    """The codes (m, c) of a vote, but of a row its own where that or the voted one is rare.

    Args:
        codes: of the rows themselves, (m, c).
        rare: of each column which codes are rare, (K,) bool.
    """
    # DIFF: paper votes on every category. Its rows are all of one rare class; among all rows a rare
    # level is outvoted by its neighbours: of one in 400 rows a sixth is left, of three rows none.
    # Kept as it is, it has the share it has among the rows.
    columns = zip(rare, codes.T, voted.T, strict=True)
    kept = np.column_stack([is_rare[own] | is_rare[won] for is_rare, own, won in columns])
    return np.where(kept, codes, voted)


def shuffled(rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n of the rows in random order, each as often as any other, up to one."""
    rounds = -(-n // max(1, len(rows)))
    return np.concatenate([rows[:0], *(rng.permutation(rows) for _ in range(rounds))])[:n]


class SMOTE(Generator):
    """SMOTE-NC over all rows of a table; it keeps the table, so it protects nobody's privacy."""

    name = "smote"
    Config = SMOTEConfig
    has_network = False

    def _fit(self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, plan: Plan) -> None:
        # DIFF: paper oversamples one class; we take every row and every column alike because there
        # is no class here: the target is one of the numericals. Rows asked for under a condition
        # are the paper's class: their neighbours are looked for among those that hold it.
        self._keep(layout, numbers, codes)

    def _keep(self, layout: Layout, numbers: np.ndarray, codes: np.ndarray) -> None:
        self.numbers_, self.codes_ = numbers, codes
        k = min(self.config.k, len(numbers) - 1)
        alone = np.zeros((len(numbers), 1), np.int64)
        self.neighbours_ = neighbours(numbers, codes, k) if k else alone

    def _sample(self, n: int, seed: int, given: dict[int, int]) -> Rows:
        if not given:
            return self._draw(n, seed, np.arange(len(self.numbers_)))
        able = self._able(given)
        return reject_codes(lambda m, s: self._draw(m, s, able), n, seed, given)

    def _sample_given(self, n: int, seed: int, given: Given, **options: Any) -> Rows:
        held = np.flatnonzero(given.held_by(self.numbers_, self.codes_)) if given else ()
        if not len(held):  # no condition, or only a mixture can hold it
            return super()._sample_given(n, seed, given, **options)
        among = type(self)(self.config)
        among._keep(self.layout_, self.numbers_[held], self.codes_[held])
        numbers, codes = among._draw(n, seed, np.arange(len(held)))
        for j, ends in given.ranges.items():
            numbers[:, j] = numbers[:, j].clip(*ends)  # rounding may move a mixture over an end
        return numbers, codes

    def _able(self, given: dict[int, int]) -> np.ndarray:
        """Rows which or whose neighbours hold the given codes: no other's vote can fall so."""
        near = np.column_stack([np.arange(len(self.codes_)), self.neighbours_])
        ballots = [(self.codes_[:, j] == k)[near].any(1) for j, k in given.items()]
        return np.flatnonzero(np.all(ballots, axis=0))

    def _draw(self, n: int, seed: int, able: np.ndarray) -> Rows:
        rng = np.random.default_rng(seed)
        n = n if len(able) else 0
        numbers = np.empty((n, self.numbers_.shape[1]))
        codes = np.empty((n, self.codes_.shape[1]), np.int64)
        bases, rare = shuffled(able, n, rng), self._rare()
        for start in range(0, n, CHUNK):
            rows, part = bases[start : start + CHUNK], slice(start, start + CHUNK)
            mates = self.neighbours_[rows, rng.integers(self.neighbours_.shape[1], size=len(rows))]
            numbers[part] = interpolate(self.numbers_, rows, mates, rng.random((len(rows), 1)))
            voted = vote(self.codes_[self.neighbours_[rows]], rng)
            codes[part] = keep_rare(self.codes_[rows], voted, rare) if rare else voted
        return numbers, codes

    def _rare(self) -> list[np.ndarray]:
        """Of each column which codes less than the share `rare` of the rows have, (K,) bool."""
        counts = [np.bincount(codes) for codes in self.codes_.T]
        return [n < self.config.rare * len(self.codes_) for n in counts]

    @classmethod
    def _revive(cls, card: dict, arrays: dict[str, np.ndarray]) -> Self:
        config = {"rare": 0.0} | card["config"]  # those saved before there was a choice
        return super()._revive(card | {"config": config}, arrays)

    def _to_arrays(self) -> dict[str, np.ndarray]:
        return {"numbers": self.numbers_, "codes": self.codes_, "neighbours": self.neighbours_}

    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        self.numbers_, self.codes_ = arrays["numbers"], arrays["codes"]
        self.neighbours_ = arrays["neighbours"]
        widths = (self.numbers_.shape[1], self.codes_.shape[1])
        if widths != (len(layout.numericals), len(layout.categoricals)):
            raise ValueError(f"{widths} numerical and categorical columns are not the layout's")
