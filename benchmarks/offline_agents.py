"""Agents trained on offline data alone, tested in the environment.

Trains the learners of `benchmarks.play.offline_learners` on data sets that
`python -m benchmarks.offline` has made, and plays them on common worlds of the test windows. Writes
return, normalised score and cost of each, with 95 % confidence intervals over trainings and over
windows, to results/offline-agents.json. An interrupted run resumes where it stopped.

    python -m benchmarks.offline_agents --sets panda-tier1-mixed-v0 panda-tier1-expert-v0
"""

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path

import gymnasium as gym
import pandas as pd
import torch

import pandaenv  # noqa: F401  registers the environments
from benchmarks.inputs.arguments import command, command_parser
from benchmarks.inputs.places import RESULTS
from benchmarks.offline import REFERENCES, play
from benchmarks.play.offline_learners import LEARNERS, Config, within_cost_limit
from benchmarks.report.finished import ResultCache
from benchmarks.report.intervals import interval
from benchmarks.report.provenance import provenance, write_json
from pandaenv import offline, policies
from pandaenv.agents.scoring import Traits, traits_of
from pandaenv.offline.recipes import SETS

OUT = RESULTS / "offline-agents.json"
TIER1 = tuple(name for name in SETS if "tier1" in name)


def run_set(
    data: offline.Dataset, options: argparse.Namespace, config: Config, cache: ResultCache
) -> dict:
    """Train every learner on a data set once for each seed, and test them all."""
    envs = gym.make_vec(
        data.metadata["env_id"],
        num_envs=len(options.worlds),
        **data.metadata["env_arguments"] | {"split": "test"},
    )
    traits = traits_of(envs)
    reference = data.metadata["reference"]
    data.set_target_cost(reference["brokerage"]["cost"])
    name = data.metadata["name"]
    rivals = {
        role: pd.DataFrame(
            cache.get(f"{name}-{role}", lambda p=policy: reference_episodes(p, envs, options))
        )
        for role, policy in REFERENCES.items()
    }
    rows = []
    for learner in options.learners:
        source = within_cost_limit(data, data.target_cost) if learner == "BC-Safe" else data
        if source is None:
            rows.append({"learner": learner, "why_not": "no episode is within the cost limit"})
            continue
        played = [
            cache.get(
                f"{name}-{learner}-{seed}",
                lambda t=learner, d=source, s=seed: train_and_test(
                    t, d, traits, config, s, envs, options
                ),
            )
            for seed in options.seeds
        ]
        row = {"learner": learner, "episodes_learned_from": len(source.starts)}
        trainings = [pd.DataFrame(p) for p in played]
        rows.append(row | scores(data, trainings) | {"gains": gains(trainings, rivals)})
    return {
        "set": name,
        "n_episodes": len(data.starts),
        "target_cost": data.target_cost,
        "reference": reference,
        "behaviour": behaviour_scores(data),
        "learners": rows,
    }


def train_and_test(
    learner: str,
    data: offline.Dataset,
    traits: Traits,
    config: Config,
    seed: int,
    envs: gym.vector.VectorEnv,
    options: argparse.Namespace,
) -> list[dict]:
    """Train one and play it on all test worlds; one row an episode."""
    policy = LEARNERS[learner](data, traits, config, seed)
    if not options.quiet:
        print(f"{data.metadata['name']}: {learner}, seed {seed} trained", file=sys.stderr)
    return play(policy, envs, list(options.worlds)).to_dict("records")


def reference_episodes(
    name: str, envs: gym.vector.VectorEnv, options: argparse.Namespace
) -> list[dict]:
    """A reference policy on the very worlds of the agents; one row an episode."""
    return play(policies.make(name), envs, list(options.worlds)).to_dict("records")


