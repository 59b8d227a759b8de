"""What a search by hindsight finds, a policy can place; it lies between the bound and a rule."""

import numpy as np
import pytest

from pandaenv import policies
from pandaenv.hindsight import best_found, lower_bound
from pandaenv.policies import steps


class Plan:
    """The sites of a plan, in order."""

    def __init__(self, site):
        self.site = site

    def reset(self, seed):
        self.left = iter(self.site.tolist())

    def act(self, env):
        return next(self.left)


def flow(env, policy) -> float:
    rewards = [(step.reward, step.info["cost_rejected"]) for step in steps(env, policy, 2, 0)]
    assert sum(rejected for _, rejected in rewards) == 0
    return -sum(reward for reward, _ in rewards) / len(rewards)


def test_what_is_found_is_played_as_it_says_and_lies_between_bound_and_rule(make):
    env = make(load=0.9)
    env.reset(seed=2, options={"window": 0})
    limit = lower_bound(env)
    found, none = best_found(env, limit, n_moves=60), best_found(env, limit, n_moves=0)
    assert limit.flow < found.flow < none.flow
    assert best_found(env, limit, n_moves=60).site.tobytes() == found.site.tobytes()
    assert best_found(env, limit, n_moves=60, seed=1).site.tobytes() != found.site.tobytes()
    assert flow(env, Plan(found.site)) == pytest.approx(found.flow, rel=1e-9)
    assert flow(env, policies.make("greedy_true")) >= none.flow * (1 - 1e-9)
    assert found.site.dtype == np.int64 and found.site.min() >= 0


def test_a_search_refuses_what_a_bound_refuses(make):
    env = make()
    env.reset(seed=0)
    limit = lower_bound(env)
    with pytest.raises(ValueError, match="n_moves must be a whole number of at least 0, got 1.5"):
        best_found(env, limit, n_moves=1.5)
    env.step(int(env.unwrapped.mask.argmax()))
    with pytest.raises(ValueError, match="no job is placed, got 1"):
        best_found(env, limit)
