"""How far from the best possible: policies between a bound by hindsight and the best plan found.

Plays policies on the test windows of a task, one episode a seed, and bounds each episode from both
sides by hindsight: no placement of its jobs has a smaller flow time than the bound, and the best
plan met in a search has none smaller than the best there is (`pandaenv.hindsight`). Writes
results/bound.json, with every flow window by window, and prints a table in which `best found`
stands among the policies. The gap is a flow over the bound, less 1.

    python -m benchmarks.bound [--windows 8] [--moves 4000] [--policies greedy module:Policy]
"""

import argparse
import sys

import gymnasium as gym
import pandas as pd
from tqdm import tqdm

from benchmarks.inputs import candidates
from benchmarks.inputs.arguments import (
    command,
    command_parser,
    new_file,
    positive,
    site_catalogue,
    whole,
)
from benchmarks.inputs.places import RESULTS
from benchmarks.play.episodes import ENV_ID, play_episodes
from benchmarks.report import intervals
from benchmarks.report.comparison import cell_tables
from benchmarks.report.intervals import interval
from benchmarks.report.provenance import provenance, write_json
from pandaenv.env.config import TaskConfig
from pandaenv.hindsight import N_MOVES, N_STEPS, best_found, lower_bound
from pandaenv.scenarios import SCENARIOS
from pandaenv.workload.stream import N_WINDOWS

OUT = RESULTS / "bound.json"
POLICIES = ("greedy", "panda_analysis", "greedy_true", "pandaenv.policies.planner:Planner")
FOUND = "best found"


def main(argv: list[str] | None = None) -> None:
    """Measure, print and write."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    task = TaskConfig(
        sites=args.sites,
        rate=args.rate,
        load=args.load,
        episode_jobs=args.jobs,
        scenario=args.scenario,
        split="test",
        windows=args.windows,
    )
    n = args.seeds or args.windows or N_WINDOWS["test"]
    worlds = bounds(task, n, args.steps, args.moves)
    episodes = pd.concat([found_as_played(worlds), *played(task, args.policies, n)])
    episodes = episodes.merge(worlds[["seed", "bound"]], on="seed")
    (cell,) = cell_tables(
        {(args.load, args.scenario): episodes}, candidates.label(args.policies[0])
    )
    result = {
        "env": {"id": ENV_ID, **task.to_json()},
        "steps": args.steps,
        "moves": args.moves,
        **cell,
        "service": interval(worlds.groupby("window")["service"].mean()),
        **provenance("benchmarks.bound", argv, list(range(n))),
    }
    print(to_markdown(result))
    print(write_json(args.out, result))


def bounds(task: TaskConfig, n: int, n_steps: int, n_moves: int) -> pd.DataFrame:
    """Bounds of n episodes: seed, window, bound, service, and the flow of the best plan found."""
    env, rows = gym.make(ENV_ID, **task.arguments()), []
    for seed in tqdm(range(n), unit="world", file=sys.stderr):
        window = seed % len(env.unwrapped.prepared.windows)
        env.reset(seed=seed, options={"window": window})
        limit = lower_bound(env, n_steps=n_steps)
        found = best_found(env, limit, n_moves=n_moves, seed=seed)
        rows.append([seed, window, limit.flow, limit.service, found.flow])
    return pd.DataFrame(rows, columns=["seed", "window", "bound", "service", "flow"])


def found_as_played(worlds: pd.DataFrame) -> pd.DataFrame:
    """The plans found as episodes of a policy."""
    return worlds[["seed", "window", "flow"]].assign(policy=FOUND)


def played(task: TaskConfig, names: list[str], n: int) -> list[pd.DataFrame]:
    """The episodes of each policy: seed, window, flow, policy."""
    every = [candidates.policy(name) for name in names]
    parts = [(one.name, play_episodes(task, one.policy, range(n))) for one in every]
    return [rows[["seed", "window", "flow"]].assign(policy=name) for name, rows in parts]


def to_markdown(result: dict) -> str:
    """The table of policies, and what it says of the best placement."""
    return f"{intervals.to_markdown(result['policies'])}\n\n{sentence(result)}"


def sentence(result: dict) -> str:
    """Between what the best placement lies."""
    best = next(row for row in result["policies"] if row["policy"] == FOUND)
    low, high = result["bound"]["mean"], best["flow"]["mean"]
    return (
        f"The best placement takes between {low:.3f} and {high:.3f} mean service times a job; "
        f"{result['service']['mean']:.3f} is what jobs would take if none met another."
    )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("bound", __doc__)
    add = parser.add_argument
    add("--sites", type=site_catalogue, default="tier1", help="(default %(default)s)")
    add("--rate", type=positive, default=2_000, help="jobs a day (default %(default)s)")
    add("--load", type=positive, default=0.6, help="(default %(default)s)")
    add("--scenario", choices=tuple(SCENARIOS), default="normal", help="(default %(default)s)")
    add("--jobs", type=whole(1), default=2_000, help="jobs of an episode (default %(default)s)")
    add("--windows", type=whole(1), help="evenly spread over the weeks (default: 8)")
    add("--seeds", type=whole(1), help="episodes (default: one a window)")
    add("--steps", type=whole(0), default=N_STEPS, help="of the bound (default %(default)s)")
    add("--moves", type=whole(0), default=N_MOVES, help="of the search (default %(default)s)")
    add(
        "--policies",
        nargs="+",
        metavar="NAME",
        default=list(POLICIES),
        help=f"{candidates.POLICY_HELP}; differences are taken to the first (default: %(default)s)",
    )
    add("--out", type=new_file, default=OUT, help="JSON file to write")
    return parser


if __name__ == "__main__":
    command(main)
