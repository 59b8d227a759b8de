"""Offline safe-RL data sets of the brokering problem, by name.

In: a name of `pandaenv.behaviours.SETS`, a number of episodes, a folder. Out: NAME.hdf5 in the
layout of DSRL (see `pandaenv.offline`), its card NAME.json, NAME.md and NAME.png, and on request
NAME.npz for OmniSafe; a Minari data set NAME lies under Minari's own root. A run that was stopped
goes on where it stopped, to the same bytes; the episodes it had finished are readable at any time.

    python -m benchmarks.offline --name panda-tier1-brokerage-v0 --episodes 20 --out data/
"""

import argparse
import json
import sys
from pathlib import Path

import gymnasium as gym
from tqdm import tqdm

import pandaenv  # noqa: F401  registers the environments
from pandaenv import layouts, offline, policies
from pandaenv.behaviours import EXPERT, SETS, Mixture, mixture, recipe

from . import cards
from .policies import evaluate
from .provenance import provenance

FORMATS = ("dsrl", "minari", "omnisafe")
REFERENCES = {"random": "random", "brokerage": "panda_analysis", "expert": EXPERT}
"""Role in the scores -> policy that sets it; an agent, too, is measured by these."""
REFERENCE_SEEDS = tuple(range(8))
N_ENVS = 8


def collect(
    name: str,
    episodes: int,
    out: Path,
    seed: int = 0,
    agent=None,
    progress: bool = True,
    **arguments,
) -> tuple[Path, gym.Env]:
    """Collect a named data set into `out`, unless it is there.

    Args:
        agent: a policy that plays in the expert's place, see `pandaenv.behaviours.mixture`.
        arguments: of the environment.

    Returns the file and its environment. Raises `ValueError` if another data set is in its place.
    """
    recipe_ = recipe(name)
    path = out / f"{name}.hdf5"
    env = gym.make(recipe_.env, **arguments)
    players = mixture(recipe_.behaviours, agent)
    if path.is_file():
        _check_same(path, offline.describe(env, players, name) | {"seed": seed}, episodes)
        return path, env
    extra = {"reference": json.dumps(reference(recipe_.env, **arguments))}
    n_envs = N_ENVS if _is_batched(players) else 1
    with tqdm(total=episodes, desc=name, unit="episode", disable=not progress) as bar:
        offline.collect(
            env, players, path, episodes=episodes, seed=seed, name=name, n_envs=n_envs, extra=extra,
            notify=lambda n: bar.update(n - bar.n),
        )  # fmt: skip
    return path, env


def reference(env_id: str, **arguments) -> dict:
    """Mean return and cost of the reference policies over common seeds of the test windows."""
    env = gym.make(env_id, **arguments | {"split": "test"})
    contestants = {role: policies.make(policy) for role, policy in REFERENCES.items()}
    episodes = evaluate(contestants, env, REFERENCE_SEEDS, progress=False)
    episodes["total_cost"] = episodes["cost"] * -episodes["return"] / episodes["flow"]
    means = episodes.groupby("policy")
    scores = {
        role: {
            "policy": policy,
            "return": float(means["return"].mean()[role]),
            "cost": float(means["total_cost"].mean()[role]),
        }
        for role, policy in REFERENCES.items()
    }
    return scores | {"split": "test", "seeds": list(REFERENCE_SEEDS)}


def _is_batched(players: Mixture) -> bool:
    below = [getattr(p, "policy", p) for p in players.policies]
    return all(hasattr(policy, "act_all") for policy in below)


def _check_same(path: Path, attributes: dict, episodes: int) -> None:
    """Whether the file is this very data set, so that only what lies beside it is missing."""
    made = offline.metadata(path)
    wanted = {k: made[k] for k in ("name", "env_id", "env_stream_sha256", "policy", "seed")}
    same = all(attributes[k] == v for k, v in wanted.items())
    if not same or made["n_episodes"] != episodes or made["policy_mix"] != json.loads(
        attributes["policy_mix"]
    ):
        raise ValueError(f"a data set is never overwritten; {path} exists and is another")


def write(path: Path, env: gym.Env, formats: tuple[str, ...], provenance_: dict) -> list[str]:
    """Write what lies beside the file and is not there yet; returns the names of what was."""
    made, card = [], path.with_suffix(".json")
    if "minari" in formats and not _is_in_minari(path.stem):
        made.append(layouts.to_minari(path, env))
    if "omnisafe" in formats and not path.with_suffix(".npz").exists():
        made.append(layouts.to_omnisafe(path, path.with_suffix(".npz")).name)
    if not card.exists():
        made += [file.name for file in cards.write(path, provenance_)]
    return made


def _is_in_minari(name: str) -> bool:
    from minari.storage import get_dataset_path

    return get_dataset_path(name).exists()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if the data set was written, 1 with one sentence on stderr if not."""
    words = sys.argv[1:] if arguments is None else arguments
    options = vars(_parser().parse_args(words))
    chosen = {k: options.pop(k) for k in ("workload", "episode_jobs", "rate", "load")}
    settings = {k: v for k, v in chosen.items() if v is not None}
    formats, out = options.pop("formats"), options["out"].expanduser()
    made_by = provenance("benchmarks.offline", words, options["seed"])
    try:
        out.mkdir(parents=True, exist_ok=True)
        is_new = not (out / f"{options['name']}.hdf5").exists()
        path, env = collect(**options | {"out": out}, progress=sys.stderr.isatty(), **settings)
        made = write(path, env, formats, made_by)
        if not is_new and not made:
            raise ValueError(f"a data set is never overwritten; {path} exists, with all beside it")
    except (ValueError, OSError, ImportError, gym.error.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(cards.sentence(path))
    return 0


def _formats(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown format {unknown[0]!r}; known: {', '.join(FORMATS)}"
        )
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.offline", description=__doc__)
    parser.add_argument("--name", required=True, help="one of " + ", ".join(SETS))
    parser.add_argument("--episodes", type=int, required=True)
    parser.add_argument("--out", type=Path, default=offline.HOME, help="folder (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first episode")
    parser.add_argument(
        "--formats", type=_formats, default=FORMATS[:2],
        help="with commas: dsrl, which is always written, minari, omnisafe (default dsrl,minari)",
    )  # fmt: skip
    parser.add_argument("--workload", help="other than the environment's own: a name or a file")
    parser.add_argument("--episode-jobs", type=int, help="other than the environment's own")
    parser.add_argument("--rate", type=float, help="jobs a day, other than the environment's own")
    parser.add_argument("--load", type=float, help="other than the environment's own")
    return parser


if __name__ == "__main__":
    sys.exit(main())
