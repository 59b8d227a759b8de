"""PPO agents learn to place jobs and are compared with all policies on worlds they never saw.

Trains the agents of a TOML file (`Config`), each once for every training seed, and plays them and
all built-in policies on the test windows with common seeds. Writes a folder for each agent
(weights, card, learning curve as CSV and TensorBoard events, checkpoint), and the comparison with
paired differences as JSON. An interrupted run resumes where it stopped.

A row of the table is an agent over all its trainings: its confidence interval is over the test
windows, and the last column gives the range over the trainings.

    python -m benchmarks.ppo --config benchmarks/configs/ppo-40.toml --runs runs
"""

import argparse
import sys
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from benchmarks.inputs.arguments import command, command_parser, new_file, new_folder, whole
from benchmarks.inputs.places import CONFIGS, RESULTS
from benchmarks.play.episodes import play_episodes
from benchmarks.play.recipes import Recipe
from benchmarks.play.trainings import train_agent
from benchmarks.report.intervals import differences, interval, summary, table, with_interval
from benchmarks.report.provenance import provenance, write_json
from pandaenv import policies
from pandaenv.env.config import TaskConfig

CONFIG = CONFIGS / "ppo-tier1.toml"
AGAINST = "panda_analysis"


@dataclass(frozen=True)
class Config:
    """What a run is made of; the TOML has these names."""

    train_seeds: tuple[int, ...] = (0,)
    test_episodes: int = 24
    """Seeds 0, 1, ... of the test split, the same for all policies."""
    env: dict = field(default_factory=dict)
    """Arguments of the environment; the split is set here."""
    shared: dict = field(default_factory=dict)
    """Settings of `benchmarks.play.recipes.Recipe` for all agents."""
    agents: dict = field(default_factory=dict)
    """name -> settings of its own."""

    def task(self, split: str) -> TaskConfig:
        """What the environment is made of."""
        return TaskConfig(**self.env | {"split": split})

    def recipes(self) -> dict[str, Recipe]:
        return {name: Recipe(**(self.shared | own)) for name, own in self.agents.items()}


def run(config: Config, runs: Path | None = None, progress: bool = True) -> dict:
    """Train every agent for each seed, then play all policies on the same test worlds."""
    contestants = {(name, 0): policies.make(name) for name in policies.names()}
    trainings = []
    for name, recipe in config.recipes().items():
        for seed in config.train_seeds:
            folder = None if runs is None else runs / f"{name}_{seed}"
            agent, note = train_agent(config.task("train"), name, recipe, seed, folder, progress)
            contestants[name, seed] = agent
            trainings.append(note)
    episodes = evaluate(contestants, config, progress)
    return {
        "config": asdict(config),
        "policies": compared(episodes, list(config.agents)),
        "differences": [d for name in config.agents for d in differences(episodes, name)],
        "trainings": trainings,
        "episodes": episodes.to_dict("records"),
    }


def evaluate(contestants: dict, config: Config, progress: bool = True) -> pd.DataFrame:
    """Play one episode for each policy and test seed.

    Args:
        contestants: (name, training seed) -> policy.

    Returns:
        Rows as of `benchmarks.play.episodes`, with the policy and the seed of its training.
    """
    task, seeds = config.task("test"), range(config.test_episodes)
    bar = tqdm(contestants.items(), desc="policies on the test windows", disable=not progress)
    rows = [
        play_episodes(task, policy, seeds).assign(policy=name, training=training)
        for (name, training), policy in bar
    ]
    return pd.concat(rows, ignore_index=True)


def compared(episodes: pd.DataFrame, learned: list[str]) -> list[dict]:
    """The summary of `benchmarks.report.intervals`, least flow first.

    An agent's row has `trainings`: mean flow of its trainings with their Student interval, and the
    least and the largest.
    """
    rows = summary(episodes, against=AGAINST)
    flows = episodes.groupby(["policy", "training"])["flow"].mean()
    for row in rows:
        if row["policy"] in learned:
            own = flows[row["policy"]]
            row["trainings"] = interval(own) | {"least": own.min(), "most": own.max()}
    return rows


def to_markdown(rows: list[dict]) -> str:
    """The table; what was trained has the range over its trainings."""
    against = next(row["policy"] for row in rows if row["saved"] is None)
    heads = [
        "policy",
        "flow time / m",
        f"reduction vs {against} (95 % CI)",
        "limit violations per job",
        "flow time / m, range over trainings",
    ]
    lines = [
        [
            row["policy"],
            f"{row['flow']['mean']:.3f}",
            with_interval(row["saved"]),
            f"{row['cost']['mean']:.4f}",
            _apart(row.get("trainings")),
        ]
        for row in rows
    ]
    return table(heads, lines)


def _apart(trainings: dict | None) -> str:
    """How far the trainings lie apart."""
    return "" if trainings is None else f"{trainings['least']:.3f} to {trainings['most']:.3f}"


def read_config(path: Path) -> Config:
    """Read settings from a TOML file; unknown names are errors."""
    try:
        given = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path} must be a readable TOML file: {error}") from error
    _check_names(path, given, Config)
    for own in (given.get("shared", {}), *given.get("agents", {}).values()):
        _check_names(path, own, Recipe)
    return Config(**given)


def _check_names(path: Path, given: dict, what) -> None:
    known = {f.name for f in fields(what)}
    if unknown := sorted(set(given) - known):
        raise ValueError(
            f"{path}: unknown setting {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )


def main(argv: list[str] | None = None) -> None:
    """Train agents, compare them with the built-in policies, write the result."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    config = chosen(read_config(args.config), args)
    if args.dry_run:
        print(config)
        return
    torch.set_num_threads(args.threads)
    result = run(config, args.runs)
    print(to_markdown(result["policies"]))
    result |= provenance("benchmarks.ppo", argv, list(config.train_seeds))
    out = args.out or RESULTS / f"{args.config.stem}.json"
    print(write_json(out, result))


def chosen(config: Config, args: argparse.Namespace) -> Config:
    """The settings with what the command line says over them."""
    agents = config.agents
    if unknown := [name for name in args.only or () if name not in agents]:
        raise ValueError(f"unknown agent {unknown[0]!r}; {args.config} has {', '.join(agents)}")
    over = {} if args.steps is None else {"steps": args.steps}
    kept = {name: agents[name] | over for name in args.only or agents}
    return replace(config, agents=kept)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("ppo", __doc__)
    parser.add_argument("--config", type=Path, default=CONFIG, help="TOML file of settings")
    parser.add_argument("--only", nargs="+", metavar="AGENT", help="some of the TOML's agents")
    parser.add_argument("--steps", type=whole(1), help="placements of a training, over the TOML's")
    parser.add_argument("--threads", type=whole(1), default=1, help="of the network")
    parser.add_argument("--runs", type=new_folder, help="keeps agents and checkpoints")
    parser.add_argument("--out", type=new_file, help="JSON (default: results/, named as the TOML)")
    parser.add_argument("--dry-run", action="store_true", help="print the settings and stop")
    return parser


if __name__ == "__main__":
    command(main)
