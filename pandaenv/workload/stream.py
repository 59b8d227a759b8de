"""A stream of jobs, the grid of the size it needs, and the windows that episodes play in.

In: jobs in order of arrival, a site catalogue, a load. Out: a `Stream` with its catalogue scaled so
that the load is met, cut into windows.

Units: seconds since Monday 00:00 UTC, bytes, cores, GFLOP; rate in jobs a day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from foundations import checks
from foundations.units import DAY_S, WEEK_S
from pandaenv.sites import Catalogue

from .jobs import JobArrays
from .scaling import capacity

N_WINDOWS = {"train": 24, "test": 8}
LABELS = ("project", "prodstep")
"""Columns of records that no simulation needs."""
TEST_SHARE = 0.25
"""Share of the stream, in whole weeks at its end, that only test windows see."""


@dataclass(frozen=True, eq=False)
class Window:
    """Jobs [first, stop) of a stream; [first, start) warm the grid up, the rest is the episode."""

    first: int
    start: int
    stop: int
    load: float
    """Work offered by the episode's jobs over what the grid can do while they arrive."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Jobs in order of arrival and a grid of the size they need."""

    jobs: JobArrays
    catalogue: Catalogue
    """The sites with slots, power, disk and ingress scaled to the load, if one was asked for."""
    duration: float
    """Seconds the stream spans; whole weeks unless the records are replayed as they are."""
    scale: float
    """Slots in all over cores in all of the catalogue asked for; scales the broker's caps."""
    formats: tuple[str, ...]
    """Name of each code in `jobs.format`, the most frequent in the source first."""
    labels: pd.DataFrame
    """(N, 2) LABELS of each job, categorical: policies do not see them, logs contain them."""
    gathered: bool = False
    """Whether its tasks were made up from rows that are alike, as no record told them."""

    @property
    def rate(self) -> float:
        """Jobs a day."""
        return len(self.jobs) / self.duration * DAY_S

    @property
    def realised_load(self) -> float:
        """Offered work per second over the work the grid can do in a second."""
        return self.jobs.offered_work / self.duration / capacity(self.catalogue)

    def windows(
        self,
        split: str = "train",
        *,
        episode_jobs: int = 5_500,
        warmup_days: float = 3.0,
        n: int | None = None,
    ) -> tuple[Window, ...]:
        """Return the evenly spaced, overlapping windows of a split: 24 "train" or 8 "test".

        Both kinds, warm-up included, lie in weeks of their own: the last quarter of the stream's
        weeks is for tests. A stream of less than two weeks is cut at three quarters of its span.

        Args:
            split: "train" or "test".
            episode_jobs: jobs of an episode, at least 1.
            warmup_days: days before it whose jobs fill the grid.
            n: another number of windows, at least 1.

        Raises:
            ValueError: an unknown split, lengths out of range, or a part too short for them.
        """
        _check_lengths(episode_jobs, warmup_days)
        n = N_WINDOWS[checks.known("split", split, N_WINDOWS)] if n is None else n
        checks.whole("n", n, least=1)
        low, high = self._part(split)
        time = self.jobs.time
        begin = np.searchsorted(time, [low, low + warmup_days * DAY_S, high])
        first_start, last_start = int(begin[1]), int(begin[2]) - episode_jobs
        if last_start < first_start:
            raise ValueError(
                f"the {split} part must hold {warmup_days:g} days of warm-up and {episode_jobs} "
                f"jobs, got {(high - low) / DAY_S:.1f} days with {begin[2] - begin[0]} jobs"
            )
        starts = np.linspace(first_start, last_start, n).round().astype(int)
        firsts = np.searchsorted(time, time[starts] - warmup_days * DAY_S)
        pairs = zip(firsts.tolist(), starts.tolist(), strict=True)
        return tuple(self._window(first, start, start + episode_jobs) for first, start in pairs)

    def window_loads(self, split: str = "train", **lengths: float) -> np.ndarray:
        """Return the load of each window of a split, in order; `lengths` as for `windows`."""
        return np.array([window.load for window in self.windows(split, **lengths)])

    def cut(self, window: Window) -> JobArrays:
        """Return the window's jobs, warm-up first, with data sets renumbered from 0."""
        jobs = self.jobs.take(slice(window.first, window.stop))
        rows, dataset = np.unique(jobs.dataset, return_inverse=True)
        return replace(jobs, dataset=dataset, replicas=jobs.replicas[rows])

    def _part(self, split: str) -> tuple[float, float]:
        """Begin and end of a split in seconds; the end of the last part takes the last job in."""
        checks.known("split", split, N_WINDOWS)
        begin = np.floor(self.jobs.time[0] / WEEK_S) * WEEK_S
        weeks = round((self.jobs.time[-1] - begin) / WEEK_S)
        if weeks >= 2:
            border = begin + (weeks - max(1, round(TEST_SHARE * weeks))) * WEEK_S
        else:
            begin = self.jobs.time[0]
            border = begin + (1 - TEST_SHARE) * (self.jobs.time[-1] - begin)
        end = np.nextafter(self.jobs.time[-1], np.inf)
        return (begin, border) if split == "train" else (border, end)

    def _window(self, first: int, start: int, stop: int) -> Window:
        time, work = self.jobs.time, self.jobs.work
        end = time[stop] if stop < len(time) else self.jobs.time[0] + self.duration
        seconds = max(end - time[start], 1.0)
        return Window(
            first, start, stop, work[start:stop].sum() / seconds / capacity(self.catalogue)
        )


def _check_lengths(episode_jobs: int, warmup_days: float) -> None:
    checks.whole("episode_jobs", episode_jobs, least=1)
    checks.number("warmup_days", warmup_days, least=0)
