"""The table of policies: paired differences, intervals, and that all meet the same worlds."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.policies import differences, interval, main, summary, to_markdown
from pandaenv import policies, reference


@pytest.fixture
def episodes() -> pd.DataFrame:
    """Two policies on 24 worlds, 3 a window, that differ much; `b` is about one worse on each."""
    rng = np.random.default_rng(0)
    seed = np.arange(24)
    world, gap = rng.normal(0, 50, 24), 1 + 0.1 * rng.normal(size=24)
    shared = {"seed": seed, "window": seed % 8, "cost": 0.0}
    parts = [
        pd.DataFrame({"policy": name, "return": world - gap * k, "flow": k + 1.0, **shared})
        for k, name in enumerate("ab")
    ]
    return pd.concat(parts, ignore_index=True)


def test_an_interval_is_students():
    values = np.random.default_rng(1).normal(3, 2, 15)
    low, high = stats.t.interval(0.95, 14, values.mean(), stats.sem(values))
    found = interval(values)
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert (found["mean"], found["n"]) == (pytest.approx(values.mean()), 15)


def test_one_episode_has_no_interval():
    assert interval([2.0]) == {"mean": 2.0, "low": 2.0, "high": 2.0, "n": 1}


def test_pairing_by_world_finds_what_means_hide(episodes):
    (row,) = differences(episodes, "a")
    assert row["policy"] == "a" and row["minus"] == "b"
    assert 0.8 < row["return"]["low"] < 1 < row["return"]["high"] < 1.2
    spread = summary(episodes, against="a")[0]["return"]
    assert spread["high"] - spread["low"] > 20


def test_episodes_of_one_window_count_as_one(episodes):
    (row,) = differences(episodes, "a")
    assert row["return"]["n"] == 8
    twice = pd.concat([episodes, episodes.assign(seed=episodes["seed"] + 24)])
    assert differences(twice, "a")[0]["return"]["low"] == pytest.approx(row["return"]["low"])


def test_the_table_is_sorted_by_flow(episodes):
    rows = summary(episodes, against="b")
    assert [row["policy"] for row in rows] == ["a", "b"]
    table = to_markdown(rows).splitlines()
    assert "less than b by" in table[0]
    assert table[2] == "| a | 1.000 | 1.000 (1.000 to 1.000) | 0.0000 |"
    assert table[3] == "| b | 2.000 |  | 0.0000 |"


def test_the_command_writes_what_it_prints(tmp_path, capsys):
    pool, out = tmp_path / "pool.parquet", tmp_path / "result.json"
    reference.records(days=28, seed=1, rate=300).to_parquet(pool)
    arguments = f"--workload {pool} --sites 4 --rate 250 --jobs 50 --seeds 3 --out {out}"
    main(arguments.split())
    result = json.loads(out.read_text())
    assert to_markdown(result["policies"]) in capsys.readouterr().out
    assert len(result["episodes"]) == 3 * len(policies.names())
    assert str(tmp_path) not in out.read_text()


def test_a_single_window_is_shown_without_an_interval(episodes):
    single = to_markdown(summary(episodes[episodes["window"] == 0], "b"))
    assert " to " not in single
    assert " to " in to_markdown(summary(episodes, "b"))
