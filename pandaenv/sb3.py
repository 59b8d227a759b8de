"""Many brokering problems as a native vector environment of Stable-Baselines3.

In: the arguments of `PandaSiteAllocationEnv` and a number of environments. Out: `PandaVecEnv`, step
by step what `DummyVecEnv` makes of that many single environments, at the speed of the kernels.

    model = PPO("MlpPolicy", PandaVecEnv(64), seed=0)
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from stable_baselines3.common.vec_env import VecEnv

from pandaenv.env import ARGUMENTS, PandaSiteAllocationEnv, blocks, chosen_window, frame, job_log
from pandaenv.env.actions import many_sites
from pandaenv.env.allocation import Observation
from pandaenv.vector import COST_KEYS, EACH_COST, check_counts, many

Indices = int | Iterable[int] | None
"""One environment, some, or all."""


class PandaVecEnv(VecEnv):
    """n environments of one configuration for Stable-Baselines3.

    Masks for `sb3_contrib.MaskablePPO` come from `env_method("action_masks")`. Infos are kept
    small: `cost`, `TimeLimit.truncated`, the exact `flow_time` of a relative reward, and at the end
    of an episode `terminal_observation`; parts of the costs are in `episodes.cost`, float64 (n, 4).

    Args:
        num_envs: n, at least 1.
        n_threads: threads of a step; results do not depend on it.
        options: arguments of `PandaSiteAllocationEnv`.
    """

    def __init__(self, num_envs: int = 1, *, n_threads: int = 1, **options: Any):
        num_envs, n_threads = check_counts(num_envs=num_envs, n_threads=n_threads)
        self.single = PandaSiteAllocationEnv(**options)
        self.episodes = many(self.single, num_envs, n_threads)
        self.metadata = self.single.metadata
        self._attributes: list[dict[str, Any]] = [{} for _ in range(num_envs)]
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._no_skip = np.zeros(num_envs, bool)
        self._is_accrued = self.episodes.config.reward == "accrued"
        super().__init__(num_envs, self.single.observation_space, self.single.action_space)

    def reset(self) -> Observation:
        for i in range(self.num_envs):
            rng = self._rngs[i]
            if self._seeds[i] is not None or rng is None:
                rng = self._rngs[i] = seeding.np_random(self._seeds[i])[0]
            window = chosen_window(self._options[i], len(self.single.prepared.windows))
            self.episodes.begin(i, rng, window)
            self.reset_infos[i] = self._reset_info(i)
        self._reset_seeds()
        self._reset_options()
        return self._observe()

    def step_async(self, actions: np.ndarray) -> None:
        chosen = many_sites(actions, self.num_envs, self.episodes.n_actions)
        self._actions = self.episodes.sites(chosen)

    def step_wait(self) -> tuple[Observation, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        self.episodes.step(self._actions, self._no_skip)
        cost = self.episodes.cost @ EACH_COST
        if self.single.is_binary:
            np.minimum(cost, 1.0, out=cost)
        infos: list[dict[str, Any]] = [
            {"cost": c, "TimeLimit.truncated": False} for c in cost.tolist()
        ]
        if self.episodes.rules.is_relative:
            for info, flow in zip(infos, self.episodes.view.flow.tolist(), strict=True):
                info["flow_time"] = flow
        dones = self.episodes.n_left == 0
        rewards_now = self.episodes.reward.astype(np.float32)
        for i in np.flatnonzero(dones).tolist() if dones.any() else ():
            infos[i]["terminal_observation"] = self._observe(i)
            infos[i]["TimeLimit.truncated"] = not self._is_accrued
            rng: Any = self._rngs[i]  # drawn by the first reset
            self.episodes.begin(i, rng)
            self.reset_infos[i] = self._reset_info(i)
        return self._observe(), rewards_now, dones, infos

    def close(self) -> None:
        self.single.close()

    def env_method(
        self, method_name: str, *args: Any, indices: Indices = None, **kwargs: Any
    ) -> list[Any]:
        """Of each `action_masks`, int8 (S,); `log`, its table of jobs so far; `render`, a frame."""
        rows = self._get_indices(indices)
        if method_name in _METHODS and self.episodes.worlds is None:
            raise ResetNeeded(f"{method_name}() needs an episode: call reset() first")
        if method_name == "action_masks":
            return [self.episodes.masks[i].copy() for i in rows]
        if method_name == "log":
            return [job_log(self.episodes, i) for i in rows]
        if method_name == "render":
            return [frame(self.episodes, i, self.render_mode) for i in rows]
        raise AttributeError(f"no method {method_name!r} of each; known: {', '.join(_METHODS)}")

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """What `set_attr` noted; else the mask, window or observation of each; else the common."""
        return [self._attribute(i, attr_name) for i in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Note a value for some environments; what makes the task cannot be changed."""
        is_part = attr_name in (*_OWN, *_METHODS, *ARGUMENTS) or hasattr(self.single, attr_name)
        if is_part:
            raise AttributeError(f"{attr_name!r} belongs to the task and cannot be set")
        for i in self._get_indices(indices):
            self._attributes[i][attr_name] = value

    def has_attr(self, attr_name: str) -> bool:
        noted = all(attr_name in attributes for attributes in self._attributes)
        return noted or attr_name in _OWN or hasattr(self.single, attr_name)

    def env_is_wrapped(self, wrapper_class: type, indices: Indices = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        if self.render_mode != "rgb_array":
            return [None] * self.num_envs
        return self.env_method("render")

    def _attribute(self, i: int, name: str) -> Any:
        if name in self._attributes[i]:
            return self._attributes[i][name]
        if name in _OWN:
            return _OWN[name](self, i)
        return getattr(self.single, name)

    def _observe(self, rows: int | slice = slice(None)) -> Observation:
        flat = self.episodes.seen[rows].copy()
        return flat if self.single.is_flat else blocks(flat)

    def _reset_info(self, i: int) -> dict[str, Any]:
        return {
            "action_mask": self.episodes.masks[i].copy(),
            "cost": 0.0,
            **dict.fromkeys(COST_KEYS, 0.0),
            "realised_load": self.single.prepared.realised_load,
            "scale": self.single.prepared.stream.scale,
            "gathered": self.single.prepared.stream.gathered,
            **self.episodes.extra(i),
        }


_METHODS = ("action_masks", "log", "render")
_OWN: dict[str, Callable[[PandaVecEnv, int], Any]] = {
    "mask": lambda self, i: self.episodes.view.mask[i].copy(),
    "window": lambda self, i: int(self.episodes.window[i]),
    "observation": lambda self, i: self._observe(i),
}
"""Attributes that differ between environments."""
