"""What all episodes of one configuration share: the stream, the scaled grid, the warm windows.

In: a `TaskConfig`. Out: a `PreparedTask`, kept for the next environment of the same configuration;
its windows are warmed up when first asked for and then only copied.
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pandaenv import workload as workloads
from pandaenv.policies import broker_floor, warm_up
from pandaenv.simulator.carryover import carried_rows, carried_slots, carry
from pandaenv.simulator.reset import datasets_of, reset_world
from pandaenv.simulator.state import N_CHANNELS, Grid, Worlds, make_grid, make_worlds
from pandaenv.sites import Catalogue, catalogue, is_own

from .config import PREPARED, STREAM, TaskConfig
from .observation import expect_from_past, job_features

LONGEST_S = 1e9
"""30 years; a catalogue on which one job's input would move or one job run longer is refused, since
such times leave nothing of the digits of all others."""
ESTIMATE_SIGMA = float(np.log(2))
"""Standard deviation of the logarithm of revealed work: two estimates in three are right within a
factor of two (ASSUMED)."""


@dataclass(frozen=True, eq=False)
class PreparedTask:
    """Stream, grid and windows of one configuration, with its warmed-up windows as they come."""

    stream: workloads.Stream
    grid: Grid
    windows: tuple[workloads.Window, ...]
    unit: float
    """m, mean service time of the stream's jobs on the mean core, s."""
    cap_floor: float
    features: np.ndarray
    """(J, N_JOB) float32, the job block of each job of the stream."""
    realised_load: float
    backfill: bool = False
    _snapshots: dict = field(default_factory=dict)

    def snapshot(self, i: int) -> Worlds:
        """The grid as the episode of window i finds it; warmed up when first asked for."""
        if i not in self._snapshots:
            self._snapshots[i] = self._warmed(self.windows[i])
        return self._snapshots[i]

    def _warmed(self, window: workloads.Window) -> Worlds:
        n_sites, n_jobs = len(self.grid.sites), window.stop - window.first
        n_warm = window.start - window.first
        n_datasets = len(datasets_of(self.grid, window.first, n_jobs))
        worlds = make_worlds(1, n_sites, n_jobs, 0, 1, n_datasets)
        # the job's place in the stream seeds the warm-up, so it is the same for every episode
        reset_world(self.grid, worlds, 0, window.first, n_jobs, n_jobs, np.uint64(window.start))
        worlds.world["backfill"] = self.backfill
        warm_up(self.grid, worlds, 0, n_warm, self.cap_floor)
        n_new = window.stop - window.start
        rows = carried_rows(worlds, 0, n_new)
        n_datasets = len(carried_slots(worlds, 0, rows))
        snapshot = make_worlds(1, n_sites, len(rows), 0, 1, n_datasets)
        carry(worlds, 0, snapshot, 0, n_new)
        return snapshot


class Kept:
    """The last few things made, by what they were made from.

    What cannot be a key is made each time.
    """

    def __init__(self, n: int):
        self.n = n
        self._made: OrderedDict[tuple, Any] = OrderedDict()

    def get(self, key: tuple, make: Callable[[], Any]) -> Any:
        """What was made for this key, or what `make` makes now."""
        try:
            made = self._made[key] if key in self._made else make()
        except TypeError as error:
            if "unhashable" not in str(error):
                raise
            return make()
        self._made[key] = made
        self._made.move_to_end(key)
        while len(self._made) > self.n:
            self._made.popitem(last=False)
        return made


TASKS, STREAMS = Kept(4), Kept(2)
"""A train and a test environment share the stream."""


def prepare(config: TaskConfig) -> PreparedTask:
    """A task prepared, kept for the next environment that needs the same.

    By `config.reveal` a broker expects of a job's work the mean of past jobs, or has an estimate.

    Raises:
        ValueError: the records, the sites and the lengths do not fit together.
    """
    return TASKS.get(config.key(PREPARED), lambda: _make_task(config))


