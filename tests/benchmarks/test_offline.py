"""The command that makes named offline data sets: what it writes, makes again and refuses."""

import json

import gymnasium as gym
import pytest

from benchmarks import offline as command
from pandaenv import agents, records
from pandaenv.agents.scoring import SiteScoringPolicy
from pandaenv.env.observation import space
from pandaenv.offline import metadata
from tests.pandaenv.records.raw_dump import random_records

pytest.importorskip("h5py")


def run(words) -> int:
    """The exit code of the command."""
    try:
        return command.main(words)
    except SystemExit as left:
        return left.code


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
    assert run(words) == 0
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
    assert run(words) == 1
    assert "never overwritten" in capsys.readouterr().err


def test_the_command_makes_only_what_is_missing(tmp_path, capsys, words):
    assert run([*words, "--formats", "dsrl"]) == 0
    file = tmp_path / "out" / "panda-tier1-medium-v0.hdf5"
    made, card = file.stat().st_mtime_ns, json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").unlink()
    assert run([*words, "--seed", "1"]) == 1
    assert "is another" in capsys.readouterr().err
    assert run([*words, "--formats", "dsrl,omnisafe"]) == 0
    assert file.stat().st_mtime_ns == made and file.with_suffix(".npz").exists()
    again = json.loads(file.with_suffix(".json").read_text())
    assert again | {"provenance": 0} == card | {"provenance": 0}


def test_the_command_makes_the_same_bytes_again(tmp_path, words):
    assert run([*words, "--formats", "dsrl,omnisafe"]) == 0
    words[words.index("--out") + 1] = str(tmp_path / "again")
    assert run([*words, "--formats", "dsrl,omnisafe"]) == 0
    for suffix in ("hdf5", "npz", "png", "md"):
        name = f"panda-tier1-medium-v0.{suffix}"
        one, other = (tmp_path / folder / name for folder in ("out", "again"))
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_processes_make_the_same_bytes(tmp_path, words):
    assert run([*words, "--formats", "dsrl"]) == 0
    words[words.index("--out") + 1] = str(tmp_path / "shared")
    assert run([*words, "--formats", "dsrl", "--engine", "processes", "--workers", "2"]) == 0
    name = "panda-tier1-medium-v0.hdf5"
    one, other = (tmp_path / folder / name for folder in ("out", "shared"))
    assert one.read_bytes() == other.read_bytes()


def test_a_trained_agent_plays_in_the_place_of_the_expert(tmp_path, capsys, words):
    network = SiteScoringPolicy(space(13, True), gym.spaces.Discrete(13), lambda _: 0.0)
    agent = agents.Agent(network, "scoring", 13, {"width": 32, "n_layers": 2})
    agents.save(agent, tmp_path / "agent")
    assert run([*words, "--formats", "dsrl", "--agent", str(tmp_path / "agent")]) == 0
    made = metadata(tmp_path / "out" / "panda-tier1-medium-v0.hdf5")
    first, *others = made["policy_mix"]
    assert first.startswith("agent scoring ") and first.endswith("+0.5 random")
    assert others == ["data_local+0.3 random", "least_loaded+0.3 random"]
    assert made["reference"]["expert"]["policy"] == "greedy"
    assert run([*words, "--agent", str(tmp_path)]) == 1
    assert "card.json" in capsys.readouterr().err


def test_what_is_unknown_ends_with_one_sentence(tmp_path, capsys, words):
    assert run(["--name", "nope", *words[2:]]) == 1
    assert "unknown data set 'nope'; known: panda-random-v0" in capsys.readouterr().err
    assert run([*words, "--seed", "-1"]) == 1
    assert "seed must be" in capsys.readouterr().err
    assert run([*words, "--formats", "dsrl,rlds"]) == 2
    assert "unknown format 'rlds'; known: dsrl" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