def gains(trainings: list[pd.DataFrame], rivals: dict[str, pd.DataFrame]) -> dict:
    """Return and cost of the agents minus those of the references, paired, over windows."""
    mine = pd.concat(trainings).groupby("window").mean()
    return {
        f"minus_{role}": {
            key: interval(mine[key] - its.groupby("window")[key].mean())
            for key in ("return", "cost")
        }
        for role, its in rivals.items()
    }


def scores(data: offline.Dataset, trainings: list[pd.DataFrame]) -> dict:
    """Means over trainings and worlds, with intervals over trainings and over windows.

    Worlds of one window share their jobs, so a window counts once.
    """
    both = pd.concat(trainings, keys=range(len(trainings)), names=["training"])
    both["score"], both["normalised_cost"] = data.normalized_score(both["return"], both["cost"])
    found = {}
    for key in ("return", "score", "cost", "normalised_cost"):
        found[key] = {
            "over_trainings": interval(both[key].groupby("training").mean()),
            "over_windows": interval(both.groupby("window")[key].mean()),
        }
    return found


def behaviour_scores(data: offline.Dataset) -> dict:
    """What lies in the data: mean return and cost of its episodes, on the training windows."""
    score, cost = data.normalized_score(data.returns().mean(), data.returns("costs").mean())
    return {"score": float(score), "normalised_cost": float(cost)}


def to_markdown(sets: list[dict]) -> str:
    """Scores as a table: 0 random, 100 expert; costs over the limit in brackets."""
    lines = ["| set | " + " | ".join(LEARNERS) + " |", "|---|" + "--:|" * len(LEARNERS)]
    for found in sets:
        by_name = {row["learner"]: row for row in found["learners"]}
        cells = [_cell(by_name.get(name)) for name in LEARNERS]
        lines.append(f"| {found['set']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: dict | None) -> str:
    if row is None or "why_not" in row:
        return "-"
    score, cost = row["score"]["over_trainings"], row["normalised_cost"]["over_trainings"]
    half = score["mean"] - score["low"]
    return f"{score['mean']:.0f} ± {half:.0f} ({cost['mean']:.2f})"


def main(argv: list[str] | None = None) -> int:
    """Train on the sets, test, print the table, write the result."""
    argv = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(argv)
    torch.set_num_threads(1)
    config = replace(Config(), **{k: v for k in ("steps",) if (v := getattr(options, k))})
    try:
        sets = []
        for name in options.sets:
            data = offline.load(name, options.data)
            identity = {
                "config": asdict(config),
                "worlds": list(options.worlds),
                "set": {
                    k: data.metadata[k]
                    for k in ("seed", "n_episodes", "versions", "env_stream_sha256")
                },
            }
            sets.append(run_set(data, options, config, ResultCache(options.kept, identity)))
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(to_markdown(sets))
    result = {
        "what": "agents that learned from offline data alone, on common worlds of the test "
        "windows; score 0 random, 100 expert; costs over those of PanDA's rule",
        "config": asdict(config),
        "worlds": list(options.worlds),
        "sets": sets,
    } | provenance("benchmarks.offline_agents", argv, list(options.seeds))
    print(write_json(options.out, result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("offline_agents", __doc__)
    add = parser.add_argument
    add("--data", type=Path, default=offline.HOME, help="folder of the sets (%(default)s)")
    add("--sets", nargs="+", default=TIER1, help="names (default: all of the Tier-1 grid)")
    add(
        "--learners",
        nargs="+",
        choices=LEARNERS,
        default=list(LEARNERS),
        metavar="LEARNER",
        help=f"some of: {', '.join(LEARNERS)}",
    )
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the trainings")
    add("--worlds", nargs="+", type=int, default=list(range(24)), help="seeds of test episodes")
    add("--steps", type=int, help="batches of each training")
    add("--kept", type=Path, help="folder to keep what is finished in, for a run that goes on")
    add("--out", type=Path, default=OUT, help="JSON file (%(default)s)")
    add("--quiet", action="store_true", help="show no progress")
    return parser


if __name__ == "__main__":
    command(main)
