"""Offline safe-RL data sets of the brokering problem, by name.

In: a name of SETS, a number of episodes, a folder. Out: NAME.hdf5 in the layout of DSRL (see
`pandaenv.offline`) and NAME.json, its card. A run that was stopped goes on where it stopped; the
episodes it had finished are readable at any time.

    python -m benchmarks.offline --name panda-tier1-brokerage-v0 --episodes 20 --out data/
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
from tqdm import tqdm

import pandaenv  # noqa: F401  registers the environments
from pandaenv import offline, policies

from .provenance import provenance, write_json


@dataclass(frozen=True)
class Behaviour:
    """What a data set is collected with: an environment and a policy, by name."""

    env: str
    policy: str


SETS = {
    "panda-random-v0": Behaviour("PandaSiteAllocation-v0", "random"),
    "panda-brokerage-v0": Behaviour("PandaSiteAllocation-v0", "panda_analysis"),
    "panda-tier1-random-v0": Behaviour("PandaSiteAllocationTier1-v0", "random"),
    "panda-tier1-brokerage-v0": Behaviour("PandaSiteAllocationTier1-v0", "panda_analysis"),
}


def collect(
    name: str, episodes: int, out: Path, seed: int = 0, progress: bool = True, **arguments
) -> Path:
    """Collect a named data set into `out`; `arguments` go to the environment."""
    if name not in SETS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(SETS)}")
    path = out / f"{name}.hdf5"
    if _lacks_card(path, episodes, seed):
        return path
    behaviour = SETS[name]
    env = gym.make(behaviour.env, **arguments)
    policy = policies.make(behaviour.policy)
    with tqdm(total=episodes, desc=name, unit="episode", disable=not progress) as bar:
        return offline.collect(
            env, policy, path, episodes=episodes, seed=seed, name=name,
            notify=lambda n: bar.update(n - bar.n),
        )  # fmt: skip


def _lacks_card(path: Path, episodes: int, seed: int) -> bool:
    """Whether this very data set is complete but for its card: a run was stopped in between."""
    if not path.is_file() or path.with_suffix(".json").exists():
        return False
    made = offline.metadata(path)
    return (made.get("n_episodes"), made.get("seed")) == (episodes, seed)


def card(path: Path) -> dict:
    """What is in a data set, in numbers: steps, episodes, and how return and cost spread."""
    data = offline.load(path)
    ends = np.flatnonzero(data["terminals"] | data["timeouts"])
    starts = np.r_[0, ends[:-1] + 1]
    parts = [k for k in ("rewards", "costs", *sorted(data)) if data[k].dtype == np.float64]
    sums = {key: np.add.reduceat(data[key], starts) for key in dict.fromkeys(parts)}
    return {
        "n_steps": len(data["rewards"]),
        "n_episodes": len(ends),
        "d_observation": data["observations"].shape[1],
        "per_episode": {key: _spread(values) for key, values in sums.items()},
        **offline.metadata(path),
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    low, median, high = np.percentile(values, [0, 50, 100]).tolist()
    return {"mean": float(values.mean()), "min": low, "median": median, "max": high}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if the data set was written, 1 with one sentence on stderr if not."""
    words = sys.argv[1:] if arguments is None else arguments
    options = vars(_parser().parse_args(words))
    chosen = {k: options.pop(k) for k in ("workload", "episode_jobs", "rate", "load")}
    settings = {k: v for k, v in chosen.items() if v is not None}
    try:
        path = collect(**options, progress=sys.stderr.isatty(), **settings)
    except (ValueError, OSError, ImportError, gym.error.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    result = card(path)
    write_json(
        path.with_suffix(".json"),
        result | {"provenance": provenance("benchmarks.offline", words, options["seed"])},
    )
    spread = result["per_episode"]
    print(
        f"{path}: {result['n_episodes']:,} episodes, {result['n_steps']:,} steps, mean return "
        f"{spread['rewards']['mean']:.1f}, mean cost {spread['costs']['mean']:.1f}"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.offline", description=__doc__)
    parser.add_argument("--name", required=True, help="one of " + ", ".join(SETS))
    parser.add_argument("--episodes", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--seed", type=int, default=0, help="of the first episode")
    parser.add_argument("--workload", help="other than the environment's own: a name or a file")
    parser.add_argument("--episode-jobs", type=int, help="other than the environment's own")
    parser.add_argument("--rate", type=float, help="jobs a day, other than the environment's own")
    parser.add_argument("--load", type=float, help="other than the environment's own")
    return parser


if __name__ == "__main__":
    sys.exit(main())
