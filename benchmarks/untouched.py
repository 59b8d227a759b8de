"""Learners of Stable-Baselines3 with all settings as they come, and how well they place jobs.

Trains each on the Tier-0 and Tier-1 sites, in the environment as it is and in the one that
`pandaenv.recommended` asks for, and after every so many placements plays the test windows with what
was learned so far, taking its likeliest action, as `EvalCallback` does. Writes the curves as JSON,
one for each learner, environment and seed, beside the rules on the same windows and seeds, and
draws them. Flow times are exact whatever reward was learned from.

    python -m benchmarks.untouched --steps 200000 --seeds 0 1 2
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

import pandaenv
from benchmarks.inputs.arguments import command, command_parser, new_file, whole
from benchmarks.inputs.places import RESULTS
from benchmarks.play.episodes import play_episodes
from benchmarks.report.intervals import interval, table
from benchmarks.report.provenance import provenance, write_json
from pandaenv import policies
from pandaenv.env.config import TaskConfig
from pandaenv.sb3 import PandaVecEnv

LEARNERS = {"ppo": PPO, "maskable_ppo": MaskablePPO, "dqn": DQN}
RULES = ("random", "panda_analysis", "least_loaded", "greedy", "greedy_true")
N_ENVS = 8
TIER1 = TaskConfig(sites="tier1", rate=2_000, episode_jobs=2_000)


class Learned:
    """What a learner knows so far as a policy that acts in many environments at once."""

    def __init__(self, model: BaseAlgorithm):
        self.model = model

    def reset(self, seed: Any) -> None:
        """Nothing is drawn."""

    def act_all(self, envs: Any) -> np.ndarray:
        """The likeliest action in each environment."""
        episodes = envs.unwrapped.episodes
        told = {"action_masks": episodes.masks} if isinstance(self.model, MaskablePPO) else {}
        return self.model.predict(episodes.seen, deterministic=True, **told)[0]


class Curve(BaseCallback):
    """Plays the test windows after every `every` placements.

    Attributes:
        points: one a visit: step, seconds of training so far, mean flow time / m, share lost.
    """

    def __init__(self, task: TaskConfig, seeds: range, every: int, bar: tqdm):
        super().__init__()
        self.task, self.seeds, self.every, self.bar = task, seeds, every, bar
        self.points: list[dict[str, float]] = []
        self.seconds, self.since = 0.0, time.perf_counter()

    def _on_step(self) -> bool:
        self.bar.update(self.model.n_envs)
        if self.num_timesteps >= self.every * (len(self.points) + 1):
            self.play()
        return True

    def play(self) -> None:
        """Add a point."""
        self.seconds += time.perf_counter() - self.since
        played = play_episodes(self.task, Learned(self.model), self.seeds)
        self.points.append(
            {
                "step": self.num_timesteps,
                "seconds": round(self.seconds, 1),
                "flow": float(played["flow"].mean()),
                "lost": float(played["lost"].mean()),
            }
        )
        self.since = time.perf_counter()


def learn(
    learner: str, is_recommended: bool, seed: int, args: argparse.Namespace, bar: tqdm
) -> dict[str, Any]:
    """Train one learner from one seed; its curve."""
    chosen = pandaenv.recommended(learner) if is_recommended else {}
    task = replace(TIER1, **chosen)
    test = replace(task, split="test", reward="flow_time")
    model = LEARNERS[learner](
        "MlpPolicy", PandaVecEnv(N_ENVS, **task.arguments()), seed=seed, device="cpu"
    )
    curve = Curve(test, range(args.windows), args.steps // args.points, bar)
    model.learn(args.steps, curve)
    return {
        "learner": learner,
        "environment": "recommended" if is_recommended else "as it is",
        "arguments": chosen,
        "seed": seed,
        "points": curve.points,
    }


def rules(seeds: range) -> dict[str, dict]:
    """Mean flow time / m of the rules on the same windows."""
    task = replace(TIER1, split="test")
    played = {name: play_episodes(task, policies.make(name), seeds) for name in RULES}
    return {name: interval(episodes["flow"]) for name, episodes in played.items()}


def to_markdown(result: dict[str, Any]) -> str:
    """What each learner reached, mean and range over seeds, and the rules between them."""
    last = pd.DataFrame([curve | curve["points"][-1] for curve in result["curves"]])
    rows = [
        (
            each["flow"].mean(),
            f"{learner}, {environment}",
            f"{each['flow'].min():.3f} to {each['flow'].max():.3f}",
            f"{each['step'].max():,}",
            f"{each['seconds'].mean():.0f}",
        )
        for (learner, environment), each in last.groupby(["learner", "environment"])
    ]
    rows += [(each["mean"], f"`{name}`", "", "", "") for name, each in result["rules"].items()]
    heads = ["policy", "flow time / m", "range over seeds", "placements learned from", "seconds"]
    lines = [[name, f"{flow:.3f}", *rest] for flow, name, *rest in sorted(rows)]
    return table(heads, lines)


def draw(result: dict[str, Any], out: Path) -> None:
    """Flow time against placements learned from, one panel and scale an environment."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    colours = dict(zip(LEARNERS, ("#0072b2", "#d55e00", "#009e73"), strict=True))
    for panel, environment in zip(panels, ("as it is", "recommended"), strict=True):
        for curve in (c for c in result["curves"] if c["environment"] == environment):
            points = pd.DataFrame(curve["points"])
            label = curve["learner"] if curve["seed"] == result["curves"][0]["seed"] else None
            colour = colours[curve["learner"]]
            panel.plot(points["step"] / 1000, points["flow"], color=colour, label=label)
        for name, rule in result["rules"].items():
            if name in ("random", "least_loaded", "greedy"):
                panel.axhline(rule["mean"], color="0.6", lw=0.8, zorder=0)
                panel.annotate(name, (0.99, rule["mean"]), xycoords=("axes fraction", "data"),
                               ha="right", va="bottom", fontsize=7, color="0.4")  # fmt: skip
        panel.set(title=f"environment {environment}", xlabel="thousand placements learned from")
    panels[0].set_ylabel("mean flow time / m, test windows")
    panels[1].legend(frameon=False)
    figure.savefig(out, metadata={"Date": None})
    plt.close(figure)


def main(argv: list[str] | None = None) -> None:
    """Train, play, write and draw."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    runs = [(name, is_so, s) for s in args.seeds for is_so in (True, False) for name in args.only]
    with tqdm(total=args.steps * len(runs), unit="placement") as bar:
        curves = [learn(*run, args, bar) for run in runs]
    result = {"curves": curves, "rules": rules(range(args.windows))}
    print(to_markdown(result))
    out = args.out or RESULTS / "untouched.json"
    print(write_json(out, result | provenance("benchmarks.untouched", argv, args.seeds)))
    draw(result, out.with_suffix(".svg"))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("untouched", __doc__)
    known = tuple(LEARNERS)
    parser.add_argument("--only", nargs="+", choices=known, default=known, help="learners")
    parser.add_argument("--steps", type=whole(N_ENVS), default=200_000, help="placements of each")
    parser.add_argument("--points", type=whole(1), default=10, help="of a curve")
    parser.add_argument("--seeds", type=whole(0), nargs="+", default=[0, 1, 2], help="of trainings")
    parser.add_argument("--windows", type=whole(1), default=8, help="test episodes of a point")
    parser.add_argument("--threads", type=whole(1), default=1, help="of the network")
    parser.add_argument("--out", type=new_file, help="JSON (default: results/untouched.json)")
    return parser


if __name__ == "__main__":
    command(main)
