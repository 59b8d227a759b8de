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

import numpy as np

from metrics.neighbours import NeighbourIndex

from .base import Generator
from .conditions import reject_codes
from .layout import Layout
from .options import Config, whole
from .plan import Plan

CHUNK = 65_536  # rows mixed at once, so that only the table itself grows with n


@dataclass(frozen=True)
class SMOTEConfig(Config):
    """Defaults are the paper's."""

    k: int = whole(5, least=1)  # nearest neighbours a row may be mixed with (section 4.2)


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
        # is no class here: the target is one of the numericals.
        k = min(self.config.k, len(numbers) - 1)
        self.numbers_, self.codes_ = numbers, codes
        self.neighbours_ = (
            neighbours(numbers, codes, k) if k else np.zeros((len(numbers), 1), np.int64)
        )

    def _sample(self, n: int, seed: int, given: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
        if not given:
            return self._draw(n, seed, np.arange(len(self.numbers_)))
        able = self._able(given)
        return reject_codes(lambda m, s: self._draw(m, s, able), n, seed, given)

    def _able(self, given: dict[int, int]) -> np.ndarray:
        """Rows whose neighbours hold the given codes at all: no other row's vote can fall so."""
        ballots = [(self.codes_[:, j] == k)[self.neighbours_].any(1) for j, k in given.items()]
        return np.flatnonzero(np.all(ballots, axis=0))

    def _draw(self, n: int, seed: int, able: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        n = n if len(able) else 0
        numbers = np.empty((n, self.numbers_.shape[1]))
        codes = np.empty((n, self.codes_.shape[1]), np.int64)
        bases = shuffled(able, n, rng)
        for start in range(0, n, CHUNK):
            rows, part = bases[start : start + CHUNK], slice(start, start + CHUNK)
            mates = self.neighbours_[rows, rng.integers(self.neighbours_.shape[1], size=len(rows))]
            numbers[part] = interpolate(self.numbers_, rows, mates, rng.random((len(rows), 1)))
            codes[part] = vote(self.codes_[self.neighbours_[rows]], rng)
        return numbers, codes

    def _to_arrays(self) -> dict[str, np.ndarray]:
        return {"numbers": self.numbers_, "codes": self.codes_, "neighbours": self.neighbours_}

    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        self.numbers_, self.codes_ = arrays["numbers"], arrays["codes"]
        self.neighbours_ = arrays["neighbours"]
        widths = (self.numbers_.shape[1], self.codes_.shape[1])
        if widths != (len(layout.numericals), len(layout.categoricals)):
            raise ValueError(f"{widths} numerical and categorical columns are not the layout's")
