"""Files for others: Minari's own loader reads ours, and OmniSafe's expectations are met."""

import shutil

import gymnasium as gym
import numpy as np
import pytest

from pandaenv import policies
from pandaenv.offline import collect
from pandaenv.offline.dsrl import read, read_episodes
from pandaenv.offline.layouts import is_in_minari, to_minari, to_omnisafe
from tests.pandaenv.offline.carts import cart, grid

minari = pytest.importorskip("minari")
h5py = pytest.importorskip("h5py")
NAME = "panda-tier1-random-v0"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A root of Minari's of our own."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return collect(
        grid(),
        policies.make("random"),
        tmp_path_factory.mktemp("f") / f"{NAME}.hdf5",
        episodes=3,
        seed=4,
        name=NAME,
    )


def test_minari_reads_what_was_written(path, root):
    env = grid()
    assert to_minari(path, env) == NAME
    data = minari.load_dataset(NAME)
    assert (data.total_episodes, data.total_steps) == (3, 75)
    assert data.action_space == env.action_space
    assert data.observation_space == env.observation_space
    for ours, theirs in zip(read_episodes(path), data, strict=True):
        np.testing.assert_array_equal(theirs.observations[:-1], ours["observations"])
        np.testing.assert_array_equal(theirs.observations[1:], ours["next_observations"])
        for key, name in (
            ("actions", "actions"),
            ("rewards", "rewards"),
            ("terminations", "terminals"),
            ("truncations", "timeouts"),
        ):
            np.testing.assert_array_equal(getattr(theirs, key), ours[name])
        assert theirs.infos["cost"].shape == theirs.infos["cost_wait"].shape == (26, 1)
        np.testing.assert_array_equal(theirs.infos["cost"][1:, 0], ours["costs"])
        assert theirs.infos["cost"][0, 0] == 0.0
        np.testing.assert_array_equal(theirs.infos["action_mask"][:-1], ours["action_masks"])
    assert list(data.storage.get_episode_metadata([2]))[0]["seed"] == 6


def test_minari_names_the_environment_and_its_scores(tmp_path, root):
    reference = '{"random": {"return": 10.0}, "expert": {"return": 110.0}, "seeds": [0, 1]}'
    path = cart(tmp_path / "cart.hdf5", extra={"reference": reference})
    to_minari(path, gym.make("CartPole-v1"), "tests/cart-v0")
    data = minari.load_dataset("tests/cart-v0")
    assert data.recover_environment().spec.id == "CartPole-v1"
    assert minari.get_normalized_score(data, np.array([60.0]))[0] == pytest.approx(0.5)
    assert not list(root.glob(".draft*"))


def test_minari_data_are_the_same_bytes_again_and_never_overwritten(path, root, monkeypatch):
    to_minari(path, grid())
    with pytest.raises(ValueError, match="never overwritten; Minari has panda-tier1-random-v0"):
        to_minari(path, grid())
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(root / "again"))
    to_minari(path, grid())
    files = sorted(p.name for p in (root / NAME / "data").iterdir())
    assert files == ["main_data.hdf5", "metadata.json"]
    for name in files:
        one, other = (r / NAME / "data" / name for r in (root, root / "again"))
        assert one.read_bytes() == other.read_bytes()


def test_another_data_set_of_the_same_name_is_told_from_this_one(path, root, tmp_path):
    assert not is_in_minari(path)
    to_minari(path, grid())
    assert is_in_minari(path)
    other = collect(
        grid(), policies.make("random"), tmp_path / f"{NAME}.hdf5", episodes=2, seed=4, name=NAME
    )
    with pytest.raises(ValueError, match=f"never overwritten; Minari has another {NAME} at"):
        is_in_minari(other)


def test_a_broken_conversion_leaves_nothing_for_minari_to_find(path, root, tmp_path):
    broken = shutil.copy(path, tmp_path / path.name)
    with h5py.File(broken, "r+") as file:
        lost = file["observations"].id.get_chunk_info(0)
    with open(broken, "r+b") as file:
        file.seek(lost.byte_offset)
        file.write(bytes(lost.size))
    with pytest.raises(ValueError, match="the HDF5 file is damaged"):
        to_minari(broken, grid())
    assert minari.list_local_datasets() == {}
    to_minari(path, grid())
    assert list(minari.list_local_datasets()) == [NAME]


# What OmniSafe's OfflineDataset and OfflineDatasetWithInit ask of a local npz (0.5,
# omnisafe/common/offline/dataset.py); its package pins another gymnasium.


def test_omnisafe_finds_its_fields(path, tmp_path):
    target = to_omnisafe(path, tmp_path / "a.npz")
    ours, theirs = read(path), np.load(target)
    assert set(theirs) == {"obs", "action", "reward", "cost", "next_obs", "done", "init_obs"}
    n, d = ours["observations"].shape
    for field in ("obs", "next_obs", "init_obs"):
        assert theirs[field].shape == (n, d)
    for field in ("action", "reward", "cost", "done"):
        assert theirs[field].shape == (n, 1)
    assert {theirs[field].dtype for field in theirs} == {np.dtype("float32")}
    np.testing.assert_array_equal(theirs["obs"], ours["observations"])
    np.testing.assert_array_equal(theirs["action"][:, 0], ours["actions"])
    np.testing.assert_array_equal(theirs["cost"][:, 0], ours["costs"].astype(np.float32))
    np.testing.assert_array_equal(theirs["done"][:, 0], ours["timeouts"])
    np.testing.assert_array_equal(theirs["init_obs"][25:50], np.tile(theirs["obs"][25], (25, 1)))


def test_an_npz_is_the_same_bytes_again_and_never_overwritten(path, tmp_path):
    one, other = (to_omnisafe(path, tmp_path / name) for name in ("a.npz", "b.npz"))
    assert one.read_bytes() == other.read_bytes()
    with pytest.raises(ValueError, match="never overwritten; .*a.npz exists"):
        to_omnisafe(path, one)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]
