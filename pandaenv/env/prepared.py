"""What all episodes of one configuration share: the stream, the scaled grid, the warm windows.

In: a workload, sites, a rate, a load, lengths. Out: a `Setting`, kept for the next environment of
the same configuration; its windows are warmed up when first asked for and then only copied.
"""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd

from pandaenv import workload as workloads
from pandaenv.policies import broker_floor, warm_up
from pandaenv.simulator.state import (
    N_CHANNELS,
    Grid,
    Worlds,
    carried_rows,
    carried_slots,
    carry,
    clear,
    datasets_of,
    grid_of,
    worlds_of,
)
from pandaenv.sites import catalogue

from .observation import describe, expect

LONGEST_S = 1e9
"""30 years; a catalogue on which one job's input would move or one job run longer is refused, since
such times leave nothing of the digits of all others."""
REVEALED = (None, "estimate")
ESTIMATE_SIGMA = float(np.log(2))
"""Standard deviation of the logarithm of revealed work: two estimates in three are right within a
factor of two (ASSUMED)."""


@dataclass(frozen=True, eq=False)
class Setting:
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
        worlds = worlds_of(1, n_sites, n_jobs, 0, 1, n_datasets)
        # the job's place in the stream seeds the warm-up, so it is the same for every episode
        clear(self.grid, worlds, 0, window.first, n_jobs, n_jobs, np.uint64(window.start))
        worlds.world["backfill"] = self.backfill
        warm_up(self.grid, worlds, 0, n_warm, self.cap_floor)
        n_new = window.stop - window.start
        rows = carried_rows(worlds, 0, n_new)
        n_datasets = len(carried_slots(worlds, 0, rows))
        snapshot = worlds_of(1, n_sites, len(rows), 0, 1, n_datasets)
        carry(worlds, 0, snapshot, 0, n_new)
        return snapshot


class Table:
    """A table of records that can be looked up: equal to any other of the same content."""

    def __init__(self, records: pd.DataFrame):
        self.records = records
        digest = hashlib.sha256(repr(records.dtypes.to_dict()).encode())
        digest.update(pd.util.hash_pandas_object(records, index=False).to_numpy().tobytes())
        self.digest = digest.digest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other) -> bool:
        return isinstance(other, Table) and self.digest == other.digest


def setting(
    workload, sites, rate, load, episode_jobs, split, warmup_days, seed, reveal=None, backfill=False
) -> Setting:
    """The setting of a configuration, from the last few made where its parts can be compared.

    A file that has been written anew is another part; tables are compared by content. By `reveal`,
    one of REVEALED, a broker expects of a job's work the mean of past jobs, or has an `estimate`.
    """
    if isinstance(sites, list):
        sites = tuple(sites)
    if isinstance(workload, pd.DataFrame):
        workload = Table(workload)
    written = workloads.file_identity(workload), workloads.file_identity(sites)
    key = (
        workload,
        sites,
        rate,
        load,
        episode_jobs,
        split,
        warmup_days,
        seed,
        reveal,
        backfill,
        written,
    )
    try:
        hash(key)
    except TypeError:
        return _make_setting(*key)
    return _kept_setting(*key)


def _make_setting(
    workload, sites, rate, load, episode_jobs, split, warmup_days, seed, reveal, backfill, written
) -> Setting:
    stream = _stream(workload, sites, rate, load, seed, written)
    lengths = {"episode_jobs": episode_jobs, "warmup_days": warmup_days}
    windows = stream.windows(split, **lengths)
    past = slice(0, max(window.stop for window in stream.windows("train", **lengths)))
    mean_power = workloads.capacity(stream.catalogue) / stream.catalogue.cores.sum()
    service = stream.jobs.work / stream.jobs.cores / mean_power
    unit = float(service.mean())
    if reveal == "estimate":
        expected = estimate(stream.jobs.work, seed)
    else:
        expected = expect(stream.jobs, stream.jobs.work, past)
    return Setting(
        stream,
        grid_of(stream.catalogue, stream.jobs, expected),
        windows,
        unit,
        broker_floor(stream.scale),
        describe(stream.jobs, expected / stream.jobs.cores / mean_power, service, unit, past),
        float(stream.realised_load),
        backfill,
    )


def estimate(work: np.ndarray, seed: int) -> np.ndarray:
    """Work (J,) times lognormal noise of mean one, independent from job to job."""
    noise = np.random.default_rng((seed, 1)).standard_normal(len(work))
    return work * np.exp(ESTIMATE_SIGMA * noise - ESTIMATE_SIGMA**2 / 2)


_kept_setting = lru_cache(maxsize=4, typed=True)(_make_setting)


def _make_stream(workload, sites, rate, load, seed, written) -> workloads.Stream:
    source = workload.records if isinstance(workload, Table) else workload
    stream = workloads.make(source).stream(catalogue(sites), rate=rate, load=load, seed=seed)
    _check_times(stream)
    return stream


_kept_stream = lru_cache(maxsize=2, typed=True)(_make_stream)


def _stream(*key) -> workloads.Stream:
    """The stream, kept too: a train and a test environment share it."""
    try:
        hash(key)
    except TypeError:
        return _make_stream(*key)
    return _kept_stream(*key)


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
                f"{grid.names[s]}, scaled to the load"
            )