def _make_task(config: TaskConfig) -> PreparedTask:
    stream = STREAMS.get(config.key(STREAM), lambda: _make_stream(config))
    lengths = {"episode_jobs": config.episode_jobs, "warmup_days": config.warmup_days}
    windows = stream.windows(config.split, **lengths, n=config.windows)
    past = slice(0, max(window.stop for window in stream.windows("train", **lengths)))
    mean_power = workloads.capacity(stream.catalogue) / stream.catalogue.cores.sum()
    service = stream.jobs.work / stream.jobs.cores / mean_power
    unit = float(service.mean())
    if config.reveal == "estimate":
        expected = estimate(stream.jobs.work, config.workload_seed)
    else:
        expected = expect_from_past(stream.jobs, stream.jobs.work, past)
    jobs, grid = stream.jobs, stream.catalogue
    span = float(jobs.time[0]), float(jobs.time[-1])
    others = config.background.draw(grid.cores, *span, int(jobs.cores.max()), config.workload_seed)
    return PreparedTask(
        stream,
        make_grid(grid, jobs, expected, others),
        windows,
        unit,
        broker_floor(stream.scale),
        job_features(stream.jobs, expected / stream.jobs.cores / mean_power, service, unit, past),
        float(stream.realised_load) / (1.0 - config.background.held),
        config.backfill,
    )


def _make_stream(config: TaskConfig) -> workloads.Stream:
    source, grid = workloads.make(config.workload), catalogue(config.sites)
    left = 1.0 - config.background.held
    load = None if config.load is None else config.load * left
    stream = source.stream(grid, rate=config.rate, load=load, seed=config.workload_seed)
    if left < 1.0:
        stream = replace(stream, catalogue=_shared(stream.catalogue, left))
    _check_times(stream)
    if config.load is not None and is_own(config.sites):
        _warn_of_scaling(grid, stream, config.load)
    return stream


def _shared(grid: Catalogue, left: float) -> Catalogue:
    """The sites with the share of disk and ingress that others leave, as of the cores (ASSUMED)."""
    return replace(grid, disk=grid.disk * left, ingress=grid.ingress * left)


def _warn_of_scaling(given: Catalogue, stream: workloads.Stream, load: float) -> None:
    """Say that sites which somebody described are played at another size."""
    asked, made = int(given.cores.sum()), int(stream.catalogue.cores.sum())
    warnings.warn(
        f"load={load:g} scales the {asked} slots of your sites to {made}, the work that jobs offer "
        "over it; load=None takes sites as they are",
        stacklevel=2,
    )


def estimate(work: np.ndarray, seed: int) -> np.ndarray:
    """Work (J,) times lognormal noise of mean one, independent from job to job."""
    noise = np.random.default_rng((seed, 1)).standard_normal(len(work))
    return work * np.exp(ESTIMATE_SIGMA * noise - ESTIMATE_SIGMA**2 / 2)


def _check_times(stream: workloads.Stream) -> None:
    """Refuse a grid on which the largest input or the longest job would take for ever."""
    grid, jobs = stream.catalogue, stream.jobs
    largest, longest = float(jobs.nbytes.max()), float((jobs.work / jobs.cores).max())
    inputs, link = f"move the largest input ({largest:.3g} bytes)", grid.link
    for name, speed, need, unit, what in (
        ("ingress", grid.ingress / N_CHANNELS, largest, "bytes/s", inputs + " by one channel"),
        ("link", link.min(axis=0), largest, "bytes/s", inputs),
        ("power", grid.power, longest, "GFLOP/s", f"run the longest job ({longest:.3g} GFLOP)"),
    ):
        s = int(np.argmin(speed))
        if not need <= LONGEST_S * speed[s]:
            raise ValueError(
                f"{name} must {what} within {LONGEST_S:.0e} s, got {speed[s]:.3g} {unit} at "
                f"{grid.names[s]} (scaled to the load, if there is one)"
            )
