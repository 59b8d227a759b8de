"""The HDF5 file: layout, what a kill leaves, going on, reading back, and refusals."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from pandaenv import offline, policies
from pandaenv.offline.dsrl import metadata, parts_of, read, read_episodes
from pandaenv.offline.writer import Writer
from tests.pandaenv.offline.carts import Coin, assert_equal, cart, grid, walk

h5py = pytest.importorskip("h5py")


def test_a_file_holds_the_steps_of_its_episodes_in_order(tmp_path):
    data = read(cart(tmp_path / "cart.hdf5"))
    n = len(data["rewards"])
    assert data["observations"].shape == data["next_observations"].shape == (n, 4)
    assert data["actions"].shape == data["costs"].shape == (n,)
    assert (data["actions"].dtype, data["terminals"].dtype) == (np.int64, bool)
    ends = data["terminals"] | data["timeouts"]
    assert ends.sum() == 4 and ends[-1]
    np.testing.assert_array_equal(np.diff(data["episodes"]), ends[:-1])
    same = data["next_observations"][:-1] == data["observations"][1:]
    assert same.all(axis=1)[~ends[:-1]].all()
    first = offline.play(gym.make("CartPole-v1"), Coin(), 0)
    np.testing.assert_array_equal(data["actions"][: len(first["actions"])], first["actions"])


def test_arrays_are_compressed_and_shuffled(tmp_path):
    with h5py.File(cart(tmp_path / "cart.hdf5")) as file:
        assert set(file) == {*offline.REQUIRED, "episodes"}
        for array in file.values():
            assert (array.compression, array.shuffle) == ("gzip", True)


def test_episodes_are_read_one_by_one_as_they_were_written(tmp_path):
    path = cart(tmp_path / "cart.hdf5")
    played = [offline.play(gym.make("CartPole-v1"), Coin(), seed) for seed in range(4)]
    for i, (one, other) in enumerate(zip(read_episodes(path), played, strict=True)):
        assert (one.pop("episodes") == i).all()
        assert_equal(one, other)


# The reader of DSRL's own loader (offline_env.py, get_dataset; OSRL's process of trajectories), as
# it states what it expects; its package pins another gymnasium.


def test_a_file_meets_what_the_loader_of_dsrl_asserts(tmp_path):
    path, env = tmp_path / "grid.hdf5", grid()
    offline.collect(env, policies.make("random"), path, episodes=3, seed=1)
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, item: found.update({name: item[:]}) if hasattr(item, "shape") else None
        )
    n = found["observations"].shape[0]
    for key in offline.REQUIRED:
        assert len(found[key]) == n
    assert found["observations"].shape[1:] == env.observation_space.shape
    assert found["actions"].shape[1:] == env.action_space.shape
    assert found["rewards"].shape == found["costs"].shape == found["terminals"].shape == (n,)
    done = np.where((found["terminals"] == 1) | (found["timeouts"] == 1))[0]
    trajectories = [
        {k: v[first:stop] for k, v in found.items()}
        for first, stop in zip([0, *(done[:-1] + 1)], done + 1, strict=True)
    ]
    assert sum(len(t["costs"]) for t in trajectories) == n and len(trajectories) == 3
    for key in ("observations", "actions", "rewards", "costs"):
        assert np.isfinite(found[key].astype("float32")).all()


def test_metadata_say_how_the_data_were_made(tmp_path):
    path = cart(tmp_path / "cart.hdf5", seed=7)
    made = metadata(path)
    assert (made["name"], made["env_id"], made["policy"]) == ("cart-v0", "CartPole-v1", "Coin")
    assert (made["seed"], made["n_episodes"], made["policy_mix"]) == (7, 4, ["Coin"])
    assert made["versions"]["gymnasium"] == gym.__version__
    data = read(path)
    starts = np.r_[0, np.flatnonzero(data["terminals"])[:-1] + 1]
    returns = np.add.reduceat(data["rewards"], starts)
    assert (made["min_return"], made["max_return"]) == (returns.min(), returns.max())


# --- a killed run --------------------------------------------------------------------------------

_ENDLESS = """
import sys
from tests.pandaenv.offline.carts import cart
cart(sys.argv[1], episodes=1_000_000)
"""


def test_a_killed_run_leaves_finished_episodes_and_goes_on_to_the_same_bytes(tmp_path):
    path = tmp_path / "cart.hdf5"
    root = Path(__file__).parents[3]
    run = subprocess.Popen([sys.executable, "-c", _ENDLESS, str(path)], cwd=root)
    while len(list(parts_of(path).glob("*.hdf5"))) < 5:
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    left = read(path)
    n = int((left["terminals"] | left["timeouts"]).sum())
    whole = cart(tmp_path / "unbroken.hdf5", episodes=n + 2)
    assert_equal(left, {k: values[: len(left["rewards"])] for k, values in read(whole).items()})
    assert cart(path, episodes=n + 2).read_bytes() == whole.read_bytes()
    names = ["cart.hdf5", "cart.md", "unbroken.hdf5", "unbroken.md"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


_FULL = """
import resource, signal, sys
from foundations.errors import one_sentence
from tests.pandaenv.offline.carts import cart
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
with one_sentence():
    cart(sys.argv[1], episodes=40)
