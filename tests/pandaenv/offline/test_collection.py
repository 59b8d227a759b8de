"""Collecting data sets: what a file holds, alone or side by side, resumed, and refusals."""

import gymnasium as gym
import numpy as np
import pytest

from pandaenv import policies
from pandaenv.offline import collect, load, metadata
from pandaenv.offline.recipes import Behaviour, make_mixture
from tests.pandaenv.offline.carts import Coin, cart, grid

pytest.importorskip("h5py")


def test_the_grid_tells_masks_and_parts_of_the_cost(tmp_path):
    env = grid()
    path = collect(env, policies.make("random"), tmp_path / "grid.hdf5", episodes=2, seed=3)
    data = load(path)
    n_sites = env.action_space.n
    assert data["observations"].shape == (50, env.observation_space.shape[0])
    assert data["action_masks"].shape == (50, n_sites)
    assert data["action_masks"][np.arange(50), data["actions"]].all()
    parts = [data[k] for k in ("cost_wait", "cost_transfer", "cost_failure", "cost_rejected")]
    np.testing.assert_array_equal(data["costs"], sum(parts))
    assert np.flatnonzero(data["timeouts"]).tolist() == [24, 49] and not data["terminals"].any()
    made = metadata(path)
    assert made["env_id"] == "PandaSiteAllocationTier1-v0" and made["policy"] == "random"
    assert made["env_arguments"]["workload"] == "<DataFrame>"
    assert made["env_arguments"]["rate"] == 200
    assert len(made["env_stream_sha256"]) == 64


MIX = (Behaviour("random"), Behaviour("greedy", 0.2), Behaviour("panda_analysis"))


def test_shares_of_the_episodes_make_the_same_file(tmp_path):
    whole = collect(grid(), make_mixture(MIX), tmp_path / "whole.hdf5", episodes=7, seed=3)
    path = tmp_path / "shared.hdf5"
    for share in ((5, 6), (0, 1, 2, 3, 4)):
        collect(grid(), make_mixture(MIX), path, episodes=7, seed=3, only=share)
        assert not path.exists()
    collect(grid(), make_mixture(MIX), path, episodes=7, seed=3)
    assert path.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("n_envs", [2, 5])
def test_episodes_side_by_side_make_the_same_file(tmp_path, n_envs):
    single = collect(grid(), make_mixture(MIX), tmp_path / "one.hdf5", episodes=7, seed=3)
    many = collect(
        grid(), make_mixture(MIX), tmp_path / "many.hdf5", episodes=7, seed=3, n_envs=n_envs
    )
    assert single.read_bytes() == many.read_bytes()
    assert load(many).behaviours() == [
        "random",
        "greedy+0.2 random",
        "panda_analysis",
        "random",
        "greedy+0.2 random",
        "panda_analysis",
        "random",
    ]


def test_a_stopped_mixture_goes_on_to_the_same_bytes(tmp_path):
    def stop(n_done):
        if n_done == 4:
            raise KeyboardInterrupt

    path = tmp_path / "stopped.hdf5"
    with pytest.raises(KeyboardInterrupt):
        collect(grid(), make_mixture(MIX), path, episodes=7, n_envs=3, notify=stop)
    left = load(path)
    assert len(left.returns()) == 4 and len(set(left.behaviours())) > 1
    whole = collect(grid(), make_mixture(MIX), tmp_path / "whole.hdf5", episodes=7, n_envs=3)
    collect(grid(), make_mixture(MIX), path, episodes=7, n_envs=3)
    assert path.read_bytes() == whole.read_bytes()
    np.testing.assert_array_equal(load(whole).returns()[left["episodes"][::25]], left.returns())


def test_collect_refuses_what_it_cannot_store(tmp_path):
    env = gym.wrappers.TransformObservation(
        gym.make("CartPole-v1"), lambda o: {"x": o}, gym.spaces.Dict(x=gym.spaces.Discrete(2))
    )
    with pytest.raises(ValueError, match="need flat Box observations, got Dict"):
        collect(env, Coin(), tmp_path / "a.hdf5", episodes=1)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        cart(tmp_path / "a.hdf5", episodes=0)
    for seed in (1.5, -1, 2**64):
        with pytest.raises(ValueError, match=rf"seed must be a whole number .*, got {seed}"):
            cart(tmp_path / "a.hdf5", seed=seed)
    wrapped = gym.wrappers.FlattenObservation(grid())
    with pytest.raises(ValueError, match="n_envs > 1 needs an unwrapped environment"):
        collect(wrapped, policies.make("random"), tmp_path / "a.hdf5", episodes=1, n_envs=2)
    assert list(tmp_path.iterdir()) == []
    cart(tmp_path / "a.hdf5", episodes=1)
    with pytest.raises(ValueError, match="never overwritten; .*a.hdf5 exists"):
        cart(tmp_path / "a.hdf5")
