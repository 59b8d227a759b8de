"""How policies compare: all of them on the same worlds, differences taken world by world.

In: policies (`pandaenv.policies`), an environment's settings, seeds. Out: one row an episode, and a
table of means with intervals. Seed s plays window s modulo their number, with failures and outages
of its own: two policies under one seed meet the same world, so their difference has little noise.

Return counts mean service times m: it is minus the summed normalised flow time of the jobs, so
`flow` = -return / jobs is the mean flow time of a job over m. Intervals are 95 % Student intervals
over the means of the windows, since episodes of one window share their jobs.

    python -m benchmarks.policies --sites tier1 --rate 2000 --jobs 2000
"""

import argparse
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pandas as pd
from scipy import stats
from tqdm import tqdm

import pandaenv  # noqa: F401  registers the environment
from pandaenv import policies

from .provenance import provenance, write_json

ENV_ID = "PandaSiteAllocation-v0"
CONFIDENCE = 0.95


def evaluate(contestants: dict, env: gym.Env, seeds, progress: bool = True) -> pd.DataFrame:
    """Play one episode for each policy and seed.

    Args:
        contestants: name -> policy, see `pandaenv.policies.Policy`.
        seeds: ints, the same for all policies.

    Returns:
        One row an episode: policy, seed, window, return, flow (mean flow time of a job over m),
        cost (limits broken a job).
    """
    pairs = [(name, seed) for seed in seeds for name in contestants]
    rows = [
        {"policy": name, "seed": int(seed), **play(env, contestants[name], int(seed))}
        for name, seed in tqdm(pairs, desc="episodes", disable=not progress)
    ]
    return pd.DataFrame(rows)


def play(env: gym.Env, policy, seed: int) -> dict[str, float]:
    """Play one episode; returns its sums."""
    window = seed % len(env.unwrapped.setting.windows)
    env.reset(seed=seed, options={"window": window})
    policy.reset(seed)
    total, cost, n_jobs, over = 0.0, 0.0, 0, False
    while not over:
        _, reward, terminated, truncated, info = env.step(policy.act(env))
        total, cost, n_jobs = total + reward, cost + info["cost"], n_jobs + 1
        over = terminated or truncated
    flow, cost = float(-total / n_jobs), float(cost / n_jobs)
    return {"window": window, "return": float(total), "flow": flow, "cost": cost}


def interval(values) -> dict[str, float]:
    """Mean of independent values with its Student interval; a single value has no interval."""
    values = np.asarray(values, dtype=np.float64)
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return {"mean": mean, "low": mean, "high": mean, "n": n}
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return {"mean": mean, "low": float(mean - half), "high": float(mean + half), "n": n}


def summary(episodes: pd.DataFrame, against: str = "random") -> list[dict]:
    """Means of each policy with intervals, least flow first.

    `saved` is the flow of the policy `against` minus its own, paired; None for that policy.
    """
    flow = _by_window(episodes, "flow")
    columns = {key: _by_window(episodes, key) for key in ("flow", "return", "cost")}
    rows = [
        {
            "policy": name,
            **{key: interval(column[name]) for key, column in columns.items()},
            "saved": None if name == against else interval(flow[against] - flow[name]),
        }
        for name in flow.columns
    ]
    return sorted(rows, key=lambda row: row["flow"]["mean"])


def differences(episodes: pd.DataFrame, of: str) -> list[dict]:
    """Return of one policy minus that of each other one, paired; above 0 is better."""
    means = _by_window(episodes, "return")
    return [
        {"policy": of, "minus": other, "return": interval(means[of] - means[other])}
        for other in means.columns
        if other != of
    ]


def _by_window(episodes: pd.DataFrame, key: str) -> pd.DataFrame:
    """Mean of a quantity, one row a window and one column a policy."""
    return episodes.pivot_table(key, index="window", columns="policy", aggfunc="mean")


def to_markdown(rows: list[dict]) -> str:
    """The summary as a table."""
    against = next(row["policy"] for row in rows if row["saved"] is None)
    saved = f"less than {against} by (95 %)"
    lines = [f"| policy | flow time / m | {saved} | limits broken a job |", "|---|--:|--:|--:|"]
    for row in rows:
        flow, cost = row["flow"]["mean"], row["cost"]["mean"]
        lines.append(f"| {row['policy']} | {flow:.3f} | {_span(row['saved'])} | {cost:.4f} |")
    return "\n".join(lines)


def _span(found: dict | None) -> str:
    """A mean with its interval, where there is more than one value."""
    if found is None:
        return ""
    edges = f" ({found['low']:.3f} to {found['high']:.3f})" if found["n"] > 1 else ""
    return f"{found['mean']:.3f}{edges}"


def main(argv: list[str] | None = None) -> None:
    """Compare the built-in policies and print the table."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    settings = {
        "workload": args.workload,
        "sites": int(args.sites) if args.sites.isdigit() else args.sites,
        "rate": args.rate,
        "load": args.load,
        "episode_jobs": args.jobs,
        "split": args.split,
    }
    contestants = {name: policies.make(name) for name in args.policies or policies.names()}
    env = gym.make(ENV_ID, **settings)
    seeds = list(range(args.seeds))
    episodes = evaluate(contestants, env, seeds)
    rows = summary(episodes, against=next(iter(contestants)))
    print(to_markdown(rows))
    if args.out:
        result = {
            "env": {"id": ENV_ID, **settings, "workload": Path(args.workload).name},
            "policies": rows,
            "differences": [d for name in contestants for d in differences(episodes, name)],
            "episodes": episodes.to_dict("records"),
            **provenance("benchmarks.policies", argv, seeds),
        }
        print(write_json(args.out, result))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policies", description=main.__doc__)
    parser.add_argument("--workload", default="tabddpm", help="name or file (default %(default)s)")
    parser.add_argument("--sites", default="40", help="number, name or CSV (default %(default)s)")
    parser.add_argument("--rate", type=float, default=5_500, help="jobs a day")
    parser.add_argument("--load", type=float, default=0.6, help="offered work over capacity")
    parser.add_argument("--jobs", type=int, default=5_500, help="jobs of an episode")
    parser.add_argument("--split", default="test", help="train or test windows")
    parser.add_argument("--seeds", type=int, default=20, help="episodes a policy")
    parser.add_argument("--policies", nargs="+", help="default: all that have a name")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    return parser


if __name__ == "__main__":
    main()
