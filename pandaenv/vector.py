"""Many brokering problems in one call, as a Gymnasium vector environment.

In: the arguments of `PandaSiteAllocationEnv` and a number of environments. Out: batches, one row an
environment, bit for bit what that many single environments give; one kernel call steps them all.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike

from foundations import checks
from pandaenv.env import PandaSiteAllocationEnv, blocks, chosen_window, frame
from pandaenv.env import reward as rewards
from pandaenv.env.actions import many_sites
from pandaenv.env.allocation import Observation
from pandaenv.env.episodes import Episodes
from pandaenv.env.spec import PlainSpec

COST_KEYS = tuple(f"cost_{name}" for name in rewards.COSTS)
EACH_COST = np.ones(len(COST_KEYS))


class PandaSiteAllocationVectorEnv(PlainSpec, gym.vector.VectorEnv):
    """n environments of one configuration over shared arrays.

    `gym.make_vec("PandaSiteAllocation-v0", num_envs=n)` makes one. Environment i of `reset(seed=s)`
    is the single environment of seed s + i; see its docstring for spaces, rewards and costs.
    `info` holds arrays, one row an environment, each with its mask `_key`; `info["action_mask"]`
    and `action_masks()` are int8 (n, S).

    Args:
        num_envs: n, at least 1.
        autoreset_mode: NEXT_STEP (the step after an episode's last resets it and ignores the
            action), SAME_STEP (the last step resets; `info["final_obs"]`, `info["final_info"]`) or
            DISABLED (`reset(options={"reset_mask": ...})`, bool (n,)).
        copy: whether each batch of observations is an array of its own; if not, the next step
            overwrites it.
        n_threads: threads of a step; results do not depend on it.
        max_episode_steps: episodes longer than that are truncated; -1 or None is no limit.
        options: arguments of `PandaSiteAllocationEnv`.

    Raises:
        ValueError, AssertionError, TypeError: a wrong option, as the single environment says it.
        InvalidAction, ResetNeeded: as there.
    """

    metadata = PandaSiteAllocationEnv.metadata | {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        copy: bool = True,
        n_threads: int = 1,
        max_episode_steps: int | None = None,
        **options: Any,
    ):
        num_envs, n_threads = check_counts(num_envs=num_envs, n_threads=n_threads)
        max_episode_steps = None if max_episode_steps == -1 else max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = type(self).metadata | {"autoreset_mode": self.autoreset_mode}
        self.single = PandaSiteAllocationEnv(**options)
        if max_episode_steps is not None:
            gym.wrappers.TimeLimit(self.single, max_episode_steps)  # its check of the number
        self.episodes = many(self.single, num_envs, n_threads)
        self.num_envs, self.copy, self.max_episode_steps = num_envs, copy, max_episode_steps
        self.render_mode = self.single.render_mode
        self.single_action_space = self.single.action_space
        self.single_observation_space = self.single.observation_space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._is_accrued = self.episodes.config.reward == "accrued"
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._is_begun, self._everywhere = False, np.ones(num_envs, bool)
        self._over = np.zeros(num_envs, bool)
        self._n_steps = np.zeros(num_envs, np.int64)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin episodes in all environments, or where `options["reset_mask"]` says.

        Args:
            seed: s for s, s + 1, ..., or one for each environment; None goes on drawing.
            options: `window` for all of them, and `reset_mask`, bool (n,).
        """
        options = dict(options or {})
        chosen = _checked_mask(options.pop("reset_mask", None), self.num_envs)
        window = chosen_window(options, len(self.single.prepared.windows))
        seeds = _spread(seed, self.num_envs)
        for i in np.flatnonzero(chosen).tolist():
            self._begin(i, seeds[i], window)
        self._is_begun = None not in self._rngs
        if self.render_mode == "human":
            self.render()
        return self._observe(), self._info(chosen)

    def step(
        self, actions: ArrayLike
    ) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        skip = self._over.copy()
        if skip.any() and self.autoreset_mode != AutoresetMode.NEXT_STEP:
            raise ResetNeeded(
                f"environment {skip.argmax()} has no job to place: call reset() first"
            )
        self.episodes.step(self._checked(actions, skip), skip)
        for i in np.flatnonzero(skip).tolist():
            self._begin(i)
        self._n_steps += ~skip
        is_done = self.episodes.n_left == 0
        terminated = is_done if self._is_accrued else np.zeros(self.num_envs, bool)
        truncated = is_done & ~terminated
        if self.max_episode_steps is not None:
            truncated |= self._n_steps >= self.max_episode_steps
        self._over = terminated | truncated
        reward, extra = self.episodes.reward.copy(), {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._over.any():
            extra = self._finish(self._over.copy())
        if self.render_mode == "human":
            self.render()
        return self._observe(), reward, terminated, truncated, self._info() | extra

    def render(self) -> tuple | None:
        """A text or an image of each environment; in "human" mode the first one is shown."""
        n = self.num_envs if self.render_mode in ("ansi", "rgb_array") else 1
        frames = tuple(frame(self.episodes, i, self.render_mode) for i in range(n))
        return None if frames[0] is None else frames

    def close_extras(self, **kwargs: Any) -> None:
        self.single.close()

    def action_masks(self) -> np.ndarray:
        """1 where an action is allowed, int8 (n, S), of candidates (n, k); no row is all zero."""
        return self.episodes.masks.copy()

    def _begin(self, i: int, seed: int | None = None, window: int | None = None) -> None:
        rng = self._rngs[i]
        if seed is not None or rng is None:
            rng = self._rngs[i] = seeding.np_random(seed)[0]
        self.episodes.begin(i, rng, window)
        self._over[i], self._n_steps[i] = False, 0

    def _finish(self, over: np.ndarray) -> dict[str, Any]:
        """Begin anew where an episode is over; what its last step showed, for `info`."""
        seen = np.full(self.num_envs, None, object)
        batch = self._observe(copy=True)
        for i in np.flatnonzero(over).tolist():
            row = {k: v[i] for k, v in batch.items()} if isinstance(batch, dict) else batch[i]
            seen[i] = row
        last = self._info(over)
        for i in np.flatnonzero(over).tolist():
            self._begin(i)
        final = {"final_obs": seen, "final_info": last}
        return final | {f"_{key}": over.copy() for key in final}

    def _observe(self, copy: bool | None = None) -> Observation:
        flat = self.episodes.seen
        flat = flat.copy() if (self.copy if copy is None else copy) else flat
        return flat if self.single.is_flat else blocks(flat)

    def _info(self, chosen: np.ndarray | None = None) -> dict[str, Any]:
        """What single environments have in their info, as arrays; zero where not chosen."""
        cost, masks = self.episodes.cost, self.episodes.masks
        if chosen is None:
            chosen, masks = self._everywhere, masks.copy()
        else:
            cost, masks = cost * chosen[:, None], masks * chosen[:, None]
        parts = dict(zip(COST_KEYS, cost.T.copy(), strict=True))
        total = cost @ EACH_COST
        info = {
            "action_mask": masks,
            "cost": np.minimum(total, 1.0) if self.single.is_binary else total,
            **parts,
            "realised_load": self.single.prepared.realised_load * chosen,
            "scale": self.single.prepared.stream.scale * chosen,
            "gathered": self.single.prepared.stream.gathered & chosen,
        } | {name: _where(chosen, part) for name, part in self.episodes.extras.items()}
        return info | {f"_{key}": chosen.copy() for key in info}

    def _checked(self, actions: ArrayLike, skip: np.ndarray) -> np.ndarray:
        """The sites as int64 (n,), 0 where they are ignored."""
        if not self._is_begun:
            raise ResetNeeded("step() needs jobs to place: call reset() first")
        chosen = many_sites(actions, self.num_envs, self.episodes.n_actions, skip)
        return self.episodes.sites(chosen)


def _where(chosen: np.ndarray, part: np.ndarray) -> np.ndarray:
    """A copy of the rows that are chosen, zero elsewhere."""
    return part * (chosen if part.ndim == 1 else chosen[:, None])


def many(single: PandaSiteAllocationEnv, n: int, n_threads: int) -> Episodes:
    """n worlds under the rules of a single environment."""
    return Episodes(single.prepared, single.config, n, n_threads)


def check_counts(**counts: Any) -> list[int]:
    """The counts as numbers of Python; what is not a whole number of at least 1 is refused."""
    return [int(checks.whole(name, value, least=1)) for name, value in counts.items()]


def _spread(seed: int | Sequence[int | None] | None, n: int) -> list[int | None]:
    """One seed for each environment."""
    if seed is None:
        return [None] * n
    if isinstance(seed, int | np.integer) and checks.is_whole(seed, least=0):
        return [int(seed) + i for i in range(n)]
    if isinstance(seed, str) or not isinstance(seed, Sequence | np.ndarray):
        rule = "a whole number of at least 0, or one an environment"
        raise ValueError(f"seed must be {rule}, got {seed!r}")
    if len(seed) != n:
        raise ValueError(f"seeds must be one an environment ({n}), got {len(seed)}")
    return [None if one is None else int(checks.seed(one)) for one in seed]


def _checked_mask(mask: Any, n: int) -> np.ndarray:
    if mask is None:
        return np.ones(n, bool)
    if not isinstance(mask, np.ndarray) or mask.shape != (n,) or mask.dtype != bool:
        raise ValueError(f"reset_mask must be a bool array of shape ({n},), got {mask!r}")
    if not mask.any():
        raise ValueError("reset_mask must be true somewhere, got none")
    return mask
