"""Offline data sets for safe reinforcement learning on the brokering problem, by name.

Collects episodes of a named mixture of policies (`pandaenv.offline.recipes.SETS`). Writes
NAME.hdf5 in the layout of DSRL (`pandaenv.offline`), its card as NAME.json, NAME.md and NAME.png,
on request NAME.npz for OmniSafe, and a Minari data set NAME in Minari's own folder. An interrupted
run resumes where it stopped, to the same bytes; finished episodes can be read at any time.

    python -m benchmarks.offline --name panda-tier1-brokerage-v0 --episodes 20 --out data/
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
from tqdm import tqdm

import pandaenv  # noqa: F401  registers the environments
from benchmarks.inputs.arguments import command_parser
from benchmarks.inputs.engines import SERIAL, Engine, add_engine_options, engine
from benchmarks.report import cards
from benchmarks.report.provenance import provenance
from foundations.errors import one_sentence
from pandaenv import offline, policies
from pandaenv.offline import layouts
from pandaenv.offline.mixtures import Mixture
from pandaenv.offline.recipes import EXPERT, SETS, Recipe, find_recipe, make_mixture

FORMATS = ("dsrl", "minari", "omnisafe")
REFERENCES = {"random": "random", "brokerage": "panda_analysis", "expert": EXPERT}
"""Role in the scores -> policy that sets it; an agent, too, is measured by these."""
REFERENCE_SEEDS = tuple(range(8))
N_ENVS = 8
ARGUMENTS = ("workload", "episode_jobs", "rate", "load", "wait_limit", "byte_limit")
"""Of the environment, that the command takes."""


def collect(
    name: str,
    episodes: int,
    out: Path,
    seed: int = 0,
    agent=None,
    progress: bool = True,
    workers: Engine = SERIAL,
    **arguments,
) -> tuple[Path, gym.Env]:
    """Collect a named data set into `out`, unless it is there.

    Args:
        agent: a policy that replaces the expert, see `pandaenv.offline.recipes.make_mixture`.
        workers: the engine on which episodes are played; the file does not depend on it.
        arguments: of the environment.

    Returns the file and its environment. Raises `ValueError` if another data set is in its place.
    """
    recipe = find_recipe(name)
    path = out / f"{name}.hdf5"
    env = gym.make(recipe.env, **arguments)
    players = make_mixture(recipe.behaviours, agent)
    if path.is_file():
        _check_same(path, offline.file_attributes(env, players, name) | {"seed": seed}, episodes)
        return path, env
    extra = {"reference": json.dumps(reference(recipe.env, **arguments))}
    n_envs = N_ENVS if _is_batched(players) else 1
    if workers.name != "serial":
        work = Work(recipe, path, name, episodes, seed, n_envs, agent, extra, arguments)
        workers.run(play_share, work.shares(len(players.policies)), quiet=not progress)
    with tqdm(total=episodes, desc=name, unit="episode", disable=not progress) as bar:
        offline.collect(
            env,
            players,
            path,
            episodes=episodes,
            seed=seed,
            name=name,
            n_envs=n_envs,
            extra=extra,
            notify=lambda n: bar.update(n - bar.n),
        )
    return path, env


@dataclass(frozen=True)
class Work:
    """What every process that plays a share of the episodes has to know."""

    recipe: Recipe
    path: Path
    name: str
    episodes: int
    seed: int
    n_envs: int
    agent: Any
    extra: dict[str, object]
    arguments: dict[str, Any]

    def shares(self, n_policies: int) -> list[tuple[Work, range]]:
        """The episodes in parts that all policies play side by side."""
        most, n = self.n_envs * n_policies, self.episodes
        return [(self, range(i, min(i + most, n))) for i in range(0, n, most)]


def play_share(piece: tuple[Work, Sequence[int]]) -> None:
    """Play some of the episodes of a data set; they lie beside it until all are joined."""
    work, numbers = piece
    offline.collect(
        gym.make(work.recipe.env, **work.arguments),
        make_mixture(work.recipe.behaviours, work.agent),
        work.path,
        episodes=work.episodes,
        seed=work.seed,
        name=work.name,
        n_envs=work.n_envs,
        extra=work.extra,
        only=numbers,
    )


def reference(env_id: str, **arguments) -> dict:
    """Mean return and cost of the reference policies over common seeds of the test windows."""
    envs = gym.make_vec(env_id, len(REFERENCE_SEEDS), **arguments | {"split": "test"})
    scores = {}
    for role, policy in REFERENCES.items():
        means = play(policies.make(policy), envs, REFERENCE_SEEDS).mean()
        scores[role] = {"policy": policy, **{k: float(means[k]) for k in ("return", "cost")}}
    return scores | {"split": "test", "seeds": list(REFERENCE_SEEDS)}


def play(policy, envs: gym.vector.VectorEnv, seeds: Sequence[int]) -> pd.DataFrame:
    """One episode for each seed, all at once, in the worlds of `benchmarks.policies.play`.

    Args:
        policy: has `reset(seeds)` and `act_all(envs)`.
        envs: as many as there are seeds.

    Returns one row an episode: seed, window, return, cost.
    """
    n, seeds = len(seeds), list(seeds)
    windows = np.array(seeds) % len(envs.unwrapped.single.prepared.windows)
    returns, costs, running = np.zeros(n), np.zeros(n), np.ones(n, bool)
    for step in policies.vector_steps(envs, policy, seeds, windows):
        returns += step.reward * running
        costs += step.info["cost"] * running
        running &= ~step.is_last
        if not running.any():
            break
    return pd.DataFrame({"seed": seeds, "window": windows, "return": returns, "cost": costs})


def read_agent(folder: Path):
    """A trained agent, named by its weights, see `pandaenv.agents`."""
    from pandaenv import agents

    agent = agents.load(folder)
    card = json.loads((folder / agents.CARD).read_text())
    agent.name = f"agent {card['kind']} {card['sha256'][:12]}"
    return agent


def _is_batched(players: Mixture) -> bool:
    below = [getattr(p, "policy", p) for p in players.policies]
    return all(hasattr(policy, "act_all") for policy in below)


def _check_same(path: Path, attributes: dict, episodes: int) -> None:
    """Whether the file is this very data set, so that only what lies beside it is missing."""
    made = offline.metadata(path)
    wanted = {k: made[k] for k in ("name", "env_id", "env_stream_sha256", "policy", "seed")}
    same = all(attributes[k] == v for k, v in wanted.items())
    if (
        not same
        or made["n_episodes"] != episodes
        or made["policy_mix"] != json.loads(attributes["policy_mix"])
    ):
        raise ValueError(f"a data set is never overwritten; {path} exists and is another")


def write(path: Path, env: gym.Env, formats: tuple[str, ...], provenance_: dict) -> list[str]:
    """Write what lies beside the file and is not there yet; returns the names of what was."""
    made, card = [], path.with_suffix(".json")
    if "minari" in formats and not layouts.is_in_minari(path):
        made.append(layouts.to_minari(path, env))
    if "omnisafe" in formats and not path.with_suffix(".npz").exists():
        made.append(layouts.to_omnisafe(path, path.with_suffix(".npz")).name)
    if not card.exists():
        made += [file.name for file in cards.write(path, provenance_)]
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if the data sets were written, exit code 1 and one sentence if not."""
    words = sys.argv[1:] if arguments is None else arguments
    parsed = _parser().parse_args(words)
    options = vars(parsed)
    workers = engine(parsed)
    for name in ("engine", "workers", "threads", "address"):
        del options[name]
    chosen = {k: options.pop(k) for k in ARGUMENTS}
    settings = {k: v for k, v in chosen.items() if v is not None}
    made_by = provenance("benchmarks.offline", words, options["seed"])
    with one_sentence():
        if options["agent"] is not None:
            options["agent"] = read_agent(options["agent"])
        for name in options.pop("name"):
            print(cards.sentence(_make(name, made_by, settings, workers=workers, **options)))
    return 0


