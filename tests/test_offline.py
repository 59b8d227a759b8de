"""Offline data sets: layout, what a kill leaves, going on, reading back, and refusals."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import pandaenv  # noqa: F401  registers the environments
from benchmarks import offline as command
from pandaenv import offline, policies, records
from pandaenv.offline import Writer, collect, load, metadata, parts_of
from tests.raw_dump import random_records

h5py = pytest.importorskip("h5py")


class Coin:
    """Pushes the cart left or right at random."""

    def reset(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, env):
        return int(self.rng.integers(2))


def cart(path, episodes=4, seed=0):
    return collect(gym.make("CartPole-v1"), Coin(), path, episodes=episodes, seed=seed, name="cart")


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


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], strict=True)


# --- layout --------------------------------------------------------------------------------------


def test_a_file_holds_the_steps_of_its_episodes_in_order(tmp_path):
    data = load(cart(tmp_path / "cart.hdf5"))
    n = len(data["rewards"])
    assert data["observations"].shape == data["next_observations"].shape == (n, 4)
    assert data["actions"].shape == data["costs"].shape == (n,)
    assert (data["actions"].dtype, data["terminals"].dtype) == (np.int64, bool)
    ends = data["terminals"] | data["timeouts"]
    assert ends.sum() == 4 and ends[-1]
    same = data["next_observations"][:-1] == data["observations"][1:]
    assert same.all(axis=1)[~ends[:-1]].all()
    first = offline.play(gym.make("CartPole-v1"), Coin(), 0)
    np.testing.assert_array_equal(data["actions"][: len(first["actions"])], first["actions"])


def test_arrays_are_compressed_and_shuffled(tmp_path):
    with h5py.File(cart(tmp_path / "cart.hdf5")) as file:
        assert set(file) == set(offline.REQUIRED)
        for array in file.values():
            assert (array.compression, array.shuffle) == ("gzip", True)


def test_the_grid_tells_masks_and_parts_of_the_cost(tmp_path):
    env = gym.make(
        "PandaSiteAllocationTier1-v0", workload=random_records(3_000), rate=200, episode_jobs=25
    )
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


def test_metadata_say_how_the_data_were_made(tmp_path):
    path = cart(tmp_path / "cart.hdf5", seed=7)
    made = metadata(path)
    assert (made["name"], made["env_id"], made["policy"]) == ("cart", "CartPole-v1", "Coin")
    assert (made["seed"], made["n_episodes"]) == (7, 4)
    assert made["versions"]["gymnasium"] == gym.__version__
    data = load(path)
    starts = np.r_[0, np.flatnonzero(data["terminals"])[:-1] + 1]
    returns = np.add.reduceat(data["rewards"], starts)
    assert (made["min_return"], made["max_return"]) == (returns.min(), returns.max())


# --- a killed run --------------------------------------------------------------------------------

_ENDLESS = """
import sys
from tests.test_offline import cart
cart(sys.argv[1], episodes=1_000_000)
"""


def test_a_killed_run_leaves_finished_episodes_and_goes_on(tmp_path):
    path = tmp_path / "cart.hdf5"
    root = Path(__file__).parent.parent
    run = subprocess.Popen([sys.executable, "-c", _ENDLESS, str(path)], cwd=root)
    while len(list(parts_of(path).glob("*.hdf5"))) < 5:
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    left = load(path)
    n = int((left["terminals"] | left["timeouts"]).sum())
    whole = load(cart(tmp_path / "unbroken.hdf5", episodes=n + 2))
    assert_equal(left, {key: values[: len(left["rewards"])] for key, values in whole.items()})
    assert_equal(load(cart(path, episodes=n + 2)), whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cart.hdf5", "unbroken.hdf5"]


def test_a_run_goes_on_only_with_what_it_began_with(tmp_path):
    path = tmp_path / "cart.hdf5"
    Writer(path, {"policy": "Coin", "seed": 0}).write(0, walk())
    with pytest.raises(ValueError, match="made with another seed: remove it"):
        Writer(path, {"policy": "Coin", "seed": 1})


def test_a_half_written_episode_is_not_read(tmp_path):
    writer = Writer(tmp_path / "w.hdf5", {})
    writer.write(0, walk())
    (parts_of(tmp_path / "w.hdf5") / "000001.part").write_bytes(b"half")
    assert len(load(tmp_path / "w.hdf5")["rewards"]) == 5
    assert not Writer(tmp_path / "w.hdf5", {}).has(1)


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"costs": None}, "missing: costs"),
        ({"rewards": np.ones(4)}, "one row a step in every array"),
        ({"terminals": np.zeros(5, bool)}, "got 0 in 5 steps"),
        ({"timeouts": np.ones(5, bool)}, "got 5 in 5 steps"),
        ({"rewards": np.array([1, 2, np.nan, 4, 5])}, "another in rewards, step 2"),
    ],
)
def test_a_broken_episode_is_not_written(changes, message, tmp_path):
    episode = {k: v for k, v in (walk() | changes).items() if v is not None}
    with pytest.raises(ValueError, match=message):
        Writer(tmp_path / "w.hdf5", {}).write(0, episode)
    assert list(tmp_path.iterdir()) == []


def test_collect_refuses_what_it_cannot_store(tmp_path):
    env = gym.wrappers.TransformObservation(
        gym.make("CartPole-v1"), lambda o: {"x": o}, gym.spaces.Dict(x=gym.spaces.Discrete(2))
    )
    with pytest.raises(ValueError, match="need flat Box observations, got Dict"):
        collect(env, Coin(), tmp_path / "a.hdf5", episodes=1)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        cart(tmp_path / "a.hdf5", episodes=0)
    assert list(tmp_path.iterdir()) == []
    cart(tmp_path / "a.hdf5", episodes=1)
    with pytest.raises(ValueError, match="never overwritten; .*a.hdf5 exists"):
        cart(tmp_path / "a.hdf5")


def test_load_says_what_is_wrong_and_where(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.hdf5 does not exist"):
        load(tmp_path / "none.hdf5")
    (tmp_path / "text.hdf5").write_text("hello")
    with pytest.raises(ValueError, match="text.hdf5: damaged, or no HDF5 file"):
        load(tmp_path / "text.hdf5")
    path = cart(tmp_path / "cart.hdf5")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="cart.hdf5: damaged"):
        load(path)
    for changes, message in [
        ({"costs": None}, "it lacks costs"),
        ({"costs": np.zeros(3)}, "one row a step"),
        ({"terminals": np.zeros(5, bool)}, "the last episode has no end"),
    ]:
        with h5py.File(tmp_path / "odd.hdf5", "w") as file:
            for key, values in (walk() | changes).items():
                if values is not None:
                    file[key] = values
        with pytest.raises(ValueError, match=message):
            load(tmp_path / "odd.hdf5")


def test_a_missing_extra_names_the_line_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'pandaenv\[offline\]'"):
        Writer(tmp_path / "w.hdf5", {})


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_a_data_set_and_its_card(tmp_path, capsys):
    table = records.write(random_records(3_000), tmp_path / "jobs.parquet")
    words = ["--name", "panda-tier1-brokerage-v0", "--episodes", "2", "--out", str(tmp_path)]
    words += ["--workload", str(table), "--rate", "200", "--episode-jobs", "20"]
    assert command.main(words) == 0
    assert "2 episodes, 40 steps" in capsys.readouterr().out
    assert len(load(tmp_path / "panda-tier1-brokerage-v0.hdf5")["rewards"]) == 40
    card = json.loads((tmp_path / "panda-tier1-brokerage-v0.json").read_text())
    assert card["n_episodes"] == 2 and card["policy"] == "panda_analysis"
    assert card["per_episode"]["rewards"]["max"] == card["max_return"]
    assert command.main(words) == 1
    assert "never overwritten" in capsys.readouterr().err
    # stopped between the data and its card
    (tmp_path / "panda-tier1-brokerage-v0.json").unlink()
    assert command.main([*words, "--seed", "1"]) == 1
    assert command.main(words) == 0
    again = json.loads((tmp_path / "panda-tier1-brokerage-v0.json").read_text())
    assert again["per_episode"] == card["per_episode"]


def test_an_unknown_data_set_or_a_wrong_seed_ends_with_one_sentence(tmp_path, capsys):
    assert command.main(["--name", "nope", "--episodes", "1", "--out", str(tmp_path)]) == 1
    assert "unknown data set 'nope'; known: panda-random-v0" in capsys.readouterr().err
    table = records.write(random_records(3_000), tmp_path / "jobs.parquet")
    words = ["--name", "panda-tier1-random-v0", "--episodes", "1", "--out", str(tmp_path)]
    words += ["--workload", str(table), "--rate", "200", "--episode-jobs", "20", "--seed", "-1"]
    assert command.main(words) == 1
    assert "Seed must be" in capsys.readouterr().err
    table.unlink()
    assert list(tmp_path.iterdir()) == []
