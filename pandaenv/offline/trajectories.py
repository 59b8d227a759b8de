"""Episodes as arrays of steps: played by a policy in one environment or in many at once.

In: an environment, a policy, seeds. Out: one dict of arrays an episode, T rows each, keyed as in
the layout of DSRL (Liu et al., 2023, arXiv 2306.09303); see `pandaenv.offline.dsrl` for shapes and
types.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np

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


def play(env: gym.Env, policy, seed: int) -> dict[str, np.ndarray]:
    """One episode of a single environment."""
    observation, info = env.reset(seed=seed)
    policy.reset(seed)
    rows, observations, over = [], [observation], False
    while not over:
        mask = info.get("action_mask")
        action = policy.act(env)
        observation, reward, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        rows.append(_row(action, reward, terminated, truncated, info, mask))
        observations.append(observation)
    is_discrete = isinstance(env.action_space, gym.spaces.Discrete)
    return _episode(np.asarray(observations), _stacked(rows), is_discrete)


def play_many(envs: gym.vector.VectorEnv, policy, seeds) -> list[dict[str, np.ndarray]]:
    """One episode in each of the first environments: bit for bit what `play` gives for its seed.

    Args:
        envs: as many as there are seeds, or more; the others play along and are not kept.
        policy: has `reset(seeds)` and `act_all(envs)`, see `pandaenv.policies`.
        seeds: at least one int.
    """
    n = len(seeds)
    padded = [*seeds, *[seeds[-1]] * (envs.num_envs - n)]
    observation, info = envs.reset(seed=padded)
    policy.reset(padded)
    rows, observations = [], [observation]
    n_steps = np.zeros(n, np.int64)  # 0 while the episode runs
    while not n_steps.all():
        mask = info.get("action_mask")
        action = policy.act_all(envs)
        observation, reward, terminated, truncated, info = envs.step(action)
        rows.append(_row(action.copy(), reward, terminated, truncated, info, mask))
        observations.append(observation)
        n_steps[(n_steps == 0) & (terminated | truncated)[:n]] = len(rows)
    seen, columns = np.asarray(observations), _stacked(rows)
    is_discrete = isinstance(envs.single_action_space, gym.spaces.Discrete)
    return [
        _episode(seen[: t + 1, w], {k: v[:t, w] for k, v in columns.items()}, is_discrete)
        for w, t in enumerate(n_steps.tolist())
    ]


def _row(action, reward, terminated, truncated, info: dict, mask) -> dict:
    parts = {key: value for key, value in info.items() if key.startswith("cost_")}
    masks = {} if mask is None else {MASKS: mask}
    return (
        {
            "actions": action,
            "rewards": reward,
            "costs": info.get("cost", np.zeros(np.shape(reward))),
            "terminals": terminated,
            "timeouts": truncated,
        }
        | masks
        | parts
    )


def _stacked(rows: list[dict]) -> dict[str, np.ndarray]:
    return {key: np.asarray([row[key] for row in rows]) for key in rows[0]}


def _episode(seen: np.ndarray, columns: dict, is_discrete: bool) -> dict[str, np.ndarray]:
    """Columns in their types, with what was seen before and after each step."""
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
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        kind = type(space).__name__
        raise ValueError(
            f"offline data need flat Box observations, got {kind}; make the environment with "
            'observation="flat" or wrap it in FlattenObservation'
        )
    if not isinstance(env.action_space, gym.spaces.Discrete | gym.spaces.Box):
        kind = type(env.action_space).__name__
        raise ValueError(f"offline data need Discrete or Box actions, got {kind}")


def check_episode(episode: dict[str, np.ndarray]) -> None:
    """Raise `ValueError` unless an episode is whole: all arrays, one end, finite numbers."""
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
            raise ValueError(f"an episode needs finite numbers, got another in {key}, step {row}")
