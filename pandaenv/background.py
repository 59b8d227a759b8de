"""What else runs on the grid: production and the analysis of others, beside the agent's jobs.

In: a `Background`, by name or made by its user, and the slots of sites. Out: `Others`: the cores
they hold as time goes on, their jobs that are served first, the latency of pilots. It is drawn once
for the whole stream, as the stream itself is, so that all episodes and policies meet the same.

The share of cores left to the agent's jobs at a site is lognormal around its mean, with a memory
(an Ornstein-Uhlenbeck process seen at random times) and the rhythm of day and week. Jobs of others
that queue under the same share come in bursts, a Poisson process, each so many seconds of the
site's work; by Lindley's recursion they are served first until max(before, now) + burst. A pilot
then takes its time. Every strength is ASSUMED: chosen by hand so that jobs wait as published of
production jobs in 2018 where PanDA's analysis rule places them at load=0.2, the bundled workload on
40 sites, four windows: 313 / 478 / 1,266 / 4,647 / 10,960 / 33,228 / 53,862 s at 1 / 5 / 25 / 50 /
75 / 95 / 99 %, published 304 / 648 / 1,555 / 3,266 / 11,710 / 24,050 / 42,290. At load=0.6, the
default of environments, they wait some three times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from foundations import checks
from foundations.objects import one_of
from foundations.units import DAY_S, HOUR_S, WEEK_S
from pandaenv.simulator.others import AHEAD, HELD, Others, no_others

BEFORE_S, AFTER_S = 7 * DAY_S, 14 * DAY_S
"""Others are there so long before the first job and change for so long after the last, s."""
_LENGTH: dict[str, float] = {"above": 0, "most": 1e9}
_SPREAD: dict[str, float] = {"least": 0, "most": 3}
RANGES: dict[str, dict[str, float]] = {
    "held": {"least": 0, "below": 1},
    "spread": _SPREAD,
    "site_spread": _SPREAD,
    "memory_s": _LENGTH,
    "hold_s": _LENGTH,
    "day": {"least": 0, "below": 1},
    "week": {"least": 0, "below": 1},
    "queue": {"least": 0, "below": 1},
    "burst_s": _LENGTH,
    "burst_spread": _SPREAD,
    "latency_s": {"least": 0, "most": 1e9},
    "latency_spread": _SPREAD,
}
"""Ranges of the fields, all finite; see `foundations.checks.number`."""


@dataclass(frozen=True)
class Background:
    """How much others do on a grid, and how it varies; spreads are those of logarithms.

    Raises:
        ValueError: a value out of its range, in one sentence.
    """

    held: float = 0.99
    """Share of all cores that others hold on average, in [0, 1)."""
    spread: float = 0.3
    """Of the cores left at one site, over time."""
    site_spread: float = 0.3
    """Of the mean share left, and of the mean burst, from site to site."""
    memory_s: float = 12 * HOUR_S
    """Time in which the correlation with what was left before falls by e, s."""
    hold_s: float = 2 * HOUR_S
    """Mean time for which others hold the same cores, s."""
    day: float = 0.2
    """Cores left swing by this share over the day, most at 2 o'clock UTC, fewest at 14."""
    week: float = 0.1
    """The same over the week, most at its turn, Sunday to Monday."""
    queue: float = 0.85
    """Share of the time that jobs of others are in a site's queue, in [0, 1); 0: never."""
    burst_s: float = 900.0
    """Mean work of a burst of theirs, in s of all that the site gives to this share."""
    burst_spread: float = 1.2
    latency_s: float = 600.0
    """Median time from a job's turn to the pilot's start, s."""
    latency_spread: float = 0.3
    """Of the latency from site to site."""

    def __post_init__(self) -> None:
        for field in fields(self):
            checks.number(field.name, getattr(self, field.name), **RANGES[field.name])
            object.__setattr__(self, field.name, float(getattr(self, field.name)))

    @property
    def is_on(self) -> bool:
        """Whether there is anybody else, or a latency."""
        return self.held > 0 or self.queue > 0 or self.latency_s > 0

    def draw(
        self, cores: np.ndarray, begin: float, end: float, most_cores: int, seed: int
    ) -> Others:
        """Draw what others do at sites of `cores`, int64 (S,), from begin to end, s.

        They leave room for a job of `most_cores`, or for as much as the site has.
        """
        if not self.is_on:
            return no_others(len(cores))
        streams = np.random.default_rng((seed, 2)).spawn(3)
        span = begin - BEFORE_S, end + AFTER_S
        held = self._held(cores, span, np.minimum(cores, most_cores), streams[0])
        latency = self.latency_s * np.exp(
            self.latency_spread * streams[2].standard_normal(len(cores))
        )
        return Others(held, self._ahead(len(cores), span, streams[1]), latency)

    def _held(
        self,
        cores: np.ndarray,
        span: tuple[float, float],
        least: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Cores that others hold, HELD (S, M)."""
        share = np.exp(self.site_spread * rng.standard_normal(len(cores)))
        share *= (1 - self.held) * cores.sum() / (share @ cores)
        time = _poisson_times(len(cores), span, self.hold_s, rng)
        time[:, 0] = span[0]
        left = np.exp(self.spread * self._wander(time, rng) - self.spread**2 / 2)
        left *= 1 + self.day * np.cos(2 * np.pi * (time - 2 * HOUR_S) / DAY_S)
        left *= 1 + self.week * np.cos(2 * np.pi * time / WEEK_S)
        if self.held == 0:
            left, share = np.ones_like(left), np.ones_like(share)
        slots = np.clip(np.rint(cores[:, None] * share[:, None] * left), least[:, None], None)
        held = np.zeros(time.shape, HELD)
        held["time"] = np.where(time < span[1], time, np.inf)
        held["cores"] = cores[:, None] - np.minimum(slots, cores[:, None]).astype(np.int64)
        return held

    def _wander(self, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """An Ornstein-Uhlenbeck process of mean 0 and variance 1 at these times, (S, M)."""
        noise = rng.standard_normal(time.shape)
        kept = np.exp(-np.diff(time, axis=1) / self.memory_s)
        for k in range(1, time.shape[1]):
            before = kept[:, k - 1]
            noise[:, k] = before * noise[:, k - 1] + np.sqrt(1 - before**2) * noise[:, k]
        return noise

    def _ahead(
        self, n_sites: int, span: tuple[float, float], rng: np.random.Generator
    ) -> np.ndarray:
        """Until when others come first, AHEAD (S, K)."""
        mean = self.burst_s * np.exp(
            self.site_spread * rng.standard_normal(n_sites) - self.site_spread**2 / 2
        )
        if self.queue == 0:
            ahead = np.zeros((n_sites, 1), AHEAD)
            ahead["time"] = ahead["until"] = span[0]
            return ahead
        unit = mean / self.burst_s
        time = _poisson_times(n_sites, span, self.burst_s / self.queue, rng, unit)
        size = mean[:, None] * np.exp(
            self.burst_spread * rng.standard_normal(time.shape) - self.burst_spread**2 / 2
        )
        served = np.cumsum(size, axis=1)
        idle = np.maximum.accumulate(time - served + size, axis=1)
        ahead = np.zeros(time.shape, AHEAD)
        ahead["time"] = np.where(time < span[1], time, np.inf)
        ahead["until"] = np.maximum.accumulate(served + idle, axis=1)  # what rounding took back
        return ahead


def _poisson_times(
    n_sites: int,
    span: tuple[float, float],
    every: float,
    rng: np.random.Generator,
    unit: np.ndarray | float = 1.0,
) -> np.ndarray:
    """Times of S Poisson processes with mean gaps every x unit, at least to the end. (S, M) s."""
    least = float(np.min(unit)) * every
    n = (span[1] - span[0]) / least
    shape = (n_sites, int(n + 6 * np.sqrt(n)) + 16)
    gap = rng.standard_exponential(shape) * every * np.reshape(unit, (-1, 1))
    return span[0] + np.cumsum(gap, axis=1)


BACKGROUNDS = {
    "none": Background(held=0.0, queue=0.0, latency_s=0.0),
    "busy": Background(),
}
"""Backgrounds by name."""


def make(which: str | Background | Mapping) -> Background:
    """The background of a name or of a dict of its fields; a `Background` is returned as it is.

    Raises: ValueError for an unknown name or field, or a value out of its range.
    """
    return one_of(Background, "background", BACKGROUNDS, which)
