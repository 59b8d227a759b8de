"""Offline data sets for safe reinforcement learning: collected, read back, scored.

In: an environment, a policy or a mixture of them, seeds. Out: one HDF5 file in the layout of DSRL,
see `pandaenv.offline.dsrl`; `pandaenv.offline.layouts` turns it into Minari's and OmniSafe's.
`load` gives the arrays of one, with its scores:

    data = load("panda-tier1-mixed-v0")  # or a path
    data.set_target_cost(20)
    score, cost = data.normalized_score(returns, costs)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import gymnasium as gym
import numpy as np

from .dsrl import EPISODES, FORMAT, Writer, metadata, parts_of, read
from .mixtures import Mixture, recipe
from .trajectories import REQUIRED, check_spaces, play, play_many

__all__ = [
    "REQUIRED",
    "Dataset",
    "Writer",
    "collect",
    "describe",
    "load",
    "metadata",
    "parts_of",
    "play",
    "play_many",
    "where",
]

PACKAGES = ("pandaenv", "gymnasium", "numpy", "numba", "h5py")
HOME = Path("~/.pandaenv/datasets")
"""Where named data sets lie unless told otherwise."""


# --- collect -------------------------------------------------------------------------------------


def collect(
    env: gym.Env,
    policy,
    path: str | os.PathLike,
    *,
    episodes: int,
    seed: int = 0,
    name: str = "",
    n_envs: int = 1,
    extra: dict[str, object] | None = None,
    notify: Callable[[int], object] | None = None,
) -> Path:
    """Play episodes with seeds seed, seed + 1, ... and write them to one HDF5 file.

    Args:
        env: its observations must be a flat Box.
        policy: has `reset(seed)` and `act(env)`, see `pandaenv.policies`; or a `Mixture`.
        path: of the file to be; episodes found in `path.parts/` are kept if made alike.
        name: of the data set, for the metadata.
        n_envs: episodes played side by side in the vector environment of `env`, by policies that
            have `act_all`; the file does not depend on it.
        extra: further attributes of the file.
        notify: called with the number of finished episodes whenever it grows.

    Returns the path. Raises `ValueError` if the file exists or its parts were made otherwise.
    """
    check_spaces(env)
    for what, value in (("episodes", episodes), ("n_envs", n_envs)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{what} must be a whole number of at least 1, got {value!r}")
    mixture = policy if isinstance(policy, Mixture) else Mixture((policy,))
    attributes = describe(env, mixture, name) | {"seed": int(seed)} | (extra or {})
    writer = Writer(path, attributes)
    finished = writer.finished()
    missing = [i for i in range(episodes) if i not in finished]
    n_done = episodes - len(missing)
    worlds = env if n_envs == 1 or not missing else _side_by_side(env, n_envs)
    for which, batch in _batches(missing, mixture, n_envs):
        played = _played(worlds, mixture.policies[which], [seed + i for i in batch])
        for i, episode in zip(batch, played, strict=True):
            writer.write(i, episode)
            n_done += 1
            if notify is not None:
                notify(n_done)
    return writer.close(episodes)


def _batches(missing: list[int], mixture: Mixture, n: int) -> Iterator[tuple[int, list[int]]]:
    """Number of a policy and up to n episodes that it plays, earlier ones first."""
    span = n * len(mixture.policies)
    for first in range(0, len(missing), span):
        turns: dict[int, list[int]] = {}
        for i in missing[first : first + span]:
            turns.setdefault(mixture.turn(i), []).append(i)
        for which, batch in turns.items():
            for start in range(0, len(batch), n):
                yield which, batch[start : start + n]


def _played(env, policy, seeds: list[int]) -> Iterator[dict]:
    if isinstance(env, gym.vector.VectorEnv):
        yield from play_many(env, policy, seeds)
    else:
        yield from (play(env, policy, seed) for seed in seeds)


def _side_by_side(env: gym.Env, n: int) -> gym.vector.VectorEnv:
    """The vector environment of `env`, n wide."""
    if env.spec is None or env.spec.vector_entry_point is None or env.spec.additional_wrappers:
        raise ValueError(f"n_envs > 1 needs an unwrapped environment that has vectors, got {env}")
    return gym.make_vec(env.spec, num_envs=n)


def describe(env: gym.Env, policy, name: str = "") -> dict[str, object]:
    """What a data set's file says of its making: environment, policies, versions, workload."""
    mixture = policy if isinstance(policy, Mixture) else Mixture((policy,))
    spec, names = env.spec, mixture.names
    arguments = {} if spec is None else {k: _plain(v) for k, v in spec.kwargs.items()}
    return {
        "format": FORMAT,
        "name": name,
        "env_id": "" if spec is None else spec.id,
        "env_arguments": json.dumps(arguments, sort_keys=True),
        "env_stream_sha256": _fingerprint(env),
        "policy": names[0] if len(names) == 1 else f"mixture of {len(names)}",
        "policy_mix": json.dumps(names),
        "versions": json.dumps(_versions()),
    }


