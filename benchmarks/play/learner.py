"""How an agent is trained: PPO of Stable-Baselines3 in one of four forms, in chapters.

In: a `Recipe`, a vector environment, a seed. Out: a trained network and its learning curve. A
chapter is a whole number of episodes of all environments; before it everything random is seeded
anew from the seed and the chapter's number, and after it the state is written down. So a killed
training that is taken up again ends in the same weights, bit for bit, as one never killed.

| algorithm | network | masks | objective |
|---|---|---|---|
| ppo | plain, all numbers at once | none | reward |
| maskable | plain | obeyed | reward |
| scoring | one for all sites, `pandaenv.agents.scoring` | obeyed | reward |
| lagrangian | as scoring | obeyed | reward - multiplier x cost, cost held to a limit |

Sources: Schulman et al. (2017), arXiv 1707.06347; Huang and Ontanon (2020), arXiv 2006.14171, on
masks; Ray, Achiam and Amodei (2019), Benchmarking Safe Exploration, on the multiplier.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as tensors_to_bytes
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from foundations.files import write
from pandaenv.agents import Agent, Standardiser
from pandaenv.agents.scoring import SiteScoringPolicy, traits_of

CHECKPOINT = "checkpoint.safetensors"
SURVEY = 256
"""Steps of random placement over which a plain network's observations are standardised."""

MOST_EXCESS = 4.0
"""Costs this far over the limit, in limits, count as this far."""
DAMPING = 10.0
"""Weight of the present excess in the multiplier, in steps of its sum."""


@dataclass(frozen=True)
class Recipe:
    """How one agent is trained."""

    algorithm: str = "scoring"
    steps: int = 1_000_000
    """Placements, rounded up to whole chapters."""
    n_envs: int = 64
    n_steps: int = 55
    """Placements of each environment in a rollout; a chapter is rounded to whole rollouts."""
    batch_size: int = 880
    n_epochs: int = 4
    learning_rate: float = 1e-3
    """At the start; it falls linearly to a tenth."""
    gamma: float = 0.0
    """0 since `flow_time` credits the step that caused it."""
    gae_lambda: float = 0.95
    ent_coef: float = 0.0
    clip_range: float = 0.2
    width: int = 32
    n_layers: int = 2
    """Hidden layers of the site scorer; a plain network has two."""
    squash: bool = True
    """Pay sign(r) log(1 + |r|): rewards have a long tail that drowns what a placement adds."""
    cost_limit: float | None = None
    """Of `lagrangian`, mean cost of a placement."""
    multiplier_rate: float = 0.02
    """How much the multiplier grows in a rollout of twice the limit."""

    def __post_init__(self):
        if self.algorithm not in ALGORITHMS:
            known = ", ".join(ALGORITHMS)
            raise ValueError(f"unknown algorithm {self.algorithm!r}; known: {known}")
        if (self.algorithm == "lagrangian") != (self.cost_limit is not None):
            raise ValueError(
                "lagrangian takes a cost_limit and the others none, got "
                f"{self.cost_limit} for {self.algorithm}"
            )


ALGORITHMS = ("ppo", "maskable", "scoring", "lagrangian")


class Paid(VecEnvWrapper):
    """Pays what the learner is taught by, and notes reward and cost as they were.

    Attributes:
        multiplier: price of a unit of cost; settled: the part of it that only drifts.
        noted: (sum of rewards, sum of costs, placements) since `forget`.
    """

    def __init__(self, venv: VecEnv, recipe: Recipe):
        super().__init__(venv)
        self.recipe, self.multiplier, self.settled = recipe, 0.0, 0.0
        self.forget()

    def forget(self) -> None:
        self.noted = np.zeros(3)

    def reset(self) -> np.ndarray:
        return self.venv.reset()

    def step_wait(self):
        seen, rewards, dones, infos = self.venv.step_wait()
        cost = np.array([info.get("cost", 0.0) for info in infos])
        self.noted += rewards.sum(dtype=np.float64), cost.sum(), len(rewards)
        paid = rewards.astype(np.float64)
        if self.recipe.squash:
            paid = np.sign(paid) * np.log1p(np.abs(paid))
        paid -= self.multiplier * cost
        return seen, paid.astype(np.float32), dones, infos

    def price(self) -> None:
        """Move the multiplier by how far the costs noted are from the limit; never below 0.

        A sum of the excesses finds the price, and the present one on top of it damps the swings.
        """
        excess = min(self.noted[1] / self.noted[2] / self.recipe.cost_limit - 1.0, MOST_EXCESS)
        self.settled = max(0.0, self.settled + self.recipe.multiplier_rate * excess)
        self.multiplier = max(0.0, self.settled + DAMPING * self.recipe.multiplier_rate * excess)


