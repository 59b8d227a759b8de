"""Named offline data sets: collected side by side, read by name, scored, and the command."""

import json

import gymnasium as gym
import numpy as np
import pytest

from benchmarks import offline as command
from pandaenv import agents, policies, records
from pandaenv.agents.scoring import SiteScoringPolicy
from pandaenv.env.observation import space
from pandaenv.offline import Dataset, collect, load, metadata
from pandaenv.offline.mixtures import Behaviour, mixture
from tests.pandaenv.offline.carts import Coin, assert_equal, cart, grid
from tests.pandaenv.records.raw_dump import random_records

pytest.importorskip("h5py")

# --- collect -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("n_envs", [2, 5])
def test_episodes_side_by_side_make_the_same_file(tmp_path, n_envs):
    single = collect(grid(), mixture(MIX), tmp_path / "one.hdf5", episodes=7, seed=3)
    many = collect(grid(), mixture(MIX), tmp_path / "many.hdf5", episodes=7, seed=3, n_envs=n_envs)
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
        collect(grid(), mixture(MIX), path, episodes=7, n_envs=3, notify=stop)
    left = load(path)
    assert len(left.returns()) == 4 and len(set(left.behaviours())) > 1
    whole = collect(grid(), mixture(MIX), tmp_path / "whole.hdf5", episodes=7, n_envs=3)
    collect(grid(), mixture(MIX), path, episodes=7, n_envs=3)
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
    wrapped = gym.wrappers.FlattenObservation(grid())
    with pytest.raises(ValueError, match="n_envs > 1 needs an unwrapped environment"):
        collect(wrapped, policies.make("random"), tmp_path / "a.hdf5", episodes=1, n_envs=2)
    assert list(tmp_path.iterdir()) == []
    cart(tmp_path / "a.hdf5", episodes=1)
    with pytest.raises(ValueError, match="never overwritten; .*a.hdf5 exists"):
        cart(tmp_path / "a.hdf5")


# --- read and score ------------------------------------------------------------------------------


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
    with pytest.raises(ValueError, match="this data set does not tell"):
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
    with pytest.raises(ValueError, match="must be those of the data set"):
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


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    table = records.write(random_records(3_000), tmp_path / "jobs.parquet")
    return [
        "--name",
        "panda-tier1-medium-v0",
        "--episodes",
        "4",
        "--out",
        str(tmp_path / "out"),
        "--workload",
        str(table),
        "--rate",
        "200",
        "--episode-jobs",
        "20",
    ]


def test_the_command_writes_a_data_set_its_card_and_all_layouts(tmp_path, capsys, words):
    words += ["--formats", "dsrl,minari,omnisafe"]
    assert command.main(words) == 0
    assert "4 episodes, 80 steps" in capsys.readouterr().out
    out, name = tmp_path / "out", "panda-tier1-medium-v0"
    suffixes = ("hdf5", "json", "md", "npz", "png")
    assert sorted(p.name for p in out.iterdir()) == [f"{name}.{suffix}" for suffix in suffixes]
    assert (tmp_path / "minari" / name / "data" / "main_data.hdf5").is_file()
    card = json.loads((out / f"{name}.json").read_text())
    assert card["n_episodes"] == 4 and card["n_steps"] == 80
    assert [row["episodes"] for row in card["by_policy"]] == [2, 1, 1]
    assert card["per_episode"]["rewards"]["max"] == card["max_return"]
    assert card["reference"]["expert"]["policy"] == "greedy"
    assert "<img" not in (text := (out / f"{name}.md").read_text()) and f"({name}.png)" in text
    assert command.main(words) == 1
    assert "never overwritten" in capsys.readouterr().err


def test_the_command_makes_only_what_is_missing(tmp_path, capsys, words):
    assert command.main([*words, "--formats", "dsrl"]) == 0
    file = tmp_path / "out" / "panda-tier1-medium-v0.hdf5"
    made, card = file.stat().st_mtime_ns, json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").unlink()
    assert command.main([*words, "--seed", "1"]) == 1
    assert "is another" in capsys.readouterr().err
    assert command.main([*words, "--formats", "dsrl,omnisafe"]) == 0
    assert file.stat().st_mtime_ns == made and file.with_suffix(".npz").exists()
    again = json.loads(file.with_suffix(".json").read_text())
    assert again | {"provenance": 0} == card | {"provenance": 0}


def test_the_command_makes_the_same_bytes_again(tmp_path, words):
    assert command.main([*words, "--formats", "dsrl,omnisafe"]) == 0
    words[words.index("--out") + 1] = str(tmp_path / "again")
    assert command.main([*words, "--formats", "dsrl,omnisafe"]) == 0
    for suffix in ("hdf5", "npz", "png", "md"):
        name = f"panda-tier1-medium-v0.{suffix}"
        one, other = (tmp_path / folder / name for folder in ("out", "again"))
        assert one.read_bytes() == other.read_bytes()


def test_a_trained_agent_plays_in_the_place_of_the_expert(tmp_path, capsys, words):
    network = SiteScoringPolicy(space(13, True), gym.spaces.Discrete(13), lambda _: 0.0)
    agent = agents.Agent(network, "scoring", 13, {"width": 32, "n_layers": 2})
    agents.save(agent, tmp_path / "agent")
    assert command.main([*words, "--formats", "dsrl", "--agent", str(tmp_path / "agent")]) == 0
    made = metadata(tmp_path / "out" / "panda-tier1-medium-v0.hdf5")
    first, *others = made["policy_mix"]
    assert first.startswith("agent scoring ") and first.endswith("+0.5 random")
    assert others == ["data_local+0.3 random", "least_loaded+0.3 random"]
    assert made["reference"]["expert"]["policy"] == "greedy"
    assert command.main([*words, "--agent", str(tmp_path)]) == 1
    assert "card.json" in capsys.readouterr().err


def test_what_is_unknown_ends_with_one_sentence(tmp_path, capsys, words):
    assert command.main(["--name", "nope", *words[2:]]) == 1
    assert "unknown data set 'nope'; known: panda-random-v0" in capsys.readouterr().err
    assert command.main([*words, "--seed", "-1"]) == 1
    assert "Seed must be" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main([*words, "--formats", "dsrl,rlds"])
    assert "unknown format 'rlds'; known: dsrl" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
