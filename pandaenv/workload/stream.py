"""A stream of jobs, the grid of the size it needs, and the windows episodes live in.

In: jobs in order of arrival, a site catalogue, a load. Out: a `Stream` with its catalogue scaled so
that the load is met, cut into windows.

Units: seconds since Monday 00:00 UTC, bytes, cores, GFLOP; rate in jobs a day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pandaenv.sites import Catalogue

from .jobs import JobArrays

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
MIN_SLOTS = 8
"""Slots of the smallest site, so that every site can run an eight-core job whatever the load."""
MAX_SLOTS = 1e9
"""Slots of the largest grid anybody may ask for, a thousand times those of ATLAS."""
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
    """The sites with slots, power, disk and ingress scaled to the load."""
    duration: float
    """Seconds the stream spans; whole weeks unless the records are replayed as they are."""
    scale: float
    """Slots in all over cores in all of the catalogue asked for; scales the broker's caps."""
    formats: tuple[str, ...]
    """Name of each code in `jobs.format`, the most frequent in the source first."""
    labels: pd.DataFrame
    """(N, 2) LABELS of each job, categorical: told to nobody who places it, but kept for its log.
    """

    @property
    def rate(self) -> float:
        """Jobs a day."""
        return len(self.jobs) / self.duration * DAY_S

    @property
    def realised_load(self) -> float:
        """Offered work per second over the work the grid can do in a second."""
        return self.jobs.offered_work / self.duration / capacity(self.catalogue)

    def windows(
        self, split: str = "train", *, episode_jobs: int = 5_500, warmup_days: float = 3.0
    ) -> tuple[Window, ...]:
        """Return the evenly spaced, overlapping windows of a split: 24 "train" or 8 "test".

        Both kinds, warm-up included, lie in weeks of their own: the last quarter of the stream's
        weeks is for tests. A stream of less than two weeks is cut at three quarters of its span.
        """
        _check_lengths(episode_jobs, warmup_days)
        low, high = self._part(split)
        time = self.jobs.time
        begin = np.searchsorted(time, [low, low + warmup_days * DAY_S, high])
        first_start, last_start = int(begin[1]), int(begin[2]) - episode_jobs
        if last_start < first_start:
            raise ValueError(
                f"the {split} part must hold {warmup_days:g} days of warm-up and {episode_jobs} "
                f"jobs, got {(high - low) / DAY_S:.1f} days with {begin[2] - begin[0]} jobs"
            )
        starts = np.linspace(first_start, last_start, N_WINDOWS[split]).round().astype(int)
        firsts = np.searchsorted(time, time[starts] - warmup_days * DAY_S)
        pairs = zip(firsts.tolist(), starts.tolist(), strict=True)
        return tuple(self._window(first, start, start + episode_jobs) for first, start in pairs)

    def window_loads(self, split: str = "train", **lengths) -> np.ndarray:
        """Return the load of each window of a split, in order; `lengths` as for `windows`."""
        return np.array([window.load for window in self.windows(split, **lengths)])

    def cut(self, window: Window) -> JobArrays:
        """Return the window's jobs, warm-up first, with data sets numbered anew."""
        jobs = self.jobs.take(slice(window.first, window.stop))
        rows, dataset = np.unique(jobs.dataset, return_inverse=True)
        return replace(jobs, dataset=dataset, replicas=jobs.replicas[rows])

    def _part(self, split: str) -> tuple[float, float]:
        """Begin and end of a split in seconds; the end of the last part takes the last job in."""
        if not isinstance(split, str) or split not in N_WINDOWS:
            raise ValueError(f"unknown split {split!r}; known: {', '.join(N_WINDOWS)}")
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
    is_whole = isinstance(episode_jobs, int | np.integer) and not isinstance(episode_jobs, bool)
    if not (is_whole and episode_jobs > 0):
        raise ValueError(f"episode_jobs must be a positive whole number, got {episode_jobs!r}")
    is_number = isinstance(warmup_days, int | float | np.number)
    if not (is_number and not isinstance(warmup_days, bool) and 0 <= warmup_days < np.inf):
        raise ValueError(f"warmup_days must be at least 0 and finite, got {warmup_days!r}")


# The grid a stream needs


def capacity(catalogue: Catalogue) -> float:
    """GFLOP/s of all slots together."""
    return float(catalogue.cores @ catalogue.power)


def scale(catalogue: Catalogue, offered: float, load: float) -> Catalogue:
    """Return the catalogue with as many slots as `offered` GFLOP/s need at `load`.

    Slots are shared by size; then one factor on power makes the load exact. A site's disk and
    ingress shrink with its slots. Links do not: jobs keep their bytes, and a link says how fast one
    of them moves. Scaled by 1/400 too, the median remote input would take 200 hours; as they are,
    transfers run at 0.5, 1.2 and 17 MB/s (5, 50 and 95 % of the pairs of 150 sites), which is near
    the 0.4, 1.7 and 36 MB/s measured for stage-in on ATLAS.
    """
    mean_power = capacity(catalogue) / float(catalogue.cores.sum())
    needed = offered / mean_power / load
    if not needed <= MAX_SLOTS:
        raise ValueError(
            f"a grid must have at most {MAX_SLOTS:.0e} slots, got {needed:.2g} for {offered:.2g} "
            f"GFLOP/s at load={load:g}"
        )
    slots = share_slots(round(needed), catalogue.cores)
    factor = offered / load / float(slots @ catalogue.power)
    shrink = slots / catalogue.cores
    return replace(
        catalogue,
        cores=slots,
        power=catalogue.power * factor,
        disk=catalogue.disk * shrink,
        ingress=catalogue.ingress * shrink,
    )


def share_slots(n: int, size: np.ndarray) -> np.ndarray:
    """Share n slots by size with largest remainders, at least MIN_SLOTS a site. Shape: (S,) int64.

    >>> share_slots(100, np.array([70, 20, 1]))
    array([72, 20,  8])
    """
    n = max(n, MIN_SLOTS * len(size))
    small = np.zeros(len(size), bool)
    while True:
        quota = (n - MIN_SLOTS * small.sum()) * size / max(size[~small].sum(), 1)
        found = ~small & (quota < MIN_SLOTS)
        if not found.any():
            break
        small |= found
    slots = np.where(small, MIN_SLOTS, np.floor(quota)).astype(np.int64)
    remainder = np.where(small, -1.0, quota - np.floor(quota))
    slots[np.argsort(-remainder, kind="stable")[: n - slots.sum()]] += 1
    return slots
