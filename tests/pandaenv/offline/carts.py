"""Small episodes for tests of offline data: a cart, a walk along a line, a small grid."""

import gymnasium as gym
import numpy as np

import pandaenv  # noqa: F401  registers the environments
from pandaenv.offline import collect
from tests.pandaenv.records.raw_dump import random_records


class Coin:
    """Pushes the cart left or right at random."""

    def reset(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, env):
        return int(self.rng.integers(2))


class First:
    """Always the first site that is allowed."""

    name = "first"

    def reset(self, seed):
        pass

    def act(self, env):
        return int(env.unwrapped.mask.argmax())


def cart(path, episodes=4, seed=0, **options):
    env = gym.make("CartPole-v1")
    return collect(env, Coin(), path, episodes=episodes, seed=seed, name="cart-v0", **options)


def walk(n=5, end="terminals"):
    """An episode of n steps along a line."""
    flags = np.arange(n) == n - 1
    seen = np.arange(n + 1, dtype=np.float32)[:, None]
    return {
        "observations": seen[:-1],
        "next_observations": seen[1:],
        "actions": np.zeros(n, np.int64),
        "rewards": np.ones(n),
        "costs": np.full(n, 0.5),
        "terminals": flags & (end == "terminals"),
        "timeouts": flags & (end == "timeouts"),
    }


RECORDS = random_records(3_000)


def grid(**options):
    """The Tier-1 sites under a few random jobs."""
    settings = {"workload": RECORDS, "rate": 200, "episode_jobs": 25} | options
    return gym.make("PandaSiteAllocationTier1-v0", **settings)


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], strict=True)
