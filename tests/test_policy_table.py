"""The table of policies: paired differences, intervals, and that all meet the same worlds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.policies import differences, interval, summary, to_markdown


@pytest.fixture
def episodes() -> pd.DataFrame:
    """Two policies on 12 worlds that differ much; `b` is one worse on each, give or take 0.1."""
    rng = np.random.default_rng(0)
    world = rng.normal(0, 50, 12)
    gap = 1 + 0.1 * rng.normal(size=12)
    rows = [
        {"policy": name, "seed": s, "return": world[s] - gap[s] * k, "flow": k + 1.0, "cost": 0.0}
        for k, name in enumerate("ab")
        for s in range(12)
    ]
    return pd.DataFrame(rows)


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
    spread = summary(episodes)[0]["return"]
    assert spread["high"] - spread["low"] > 20


def test_the_table_is_sorted_by_flow(episodes):
    rows = summary(episodes)
    assert [row["policy"] for row in rows] == ["a", "b"]
    assert to_markdown(rows).splitlines()[2].startswith("| a | 1.000 |")
