"""How hard a load is: waits under PanDA's rule against published ones, and limits that it breaks.

In: the bundled workload at several loads. Out: `results/load.json`: for each load the quantiles of
waits over the whole stream beside those published for production jobs of 2018, and how steady the
number of jobs in the system is; the load of each week and of each window; and, at the default load,
how often PanDA's rule breaks the limits of wait and of bytes moved, for both ids.

    python -m benchmarks.load [--loads .5,.6,.7,.8] [--out DIR]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from pandaenv.env import BYTE_LIMIT, WAIT_LIMIT_S
from pandaenv.policies import broker_floor, warm_up
from pandaenv.simulator import Simulator
from pandaenv.sites import catalogue
from pandaenv.stream import DAY_S, N_WINDOWS, WEEK_S, Stream, capacity
from pandaenv.workload import Reference, Synthetic

from .provenance import provenance, write_json

RESULTS = Path(__file__).parent / "results"
LEVELS = (1, 5, 25, 50, 75, 95, 99, 100)
PUBLISHED = (304, 648, 1_555, 3_266, 11_710, 24_050, 42_290, 108_900)
"""Waits of ATLAS production jobs in 2018 at LEVELS per cent, s."""
IDS = {"PandaSiteAllocation-v0": (40, 5_500, 5_500), "PandaSiteAllocationTier1-v0":
       ("tier1", 2_000, 2_000)}  # fmt: skip
"""Sites, rate and jobs an episode of the two environments."""
LOADS = (0.5, 0.6, 0.7, 0.8)
DEFAULT = 0.6
WARM_DAYS = 3
"""Days at the beginning of the stream, on an empty grid, that no figure takes in."""
N_BOOTSTRAP, BLOCK_H = 1_000, 72


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="Waits and broken limits under PanDA's rule.")
    parser.add_argument("--loads", default=",".join(map(str, LOADS)))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    loads = [float(word) for word in options.loads.split(",")]
    result = {
        "levels": LEVELS, "published_waits_s": PUBLISHED, "warm_days": WARM_DAYS,
        "wait_limit_s": WAIT_LIMIT_S, "byte_limit": BYTE_LIMIT,
        "ids": {name: measure(*which, loads) for name, which in IDS.items()},
        "reference_weekly_load": weekly(stream_of(Reference(), 40, 5_500, DEFAULT)),
    }  # fmt: skip
    result |= provenance("benchmarks.load", arguments, 0)
    write_json(options.out / "load.json", result)
    for name, found in result["ids"].items():
        for row in found["loads"]:
            print(name, row)
        print(found["weekly_load"], found["window_loads"])


def measure(sites, rate: float, episode_jobs: int, loads: list[float]) -> dict:
    """Figures of one environment's stream."""
    streams = {load: stream_of(Synthetic(), sites, rate, load) for load in {*loads, DEFAULT}}
    default = streams[DEFAULT]
    return {
        "loads": [{"load": load} | judged(streams[load]) for load in loads],
        "weekly_load": weekly(default),
        "window_loads": {
            split: default.window_loads(split, episode_jobs=episode_jobs).tolist()
            for split in N_WINDOWS
        },
    }


def stream_of(workload, sites, rate: float, load: float) -> Stream:
    return workload.stream(catalogue(sites), rate=rate, load=load)


def judged(stream: Stream) -> dict:
    """Waits, distance from the published ones, broken limits and steadiness of one stream."""
    job = played(stream)
    late = job[job["submit"] >= job["submit"][0] + WARM_DAYS * DAY_S]
    waits = np.percentile((late["first_start"] - late["submit"])[late["attempts"] > 0], LEVELS)
    nbytes = stream.jobs.nbytes[late["index"]]
    too_late = late["first_start"] - late["ready"] > WAIT_LIMIT_S
    too_large = (late["source"] >= 0) & (nbytes > BYTE_LIMIT)
    dex = np.log10(np.maximum(waits, 1.0) / PUBLISHED)
    return {
        "realised_load": stream.realised_load,
        "waits_s": waits.round(1).tolist(),
        "rms_dex": float(np.sqrt(np.mean(dex**2))),
        "rms_dex_upper": float(np.sqrt(np.mean(dex[3:] ** 2))),
        "broken_wait": float(too_late.mean()),
        "broken_transfer": float(too_large.mean()),
        "broken_either": float((too_late | too_large).mean()),
        "remote_share": float((late["source"] >= 0).mean()),
        "queue_wait_s_at_95_98_99": np.percentile(
            np.nan_to_num(late["first_start"] - late["ready"]), (95, 98, 99)
        ).tolist(),
        "remote_bytes_at_95_98_99": np.percentile(
            np.where(late["source"] >= 0, nbytes, 0.0), (95, 98, 99)
        ).tolist(),
        **steadiness(in_system(job)),
    }


def played(stream: Stream) -> np.ndarray:
    """The jobs of the whole stream as PanDA's analysis rule leaves them, JOB_STATE rows (N,)."""
    simulator = Simulator(stream.catalogue, stream.jobs)
    floor = broker_floor(stream.scale)
    warm_up(simulator.grid, simulator.worlds, 0, len(stream.jobs), floor)
    return simulator.drain().worlds.job[0]


def in_system(job: np.ndarray) -> np.ndarray:
    """Jobs in the system at every full hour while jobs arrive, after the warm days. Shape: (H,)."""
    begin, end = job["submit"][0], job["submit"][-1]
    hour = np.arange(begin + WARM_DAYS * DAY_S, end, 3600.0)
    come = np.searchsorted(np.sort(job["submit"]), hour, side="right")
    return come - np.searchsorted(np.sort(job["end"]), hour, side="right")


def steadiness(count: np.ndarray, seed: int = 0) -> dict:
    """Slope of a count by hour, in means a week, and 95 % of the slopes of reshuffled blocks."""
    rng = np.random.default_rng(seed)
    n_blocks = len(count) // BLOCK_H
    blocks = count[: n_blocks * BLOCK_H].reshape(n_blocks, BLOCK_H) / count.mean()
    week = np.arange(n_blocks * BLOCK_H) * 3600 / WEEK_S
    week -= week.mean()
    drawn = rng.integers(n_blocks, size=(N_BOOTSTRAP, n_blocks))
    slopes = [float(week @ blocks[rows].ravel() / (week @ week)) for rows in drawn]
    return {
        "slope_a_week": float(week @ blocks.ravel() / (week @ week)),
        "slope_if_steady": np.percentile(slopes, (2.5, 97.5)).tolist(),
    }


def weekly(stream: Stream) -> list[float]:
    """Offered work over capacity, week by week."""
    week = (stream.jobs.time // WEEK_S).astype(np.int64)
    load = np.bincount(week, stream.jobs.work) / WEEK_S / capacity(stream.catalogue)
    return load.round(3).tolist()


if __name__ == "__main__":
    main()
