"""Learners from offline data: their losses in plain numbers, and that they find what is to find."""

import numpy as np
import pytest
import torch

from benchmarks.play import offline_learners
from benchmarks.play.offline_learners import (
    Config,
    ScoringPolicy,
    Steps,
    behaviour_cloning,
    conservative_q_learning,
    within_cost_limit,
)
from pandaenv.agents.scoring import POWER
from pandaenv.env.observation import N_GRID, N_JOB, N_SITE
from pandaenv.offline import Dataset

SITES, T = 3, 16


def toy(n_episodes=64, seed=0) -> Dataset:
    """Sites of random traits; mostly the fastest is chosen, the reward is the free share."""
    rng = np.random.default_rng(seed)
    n = n_episodes * T
    seen = rng.random((n, N_JOB + N_SITE * SITES + N_GRID), dtype=np.float32)
    free = seen[:, N_JOB : N_JOB + N_SITE * SITES : N_SITE]
    masks = (rng.random((n, SITES)) < 0.8).astype(np.int8)
    masks[:, 0] = 1
    anywhere = (rng.random((n, SITES)) * masks).argmax(axis=1)
    actions = np.where(rng.random(n) < 0.6, fastest(seen, masks), anywhere)
    ends = np.arange(n) % T == T - 1
    rewards = free[np.arange(n), actions].astype(np.float64)
    return Dataset(
        {
            "observations": seen,
            "next_observations": np.roll(seen, -1, axis=0),
            "actions": actions,
            "rewards": rewards,
            "costs": (actions == 2).astype(float),
            "action_masks": masks,
            "terminals": np.zeros(n, bool),
            "timeouts": ends,
        },
        {"name": "toy"},
    )


def both(one, other):
    return zip(one.parameters(), other.parameters(), strict=True)


def fastest(seen: np.ndarray, masks: np.ndarray) -> np.ndarray:
    power = seen[:, N_JOB + POWER : N_JOB + N_SITE * SITES : N_SITE]
    return np.where(masks > 0, power, -1.0).argmax(axis=1)


SMALL = Config(steps=400, batch_size=128, learning_rate=5e-3, width=16)


def chosen(policy: ScoringPolicy, data: Dataset) -> np.ndarray:
    with torch.no_grad():
        scores = policy.network(torch.as_tensor(data["observations"]))[0].numpy()
    return np.where(data["action_masks"] > 0, scores, -np.inf).argmax(axis=1)


def test_the_conservative_loss_is_the_formula_of_its_paper():
    data, config = toy(4), Config(alpha=0.7, gamma=0.9, rate=0.3, width=8)
    network, slow = (offline_learners.new_network(None, config, 5) for _ in "ab")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    moved = [s.data + 0.3 * (n.data - s.data) for s, n in both(slow, network)]
    offline_learners.update_target(slow, network, config.rate)
    for parameter, expected in zip(slow.parameters(), moved, strict=True):
        torch.testing.assert_close(parameter.data, expected)
    steps, rows = offline_learners.Steps(data), torch.arange(4 * T)
    found = offline_learners.conservative_loss(network, slow, steps, rows, config).item()
    q = network(torch.as_tensor(data["observations"]))[0].detach().double().numpy()
    after = torch.as_tensor(data["next_observations"])
    q_after = network(after)[0].detach().double().numpy()
    q_slow = slow(after)[0].detach().double().numpy()
    total = 0.0
    for t in range(4 * T):
        allowed = np.flatnonzero(data["action_masks"][t])
        a, r = data["actions"][t], np.log1p(data["rewards"][t])
        y = r
        if not data["timeouts"][t]:
            next_allowed = np.flatnonzero(data["action_masks"][t + 1])
            y += 0.9 * q_slow[t, next_allowed[q_after[t, next_allowed].argmax()]]
        total += 0.7 * (np.log(np.exp(q[t, allowed]).sum()) - q[t, a]) + 0.5 * (q[t, a] - y) ** 2
    assert found == pytest.approx(total / (4 * T), rel=1e-4)


def test_cloning_does_what_the_data_do_most():
    data = toy()
    policy = behaviour_cloning(data, None, SMALL, 0)
    agrees = chosen(policy, data) == fastest(data["observations"], data["action_masks"])
    assert agrees.mean() > 0.9


def test_conservative_learning_does_better_than_the_data():
    data, unseen = toy(), toy(seed=1)
    config = Config(steps=400, batch_size=128, learning_rate=5e-3, width=16, alpha=0.01, gamma=0.0)
    rows = np.arange(len(unseen["actions"]))
    free = unseen["observations"][:, N_JOB : N_JOB + N_SITE * SITES : N_SITE]
    learned = free[rows, chosen(conservative_q_learning(data, None, config, 0), unseen)].mean()
    best = np.where(unseen["action_masks"] > 0, free, 0.0).max(axis=1).mean()
    behaved = unseen["rewards"].mean()
    assert learned - behaved > 0.7 * (best - behaved)


def test_only_allowed_sites_are_chosen():
    data = toy(4)
    policy = behaviour_cloning(data, None, Config(steps=1), 0)
    picked = chosen(policy, data)
    assert data["action_masks"][np.arange(len(picked)), picked].all()


def test_same_seed_same_network_and_the_global_chance_is_left_alone():
    data, config = toy(4), Config(steps=3, gamma=0.5)
    before = torch.get_rng_state()
    one, again, other = (
        conservative_q_learning(data, None, config, seed).network for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    pairs = [list(n.parameters()) for n in (one, again, other)]
    assert all(torch.equal(a, b) for a, b in zip(pairs[0], pairs[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(pairs[0], pairs[2], strict=True))


def test_the_safe_part_is_the_episodes_within_the_limit():
    data = toy(8)
    limit = float(np.median(data.returns("costs")))
    part = within_cost_limit(data, limit)
    assert part.returns("costs").max() <= limit
    assert len(part.starts) == (data.returns("costs") <= limit).sum()
    assert len(part["observations"]) == len(part.starts) * T
    assert within_cost_limit(data, -1.0) is None


def test_steps_know_the_last_of_an_episode():
    steps = Steps(toy(2))
    assert len(steps) == 2 * T
    assert torch.nonzero(steps.goes_on == 0).flatten().tolist() == [T - 1, 2 * T - 1]
