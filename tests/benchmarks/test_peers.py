"""benchmarks.peers: a library learns and draws in a process of its own; failures are told."""

import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks import fidelity, peers
from benchmarks.peers import Library, Peer
from tests.benchmarks.test_fidelity import TINY, table

RESAMPLER = """
def learn(table, seconds, seed):
    assert seconds == 2.5
    return table
def draw(model, n, seed):
    return model.sample(n, replace=True, random_state=seed)[model.columns[::-1]]
"""


def peer(program, limit=60, **options):
    return Peer(Library(("numpy", "pandas<9"), program, **options), sys.executable, limit)


def sited(n=300):
    rng = np.random.default_rng(0)
    site = pd.Categorical(rng.choice(list("ab"), n))
    return pd.DataFrame({"x": rng.normal(size=n), "site": site})


@pytest.mark.parametrize("name", peers.PEERS)
def test_every_program_is_python(name):
    program = peers.PEERS[name].program
    compile(peers.CHILD.format(program=program, fitted="", drawn=""), name, "exec")
    assert "def learn(table, seconds, seed)" in program and "def draw(model, n, seed)" in program


def test_a_peer_learns_once_and_draws_often():
    made = peer(RESAMPLER, most_rows=50)
    made.fit(sited(), seed=1, budget=2.5)
    one, again, other = (made.sample(20, seed=seed) for seed in (1, 1, 2))
    assert list(one) == ["x", "site"] and len(one) == 20
    assert one.equals(again) and not one.equals(other)
    many = made.sample(5_000, seed=3)
    assert many["x"].nunique() == 50 and set(many["x"]) <= set(sited()["x"])
    assert set(made.told()["versions"]) == {"numpy", "pandas"}
    made.close()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def learn(*_): raise SystemExit('no such thing')", "no such thing"),
        ("def learn(*_): import os; os._exit(3)", "it ended with code 3"),
        ("def learn(*_): import time; time.sleep(60)", "not done in 0.7 s"),
        (RESAMPLER.replace("[model.columns[::-1]]", "[['x']]"), "it drew no column 'site'"),
        (RESAMPLER.split("def draw")[0], "NameError: name 'draw' is not defined"),
    ],
)
def test_a_peer_that_fails_says_why(program, reason):
    made = peer(program, limit=0.7 if "sleep" in program else 60)
    with pytest.raises(RuntimeError, match=reason):
        made.fit(sited(), budget=2.5)
        made.sample(10)
    made.close()


def test_peers_are_scored_as_ours_and_a_failure_is_a_line(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY.format(', "C2ST"'))
    table().to_csv(tmp_path / "t.csv", index=False)
    words = ["--data", str(tmp_path / "t.csv"), "--profile", str(tmp_path / "tiny.toml")]
    words += ["--budget", "2.5", "--repeats", "2", "--out", str(tmp_path / "out"), "--quiet"]
    words += ["--target", "work"]
    runs = fidelity.prepared_runs(fidelity.parser().parse_args(words))
    found = peers.compared(
        runs,
        {
            "resampler": lambda: peer(RESAMPLER),
            "broken": lambda: peer("def learn(*_): raise ValueError('too wide (/a/b/c.py)')"),
        },
    )
    assert [row["model"] for row in found["rows"]] == ["tabddpm", "tabar", "resampler"]
    assert found["missing"] == {"broken": {"why": "ValueError: too wide (c.py)"}}
    resampler = found["rows"][-1]
    assert resampler["C2ST"] == np.mean([run["C2ST"] for run in resampler["runs"]])
    assert {lead["metric"] for lead in found["leads"]} >= {"JSD", "diff-CORR", "C2ST"}
    assert (found["train_rows"], found["scored_rows"], found["seconds"]) == (200, 30, 2.5)
