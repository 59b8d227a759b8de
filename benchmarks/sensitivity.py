"""How much the order of the policies hangs on what the world assumes.

Plays all rules on the test windows of the default task, and of the same task with one assumption
changed at a time. Writes sensitivity.json: for each setting Kendall's tau of its order of the rules
by mean flow time with that of the default, and the regret, what the rule that is best there takes
longer than the best in the default. Intervals are bootstrapped over the windows of both. The floor
is the default itself with other seeds: other failures and outages, the same jobs. `greedy_true` is
played, not ranked. About ten minutes on one core.

    python -m benchmarks.sensitivity [--settings NAME ...] [--seeds 16] [--jobs 5500] [--add]

With --add only settings are played that the file lacks, and the rows it has stay if the default
comes out alike to the last digit; `before` then says how these were made.
"""

import argparse
import json
import math
import sys
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmarks.inputs.arguments import command, command_parser, new_file, whole
from benchmarks.inputs.places import RESULTS
from benchmarks.play.episodes import ENV_ID, play_episodes
from benchmarks.report.comparison import ORACLE
from benchmarks.report.intervals import table
from benchmarks.report.provenance import provenance, write_json
from benchmarks.transfer import compared, flows
from pandaenv import policies, sites
from pandaenv.env import TaskConfig
from pandaenv.scenarios import Scenario

OUT = RESULTS / "sensitivity.json"
FLOOR = "other seeds"
MOST_FAILURES = 0.9


def settings() -> dict[str, dict]:
    """What is changed of the default task, by name."""
    grid = sites.catalogue(TaskConfig().sites)
    twice = np.minimum(2 * grid.failure_rate, MOST_FAILURES)
    alike = np.full(grid.n_sites, grid.power.mean())
    return {
        FLOOR: {},
        "load 0.5": {"load": 0.5},
        "load 0.7": {"load": 0.7},
        "load 0.8": {"load": 0.8},
        "no outages": {"scenario": Scenario(outage_every_s=math.inf)},
        "outage": {"scenario": "outage"},
        "degraded_network": {"scenario": "degraded_network"},
        "surge": {"scenario": "surge"},
        "black_hole_site": {"scenario": "black_hole_site"},
        "all queues": {"sites": "all"},
        "tier 0 and 1": {"sites": "tier1"},
        "one speed": {"sites": replace(grid, power=alike)},
        "caches / 10": {"sites": replace(grid, disk=grid.disk / 10)},
        "ingress / 10": {"sites": replace(grid, ingress=grid.ingress / 10)},
        "links / 10": {"sites": replace(grid, link_scale=0.1)},
        "no site failures": {"sites": replace(grid, failure_rate=0 * grid.failure_rate)},
        "twice the site failures": {"sites": replace(grid, failure_rate=twice)},
        "backfill": {"backfill": True},
        "busy, load 0.2": {"background": "busy", "load": 0.2},
        "a site for a task": {"decide": "task"},
        "news of 10 minutes ago": {"information_delay": 600.0},
        "news of an hour ago": {"information_delay": 3_600.0},
        "no warm-up": {"warmup_days": 0.0},
        "2,000 jobs a day": {"rate": 2_000},
        "tasks drawn anew": {"workload_seed": 1},
        "tabar": {"workload": "tabar"},
        "reference": {"workload": "reference"},
    }


def run(changes: dict[str, dict], n_seeds: int, n_jobs: int) -> dict:
    """Play the default and what is changed of it, and compare; what sensitivity.json holds."""
    task, own = TaskConfig(split="test", episode_jobs=n_jobs), range(n_seeds)
    base = played(task, own)
    ranked = [name for name in base if name != ORACLE]
    found = []
    for name, changed in tqdm(changes.items(), desc="settings"):
        seeds = range(n_seeds, 2 * n_seeds) if name == FLOOR else own
        flow = played(replace(task, **changed), seeds)
        row = compared(base[ranked], flow[ranked])
        found.append({"setting": name, **row, "flow": flow.mean().to_dict()})
    return {
        "what": "the order of the rules in the default task and with one assumption changed",
        "env": {"id": ENV_ID, "jobs": n_jobs, "seeds": n_seeds},
        "flow": base.mean().to_dict(),
        "settings": found,
    }


def joined(old: dict, new: dict) -> dict:
    """The rows of two results in the order of `settings`, given that their defaults are one world.

    Raises: ValueError where they are not.
    """
    if (old["env"], old["flow"]) != (new["env"], new["flow"]):
        raise ValueError("--add needs a file of the same default task, got other flow times in it")
    rows, order = old["settings"] + new["settings"], list(settings())
    rows.sort(key=lambda row: order.index(row["setting"]))
    made = {name: old[name] for name in ("command", "commit", "versions", "cpu", "cores")}
    return new | {"settings": rows, "before": old.get("before", []) + [made]}


def played(task: TaskConfig, seeds: range) -> pd.DataFrame:
    """Mean flow time of each rule (column) in each window (row)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "load=")  # that sites of one's own are scaled
        rows = [
            play_episodes(task, policies.make(name), seeds).assign(policy=name)
            for name in policies.names()
        ]
    return flows(pd.concat(rows, ignore_index=True))


def to_markdown(result: dict) -> str:
    """One line a setting."""
    lines = [
        [row["setting"], _span(row["tau"]), _span(row["regret"]), row["best"]]
        for row in result["settings"]
    ]
    heads = ["setting", "Kendall's τ (95 %)", "regret / m (95 %)", "its best rule"]
    return table(heads, lines)


def _span(found: dict) -> str:
    return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def main(arguments: list[str] | None = None) -> None:
    """Play, print and write."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    known = settings()
    old = json.loads(options.out.read_text(encoding="utf-8")) if options.add else None
    has = [row["setting"] for row in old["settings"]] if old else []
    changes = {name: known[name] for name in options.settings if name not in has}
    result = run(changes, options.seeds, options.jobs)
    if old:
        result = joined(old, result)
    print(to_markdown(result))
    made = provenance("benchmarks.sensitivity", arguments, list(range(options.seeds)))
    print(write_json(options.out, result | made).name)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("sensitivity", __doc__)
    known = list(settings())
    parser.add_argument(
        "--settings", nargs="+", default=known, choices=known, metavar="NAME", help="(all)"
    )
    parser.add_argument("--seeds", type=whole(2), default=16, help="episodes of each rule (16)")
    parser.add_argument(
        "--jobs", type=whole(1), default=TaskConfig().episode_jobs, help="jobs an episode (5500)"
    )
    parser.add_argument(
        "--add", action="store_true", help="keep the rows of the file, play only what it lacks"
    )
    parser.add_argument("--out", type=new_file, default=OUT, help="file to write")
    return parser


if __name__ == "__main__":
    command(main)