class Notes(BaseCallback):
    """The learning curve: a point a rollout; the multiplier moves with it."""

    def __init__(self, paid: Paid, curve: list[dict], is_constrained: bool):
        super().__init__()
        self.paid, self.curve, self.is_constrained = paid, curve, is_constrained
        self.began = time.perf_counter() - (curve[-1]["seconds"] if curve else 0.0)

    def _on_rollout_start(self) -> None:
        self.paid.forget()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        reward, cost, n = self.paid.noted
        if self.is_constrained:
            self.paid.price()
        learned = self.logger.name_to_value  # of the update before
        point = {
            "step": int(self.num_timesteps),
            "flow": float(-reward / n),
            "cost": float(cost / n),
            "multiplier": float(self.paid.multiplier),
            "entropy": -float(learned.get("train/entropy_loss", math.nan)),
            "kl": float(learned.get("train/approx_kl", math.nan)),
            "seconds": round(time.perf_counter() - self.began, 1),
        }
        self.curve.append({k: v for k, v in point.items() if math.isfinite(v)})
        for name in ("flow", "cost", "multiplier"):
            self.logger.record(f"panda/{name}", point[name])


def train(
    recipe: Recipe,
    envs: VecEnv,
    seed: int,
    chapter: int,
    folder: Path | None = None,
    progress: Callable[[dict], None] | None = None,
) -> tuple[Agent, list[dict]]:
    """Train an agent; returns it and its learning curve, a row a rollout.

    Args:
        chapter: placements of one environment between checkpoints, for instance an episode.
        folder: where the checkpoint lies, from which a killed training goes on, beside the curve
            as CSV and TensorBoard's events; None: nowhere.
        progress: called with the last point of the curve after each chapter.
    """
    paid, curve = Paid(envs, recipe), []
    model = make_model(recipe, paid, seed)
    done = take_up(model, paid, recipe, seed, curve, folder)
    length = recipe.n_steps * recipe.n_envs * max(1, round(chapter / recipe.n_steps))
    n_chapters = math.ceil(recipe.steps / length)
    if done == 0 and recipe.algorithm in ("ppo", "maskable"):
        model.policy.features_extractor.measure(survey(envs, seed))
    model.lr_schedule = lambda _: (
        recipe.learning_rate * max(0.1, 1 - 0.9 * model.num_timesteps / (n_chapters * length))
    )
    model.set_logger(Logger(None, writers(folder)))
    notes = Notes(paid, curve, recipe.algorithm == "lagrangian")
    for number in range(done, n_chapters):
        model.set_random_seed(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        model._last_obs = None  # so that learn() begins anew in all environments
        model.learn(length, notes, reset_num_timesteps=False)
        if folder is not None:
            write_down(model, paid, recipe, seed, number + 1, curve, folder)
        if progress is not None:
            progress(curve[-1])
    return as_agent(recipe, model), curve


def make_model(recipe: Recipe, envs: VecEnv, seed: int) -> PPO | MaskablePPO:
    """The learner of a recipe, its network drawn from the seed."""
    shared = {
        name: getattr(recipe, name)
        for name in (
            "n_steps",
            "batch_size",
            "n_epochs",
            "learning_rate",
            "gamma",
            "gae_lambda",
            "ent_coef",
            "clip_range",
        )
    } | {"seed": seed, "device": "cpu"}
    plain = {
        "net_arch": [recipe.width, recipe.width],
        "features_extractor_class": Standardiser,
    }
    if recipe.algorithm == "ppo":
        return PPO("MlpPolicy", envs, policy_kwargs=plain, **shared)
    if recipe.algorithm == "maskable":
        return MaskablePPO("MlpPolicy", envs, policy_kwargs=plain, **shared)
    known = traits_of(envs.venv) if hasattr(envs.venv, "episodes") else None
    scorer = {"traits": known, "width": recipe.width, "n_layers": recipe.n_layers}
    return MaskablePPO(SiteScoringPolicy, envs, policy_kwargs=scorer, **shared)


def as_agent(recipe: Recipe, model: PPO | MaskablePPO) -> Agent:
    """What was learned as a policy.

    A plain network draws as it learned to: its likeliest site is one for long, and overrun.
    """
    n_sites = int(model.action_space.n)
    if recipe.algorithm in ("ppo", "maskable"):
        return Agent(model.policy, "flat", n_sites, {"width": recipe.width}, draws=True)
    options = {"width": recipe.width, "n_layers": recipe.n_layers}
    return Agent(model.policy, "scoring", n_sites, options)


def survey(envs: VecEnv, seed: int) -> np.ndarray:
    """Observations (n, d) of random placements where they are allowed."""
    rng = np.random.default_rng(seed)
    envs.seed(seed)
    seen = [envs.reset()]
    for _ in range(SURVEY):
        masks = np.array(envs.env_method("action_masks"))
        seen.append(envs.step((rng.random(masks.shape) * masks).argmax(axis=1))[0])
    return np.concatenate(seen)


def writers(folder: Path | None) -> list[KVWriter]:
    """TensorBoard's, where there is a folder and the library is installed."""
    if folder is None:
        return []
    try:
        from stable_baselines3.common.logger import TensorBoardOutputFormat

        return [TensorBoardOutputFormat(str(folder))]
    except (ImportError, AssertionError):
        return []


# --- checkpoints ----------------------------------------------------------------------------------


def write_down(
    model, paid: Paid, recipe: Recipe, seed: int, done: int, curve: list[dict], folder: Path
) -> None:
    """The whole state after `done` chapters, one file, and the curve as CSV."""
    state = {
        "recipe": asdict(recipe),
        "seed": seed,
        "done": done,
        "steps": model.num_timesteps,
        "n_updates": model._n_updates,
        "settled": paid.settled,
        "multiplier": paid.multiplier,
        "curve": curve,
    }
    folder.mkdir(parents=True, exist_ok=True)
    data = tensors_to_bytes(tensors_of(model), metadata={"state": json.dumps(state)})
    write(folder / CHECKPOINT, data)
    names = list(curve[-1])
    lines = [",".join(str(point.get(name, "")) for name in names) for point in curve]
    write(folder / "curve.csv", "\n".join([",".join(names), *lines, ""]).encode())


def take_up(
    model, paid: Paid, recipe: Recipe, seed: int, curve: list[dict], folder: Path | None
) -> int:
    """Go on where a checkpoint stands; returns how many chapters are done.

    Raises:
        ValueError: the checkpoint is of another recipe or seed.
    """
    if folder is None or not (folder / CHECKPOINT).exists():
        return 0
    with safe_open(folder / CHECKPOINT, "pt") as file:
        state = json.loads(file.metadata()["state"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    if state["recipe"] != asdict(recipe) or state["seed"] != seed:
        raise ValueError(f"{folder / CHECKPOINT} is of another recipe or seed: remove it first")
    put(model, tensors)
    model.num_timesteps, model._n_updates = state["steps"], state["n_updates"]
    paid.multiplier, paid.settled = state["multiplier"], state["settled"]
    curve[:] = state["curve"]
    return state["done"]


def tensors_of(model) -> dict[str, torch.Tensor]:
    """Weights and the state of Adam, by name."""
    weights = {f"policy.{k}": v.clone() for k, v in model.policy.state_dict().items()}
    moments = {
        f"adam.{i}.{name}": value.clone()
        for i, state in model.policy.optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    return weights | moments


def put(model, tensors: dict[str, torch.Tensor]) -> None:
    """Inverse of `tensors_of`."""
    weights = {k.removeprefix("policy."): v for k, v in tensors.items() if k[:7] == "policy."}
    model.policy.load_state_dict(weights)
    state: dict[int, dict] = {}
    for name, value in tensors.items():
        if name.startswith("adam."):
            _, i, key = name.split(".")
            state.setdefault(int(i), {})[key] = value
    groups = model.policy.optimizer.state_dict()["param_groups"]
    model.policy.optimizer.load_state_dict({"state": state, "param_groups": groups})
