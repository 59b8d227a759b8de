"""Which `background` makes the grid behave as published, and how near it comes.

Searches the fields of a `Background` and the load (BOUNDS) for the world whose figures under
PanDA's analysis rule are nearest to the published ones: quantiles of waits from 1 to 99 % (as in
`benchmarks.load`), jobs queued over jobs running a site at full hours, and running jobs of large
and small sites over those of the median one. The objective is the mean, over all these figures, of
the distance in log10 between measured and published, on the weeks that agents learn on; a square
would let the one figure rule that is out of reach. After the first
half of the points, drawn evenly over the bounds, each is drawn around the best so far, nearer and
nearer. Writes results/calibrate.json with the result beside `background="busy"` at its own load,
on the weeks searched on and on the later ones. No default of the environment hangs on it.

With --records, a folder of `pandaenv ingest`, the jobs are those recorded, at the times recorded,
and the sites' shares are to be those recorded. Such records tell neither when a job started nor how
long it ran, so the speed of sites, the latency of pilots and waits cannot be learned from them:
speeds stay those of the catalogue, waits are fitted to those published.

    python -m benchmarks.calibrate [--records DIR] [--points 140] [--seed 0] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmarks.inputs.arguments import command, command_parser, new_file, whole
from benchmarks.inputs.places import RESULTS
from benchmarks.load import LEVELS, PUBLISHED, WARM_DAYS
from benchmarks.report.intervals import table
from benchmarks.report.provenance import provenance, write_json
from foundations.units import DAY_S, HOUR_S
from pandaenv.background import Background
from pandaenv.env import TaskConfig
from pandaenv.env.prepared import PreparedTask, prepare
from pandaenv.policies import warm_up
from pandaenv.simulator import advance
from pandaenv.simulator.reset import datasets_of, reset_world
from pandaenv.simulator.state import make_worlds
from pandaenv.workload.stream import TEST_SHARE

OUT = RESULTS / "calibrate.json"
RECORDS, UNKNOWN = "records.parquet", "unknown"
"""What an ingest writes, and how it calls sites of few rows."""
GOAL_DEX = 0.15
LOG, LINEAR = "log", "linear"
BOUNDS = {
    "load": (0.03, 0.6, LOG),
    "spread": (0.0, 1.0, LINEAR),
    "site_spread": (0.0, 1.5, LINEAR),
    "memory_s": (HOUR_S, 48 * HOUR_S, LOG),
    "queue": (0.3, 0.97, LINEAR),
    "burst_s": (100.0, 5_000.0, LOG),
    "burst_spread": (0.3, 2.0, LINEAR),
    "latency_s": (150.0, 1_500.0, LOG),
    "latency_spread": (0.0, 0.6, LINEAR),
}
"""Range of each parameter, and how it is cut evenly."""
BEFORE = {"load": 0.2}
"""The load that the strengths of "busy" were chosen at by hand."""
WAITS = tuple(zip(LEVELS[:-1], PUBLISHED[:-1], strict=True))
RATIOS = {"median": (50, 0.35), "95 %": (95, 1.7), "largest of 150": (99.3, 2.0)}
"""Queued over running jobs a queue: quantile, published. The largest was of one look at some 150
queues."""
RUNNING = ((1, 5, 25, 50, 75, 95, 99, 100), (2, 5, 207, 893, 2_335, 7_875, 26_120, 45_171))
"""Running jobs per queue of the whole grid, published."""
N_QUEUES = 150
"""Queues that these are of, about."""
SHARES = (25, 75, 95)
LEAST_RATIO = 0.01
"""A ratio below counts as this, since none has a logarithm."""


def main(arguments: list[str] | None = None) -> None:
    """Search, print and write."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    result = search(options.points, options.seed, options.records)
    result |= provenance("benchmarks.calibrate", arguments, options.seed)
    print(to_markdown(result))
    print(write_json(options.out, result).name)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("calibrate", __doc__)
    parser.add_argument("--records", type=Path, help="folder of `pandaenv ingest`")
    parser.add_argument("--points", type=whole(2), default=140, help="worlds tried (140)")
    parser.add_argument("--seed", type=whole(0), default=0, help="of the search (0)")
    parser.add_argument("--out", type=new_file, default=OUT, help="file to write")
    return parser


