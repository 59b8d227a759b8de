"""The leaderboard: scores of policies on frozen worlds, relative to PanDA's analysis rule.

In: the episodes of `benchmarks.policies`, or a policy of yours. Out: `leaderboard.json`, and for a
policy its score with a 95 % confidence interval.

The score of a policy in a cell (load x scenario) is the mean flow time of a job under PanDA's
analysis rule divided by that under the policy, on the same worlds: 1 is as good as PanDA's rule,
larger is better. The score over all cells is their geometric mean; its interval is Student's, over
the windows. A lost job counts 10 mean service times, so failing fast gains nothing.

A policy is `pandaenv.policies.Policy`: `reset(seed)` and `act(env)`, or batched `reset(seeds)` and
`act_all(envs)`. Submit one by a pull request that adds it and the line printed for `entries`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmarks.inputs import candidates
from benchmarks.inputs.places import RESULTS
from benchmarks.report.intervals import interval, table
from pandaenv import policies
from pandaenv.env.config import TaskConfig

from .episodes import ENV_ID, play_episodes

BOARD = RESULTS / "leaderboard.json"
BASE = "panda_analysis"
SHOWN = ("random", BASE, "greedy", "greedy_true")
"""Policies whose scores open the board; the last one knows what no broker can."""
SUBMIT = "python -m benchmarks.policies --mine module:Policy"
TOLERANCE = 1e-6
"""Relative difference beyond which a world is not the frozen one."""


def freeze(result: dict, episodes: pd.DataFrame) -> dict:
    """The board of a finished run."""
    cells = []
    for (load, scenario), rows in episodes.groupby(["load", "scenario"], sort=False):
        flow = rows.pivot_table("flow", index="window", columns="policy")
        cost = rows.groupby("policy")["cost"].mean()
        cells.append(
            {
                "load": float(load),
                "scenario": scenario,
                "flow": {name: flow[name].tolist() for name in SHOWN if name in flow},
                "cost": {name: float(cost[name]) for name in SHOWN if name in cost},
            }
        )
    names = [name for name in SHOWN if name in cells[0]["flow"]]
    board = {
        "env": result["env"],
        "pool_sha256": result["pool_sha256"],
        "seed": result["seed"],
        "submit": SUBMIT,
        "cells": cells,
        "entries": [],
        **{key: result[key] for key in ("versions", "commit", "cpu", "cores")},
        "command": result["command"],
    }
    for name in names:
        flows = [cell["flow"][name] for cell in cells]
        costs = [cell["cost"][name] for cell in cells]
        board["entries"].append(entry(name, board, flows, costs))
    board["entries"].sort(key=lambda row: -row["score"]["mean"])
    return board


def entry(name: str, board: dict, flows: list, costs: list, cells: list | None = None) -> dict:
    """A line of the board: the score, that of each scenario, and the mean cost.

    Args:
        flows: of each cell, the mean flow over m of each window.
        costs: of each cell, limit violations per job.
        cells: those of the board they belong to; None: all.
    """
    cells = board["cells"] if cells is None else cells
    base = [cell["flow"][BASE] for cell in cells]
    gain = np.log(base) - np.log(flows)
    kinds = np.array([cell["scenario"] for cell in cells])
    return {
        "policy": name,
        "score": _score(gain),
        "scenarios": {kind: _score(gain[kinds == kind])["mean"] for kind in dict.fromkeys(kinds)},
        "cost": float(np.mean(costs)),
    }


def _score(gain: np.ndarray) -> dict[str, float]:
    """Geometric mean over cells of ratios whose logarithms are (cells, windows)."""
    found = interval(gain.mean(axis=0))
    return {key: float(np.exp(found[key])) for key in ("mean", "low", "high")} | {"n": found["n"]}


def measure(name: str, path: Path = BOARD, loads=None, scenarios=None) -> str:
    """Play the policy `module:Policy` in the cells of the board; its lines as text."""
    board = read(path)
    policy = candidates.policy(name).policy
    cells = [
        cell
        for cell in board["cells"]
        if (loads is None or cell["load"] in loads)
        and (scenarios is None or cell["scenario"] in scenarios)
    ]
    if not cells:
        raise ValueError("no cell of the leaderboard has that load and scenario")
    seeds, tasks = board["seed"], [task(board, cell) for cell in cells]
    check(board, cells[0])
    flows, costs = [], []
    size = tasks[0].episode_jobs * len(seeds) * len(cells)
    with tqdm(total=size, unit="job", unit_scale=True, file=sys.stderr) as bar:
        for cell, own in zip(cells, tasks, strict=True):
            bar.set_description(f"load {cell['load']:g}, {cell['scenario']}")
            rows = play_episodes(own, policy, seeds, bar.update)
            flows.append(rows.groupby("window")["flow"].mean().to_numpy())
            costs.append(float(rows["cost"].mean()))
    mine = entry(name, board, flows, costs, cells)
    others = [
        entry(who, board, *([c[k][who] for c in cells] for k in ("flow", "cost")), cells)
        for who in cells[0]["flow"]
    ]
    ranked = sorted([mine, *others], key=lambda row: -row["score"]["mean"])
    return f"{to_markdown(ranked)}\n\n{json.dumps(mine)}"


def task(board: dict, cell: dict) -> TaskConfig:
    """The task of a cell."""
    told = {key: value for key, value in board["env"].items() if key != "id"}
    return TaskConfig.from_json(told | {"load": cell["load"], "scenario": cell["scenario"]})


def check(board: dict, cell: dict) -> None:
    """Play PanDA's rule in one cell; another result than the frozen one is another task."""
    rows = play_episodes(task(board, cell), policies.make(BASE), board["seed"])
    found = rows.groupby("window")["flow"].mean().to_numpy()
    frozen = np.array(cell["flow"][BASE])
    if len(found) != len(frozen) or not np.allclose(found, frozen, rtol=TOLERANCE, atol=0):
        raise ValueError(
            f"the leaderboard's worlds must be met, but PanDA's rule gives {found.mean():.6f} at "
            f"load {cell['load']:g}, {cell['scenario']}, not {frozen.mean():.6f}: another version "
            f"of {ENV_ID} or of its pool"
        )


def read(path: Path) -> dict:
    """The board of a file; a ValueError says why it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} must be a readable leaderboard: {error}") from error


def to_markdown(entries: list[dict]) -> str:
    """Lines of the board as a table."""
    kinds = list(entries[0]["scenarios"])
    lines = [
        [
            row["policy"],
            f"{row['score']['mean']:.3f} ({row['score']['low']:.3f} to {row['score']['high']:.3f})",
            *(f"{row['scenarios'][kind]:.3f}" for kind in kinds),
            f"{row['cost']:.4f}",
        ]
        for row in entries
    ]
    return table(["policy", "score (95 % CI)", *kinds, "limit violations per job"], lines)
