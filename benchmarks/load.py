"""How hard a load is: waits and limit violations under PanDA's rule, beside published waits.

Plays the bundled workload at several loads under PanDA's analysis rule. Writes to
results/load.json, for each load: the quantiles of waits beside those published for production jobs
of 2018, and whether the number of jobs in the system is stationary; the load of each week and
window; how often PanDA's rule violates the limits of wait and of bytes moved, for both environment
ids; and whether the streams of the other named workloads are stationary.

The default load is the one whose waits are nearest to the published ones from the median up, by the
root mean square of log10 of their ratios (`rms_dex_upper`), on the default sites. Below the median
nothing can be compared: a simulated job whose input is there and for which a core is free does not
wait at all, while every published wait includes the minutes until a pilot asks for work. `rms_dex`
includes all quantiles, with zeros as one second.

    python -m benchmarks.load [--loads .5,.6,.7,.8] [--out DIR]
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from benchmarks.inputs.arguments import command, command_parser, new_folder
from benchmarks.inputs.places import RESULTS
from benchmarks.report.intervals import table
from benchmarks.report.provenance import provenance, write_json
from foundations.units import DAY_S, HOUR_S, WEEK_S
from pandaenv.env import BYTE_LIMIT, WAIT_LIMIT_S
from pandaenv.policies import broker_floor, warm_up
from pandaenv.simulator import Simulator
from pandaenv.sites import catalogue
from pandaenv.workload import NAMES, Stream, Synthetic, capacity, make
from pandaenv.workload.stream import N_WINDOWS

LEVELS = (1, 5, 25, 50, 75, 95, 99, 100)
PUBLISHED = (304, 648, 1_555, 3_266, 11_710, 24_050, 42_290, 108_900)
"""Waits of ATLAS production jobs in 2018 at LEVELS per cent, s."""
IDS = {
    "PandaSiteAllocation-v0": (40, 5_500, 5_500),
    "PandaSiteAllocationTier1-v0": ("tier1", 2_000, 2_000),
}
"""Sites, rate and jobs an episode of the two environments."""
LOADS = (0.5, 0.6, 0.7, 0.8)
DEFAULT = 0.6
WARM_DAYS = 3
"""Days at the beginning of the stream, on an empty grid, that no figure takes in."""
N_BOOTSTRAP, BLOCK_H = 1_000, 72


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = command_parser("load", __doc__)
    parser.add_argument(
        "--loads", default=",".join(map(str, LOADS)), help="with commas between them"
    )
    parser.add_argument("--out", type=new_folder, default=RESULTS, help="folder to write")
    options = parser.parse_args(arguments)
    loads = _numbers(parser, options.loads)
    result = {
        "levels": LEVELS,
        "published_waits_s": PUBLISHED,
        "warm_days": WARM_DAYS,
        "wait_limit_s": WAIT_LIMIT_S,
        "byte_limit": BYTE_LIMIT,
        "ids": {name: measure(*which, loads) for name, which in IDS.items()},
        "others": {name: other(make(name), loads) for name in NAMES if name != "tabddpm"},
    }
    result |= provenance("benchmarks.load", arguments, 0)
    write_json(options.out / "load.json", result)
    print(to_markdown(result))


def _numbers(parser: argparse.ArgumentParser, words: str) -> list[float]:
    try:
        return [float(word) for word in words.split(",")]
    except ValueError:
        parser.error(f"--loads must be numbers with commas between them, got {words!r}")


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


def other(workload, loads: list[float]) -> dict:
    """The weeks of another workload's stream on the default sites, and how steady it is."""
    sites, rate, _ = IDS["PandaSiteAllocation-v0"]
    streams = [stream_of(workload, sites, rate, load) for load in (*loads, DEFAULT)]
    return {
        "loads": [
            {"load": load} | steadiness(in_system(played(stream)))
            for load, stream in zip(loads, streams, strict=False)
        ],
        "weekly_load": weekly(streams[-1]),
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
    hour = np.arange(begin + WARM_DAYS * DAY_S, end, HOUR_S)
    come = np.searchsorted(np.sort(job["submit"]), hour, side="right")
    return come - np.searchsorted(np.sort(job["end"]), hour, side="right")


def steadiness(count: np.ndarray, seed: int = 0) -> dict:
    """Slope of a count by hour, in means a week, and 95 % of the slopes of reshuffled blocks."""
    rng = np.random.default_rng(seed)
    n_blocks = len(count) // BLOCK_H
    blocks = count[: n_blocks * BLOCK_H].reshape(n_blocks, BLOCK_H) / count.mean()
    week = np.arange(n_blocks * BLOCK_H) * HOUR_S / WEEK_S
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


# The tables


def to_markdown(result: dict) -> str:
    """Waits by load beside the published ones for each id, and slopes by load and workload."""
    waits = [_waits(name, found["loads"], result) for name, found in result["ids"].items()]
    first, *_ = result["ids"].values()
    return "\n\n".join([*waits, _slopes({"tabddpm": first, **result["others"]})])


def _waits(name: str, rows: list[dict], result: dict) -> str:
    heads = [
        f"wait under PanDA's rule, s; `{name}`",
        *(f"{q} %" for q in result["levels"]),
        "dex from 50 % up",
        "dex of all",
    ]
    lines = [["published", *_seconds(result["published_waits_s"]), "", ""]]
    for row in rows:
        far = [f"{row[key]:.2f}" for key in ("rms_dex_upper", "rms_dex")]
        lines.append([f"load {row['load']:g}", *_seconds(row["waits_s"]), *far])
    return table(heads, lines)


def _slopes(found: dict[str, dict]) -> str:
    """Slopes of the number of jobs in the system (means a week), and intervals of a steady one."""
    heads = [
        "growth a week (if steady)",
        *(f"load {row['load']:g}" for row in next(iter(found.values()))["loads"]),
    ]
    lines = [[name, *map(_slope, parts["loads"])] for name, parts in found.items()]
    return table(heads, lines)


def _slope(row: dict) -> str:
    low, high = row["slope_if_steady"]
    return f"{row['slope_a_week']:+.3f} ({low:+.3f} to {high:+.3f})"


def _seconds(waits) -> list[str]:
    return [f"{wait:,.0f}" for wait in waits]


if __name__ == "__main__":
    command(main)