def _plain(value: object) -> object:
    """As JSON can say it: a file by its name without folders, an object by its type."""
    if isinstance(value, Path) or (isinstance(value, str) and os.path.isabs(value)):
        return Path(value).name
    try:
        json.dumps(value)
    except TypeError:
        return f"<{type(value).__name__}>"
    return value


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _fingerprint(env: gym.Env) -> str:
    """SHA-256 of the stream of jobs behind the environment, '' where it has none."""
    stream = getattr(env.unwrapped, "stream", None)
    if stream is None:
        return ""
    digest = hashlib.sha256()
    for column in fields(stream.jobs):
        digest.update(np.ascontiguousarray(getattr(stream.jobs, column.name)).tobytes())
    return digest.hexdigest()


# --- read and score ------------------------------------------------------------------------------


class Dataset(dict):
    """The arrays of a data set by name, one row a step, with its making and its scores.

    Attributes:
        metadata: how it was made, see `metadata`.
        target_cost: the limit on the cost of an episode that `normalized_score` measures by; None
            until set.
    """

    def __init__(self, arrays: dict[str, np.ndarray], metadata: dict[str, object]):
        super().__init__(arrays)
        self.metadata, self.target_cost = metadata, None

    @property
    def starts(self) -> np.ndarray:
        """First step of each episode, int64 (E,)."""
        ends = np.flatnonzero(self["terminals"] | self["timeouts"])
        return np.r_[0, ends[:-1] + 1]

    def returns(self, of: str = "rewards") -> np.ndarray:
        """Sum over each episode of the rewards or of another column, float64 (E,)."""
        parts = np.split(np.asarray(self[of], np.float64), self.starts[1:])
        return np.array([part.sum() for part in parts])

    def behaviours(self) -> list[str]:
        """Name of the policy that played each episode."""
        mix = self.metadata.get("policy_mix", [self.metadata.get("policy", "")])
        return [mix[i % len(mix)] for i in self[EPISODES][self.starts].tolist()]

    def set_target_cost(self, limit: float) -> None:
        """Set the limit on the cost of an episode, at least 0."""
        if not limit >= 0:
            raise ValueError(f"the target cost must be at least 0, got {limit!r}")
        self.target_cost = float(limit)

    def normalized_score(self, returns, costs):
        """Returns of episodes on the scale random = 0, expert = 100; costs over the target.

        As D4RL (Fu et al., 2020, arXiv 2004.07219) for returns and DSRL for costs: above 1 an
        episode breaks its limit. A limit of 0 adds 1 to both sides, as there.

        Args:
            returns, costs: of episodes, numbers or arrays; means of episodes do as well.

        Raises:
            ValueError: the data set has no reference scores, or no target cost is set.
        """
        reference = self.metadata.get("reference")
        if not reference:
            raise ValueError(
                "scores need the returns of references, which this data set does not tell; "
                "python -m benchmarks.offline writes them"
            )
        if self.target_cost is None:
            raise ValueError("scores need a limit on the cost: call set_target_cost() first")
        low, high = (reference[name]["return"] for name in ("random", "expert"))
        slack = 1.0 if self.target_cost == 0 else 0.0
        score = 100.0 * (np.asarray(returns) - low) / (high - low)
        return score, (np.asarray(costs) + slack) / (self.target_cost + slack)

    def to_replay_buffer(self, env, device: str = "cpu"):
        """The steps as a `ReplayBuffer` of Stable-Baselines3, for `model.replay_buffer`.

        Args:
            env: gives the spaces; a Gymnasium or a vectorised environment.
            device: where its samples go.
        """
        from stable_baselines3.common.buffers import ReplayBuffer

        space = getattr(env, "single_observation_space", env.observation_space)
        actions = getattr(env, "single_action_space", env.action_space)
        n = len(self["rewards"])
        if space.shape != self["observations"].shape[1:]:
            raise ValueError(
                f"the environment's observations must be those of the data set, got {space.shape} "
                f"and {self['observations'].shape[1:]}"
            )
        buffer = ReplayBuffer(n, space, actions, device, handle_timeout_termination=True)
        over = self["terminals"] | self["timeouts"]
        columns = {
            "observations": self["observations"],
            "next_observations": self["next_observations"],
            "actions": self["actions"].reshape(n, -1),
            "rewards": self["rewards"],
            "dones": over,
            "timeouts": self["timeouts"],
        }
        for key, values in columns.items():
            getattr(buffer, key)[:, 0] = values
        buffer.pos, buffer.full = 0, True
        return buffer


def load(name: str | os.PathLike, root: str | os.PathLike = HOME) -> Dataset:
    """Read a data set by its name, from the folder `root`, or by its path.

    Where the file is not there but its parts are (a run that was killed or still runs), the
    finished episodes are read.

    Raises:
        FileNotFoundError: there is neither; of a named set the error says how to make it.
        ValueError: an unknown name; or the file is damaged or no data set of this layout.
    """
    path = where(name, root)
    return Dataset(read(path), metadata(path))


def where(name: str | os.PathLike, root: str | os.PathLike = HOME) -> Path:
    """The file of a data set: a path as it is, a name under `root`."""
    path = Path(name)
    if len(path.parts) != 1 or path.suffix or path.exists() or parts_of(path).exists():
        return path
    recipe(str(name))
    path = Path(root).expanduser() / f"{name}.hdf5"
    if not path.exists() and not parts_of(path).exists():
        raise FileNotFoundError(
            f"{name} must be collected first; {path} does not exist: python -m benchmarks.offline "
            f"--name {name} --episodes 20"
        )
    return path