"""


@pytest.mark.parametrize(("most", "name"), [(9_000, ".parts/000000.hdf5"), (40_000, "/cart.hdf5")])
def test_a_disk_that_holds_no_more_is_named_in_one_sentence(tmp_path, most, name):
    """HDF5 crashes where it cannot write; a limit on the size of files stands for a full disk."""
    command = [sys.executable, "-c", _FULL, str(tmp_path / "cart.hdf5"), str(most)]
    run = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert run.returncode == 1 and not run.stdout
    assert re.fullmatch(rf"error: \[Errno 27\] File too large: '.*{name}'\n", run.stderr)
    assert not list(tmp_path.glob(".*")) and not (tmp_path / "cart.hdf5").exists()


def test_a_run_is_resumed_only_with_the_same_attributes(tmp_path):
    path = tmp_path / "cart.hdf5"
    Writer(path, {"policy": "Coin", "seed": 0}).write(0, walk())
    with pytest.raises(ValueError, match="made with another seed: remove it"):
        Writer(path, {"policy": "Coin", "seed": 1})


def test_a_half_written_episode_is_not_read(tmp_path):
    writer = Writer(tmp_path / "w.hdf5", {})
    writer.write(0, walk())
    draft = parts_of(tmp_path / "w.hdf5") / ".000001.hdf5.x.draft" / "000001.hdf5"
    draft.parent.mkdir()
    draft.write_bytes(b"half")
    assert len(read(tmp_path / "w.hdf5")["rewards"]) == 5
    assert Writer(tmp_path / "w.hdf5", {}).finished() == {0}


# --- refusals ------------------------------------------------------------------------------------


def test_a_broken_episode_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="one row a step in every array"):
        Writer(tmp_path / "w.hdf5", {}).write(0, walk() | {"rewards": np.ones(4)})
    assert list(tmp_path.iterdir()) == []


def test_reading_says_what_is_wrong_and_where(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.hdf5 does not exist"):
        read(tmp_path / "none.hdf5")
    (tmp_path / "text.hdf5").write_text("hello")
    with pytest.raises(ValueError, match="text.hdf5: damaged, or no HDF5 file"):
        read(tmp_path / "text.hdf5")
    path = cart(tmp_path / "cart.hdf5")
    with pytest.raises(ValueError, match="cart.hdf5 lacks cost_wait; it has actions"):
        read(path, ("rewards", "cost_wait"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="cart.hdf5: damaged"):
        read(path)
    for changes, message in [
        ({"costs": None}, "it lacks costs"),
        ({"costs": np.zeros(3)}, "one row a step"),
        ({"terminals": np.zeros(5, bool)}, "the last episode has no end"),
        ({"rewards": np.full(5, np.nan)}, "rewards must be finite"),
        ({"rewards": np.zeros((5, 2))}, "rewards must have one value a step"),
        ({"actions": np.full(5, -7)}, "actions must be in"),
        ({"costs": np.array([b"a"] * 5)}, "costs must hold numbers"),
        ({key: values[:0] for key, values in walk().items()}, "at least one step"),
    ]:
        with h5py.File(tmp_path / "odd.hdf5", "w") as file:
            for key, values in (walk() | changes).items():
                if values is not None:
                    file[key] = values
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "odd.hdf5")


def test_arrays_of_other_files_and_of_nothing_are_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(np.arange(5.0).tobytes())
    for name in ("external", "virtual", "link", "huge"):
        with h5py.File(tmp_path / "odd.hdf5", "w") as file:
            for key, values in walk().items():
                if key != "rewards":
                    file[key] = values
            if name == "external":
                external = [(str(tmp_path / "secret"), 0, 40)]
                file.create_dataset("rewards", (5,), "f8", external=external)
            elif name == "virtual":
                layout = h5py.VirtualLayout((5,), "f8")
                layout[:] = h5py.VirtualSource("other.hdf5", "x", (5,))
                file.create_virtual_dataset("rewards", layout)
            elif name == "link":
                file["rewards"] = h5py.ExternalLink("other.hdf5", "x")
            else:
                file.create_dataset("rewards", (10**12,), "f8", chunks=(1_000,))
        message = "claims 8,000,000,000,000 bytes" if name == "huge" else "lie in the file itself"
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "odd.hdf5")


def test_a_mix_of_no_policy_is_refused(tmp_path):
    path = cart(tmp_path / "cart.hdf5")
    for mix in ("[]", "[1]", "no JSON"):
        with h5py.File(path, "a") as file:
            file.attrs["policy_mix"] = mix
        with pytest.raises(ValueError, match="policy_mix must be a list|must be JSON"):
            metadata(path)


def test_a_missing_extra_names_the_line_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'pandaenv\[offline\]'"):
        Writer(tmp_path / "w.hdf5", {})
