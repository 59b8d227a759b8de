"""The agents' benchmark, small and end to end, and Stable-Baselines3 on the environment."""

import json
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from stable_baselines3 import PPO

pytest.importorskip("sb3_contrib")
from benchmarks import ppo
from benchmarks.play import trainings
from benchmarks.play.episodes import ENV_ID, play_episodes
from pandaenv import agents, policies, reference
from pandaenv.workload import Trace

RESULTS = ppo.CONFIG.parent.parent / "results"
KEPT = RESULTS.parent / "agents"


@pytest.fixture(scope="module")
def config() -> ppo.Config:
    trace = Trace(reference.records(days=28, seed=1, rate=300))
    env = {"workload": trace, "sites": 4, "rate": 250, "episode_jobs": 64, "load": 0.6}
    shared = {"steps": 128, "n_envs": 2, "n_steps": 64, "batch_size": 64, "n_epochs": 1, "width": 8}
    learners = {"flat": {"algorithm": "ppo"}, "scorer": {"algorithm": "scoring"}}
    return ppo.Config((3, 4), 3, env, shared, learners)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def result(config, runs) -> dict:
    return ppo.run(config, runs, progress=False)


def test_a_run_plays_all_policies_on_the_same_worlds(result):
    episodes = pd.DataFrame(result["episodes"])
    assert set(episodes["policy"]) == {"flat", "scorer", *policies.names()}
    played = episodes.groupby(["policy", "training"])["seed"].apply(sorted).map(tuple)
    assert len(played) == len(policies.names()) + 4 and played.nunique() == 1
    assert np.isfinite(episodes["return"]).all()
    of_scorer = [d["minus"] for d in result["differences"] if d["policy"] == "scorer"]
    assert sorted(of_scorer) == sorted({"flat", *policies.names()})


def test_a_row_of_the_table_is_an_agent_over_its_trainings(result):
    rows = {row["policy"]: row for row in result["policies"]}
    episodes = pd.DataFrame(result["episodes"])
    flows = episodes[episodes["policy"] == "scorer"].groupby("training")["flow"].mean()
    assert rows["scorer"]["flow"]["mean"] == pytest.approx(flows.mean())
    assert rows["scorer"]["trainings"]["least"] == pytest.approx(flows.min())
    assert rows["scorer"]["trainings"]["n"] == 2 and "trainings" not in rows["greedy"]
    assert rows[ppo.AGAINST]["saved"] is None
    lines = ppo.to_markdown(result["policies"]).splitlines()
    assert len(lines) == 2 + len(rows) and all(line.count("|") == 6 for line in lines)


def test_a_run_notes_its_trainings_and_keeps_its_agents(config, result, runs):
    assert [(t["agent"], t["seed"]) for t in result["trainings"]] == [
        ("flat", 3),
        ("flat", 4),
        ("scorer", 3),
        ("scorer", 4),
    ]
    assert all(t["steps"] == 128 and t["curve"][-1]["step"] == 128 for t in result["trainings"])
    assert json.loads(json.dumps(result["trainings"], allow_nan=False)) == result["trainings"]
    card = json.loads((runs / "scorer_4" / agents.CARD).read_text())
    assert card["seed"] == 4 and card["recipe"]["algorithm"] == "scoring"
    kept = agents.load(runs / "scorer_4")
    returns = play_episodes(config.task("test"), kept, range(3))["return"].tolist()
    episodes = pd.DataFrame(result["episodes"])
    mine = episodes[(episodes["policy"] == "scorer") & (episodes["training"] == 4)]
    assert returns == mine["return"].tolist()


def test_same_seed_same_returns_and_what_is_finished_is_not_done_again(config, result, runs):
    few = replace(config, train_seeds=(4,), agents={"scorer": config.agents["scorer"]})
    again, kept = ppo.run(few, None, progress=False), ppo.run(few, runs, progress=False)
    before = [e for e in result["episodes"] if (e["policy"], e["training"]) == ("scorer", 4)]
    for run in (again, kept):
        assert [e for e in run["episodes"] if e["policy"] == "scorer"] == before


def test_ppo_learns_on_the_environment_without_a_wrapper(config):
    env = gym.make(ENV_ID, **config.env)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=32, n_epochs=1, device="cpu", seed=0)
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(128)
    assert any(not p.equal(q) for p, q in zip(before, model.policy.parameters(), strict=True))


@pytest.mark.parametrize("name", ["ppo-40", "ppo-tier1", "frontier"])
def test_the_committed_settings_are_read_and_make_whole_episodes(name):
    config = ppo.read_config(ppo.CONFIG.with_name(f"{name}.toml"))
    assert len(config.train_seeds) >= 3
    for recipe in config.recipes().values():
        assert config.env["episode_jobs"] % recipe.n_steps == 0
        assert recipe.steps % (config.env["episode_jobs"] * recipe.n_envs) == 0


def test_the_committed_scorers_beat_every_rule_that_sees_no_hidden_truth():
    """The published run on the default grid: intervals over the test windows exclude 0."""
    result = json.loads((RESULTS / "ppo-40.json").read_text())
    gains = {d["minus"]: d["return"] for d in result["differences"] if d["policy"] == "scoring"}
    rules = set(policies.names()) - {"greedy_true"}
    assert rules <= set(gains) and min(gains[rule]["low"] for rule in rules) > 0
    assert len(result["config"]["train_seeds"]) >= 3


@pytest.mark.parametrize("name", sorted(folder.name for folder in KEPT.iterdir()))
def test_the_committed_agents_load_and_play(name, config):
    agent = agents.load(KEPT / name)
    card = json.loads((KEPT / name / agents.CARD).read_text())
    assert card["recipe"]["algorithm"] == "scoring" and card["steps"] > 0
    rows = play_episodes(config.task("test"), agent, range(2))
    assert np.isfinite(rows["flow"]).all()


def test_a_dry_run_prints_the_settings(capsys):
    config = ppo.read_config(ppo.CONFIG)
    ppo.main(["--dry-run", "--steps", "10", "--only", "scoring"])
    expected = replace(config, agents={"scoring": config.agents["scoring"] | {"steps": 10}})
    assert capsys.readouterr().out.strip() == str(expected)


def test_a_learning_curve_is_thinned_by_means():
    curve = [{"step": i, "flow": float(i)} | ({"kl": 1.0} if i else {}) for i in range(80)]
    rows = trainings.thinned(curve)
    assert len(rows) == trainings.CURVE_ROWS and rows[0] == {"step": 0, "flow": 0.5, "kl": 1.0}
    assert trainings.thinned(curve[:3])[1:] == [
        {"step": i, "flow": float(i), "kl": 1.0} for i in (1, 2)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz = 1", "unknown setting 'stepz'; known: agents"),
        ("[shared]\nstepz = 1", "unknown setting 'stepz'; known: algorithm"),
        ("[agents.a]\ngama = 1", "unknown setting 'gama'; known: algorithm"),
        ("steps = = 1", "must be a readable TOML file"),
    ],
)
def test_unknown_settings_are_refused(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        ppo.read_config(path)
