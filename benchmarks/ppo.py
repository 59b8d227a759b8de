"""PPO learns to place jobs, and is measured against simple policies on worlds it never saw.

In: a TOML of settings (`Config`). Out: what it learned, its learning curve, and paired differences
to the other policies on the test windows, as JSON.
Source: Schulman et al. (2017), arXiv 1707.06347, as implemented by Stable-Baselines3: a plain
network on the flat observation, standardised by running moments, and unmasked actions.

    python -m benchmarks.ppo --config benchmarks/configs/ppo-tier1.toml
"""

import argparse
import sys
import time
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers import TransformReward
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from pandaenv import policies

from .policies import ENV_ID, differences, evaluate, summary, to_markdown
from .provenance import provenance, write_json

CONFIG = Path(__file__).parent / "configs" / "ppo-tier1.toml"
OPPONENTS = ("random", "least_loaded", "panda_analysis")


@dataclass(frozen=True)
class Config:
    """What a run is made of; the TOML has these names."""

    train_seeds: tuple[int, ...] = (0,)
    steps: int = 400_000
    """Placements of one training."""
    n_envs: int = 8
    test_episodes: int = 24
    env: dict = field(default_factory=dict)
    """Arguments of `gym.make`; the split is set here."""
    ppo: dict = field(default_factory=dict)
    """Arguments of `stable_baselines3.PPO`."""


class Learned:
    """A trained network as a policy: the allowed site it finds most likely."""

    def __init__(self, model: PPO, moments: VecNormalize):
        self.model, self.moments = model, moments

    def reset(self, seed: int) -> None:
        pass

    def act(self, env) -> int:
        observation = self.moments.normalize_obs(env.unwrapped.observation)
        with torch.no_grad():
            network = self.model.policy
            logits = network.get_distribution(
                network.obs_to_tensor(observation)[0]
            ).distribution.logits
        return int(np.where(env.unwrapped.mask, logits[0].numpy(), -np.inf).argmax())


def train(config: Config, seed: int, progress: bool = True) -> tuple[Learned, list[dict]]:
    """Train one network; returns it and its learning curve.

    The curve has one point a rollout: placements so far, mean flow time of a job over m in the last
    episodes of the noisy, learning policy.
    """
    envs = DummyVecEnv([lambda: training_env(config)] * config.n_envs)
    envs.seed(seed)
    gamma = config.ppo.get("gamma", 0.99)
    moments = VecNormalize(envs, gamma=gamma)
    model = PPO("MlpPolicy", moments, seed=seed, device="cpu", **config.ppo)
    curve = Curve()
    model.learn(config.steps, callback=curve, progress_bar=progress)
    moments.training = False
    return Learned(model, moments), curve.points


class Curve(BaseCallback):
    """Notes the mean flow time of the last episodes after each rollout."""

    def __init__(self):
        super().__init__()
        self.points = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        episodes = self.model.ep_info_buffer
        if episodes:
            flow = float(np.mean([-e["r"] / e["l"] for e in episodes]))
            self.points.append({"step": int(self.num_timesteps), "flow": flow})


def training_env(config: Config) -> gym.Env:
    """An environment of the training weeks that pays the logarithm of the reward.

    Hidden workloads and congested hours give rewards a long tail that drowns what a placement adds;
    cut off, congestion would teach nothing. The learning curve notes the reward as it was.
    """
    return TransformReward(Monitor(make_env(config, "train")), symlog)


def symlog(reward: float) -> float:
    """Logarithm of 1 + |reward|, with the sign of the reward."""
    return float(np.sign(reward) * np.log1p(abs(reward)))


def make_env(config: Config, split: str) -> gym.Env:
    return gym.make(ENV_ID, split=split, **config.env)


def run(config: Config, progress: bool = True) -> dict:
    """Train once for each seed, then play all policies on the same test worlds."""
    trainings, contestants = [], {name: policies.make(name) for name in OPPONENTS}
    for seed in config.train_seeds:
        begin = time.perf_counter()
        learned, curve = train(config, seed, progress)
        seconds = round(time.perf_counter() - begin, 1)
        contestants[f"ppo_{seed}"] = learned
        trainings.append({"seed": seed, "steps": config.steps, "seconds": seconds, "curve": curve})
        if progress:
            print(f"seed {seed}: {config.steps} placements learned from in {seconds} s", flush=True)
    env = make_env(config, "test")
    episodes = evaluate(contestants, env, range(config.test_episodes), progress)
    learners = [f"ppo_{seed}" for seed in config.train_seeds]
    return {
        "config": asdict(config),
        "policies": summary(episodes),
        "differences": [
            d for name in learners for d in differences(episodes, name) if d["minus"] in OPPONENTS
        ],
        "trainings": trainings,
        "episodes": episodes.to_dict("records"),
    }


def read_config(path: Path) -> Config:
    """Read settings from a TOML file; unknown names are errors."""
    try:
        given = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path} must be a readable TOML file: {error}") from error
    known = {f.name for f in fields(Config)}
    if unknown := sorted(set(given) - known):
        raise ValueError(
            f"{path}: unknown setting {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )
    return Config(**given)


def main(argv: list[str] | None = None) -> None:
    """Train PPO, compare it with the built-in policies, write the result."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    config = read_config(args.config)
    if args.steps:
        config = replace(config, steps=args.steps)
    if args.dry_run:
        print(config)
        return
    torch.set_num_threads(args.threads)
    result = run(config)
    print(to_markdown(result["policies"]))
    for row in result["differences"]:
        gain = row["return"]
        span = f"{gain['mean']:+.1f} ({gain['low']:+.1f} to {gain['high']:+.1f})"
        print(f"return of {row['policy']} minus {row['minus']}: {span}")
    result |= provenance("benchmarks.ppo", argv, list(config.train_seeds))
    print(
        write_json(args.out or Path(__file__).parent / f"results/{args.config.stem}.json", result)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ppo", description=main.__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG, help="TOML file of settings")
    parser.add_argument("--steps", type=int, help="placements of one training, over the TOML's")
    parser.add_argument("--threads", type=int, default=1, help="of the network")
    parser.add_argument("--out", type=Path, help="JSON file (default: results/, named as the TOML)")
    parser.add_argument("--dry-run", action="store_true", help="print the settings and stop")
    return parser


if __name__ == "__main__":
    main()