def search(n_points: int, seed: int, records: Path | None = None) -> dict:
    """The parameters found and the figures before and after; what calibrate.json holds."""
    source = TaskConfig() if records is None else recorded_task(records)
    goals = goals_of(source, records)

    def loss(found: dict[str, float]) -> float:
        early, _ = measure(source, found)
        return distance(early, goals)

    best, tried = descend(loss, n_points, seed)
    return {
        "what": "parameters of a background fitted to published figures, and how far they are",
        "objective": "mean of |log10(measured / goal)| over all figures, early weeks",
        "bounds": BOUNDS,
        "goal_dex": GOAL_DEX,
        "goals": goals,
        "points": n_points,
        "losses": tried,
        "parameters": best,
        "before": _judged(source, BEFORE, goals),
        "after": _judged(source, best, goals),
    }


def recorded_task(folder: Path) -> TaskConfig:
    """The task of the records in a folder of `pandaenv ingest`, at the times recorded."""
    file = folder / RECORDS
    if not file.is_file():
        raise ValueError(f"--records must be a folder with {RECORDS}, got {folder}")
    return TaskConfig(workload=str(file), rate=None, episode_jobs=1, warmup_days=0.0, windows=1)


def _judged(source: TaskConfig, found: dict[str, float], goals: dict[str, float]) -> dict:
    """Figures on early and late weeks, with their distances."""
    parts = zip(("searched", "later"), measure(source, found), strict=True)
    return {
        name: {
            "figures": part,
            "dex": {key: _dex(part[key], goal) for key, goal in goals.items()},
            "mean_dex": distance(part, goals),
        }
        for name, part in parts
    }


# --- the search -----------------------------------------------------------------------------------


