"""The PPO benchmark, small and end to end, and Stable-Baselines3 on the environment."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from stable_baselines3 import PPO

from benchmarks import ppo
from pandaenv import reference
from pandaenv.workload import Trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    return Trace(reference.records(days=28, seed=1, rate=300))


@pytest.fixture(scope="module")
def config(trace) -> ppo.Config:
    env = {"workload": trace, "sites": 4, "rate": 250, "episode_jobs": 64, "load": 0.6}
    learner = {"n_steps": 64, "batch_size": 64, "n_epochs": 1, "gamma": 0.0}
    return ppo.Config(train_seeds=(3,), steps=256, n_envs=2, test_episodes=3, env=env, ppo=learner)


@pytest.fixture(scope="module")
def result(config) -> dict:
    return ppo.run(config, progress=False)


def test_a_run_plays_all_policies_on_the_same_worlds(result):
    episodes = pd.DataFrame(result["episodes"])
    assert set(episodes["policy"]) == {"ppo_3", *ppo.OPPONENTS}
    assert episodes.groupby("policy")["seed"].apply(sorted).map(tuple).nunique() == 1
    assert np.isfinite(episodes["return"]).all()
    assert [d["minus"] for d in result["differences"]] == sorted(ppo.OPPONENTS)


def test_a_run_notes_its_steps_and_curve(result):
    (training,) = result["trainings"]
    assert training["seed"] == 3 and training["steps"] == 256 and training["seconds"] > 0
    assert training["curve"][-1]["step"] == 256


def test_same_seed_same_returns(config, result):
    again = ppo.run(config, progress=False)
    assert again["episodes"] == result["episodes"]


def test_a_learned_policy_goes_only_where_it_may(config):
    learned, _ = ppo.train(config, 3, progress=False)
    env = ppo.make_env(config, "test")
    env.reset(seed=0)
    env.unwrapped.mask[:] = [0, 0, 1, 0]
    assert learned.act(env) == 2


def test_ppo_learns_on_the_environment_without_a_wrapper(config):
    env = ppo.make_env(config, "train")
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=32, n_epochs=1, device="cpu", seed=0)
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(128)
    assert any(not p.equal(q) for p, q in zip(before, model.policy.parameters(), strict=True))


def test_the_committed_settings_are_read_and_printed(capsys):
    config = ppo.read_config(ppo.CONFIG)
    assert config.env["sites"] == "tier1" and config.env["rate"] == 2_000
    ppo.main(["--dry-run", "--steps", "10"])
    assert capsys.readouterr().out.strip() == str(replace(config, steps=10))


def test_the_committed_result_beats_random():
    """The published run: every training's interval over random excludes 0."""
    path = ppo.CONFIG.parent.parent / "results" / "ppo-tier1.json"
    result = json.loads(path.read_text())
    gains = [d["return"]["low"] for d in result["differences"] if d["minus"] == "random"]
    assert len(gains) == len(result["config"]["train_seeds"]) and min(gains) > 0
    assert result["command"].startswith("python -m benchmarks.ppo")


def test_unknown_settings_are_refused(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("stepz = 1\n")
    with pytest.raises(ValueError, match="unknown setting 'stepz'; known: .*steps"):
        ppo.read_config(path)
    path.write_text("steps = = 1")
    with pytest.raises(ValueError, match="must be a readable TOML file"):
        ppo.read_config(path)


def test_the_logarithm_keeps_order_and_sign():
    rewards = np.array([-50.0, -3.0, -0.1, 0.0, 0.2])
    paid = [ppo.symlog(r) for r in rewards]
    assert np.all(np.diff(paid) > 0) and paid[3] == 0.0
    assert paid[0] == pytest.approx(-np.log(51))
