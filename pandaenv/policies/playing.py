"""Playing: a policy places the jobs of an episode, in one environment or in many side by side.

In: an environment, a policy, a seed for each episode. Out: one `Step` after the other, so that the
caller keeps what it needs and stops when it likes. The environment and the policy are reset with
the same seed when the function is called, before the first step is asked for.

    flow = -sum(step.reward for step in steps(env, policy, seed=0))
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np

from foundations.objects import with_methods

from .rules import Policy


class VectorPolicy(Protocol):
    """A policy that acts in many environments at once."""

    def reset(self, seed: Sequence[int]) -> None: ...

    def act_all(self, envs: gym.vector.VectorEnv) -> np.ndarray: ...


class Step(NamedTuple):
    """One step of one environment, or of n environments: then each part has n entries."""

    observation: Any
    """What the agent saw before it acted."""
    mask: np.ndarray | None
    """Which actions were allowed, (S,) or (n, S); None where the environment does not say."""
    action: Any
    reward: Any
    next_observation: Any
    terminated: Any
    truncated: Any
    info: dict[str, Any]
    """What the environment reports after the action."""

    @property
    def is_last(self) -> Any:
        """Whether the episode ended with this step; (n,) bool for n environments."""
        return self.terminated | self.truncated


def steps(env: gym.Env, policy: Policy, seed: int, window: int | None = None) -> Iterator[Step]:
    """Reset, then play one episode to its end.

    Args:
        env: any Gymnasium environment that the policy can act in.
        policy: see `pandaenv.policies.Policy`.
        seed: of the episode and of the policy.
        window: of the stream of jobs, for a `PandaSiteAllocationEnv`; drawn if None.

    Raises: ValueError for what is no policy.
    """
    with_methods("policy", policy, ("reset", "act"))
    options = None if window is None else {"window": window}
    start = env.reset(seed=seed, options=options)
    policy.reset(seed)
    return _until_the_end(_endless(env, policy.act, *start))


def vector_steps(
    envs: gym.vector.VectorEnv,
    policy: VectorPolicy,
    seeds: Sequence[int],
    windows: np.ndarray | None = None,
) -> Iterator[Step]:
    """Reset, then play in all environments without end; the caller stops.

    Environment i sees what `steps` yields for its seed and window. After the end of its episode
    it goes on as its autoreset mode says.

    Args:
        envs: n environments.
        policy: acts in all of them.
        seeds: n integers.
        windows: n numbers of windows, see `steps`.

    Raises: ValueError for what is no policy.
    """
    with_methods("policy", policy, ("reset", "act_all"))
    start = _reset_all(envs, list(seeds), windows)
    policy.reset(seeds)
    return _endless(envs, policy.act_all, *start)


def _until_the_end(played: Iterator[Step]) -> Iterator[Step]:
    for step in played:
        yield step
        if step.is_last:
            return


def _endless(env: Any, act: Callable[[Any], Any], observation: Any, info: dict) -> Iterator[Step]:
    while True:
        mask, action = info.get("action_mask"), act(env)
        following, reward, terminated, truncated, info = env.step(action)
        yield Step(observation, mask, action, reward, following, terminated, truncated, info)
        observation = following


def _reset_all(
    envs: gym.vector.VectorEnv, seeds: list[int], windows: np.ndarray | None
) -> tuple[Any, dict]:
    """Reset all environments, those of one window at a time; returns what they report then."""
    if windows is None:
        return envs.reset(seed=seeds)
    for window in np.unique(windows):
        options = {"window": int(window), "reset_mask": windows == window}
        start = envs.reset(seed=seeds, options=options)
    return start