def descend(
    loss: Callable[[dict[str, float]], float], n_points: int, seed: int
) -> tuple[dict[str, float], list[float]]:
    """The best of n points, half of them drawn evenly, half around the best so far; all losses."""
    rng = np.random.default_rng(seed)
    n_even = max(1, n_points // 2)
    best, least, tried = np.zeros(0), np.inf, []
    for k in tqdm(range(n_points), desc="points"):
        reach = 0.25 * 0.1 ** ((k - n_even) / max(n_points - n_even, 1))
        point = rng.random(len(BOUNDS))
        if k >= n_even:
            moved = rng.random(len(BOUNDS)) < 0.5
            point = np.clip(best + moved * reach * rng.standard_normal(len(BOUNDS)), 0, 1)
        tried.append(loss(parameters(point)))
        if tried[-1] < least:
            best, least = point, tried[-1]
    return parameters(best), tried


def parameters(point: np.ndarray) -> dict[str, float]:
    """The parameters of a point of the unit cube."""
    found = {}
    for x, (name, (low, high, way)) in zip(point.tolist(), BOUNDS.items(), strict=True):
        found[name] = low * (high / low) ** x if way == LOG else low + (high - low) * x
    return found


def _dex(value: float, goal: float) -> float:
    return float(np.log10(value / goal))


def distance(figures: dict[str, float], goals: dict[str, float]) -> float:
    """The objective."""
    return float(np.mean([abs(_dex(figures[key], goal)) for key, goal in goals.items()]))


# --- figures --------------------------------------------------------------------------------------


def goals_of(source: TaskConfig, records: Path | None) -> dict[str, float]:
    """What each figure is to be."""
    goals = {f"wait {q} %, s": float(goal) for q, goal in WAITS}
    goals |= {f"queued / running, {name}": goal for name, (_, goal) in RATIOS.items()}
    if records is not None:
        site = pd.read_parquet(records / RECORDS, columns=["computingsite"])["computingsite"]
        return goals | _relative(site[site != UNKNOWN].value_counts().to_numpy(np.float64))
    n_sites = len(prepare(source).grid.sites)
    level = [100 - (100 - q) * n_sites / N_QUEUES for q in (50, *SHARES)]
    # the sites are the largest of the published queues
    return goals | _over_median(np.exp(np.interp(level, RUNNING[0], np.log(RUNNING[1]))).tolist())


def measure(source: TaskConfig, found: dict[str, float]) -> list[dict[str, float]]:
    """Figures of one world on the early weeks and on the later ones."""
    prepared = prepare(task_of(source, found))
    job = played(prepared)
    begin, end = job["submit"][0], job["submit"][-1]
    cut = end - TEST_SHARE * (end - begin)
    begin = min(begin + WARM_DAYS * DAY_S, (begin + cut) / 2)
    n_sites = len(prepared.grid.sites)
    return [_figures(job, n_sites, *span) for span in ((begin, cut), (cut, end))]


def task_of(source: TaskConfig, found: dict[str, float]) -> TaskConfig:
    """The task with these parameters."""
    told: dict[str, Any] = source.arguments() | dict(found)
    others = {name: told.pop(name) for name in BOUNDS if name != "load" and name in told}
    return TaskConfig(**told, background=Background(**others))


def played(prepared: PreparedTask) -> np.ndarray:
    """The jobs of the whole stream as PanDA's analysis rule leaves them, JOB_STATE rows (N,)."""
    grid, n = prepared.grid, len(prepared.stream.jobs)
    worlds = make_worlds(1, len(grid.sites), n, 0, 1, len(datasets_of(grid, 0, n)))
    reset_world(grid, worlds, 0, 0, n, 0, np.uint64(0))
    warm_up(grid, worlds, 0, n, prepared.cap_floor)
    advance(grid, worlds, 0, np.inf)
    return worlds.job[0]


def _figures(job: np.ndarray, n_sites: int, begin: float, end: float) -> dict[str, float]:
    """Figures of the jobs that came from begin to end, s."""
    ran = job[job["attempts"] > 0]
    late = ran[(ran["submit"] >= begin) & (ran["submit"] < end)]
    wait = np.percentile(late["first_start"] - late["submit"], [q for q, _ in WAITS])
    ratio = queued_by_running(ran, n_sites, np.arange(begin, end, HOUR_S))
    run = np.bincount(late["site"], late["end"] - late["start"], n_sites)
    figures = {f"wait {q} %, s": float(max(w, 1.0)) for (q, _), w in zip(WAITS, wait, strict=True)}
    for name, (q, _) in RATIOS.items():
        figures[f"queued / running, {name}"] = float(max(np.percentile(ratio, q), LEAST_RATIO))
    return figures | _relative(run)


def _relative(size: np.ndarray) -> dict[str, float]:
    """Quantiles of the sizes of sites over that of the median one."""
    return _over_median(np.percentile(size[size > 0], (50, *SHARES)).tolist())


def _over_median(quantiles: list[float]) -> dict[str, float]:
    """Those at SHARES over the first, which is the median."""
    middle, *others = quantiles
    named = zip(SHARES, others, strict=True)
    return {f"running, site at {q} % / 50 %": x / middle for q, x in named}


def queued_by_running(job: np.ndarray, n_sites: int, hour: np.ndarray) -> np.ndarray:
    """Jobs queued over jobs running at these times, s, of each site where some run.

    An attempt that failed is not told from waiting: a job runs from its last start on.
    """
    ratios = []
    for s in range(n_sites):
        ready, start, end = (
            np.sort(job[name][job["site"] == s]) for name in ("ready", "start", "end")
        )
        came, started, ended = (np.searchsorted(t, hour, "right") for t in (ready, start, end))
        running = started - ended
        ratios.append((came - started)[running > 0] / running[running > 0])
    return np.concatenate(ratios)


# --- the table ------------------------------------------------------------------------------------


def to_markdown(result: dict) -> str:
    """Figures before and after on weeks not searched on, then the parameters found."""
    before, after = result["before"]["later"], result["after"]["later"]
    lines = [
        [key, f"{goal:,.4g}", *(_cell(part, key) for part in (before, after))]
        for key, goal in result["goals"].items()
    ]
    lines.append(
        ["all, mean distance in dex", "", *(f"{part['mean_dex']:.2f}" for part in (before, after))]
    )
    heads = ["on weeks not searched on", "goal", "`busy`, load 0.2 (dex)", "calibrated (dex)"]
    busy = vars(Background()) | BEFORE
    found = [[name, f"{busy[name]:.3g}", f"{x:.3g}"] for name, x in result["parameters"].items()]
    told = table(["parameter", "`busy`", "calibrated"], found)
    return f"{table(heads, lines)}\n\n{told}\n\n{missed(after, result['goal_dex'])}"


def _cell(part: dict, key: str) -> str:
    return f"{part['figures'][key]:,.4g} ({part['dex'][key]:+.2f})"


def missed(part: dict, goal_dex: float) -> str:
    """Which goals are missed, in one sentence."""
    far = {key: dex for key, dex in part["dex"].items() if abs(dex) > goal_dex}
    if not far:
        return f"All figures are within {goal_dex} dex."
    worst = ", ".join(f"{key} ({dex:+.2f})" for key, dex in far.items())
    return f"{len(far)} of {len(part['dex'])} figures are further than {goal_dex} dex: {worst}."


if __name__ == "__main__":
    command(main)
