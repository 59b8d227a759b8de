"""How policies compare: all of them on the same worlds, over loads and scenarios.

Plays every policy with the same seeds in every cell (load x scenario). Writes policies.json with
means and paired differences (`benchmarks.report.intervals` describes the confidence intervals), and
beside it the tables as Markdown, a figure, every episode as CSV, and the leaderboard
(`benchmarks.play.leaderboard`). An interrupted run resumes where it stopped.

Beside them stands the gap of each policy to a bound by hindsight, which no placement of the same
jobs can beat (`pandaenv.hindsight`; some seconds for each world).

Returns are in mean service times m. The return of an episode is minus the summed flow time of its
jobs over m, so `flow` = -return / jobs is the mean flow time of a job over m.

    python -m benchmarks.policies [--loads .5 .6 .7 .8] [--scenarios normal outage] [--seeds 24]
    python -m benchmarks.policies --mine module:Policy
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from benchmarks.inputs import candidates
from benchmarks.inputs.arguments import (
    command,
    command_parser,
    new_file,
    new_folder,
    positive,
    site_catalogue,
    whole,
)
from benchmarks.inputs.engines import add_engine_options, engine
from benchmarks.inputs.places import RESULTS, RUNS
from benchmarks.play import leaderboard
from benchmarks.play.cells import GREEDY_ESTIMATE, Cells, play_cells, workload_digest
from benchmarks.play.episodes import ENV_ID
from benchmarks.report.comparison import (
    ORACLE,
    PANDA,
    cell_tables,
    full_text,
    rows_shown,
    sentence,
    verdict,
)
from benchmarks.report.comparison_figure import draw
from benchmarks.report.intervals import to_markdown
from benchmarks.report.provenance import provenance, write_json, write_text
from pandaenv import policies
from pandaenv.env.config import TaskConfig
from pandaenv.hindsight import N_STEPS
from pandaenv.scenarios import SCENARIOS

OUT = RESULTS / "policies.json"
LOADS = (0.5, 0.6, 0.7, 0.8)
N_SEEDS = 24
FROZEN = (
    "workload", "sites", "rate", "jobs", "split", "windows", "seeds", "policies", "bound", "out",
    "parts",
)  # fmt: skip
"""Options that the leaderboard has fixed."""


def main(argv: list[str] | None = None) -> None:
    """Compare policies, or measure yours against the leaderboard."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    if args.mine:
        _check_mine(args)
        print(leaderboard.measure(args.mine, args.board, args.loads, args.scenarios))
        return
    task = TaskConfig(
        workload=args.workload,
        sites=args.sites,
        rate=args.rate,
        episode_jobs=args.jobs,
        split=args.split,
        windows=args.windows,
    )
    seeds = _seeds(args)
    chosen = args.policies or [*policies.names(), GREEDY_ESTIMATE]
    loads, names = args.loads or LOADS, args.scenarios or list(SCENARIOS)
    cells = play_cells(
        task, loads, names, chosen, seeds, args.parts, engine=engine(args), bound_steps=args.bound
    )
    found = cell_tables(cells, against=candidates.label(chosen[0]))
    result = {
        "env": {"id": ENV_ID, **_shared(task), "workload": Path(args.workload).name},
        "verdict": verdict(found),
        "cells": found,
        **provenance("benchmarks.policies", argv, seeds),
        "pool_sha256": workload_digest(args.workload),
    }
    print(f"{to_markdown(rows_shown(result))}\n\n{sentence(result)}")
    if args.out:
        for path in write(result, cells, args.out):
            print(path)


def _seeds(args: argparse.Namespace) -> list[int]:
    """A seed for each episode, so many that every window is played."""
    n_windows = args.windows or 1
    n = args.seeds or max(N_SEEDS, n_windows)
    if n < n_windows:
        raise ValueError(f"--seeds must be at least --windows, got {n} and {n_windows}")
    return list(range(n))


def _shared(task: TaskConfig) -> dict:
    """What all cells have in common."""
    return {k: v for k, v in task.to_json().items() if k not in ("load", "scenario")}


def _check_mine(args: argparse.Namespace) -> None:
    """Refuse options that the frozen worlds of the leaderboard fix."""
    for name in FROZEN:
        if getattr(args, name) != _parser().get_default(name):
            raise ValueError(
                f"--mine plays the frozen worlds of the leaderboard (--loads and --scenarios "
                f"select some of them); it takes no --{name}"
            )


def write(result: dict, cells: Cells, out: Path) -> list[Path]:
    """Write the result as JSON, Markdown and a figure; the episodes; the leaderboard."""
    episodes = pd.concat(
        [rows.assign(load=load, scenario=name) for (load, name), rows in cells.items()]
    )
    front = ["load", "scenario", "policy"]
    episodes = episodes[[*front, *(c for c in episodes if c not in front)]]
    written = [
        write_json(out, result),
        write_text(out.with_suffix(".md"), full_text(result)),
        write_text(out.with_suffix(".csv"), episodes.to_csv(index=False, float_format="%.7g")),
        draw(result, out.with_suffix(".png")),
    ]
    if {PANDA, ORACLE} <= set(episodes["policy"]):
        board = leaderboard.freeze(result, episodes)
        written.append(write_json(board_beside(out), board))
    return written


def board_beside(out: Path) -> Path:
    """Where the leaderboard of a result goes; only the committed result has the committed one."""
    name = "leaderboard.json" if out.name == OUT.name else f"{out.stem}-leaderboard.json"
    return out.with_name(name)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("policies", __doc__)
    add = parser.add_argument
    add("--workload", default="tabddpm", help="name or file (default %(default)s)")
    add(
        "--sites", type=site_catalogue, default=40, help="number, name or CSV (default %(default)s)"
    )
    add("--rate", type=positive, default=5_500, help="jobs a day (default %(default)s)")
    add("--loads", type=positive, nargs="+", help="default: .5 .6 .7 .8")
    add("--scenarios", nargs="+", choices=tuple(SCENARIOS), help="default: all")
    add("--jobs", type=whole(1), default=5_500, help="jobs of an episode (default %(default)s)")
    add("--split", default="test", help="train or test windows (default %(default)s)")
    add("--windows", type=whole(1), help="evenly spread over the weeks (default: 8 for test)")
    add(
        "--seeds",
        type=whole(1),
        help=f"episodes of a policy in a cell (default {N_SEEDS}, or --windows)",
    )
    add(
        "--policies",
        nargs="+",
        metavar="NAME",
        help=f"{candidates.POLICY_HELP}, or {GREEDY_ESTIMATE}; differences are taken to the first "
        "(default: all built-in ones)",
    )
    add(
        "--bound",
        type=whole(0),
        default=N_STEPS,
        metavar="STEPS",
        help="steps of the bound of each world; 0: none (default %(default)s)",
    )
    add("--out", type=new_file, default=OUT, help="JSON file to write")
    add("--parts", type=new_folder, default=RUNS / "policies", help="folder of finished cells")
    add(
        "--mine",
        metavar="MODULE:POLICY",
        help="measure this policy on the leaderboard's worlds",
    )
    add("--board", type=Path, default=leaderboard.BOARD, help="leaderboard file")
    add_engine_options(parser)
    return parser


if __name__ == "__main__":
    command(main)
