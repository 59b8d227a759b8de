"""A stream of jobs for the simulator, and a grid of the size that stream needs.

In: job records (recorded, surrogate or reference), a site catalogue, a rate and a load. Out: a
`Stream`: time-sorted `JobArrays`, the catalogue scaled to the load, the windows episodes live in.

Whatever the source, the rate is met by folding whole weeks onto each other and dropping whole
bursts, so the profile over the week and the clumping survive. A burst is all records of one format,
one recorded site and one day; until tasks are rebuilt, it stands for a data set: its jobs share
replicas and core count.

Units: seconds since Monday 00:00 UTC, bytes, cores, GFLOP; rate in jobs a day.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from . import reference, schema
from .jobs import JobArrays
from .records import read
from .sites import Catalogue, resolve

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
BUNDLED = Path(__file__).parent / "data" / "tabddpm" / "pool.parquet"
INGESTED = "records.parquet"  # in a folder written by ingest
N_POOL = 330_000
"""Rows drawn from a live generator: eight weeks at the default rate."""
RATE_SLACK = 0.01
"""Shortfall of the rate for which a further week is kept; the rate is promised within 2 %."""
MIN_WORK = 1.0
"""GFLOP; records that used less (jobs closed before they ran used none) count as this much."""
MIN_SLOTS = 8
"""Slots of the smallest site, so that every site can run an eight-core job whatever the load."""
MAX_SLOTS = 1e9
"""Slots of the largest grid anybody may ask for, a thousand times those of ATLAS."""
EIGHT_CORE_SHARE = 0.03
"""Share of user-analysis jobs with eight cores; 97 % have one (ATLAS, 2024)."""
EXTRA_REPLICAS = (2.0, 3.4)
"""Shape and mean of the gamma-Poisson number of replicas beyond the first: mean 4.4 in all and
median 4, as measured for requested DAODs on ATLAS; the shape is ASSUMED."""
MAX_REPLICAS = 21
N_WINDOWS = {"train": 24, "test": 8}
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


class Trace:
    """Recorded jobs as a workload.

    >>> from pandaenv import reference, sites, workload
    >>> trace = workload.Trace(reference.records(days=14, rate=500))
    >>> stream = trace.stream(sites.catalogue("tier1"), rate=400, load=0.6)
    >>> round(stream.rate), round(stream.realised_load, 6)
    (400, 0.6)
    """

    def __init__(self, records: pd.DataFrame):
        self.records = schema.check(records)

    def stream(
        self, catalogue: Catalogue, *, rate: float | None, load: float, seed: int = 0
    ) -> Stream:
        """Return the jobs at `rate` a day on `catalogue` scaled to `load`.

        Args:
            rate: jobs a day; None replays the records as they are, nothing folded or dropped.
            load: offered work over capacity; above 1 queues grow as long as the stream lasts.
            seed: of what records do not tell (bursts kept, replicas, core counts, unknown sites).

        Raises:
            ValueError: rate or load not positive, or more jobs asked for than there are records.
        """
        return make_stream(self.records, catalogue, rate=rate, load=load, seed=seed)


class Synthetic:
    """Surrogate records as a workload: a pool of rows, or a generator that makes them.

    Args:
        source: a table of surrogate records; a Parquet or CSV file of one; a folder of a saved
            generator or of ingested records; an object with `sample(n, seed=)`; or "tabddpm", the
            bundled pool.
        n: rows to draw where `source` is a generator.
        seed: of that draw.
    """

    def __init__(self, source="tabddpm", *, n: int = N_POOL, seed: int = 0):
        self.source, self.n, self.seed = source, n, seed
        if isinstance(source, str | Path):
            self.source = _find(source)
        elif not (isinstance(source, pd.DataFrame) or hasattr(source, "sample")):
            known = "a table, a file or a generator"
            raise ValueError(f"a synthetic workload needs {known}, got {type(source).__name__}")

    @cached_property
    def records(self) -> pd.DataFrame:
        """The pool, read or sampled when first asked for."""
        if isinstance(self.source, pd.DataFrame):
            return schema.check(self.source)
        if isinstance(self.source, Path) and self.source.is_file():
            return _read_pool(self.source, stamp(self.source))
        return schema.check(_generator(self.source).sample(self.n, seed=self.seed))

    stream = Trace.stream


class Reference:
    """The embedded reference workload: what the bundled surrogate was trained on, drawn anew.

    Args:
        days: length before folding, at the paper's 11,000 jobs a day; the default is eight weeks.
        seed: of the records; the seed of `stream` only thins and decorates them.
    """

    def __init__(self, days: int = 56, seed: int = 0):
        self.days, self.seed = days, seed

    @property
    def records(self) -> pd.DataFrame:
        return _reference_records(self.days, self.seed)

    stream = Trace.stream


def make(which) -> Trace | Synthetic | Reference:
    """Return the workload of a name ("tabddpm", "reference"), a file, a generator or a table.

    A table is taken as recorded jobs; objects that have `stream` are returned as they are.
    """
    if hasattr(which, "stream"):
        return which
    if isinstance(which, pd.DataFrame):
        return Trace(which)
    return _NAMED[which]() if isinstance(which, str) and which in _NAMED else Synthetic(which)


_NAMED = {"reference": Reference, "tabddpm": Synthetic}


def make_stream(
    records: pd.DataFrame, catalogue: Catalogue, *, rate: float | None, load: float, seed: int = 0
) -> Stream:
    """Return checked records as a stream; arguments as for `Trace.stream`."""
    _check_positive("load", load)
    _check_seed(seed)
    thinning, folding, placing, copying, widening = np.random.default_rng(seed).spawn(5)
    format_, formats = _codes_by_frequency(records["datatype"])
    burst = _bursts(records, format_)
    if rate is None:
        rows, time = np.arange(len(records)), _seconds(records)
        duration = _span(time)
    else:
        _check_positive("rate", rate)
        rows, time, duration = _at_rate(_seconds(records), burst, rate, thinning, folding)
    order = np.argsort(time, kind="stable")
    rows, time = rows[order], time[order]
    _, first, dataset = np.unique(burst[rows], return_index=True, return_inverse=True)
    site = _sites(records["computingsite"].iloc[rows[first]], catalogue, placing)
    jobs = JobArrays(
        time=time,
        cores=_cores(dataset, time // DAY_S, widening),
        work=np.maximum(records["workload"].to_numpy()[rows], MIN_WORK),
        nbytes=records["inputfilebytes"].to_numpy()[rows],
        nfiles=records["ninputdatafiles"].to_numpy()[rows],
        dataset=dataset,
        format=format_[rows],
        status=_status(records)[rows],
        site=site[dataset],
        replicas=_replicas(site, catalogue, copying),
    )
    scaled = scale(catalogue, jobs.offered_work / duration, load)
    ratio = scaled.cores.sum() / catalogue.cores.sum()
    return Stream(jobs, scaled, duration, float(ratio), formats)


# The stream at a rate


def _at_rate(time, burst, rate, thinning, folding) -> tuple[np.ndarray, np.ndarray, float]:
    """Fold whole weeks and keep whole bursts: rows kept, their new times, seconds in all.

    As many weeks result as the records can fill at `rate`. Whole weeks are laid onto each other in
    turn; where their number does not divide, the bursts of the last weeks are spread over all, so
    that every week gets the same.
    """
    week = np.floor(time / WEEK_S).astype(np.int64)
    first, n_weeks = _whole_weeks(time)
    inside = np.flatnonzero((week >= first) & (week < first + n_weeks))
    n_folded = min(n_weeks, int(len(inside) / (7 * rate * (1 - RATE_SLACK))))
    if n_folded < 1:
        raise ValueError(
            f"rate must be at most {len(inside) / 7:.0f} jobs a day, all records folded into one "
            f"week, got rate={rate:g}"
        )
    n_jobs = min(len(inside), round(7 * rate * n_folded))
    day = time // DAY_S
    rows = np.sort(inside[_in_whole_bursts(burst[inside], day[inside], n_jobs, thinning)])
    week, n_layered = week - first, n_weeks - n_weeks % n_folded
    spread = (_position(burst, day, folding) * n_folded).astype(np.int64)
    target = np.where(week < n_layered, week % n_folded, spread)
    return rows, (time - week * WEEK_S + (target - first) * WEEK_S)[rows], n_folded * WEEK_S


def _whole_weeks(time: np.ndarray) -> tuple[int, int]:
    """First whole week of the records and the number of whole weeks, within half a day."""
    tolerance_s = 0.5 * DAY_S
    first = int(np.ceil((time.min() - tolerance_s) / WEEK_S))
    n_weeks = int(np.floor((time.max() + tolerance_s) / WEEK_S)) - first
    if n_weeks < 1:
        raise ValueError(
            f"records must cover a whole week from Monday to Sunday to be folded to a rate, got "
            f"{_span(time) / DAY_S:.1f} days; rate=None replays them as they are"
        )
    return first, n_weeks


def _in_whole_bursts(burst: np.ndarray, day: np.ndarray, n: int, rng) -> np.ndarray:
    """Choose n rows as whole bursts, about the same share of every day; the last one may be cut."""
    return np.argsort(_position(burst, day, rng), kind="stable")[:n]


def _position(burst: np.ndarray, day: np.ndarray, rng) -> np.ndarray:
    """A number in [0, 1) for each burst, uniform, and as even as can be over the jobs of a day.

    The bursts of a day are laid around a circle in random order, each as long as it has jobs; the
    number is where a burst begins, seen from a random point (systematic sampling). Shape: (N,).
    """
    size = np.bincount(burst)
    number = np.zeros(len(size), np.int64)
    number[burst] = np.unique(day, return_inverse=True)[1]
    order = np.lexsort((rng.random(len(size)), number))
    end, total = np.cumsum(size[order]), np.bincount(number, weights=size)
    begin = (end - size[order]) - (np.cumsum(total) - total)[number[order]]
    turn = begin / np.maximum(total, 1)[number[order]] + rng.random(len(total))[number[order]]
    position = np.empty(len(size))
    position[order] = turn % 1.0
    return position[burst]


def _seconds(records: pd.DataFrame) -> np.ndarray:
    return records["creationtime"].to_numpy() * DAY_S


def _span(time: np.ndarray) -> float:
    """Seconds from the first to the last arrival."""
    span = float(time.max() - time.min())
    if not span > 0:
        raise ValueError(f"a stream must last, got {len(time)} jobs that arrive at one time")
    return span


# What records do not tell


def _bursts(records: pd.DataFrame, format_: np.ndarray) -> np.ndarray:
    """Number the groups of one format, one recorded site and one day. Shape: (N,) int64."""
    site = records["computingsite"].cat
    day = np.floor(records["creationtime"].to_numpy()).astype(np.int64)
    key = (day * len(site.categories) + site.codes.to_numpy()) * (format_.max() + 1) + format_
    return np.unique(key, return_inverse=True)[1]


def _codes_by_frequency(column: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes of a categorical column, 0 the most frequent level (ties by name), and the names."""
    codes, levels = column.cat.codes.to_numpy(), column.cat.categories
    order = np.argsort(-np.bincount(codes, minlength=len(levels)), kind="stable")
    rank = np.empty(len(levels), np.int64)
    rank[order] = np.arange(len(levels))
    return rank[codes], tuple(levels[order])


