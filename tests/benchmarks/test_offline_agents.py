"""Offline agents in the environment: played as the other policies are, kept, scored, written."""

import json

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

from benchmarks import offline, offline_agents
from benchmarks.play import episodes
from pandaenv import policies as rules
from pandaenv import records
from tests.pandaenv.offline.carts import grid
from tests.pandaenv.records.raw_dump import random_records

pytest.importorskip("h5py")


def test_many_worlds_at_once_are_the_worlds_of_the_policy_table():
    env = grid(split="test")
    envs = gym.make_vec(env.spec, num_envs=5)
    found = offline.play(rules.make("greedy"), envs, [0, 1, 2, 9, 10])
    for row in found.to_dict("records"):
        alone = episodes.play(env, rules.make("greedy"), row["seed"])
        assert (row["window"], row["return"]) == (alone["window"], pytest.approx(alone["return"]))
        assert row["cost"] == pytest.approx(alone["cost"] * 25)


@pytest.fixture
def folder(tmp_path):
    """Two small sets: one whose episodes are within the limit on the cost, perhaps."""
    table = records.write(random_records(3_000), tmp_path / "jobs.parquet")
    for mix in ("random", "mixed"):
        words = ["--name", f"panda-tier1-{mix}-v0", "--episodes", "4", "--out", str(tmp_path)]
        words += ["--workload", str(table), "--rate", "200", "--episode-jobs", "20"]
        assert offline.main([*words, "--formats", "dsrl"]) == 0
    return tmp_path


def test_a_run_scores_every_learner_and_goes_on_where_it_stopped(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)  # the data name their file of records without its folder
    words = [
        "--data",
        str(folder),
        "--sets",
        "panda-tier1-random-v0",
        "panda-tier1-mixed-v0",
        "--seeds",
        "0",
        "1",
        "--worlds",
        "0",
        "1",
        "2",
        "--steps",
        "3",
        "--quiet",
        "--kept",
        str(folder / "kept"),
        "--out",
        str(folder / "out.json"),
    ]
    assert offline_agents.main(words) == 0
    assert "| panda-tier1-mixed-v0 |" in capsys.readouterr().out
    result = json.loads((folder / "out.json").read_text())
    random, mixed = result["sets"]
    assert [row["learner"] for row in mixed["learners"]] == ["BC", "BC-Safe", "CQL"]
    for row in random["learners"] + mixed["learners"]:
        if "why_not" not in row:
            score = row["score"]["over_trainings"]
            assert score["n"] == 2 and score["low"] <= score["mean"] <= score["high"]
            assert row["score"]["over_windows"]["n"] == 3
            gain = row["gains"]["minus_expert"]["return"]
            expert = json.loads((folder / "kept" / "panda-tier1-mixed-v0-expert.json").read_text())
            played = np.mean([world["return"] for world in expert["result"]])
            assert row["return"]["over_trainings"]["mean"] - played == pytest.approx(gain["mean"])
    finished = {path: path.stat().st_mtime_ns for path in (folder / "kept").rglob("*")}
    assert offline_agents.main(words) == 0
    again = json.loads((folder / "out.json").read_text())
    assert again["sets"] == result["sets"]
    assert {path: path.stat().st_mtime_ns for path in (folder / "kept").rglob("*")} == finished


def test_scores_stand_between_the_references(folder, monkeypatch):
    monkeypatch.chdir(folder)
    data = offline_agents.offline.load("panda-tier1-random-v0", folder)
    data.set_target_cost(1.0)
    low, high = (data.metadata["reference"][role]["return"] for role in ("random", "expert"))
    rows = pd.DataFrame({"window": [0, 1], "return": [low, high], "cost": [2.0, 0.0]})
    found = offline_agents.scores(data, [rows, rows])
    assert found["score"]["over_trainings"]["mean"] == pytest.approx(50.0)
    assert found["normalised_cost"]["over_windows"]["mean"] == pytest.approx(1.0)
    assert np.isfinite(found["return"]["over_windows"]["low"])


def test_a_set_that_is_not_there_ends_with_one_sentence(tmp_path, capsys):
    assert offline_agents.main(["--data", str(tmp_path), "--sets", "panda-random-v0"]) == 1
    assert "must be collected first" in capsys.readouterr().err
