"""One training of one agent: played windows in, an agent and its learning curve out.

In: a task, a recipe, a seed, a folder. Out: the agent, saved in the folder
with its card, and a note for the results. A training that was killed resumes from its checkpoint.
"""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from pandaenv import agents
from pandaenv.env.config import TaskConfig
from pandaenv.sb3 import PandaVecEnv

from .learner import train
from .recipes import Recipe

CURVE_ROWS = 40
"""Rows that a learning curve has in the results, means over as many stretches."""


def train_agent(
    task: TaskConfig, name: str, recipe: Recipe, seed: int, folder: Path | None, progress: bool
) -> tuple[agents.Agent, dict]:
    """One agent, trained or resumed from its folder, and what the results say of its training.

    Args:
        task: what the environment is made of; the split is set here.
    """
    envs = PandaVecEnv(recipe.n_envs, **replace(task, split="train").arguments())
    bar = tqdm(desc=f"{name}, seed {seed}", total=recipe.steps, disable=not progress)

    def show(point: dict) -> None:
        bar.set_postfix(flow=f"{point['flow']:.3f}", cost=f"{point['cost']:.4f}")
        bar.update(point["step"] - bar.n)

    window = envs.single.prepared.windows[0]
    chapter = window.stop - window.start  # an episode of each environment
    agent, curve = train(recipe, envs, seed, chapter, folder, show)
    bar.close()
    note = {
        "agent": name,
        "seed": seed,
        "recipe": asdict(recipe),
        "steps": curve[-1]["step"],
        "seconds": curve[-1]["seconds"],
        "curve": thinned(curve),
    }
    if folder is not None:
        card = {key: value for key, value in note.items() if key != "curve"}
        agents.save(agent, folder, card | {"env": said(task)})
    return agent, note


def said(task: TaskConfig) -> dict:
    """A task as a card says it: an object by the name of its class."""
    plain = str, int, float, bool, type(None)
    told = task.arguments()
    return {k: v if isinstance(v, plain) else type(v).__name__ for k, v in told.items()}


def thinned(curve: list[dict]) -> list[dict]:
    """A learning curve in few rows, each the mean over a stretch."""
    table = pd.DataFrame(curve)
    stretch = np.arange(len(table)) * min(CURVE_ROWS, len(table)) // len(table)
    means = table.groupby(stretch).mean().astype({"step": int}).round(5)
    return [{k: v for k, v in row.items() if v == v} for row in means.to_dict("records")]
