"""Data sets in memory: read by name, scored, and as replay buffers."""

import json

import gymnasium as gym
import numpy as np
import pytest

from pandaenv import policies
from pandaenv.offline import Dataset, collect, load
from tests.pandaenv.offline.carts import assert_equal, cart, grid

pytest.importorskip("h5py")


def test_a_set_is_read_by_its_name(tmp_path):
    with pytest.raises(ValueError, match="unknown data set 'nope'"):
        load("nope", tmp_path)
    with pytest.raises(FileNotFoundError, match="benchmarks.offline --name panda-random-v0"):
        load("panda-random-v0", tmp_path)
    path = cart(tmp_path / "panda-random-v0.hdf5")
    assert_equal(load("panda-random-v0", tmp_path), load(path))
    with pytest.raises(FileNotFoundError, match="none.hdf5 does not exist"):
        load(tmp_path / "none.hdf5")


REFERENCE = {"random": {"return": -200.0, "cost": 40.0}, "expert": {"return": -100.0, "cost": 5.0}}


def test_scores_are_0_for_random_and_100_for_the_expert(tmp_path):
    data = load(cart(tmp_path / "c.hdf5", extra={"reference": json.dumps(REFERENCE)}))
    with pytest.raises(ValueError, match="call set_target_cost"):
        data.normalized_score(-100.0, 0.0)
    data.set_target_cost(20)
    score, cost = data.normalized_score(np.array([-200.0, -100.0, -50.0]), [40.0, 5.0, 20.0])
    assert score.tolist() == [0.0, 100.0, 150.0] and cost.tolist() == [2.0, 0.25, 1.0]
    data.set_target_cost(0)
    assert data.normalized_score(-100.0, 3.0) == (100.0, 4.0)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        data.set_target_cost(-1)
    with pytest.raises(ValueError, match="which this data set lacks"):
        Dataset(data, {}).normalized_score(0.0, 0.0)


def test_a_replay_buffer_holds_the_steps(tmp_path):
    env = grid()
    data = load(collect(env, policies.make("random"), tmp_path / "g.hdf5", episodes=2))
    buffer = data.to_replay_buffer(env)
    assert buffer.size() == 50
    np.testing.assert_array_equal(buffer.observations[:, 0], data["observations"])
    np.testing.assert_array_equal(buffer.actions[:, 0, 0], data["actions"])
    batch = buffer.sample(16)
    assert batch.observations.shape == (16, *env.observation_space.shape)
    assert not batch.dones.any()  # the episodes end by time: their last steps are bootstrapped
    with pytest.raises(ValueError, match="must have the shape of the data set's"):
        data.to_replay_buffer(gym.make("CartPole-v1"))


def test_stable_baselines_learns_from_a_replay_buffer(tmp_path):
    from stable_baselines3 import DQN
    from stable_baselines3.common.logger import configure

    env = grid()
    data = load(collect(env, policies.make("random"), tmp_path / "g.hdf5", episodes=2))
    model = DQN("MlpPolicy", env, buffer_size=1, batch_size=16, seed=0, device="cpu")
    model.replay_buffer = data.to_replay_buffer(env)
    model.set_logger(configure(None, []))
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.train(gradient_steps=2, batch_size=16)
    assert any(not p.equal(q) for p, q in zip(before, model.policy.parameters(), strict=True))