def _status(records: pd.DataFrame) -> np.ndarray:
    levels = records["jobstatus"].cat
    return np.array([schema.STATUSES.index(level) for level in levels.categories])[levels.codes]


def _sites(recorded: pd.Series, catalogue: Catalogue, rng) -> np.ndarray:
    """Site of each burst: the recorded one by name or alias, else one drawn by disk."""
    number = {name: row for row, name in enumerate(catalogue.names)}
    levels = [number.get(resolve(level, catalogue.names), -1) for level in recorded.cat.categories]
    site = np.array(levels, np.int64)[recorded.cat.codes]
    share = _disk_share(catalogue)
    drawn = np.searchsorted(np.cumsum(share)[:-1], rng.random(len(site)), side="right")
    return np.where(site >= 0, site, drawn)


def _disk_share(catalogue: Catalogue) -> np.ndarray:
    total = catalogue.disk.sum()
    return (
        catalogue.disk / total if total > 0 else np.full(catalogue.n_sites, 1 / catalogue.n_sites)
    )


def _replicas(site: np.ndarray, catalogue: Catalogue, rng) -> np.ndarray:
    """Sites that hold each data set: its own, and others without repetition by disk. Shape: (D, S).

    A draw without repetition is the largest of log weight + Gumbel noise (Efraimidis and Spirakis,
    2006, in logarithms).
    """
    shape, mean = EXTRA_REPLICAS
    extra = rng.negative_binomial(shape, shape / (shape + mean), size=len(site))
    count = np.minimum(1 + extra, min(MAX_REPLICAS, catalogue.n_sites))
    with np.errstate(divide="ignore"):
        log_share = np.log(_disk_share(catalogue))
    replicas = np.empty((len(site), catalogue.n_sites), bool)
    for rows in np.array_split(np.arange(len(site)), 1 + len(site) // 50_000):
        key = log_share + rng.gumbel(size=(len(rows), catalogue.n_sites))
        key[np.arange(len(rows)), site[rows]] = np.inf
        least = np.sort(key, axis=1)[np.arange(len(rows)), -count[rows]]
        replicas[rows] = (key >= least[:, None]) & (key > -np.inf)
    return replicas


def _cores(dataset: np.ndarray, day: np.ndarray, rng) -> np.ndarray:
    """One core, or eight for the jobs of some bursts. Shape: (N,) int64."""
    cores = np.ones(len(dataset), np.int64)
    n_eight = round(EIGHT_CORE_SHARE * len(dataset))
    cores[_in_whole_bursts(dataset, day, n_eight, rng)] = 8
    return cores


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


# Reading and checking


def _find(source: str | Path) -> Path:
    """Return the path a name or path means; it must exist."""
    path = BUNDLED if source == "tabddpm" else Path(source)
    if (path / INGESTED).is_file():
        return path / INGESTED
    if path.exists():
        return path
    if path == BUNDLED:
        raise ValueError(f"the bundled pool must lie at {path}, nothing there: reinstall pandaenv")
    raise ValueError(f"unknown workload {str(source)!r}; known: {', '.join(_NAMED)}, or a file")


def stamp(source) -> tuple | None:
    """Which file or folder a path means now and when it was written; None where it means none."""
    if not isinstance(source, str | Path):
        return None
    try:
        found = os.stat(source)
    except (OSError, ValueError):
        return None
    return os.path.abspath(source), found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=2)
def _read_pool(path: Path, written: tuple | None) -> pd.DataFrame:
    try:
        return read(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"a workload must be a table of job records: {error}") from error


@lru_cache(maxsize=2)
def _reference_records(days: int, seed: int) -> pd.DataFrame:
    return schema.check(reference.records(days=days, seed=seed))


def _generator(source):
    """Return a generator: the one saved in a directory, or the object given."""
    if not isinstance(source, Path):
        return source
    import generators  # not needed, and torch not imported, unless a generator is asked for

    return generators.load(source)


def _check_positive(name: str, value: float) -> None:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (is_number and np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {name}={value!r}")


def _check_seed(seed: int) -> None:
    is_whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not (is_whole and seed >= 0):
        raise ValueError(f"seed must be a whole number of at least 0, got {seed!r}")


def _check_lengths(episode_jobs: int, warmup_days: float) -> None:
    if not (isinstance(episode_jobs, int | np.integer) and episode_jobs > 0):
        raise ValueError(f"episode_jobs must be a positive whole number, got {episode_jobs!r}")
    if not (isinstance(warmup_days, int | float | np.number) and 0 <= warmup_days < np.inf):
        raise ValueError(f"warmup_days must be at least 0 and finite, got {warmup_days!r}")