def _make(name: str, made_by: dict, settings: dict, formats, out: Path, **options) -> Path:
    """One data set and all that lies beside it; its file."""
    out = out.expanduser()
    out.mkdir(parents=True, exist_ok=True)
    is_new = not (out / f"{name}.hdf5").exists()
    path, env = collect(name, out=out, progress=sys.stderr.isatty(), **options, **settings)
    if not write(path, env, formats, made_by) and not is_new:
        raise ValueError(f"a data set is never overwritten; {path} exists, with all beside it")
    return path


def _formats(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown format {unknown[0]!r}; known: {', '.join(FORMATS)}"
        )
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("offline", __doc__)
    parser.add_argument(
        "--name", required=True, nargs="+", help="one or more of " + ", ".join(SETS)
    )
    parser.add_argument("--episodes", type=int, required=True, help="of each data set")
    parser.add_argument("--out", type=Path, default=offline.HOME, help="folder (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first episode")
    parser.add_argument(
        "--formats",
        type=_formats,
        default=FORMATS[:2],
        help="with commas: dsrl, which is always written, minari, omnisafe (default dsrl,minari)",
    )
    parser.add_argument(
        "--agent", type=Path, help=f"folder of a trained agent that plays instead of {EXPERT}"
    )
    parser.add_argument("--workload", help="name or file, instead of the environment's own")
    parser.add_argument("--episode-jobs", type=int, help="instead of the environment's own")
    parser.add_argument("--rate", type=float, help="jobs a day, instead of the environment's own")
    parser.add_argument("--load", type=float, help="instead of the environment's own")
    parser.add_argument(
        "--wait-limit", type=float, help="seconds, instead of the environment's own"
    )
    parser.add_argument("--byte-limit", type=float, help="instead of the environment's own")
    add_engine_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
