"""An offline data set in memory: its arrays, how it was made, and its scores.

In: a path, or the name of a data set. Out: a `Dataset`, a dict of arrays with one row a step, as
`pandaenv.offline.dsrl` describes them.

    data = load("panda-tier1-mixed-v0")
    data.set_target_cost(20)
    score, cost = data.normalized_score(returns, costs)
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike

from .dsrl import EPISODES, metadata, parts_of, read
from .recipes import find_recipe

if TYPE_CHECKING:
    from stable_baselines3.common.buffers import ReplayBuffer

HOME = Path("~/.pandaenv/datasets")
"""Default folder of named data sets."""


class Dataset(dict):
    """The arrays of a data set by name, one row a step, with its metadata and its scores.

    Attributes:
        metadata: how it was made, see `pandaenv.offline.metadata`.
        target_cost: limit on the cost of an episode that `normalized_score` uses; None until set.
    """

    def __init__(self, arrays: dict[str, np.ndarray], metadata: dict[str, Any]):
        super().__init__(arrays)
        self.metadata = metadata
        self.target_cost: float | None = None

    @property
    def starts(self) -> np.ndarray:
        """First step of each episode, int64 (E,)."""
        ends = np.flatnonzero(self["terminals"] | self["timeouts"])
        return np.r_[0, ends[:-1] + 1]

    def returns(self, column: str = "rewards") -> np.ndarray:
        """Sum over each episode of the rewards or of another column, float64 (E,)."""
        parts = np.split(np.asarray(self[column], np.float64), self.starts[1:])
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

    def normalized_score(self, returns: ArrayLike, costs: ArrayLike) -> tuple[Any, Any]:
        """Returns on the scale random = 0, expert = 100; costs divided by the target cost.

        Returns are normalised as in D4RL (Fu et al., 2020, arXiv 2004.07219), costs as in DSRL: an
        episode with a normalised cost above 1 exceeds the limit. A target cost of 0 adds 1 to cost
        and target, as there.

        Args:
            returns, costs: of episodes, or means over episodes; numbers or arrays.

        Raises:
            ValueError: the data set has no reference returns, or no target cost is set.
        """
        reference = self.metadata.get("reference")
        if not reference:
            raise ValueError(
                "scores need reference returns, which this data set lacks; "
                "python -m benchmarks.offline writes them"
            )
        if self.target_cost is None:
            raise ValueError("scores need a limit on the cost: call set_target_cost() first")
        low, high = (reference[name]["return"] for name in ("random", "expert"))
        slack = 1.0 if self.target_cost == 0 else 0.0
        score = 100.0 * (np.asarray(returns) - low) / (high - low)
        return score, (np.asarray(costs) + slack) / (self.target_cost + slack)

    def to_replay_buffer(self, env: Any, device: str = "cpu") -> "ReplayBuffer":
        """The steps as a `ReplayBuffer` of Stable-Baselines3, for `model.replay_buffer`.

        Args:
            env: a Gymnasium or a vector environment; its spaces must be those of the data set.
            device: torch device of the samples.

        Raises:
            ValueError: the observations have another shape.
        """
        from stable_baselines3.common.buffers import ReplayBuffer

        space = getattr(env, "single_observation_space", env.observation_space)
        actions = getattr(env, "single_action_space", env.action_space)
        self._check_space(space)
        n = len(self["rewards"])
        buffer = ReplayBuffer(n, space, actions, device, handle_timeout_termination=True)
        columns = {
            "observations": self["observations"],
            "next_observations": self["next_observations"],
            "actions": self["actions"].reshape(n, -1),
            "rewards": self["rewards"],
            "dones": self["terminals"] | self["timeouts"],
            "timeouts": self["timeouts"],
        }
        for key, values in columns.items():
            getattr(buffer, key)[:, 0] = values
        buffer.pos, buffer.full = 0, True
        return buffer

    def _check_space(self, space: gym.Space) -> None:
        shape = self["observations"].shape[1:]
        if space.shape != shape:
            raise ValueError(
                f"the environment's observations must have the shape of the data set's, {shape}, "
                f"got {space.shape}"
            )


def load(name: str | os.PathLike, root: str | os.PathLike = HOME) -> Dataset:
    """Read a data set by its path, or by its name from the folder `root`.

    Where the file does not exist but finished episodes of it do (the run was killed, or is still
    running), those are read.

    Raises:
        FileNotFoundError: neither exists; the message says how to collect a named data set.
        ValueError: the name is unknown, or the file is damaged or has another layout.
    """
    path = locate(name, root)
    return Dataset(read(path), metadata(path))


def locate(name: str | os.PathLike, root: str | os.PathLike = HOME) -> Path:
    """The file of a data set: a path as it is, a name in the folder `root`."""
    path = Path(name)
    if len(path.parts) != 1 or path.suffix or path.exists() or parts_of(path).exists():
        return path
    find_recipe(str(name))
    path = Path(root).expanduser() / f"{name}.hdf5"
    if not path.exists() and not parts_of(path).exists():
        raise FileNotFoundError(
            f"{name} must be collected first; {path} does not exist: python -m benchmarks.offline "
            f"--name {name} --episodes 20"
        )
    return path
