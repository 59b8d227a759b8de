"""Trajectories: what happened in an episode, as arrays with one row a step.

In: an environment, a policy, seeds. Out: one dict of arrays for each episode of T steps, keyed as
in the layout of DSRL (Liu et al., 2023, arXiv 2306.09303); `pandaenv.offline.dsrl` lists shapes and
types.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete

from pandaenv.policies import Policy, Step, VectorPolicy, steps, vector_steps

REQUIRED = (
    "observations",
    "next_observations",
    "actions",
    "rewards",
    "costs",
    "terminals",
    "timeouts",
)
MASKS = "action_masks"


def play(env: gym.Env, policy: Policy, seed: int) -> dict[str, np.ndarray]:
    """Play one episode in a single environment; its arrays."""
    seen, columns = _recorded(steps(env, policy, seed))
    return _typed(seen, columns, isinstance(env.action_space, Discrete))


def play_many(
    envs: gym.vector.VectorEnv, policy: VectorPolicy, seeds: Sequence[int]
) -> list[dict[str, np.ndarray]]:
    """Play one episode for each seed at once: bit for bit what `play` returns for it.

    Args:
        envs: at least as many as there are seeds; what the others do is not kept.
        policy: has `reset(seeds)` and `act_all(envs)`, see `pandaenv.policies`.
        seeds: at least one integer.
    """
    n = len(seeds)
    padded = [*seeds, *[seeds[-1]] * (envs.num_envs - n)]
    seen, columns = _recorded(_until_all_ended(vector_steps(envs, policy, padded), n))
    is_discrete = isinstance(envs.single_action_space, Discrete)
    ends = columns["terminals"] | columns["timeouts"]
    return [
        _typed(seen[: t + 1, i], {k: v[:t, i] for k, v in columns.items()}, is_discrete)
        for i, t in enumerate((ends[:, :n].argmax(axis=0) + 1).tolist())
    ]


def _until_all_ended(played: Iterator[Step], n: int) -> Iterator[Step]:
    """Steps until the first episode of each of the first n environments has ended."""
    has_ended = np.zeros(n, bool)
    for step in played:
        yield step
        has_ended |= step.is_last[:n]
        if has_ended.all():
            return


def _recorded(played: Iterator[Step]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """All T + 1 observations, and T rows of everything else by column."""
    observations, rows = [], []
    for step in played:
        observations.append(step.observation)
        rows.append(_row(step))
        last = step.next_observation
    columns = {key: np.asarray([row[key] for row in rows]) for key in rows[0]}
    return np.asarray([*observations, last]), columns


def _row(step: Step) -> dict[str, Any]:
    costs = {key: value for key, value in step.info.items() if key.startswith("cost_")}
    masks = {} if step.mask is None else {MASKS: step.mask}
    row = {
        "actions": np.array(step.action),
        "rewards": step.reward,
        "costs": step.info.get("cost", np.zeros(np.shape(step.reward))),
        "terminals": step.terminated,
        "timeouts": step.truncated,
    }
    return row | masks | costs


def _typed(
    seen: np.ndarray, columns: dict[str, np.ndarray], is_discrete: bool
) -> dict[str, np.ndarray]:
    """The columns in the types of the file, with observations before and after each step."""
    types = {
        "actions": np.int64 if is_discrete else np.float32,
        "terminals": bool,
        "timeouts": bool,
        MASKS: np.int8,
    }
    seen = seen.astype(np.float32, copy=False)
    typed = {k: np.ascontiguousarray(v, types.get(k, np.float64)) for k, v in columns.items()}
    return {"observations": seen[:-1], "next_observations": seen[1:]} | typed


def check_spaces(env: gym.Env) -> None:
    """Raise `ValueError` where observations or actions of an environment cannot be stored."""
    space = env.observation_space
    if not isinstance(space, Box) or len(space.shape) != 1:
        kind = type(space).__name__
        raise ValueError(
            f"offline data need flat Box observations, got {kind}; make the environment with "
            'observation="flat" or wrap it in FlattenObservation'
        )
    if not isinstance(env.action_space, Discrete | Box):
        kind = type(env.action_space).__name__
        raise ValueError(f"offline data need Discrete or Box actions, got {kind}")


def check_episode(episode: dict[str, np.ndarray]) -> None:
    """Raise `ValueError` unless an episode has all arrays, one end and finite numbers only."""
    missing = [key for key in REQUIRED if key not in episode]
    if missing:
        raise ValueError(f"an episode needs {', '.join(REQUIRED)}; missing: {', '.join(missing)}")
    n = {key: len(values) for key, values in episode.items()}
    if len(set(n.values())) != 1 or not n["rewards"]:
        raise ValueError(f"an episode needs one row a step in every array, got {n}")
    is_end = episode["terminals"] | episode["timeouts"]
    if not is_end[-1] or is_end[:-1].any():
        raise ValueError(
            "an episode needs a terminal or a timeout at its last step and nowhere else, got "
            f"{int(is_end.sum())} in {len(is_end)} steps"
        )
    for key, values in episode.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise ValueError(f"an episode needs finite numbers, {key} has another in step {row}")
