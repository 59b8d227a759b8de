"""Checkpoints of a training: the whole state after a number of chapters, in one file.

In: a model of Stable-Baselines3, its training reward and its learning curve. Out: a safetensors
file, from which `restore` resumes to the same weights, bit for bit; and the curve as CSV.
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save as tensors_to_bytes
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO

from foundations.files import write

from .recipes import Recipe
from .training_reward import TrainingReward

CHECKPOINT = "checkpoint.safetensors"


def save(
    model: PPO | MaskablePPO,
    reward: TrainingReward,
    recipe: Recipe,
    seed: int,
    done: int,
    curve: list[dict],
    folder: Path,
) -> None:
    """The whole state after `done` chapters, one file, and the curve as CSV."""
    state = {
        "recipe": asdict(recipe),
        "seed": seed,
        "done": done,
        "steps": model.num_timesteps,
        "n_updates": model._n_updates,
        "settled": reward.integral,
        "multiplier": reward.multiplier,
        "curve": curve,
    }
    folder.mkdir(parents=True, exist_ok=True)
    data = tensors_to_bytes(tensors_of(model), metadata={"state": json.dumps(state)})
    write(folder / CHECKPOINT, data)
    names = list(curve[-1])
    lines = [",".join(str(point.get(name, "")) for name in names) for point in curve]
    write(folder / "curve.csv", "\n".join([",".join(names), *lines, ""]).encode())


def restore(
    model: PPO | MaskablePPO,
    reward: TrainingReward,
    recipe: Recipe,
    seed: int,
    curve: list[dict],
    folder: Path | None,
) -> int:
    """Resume from a checkpoint, if there is one; returns the number of finished chapters.

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
    load_tensors(model, tensors)
    model.num_timesteps, model._n_updates = state["steps"], state["n_updates"]
    reward.multiplier, reward.integral = state["multiplier"], state["settled"]
    curve[:] = state["curve"]
    return state["done"]


def tensors_of(model: PPO | MaskablePPO) -> dict[str, torch.Tensor]:
    """Weights and the state of Adam, by name."""
    weights = {f"policy.{k}": v.clone() for k, v in model.policy.state_dict().items()}
    moments = {
        f"adam.{i}.{name}": value.clone()
        for i, state in model.policy.optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    return weights | moments


def load_tensors(model: PPO | MaskablePPO, tensors: dict[str, torch.Tensor]) -> None:
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
