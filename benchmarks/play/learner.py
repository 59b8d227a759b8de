"""How an agent is trained: PPO of Stable-Baselines3 in one of four forms, in chapters.

In: a `Recipe`, a vector environment, a seed. Out: a trained network and its learning curve. A
chapter is a whole number of episodes of all environments. Before it, everything random is seeded
anew from the seed and the chapter's number; after it, the state is saved. So a training that is
interrupted and resumed ends in the same weights, bit for bit, as one without interruption.

| algorithm | network | masks | objective |
|---|---|---|---|
| ppo | plain, all numbers at once | none | reward |
| maskable | plain | obeyed | reward |
| scoring | one for all sites, `pandaenv.agents.scoring` | obeyed | reward |
| lagrangian | as scoring | obeyed | reward - multiplier x cost, cost held to a limit |

Sources: Schulman et al. (2017), arXiv 1707.06347; Huang and Ontanon (2020), arXiv 2006.14171, on
masks; Ray, Achiam and Amodei (2019), Benchmarking Safe Exploration, on the multiplier.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecEnv

from pandaenv.agents import Agent, Standardiser
from pandaenv.agents.scoring import SiteScoringPolicy, traits_of

from .checkpoints import restore, save
from .recipes import Recipe
from .training_reward import TrainingReward

N_RANDOM_STEPS = 256
"""Steps of random placement over which a plain network's observations are standardised."""


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
    curve: list[dict] = []
    reward = TrainingReward(envs, recipe)
    model = make_model(recipe, reward, seed)
    done = restore(model, reward, recipe, seed, curve, folder)
    length = recipe.n_steps * recipe.n_envs * max(1, round(chapter / recipe.n_steps))
    n_chapters = math.ceil(recipe.steps / length)
    if done == 0 and recipe.algorithm in ("ppo", "maskable"):
        model.policy.features_extractor.measure(random_observations(envs, seed))
    model.lr_schedule = lambda _: (
        recipe.learning_rate * max(0.1, 1 - 0.9 * model.num_timesteps / (n_chapters * length))
    )
    model.set_logger(Logger(None, tensorboard_writers(folder)))
    callback = LearningCurve(reward, curve, recipe.algorithm == "lagrangian")
    for number in range(done, n_chapters):
        model.set_random_seed(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        model._last_obs = None  # so that learn() begins anew in all environments
        model.learn(length, callback, reset_num_timesteps=False)
        if folder is not None:
            save(model, reward, recipe, seed, number + 1, curve, folder)
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


def random_observations(envs: VecEnv, seed: int) -> np.ndarray:
    """Observations (n, d) of random placements where they are allowed."""
    rng = np.random.default_rng(seed)
    envs.seed(seed)
    seen = [envs.reset()]
    for _ in range(N_RANDOM_STEPS):
        masks = np.array(envs.env_method("action_masks"))
        seen.append(envs.step((rng.random(masks.shape) * masks).argmax(axis=1))[0])
    return np.concatenate(seen)


def tensorboard_writers(folder: Path | None) -> list[KVWriter]:
    """TensorBoard's, where there is a folder and the library is installed."""
    if folder is None:
        return []
    try:
        from stable_baselines3.common.logger import TensorBoardOutputFormat

        return [TensorBoardOutputFormat(str(folder))]
    except (ImportError, AssertionError):
        return []


class LearningCurve(BaseCallback):
    """A point of the learning curve for each rollout; the multiplier moves with it."""

    def __init__(self, reward: TrainingReward, curve: list[dict], is_constrained: bool):
        super().__init__()
        self.reward, self.curve, self.is_constrained = reward, curve, is_constrained
        self.began = time.perf_counter() - (curve[-1]["seconds"] if curve else 0.0)

    def _on_rollout_start(self) -> None:
        self.reward.clear_totals()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        reward, cost, n = self.reward.totals
        if self.is_constrained:
            self.reward.update_multiplier()
        learned = self.logger.name_to_value  # of the update before
        point = {
            "step": int(self.num_timesteps),
            "flow": float(-reward / n),
            "cost": float(cost / n),
            "multiplier": float(self.reward.multiplier),
            "entropy": -float(learned.get("train/entropy_loss", math.nan)),
            "kl": float(learned.get("train/approx_kl", math.nan)),
            "seconds": round(time.perf_counter() - self.began, 1),
        }
        self.curve.append({k: v for k, v in point.items() if math.isfinite(v)})
        for name in ("flow", "cost", "multiplier"):
            self.logger.record(f"panda/{name}", point[name])
