"""How hard a load is: steadiness by hand and, slowly, over the whole bundled stream."""

import inspect
import json

import numpy as np
import pytest

from benchmarks import load
from pandaenv.env import PandaSiteAllocationEnv


def test_a_steady_count_has_a_slope_within_chance_and_a_growing_one_has_not():
    rng = np.random.default_rng(0)
    hours = 24 * 7 * 8
    noise = np.repeat(rng.normal(100, 10, hours // 6), 6)
    for growth, is_steady in ((0.0, True), (40.0, False), (-40.0, False)):
        found = load.steadiness(noise + growth * np.arange(hours) / hours)
        low, high = found["slope_if_steady"]
        assert low < 0 < high
        assert (low <= found["slope_a_week"] <= high) == is_steady
    straight = load.steadiness(100 + np.arange(hours) / (24 * 7))
    assert straight["slope_a_week"] == pytest.approx(1 / (100 + 4), rel=1e-3)


def test_jobs_in_the_system_are_counted_at_full_hours():
    job = np.zeros(3, [("submit", float), ("end", float)])
    warm = load.WARM_DAYS * 86_400.0
    job["submit"] = [0, warm + 10, warm + 7_300]
    job["end"] = [warm + 3_601, warm + 20, warm + 9_000]
    assert load.in_system(job).tolist() == [1, 1, 0]


@pytest.fixture(scope="module")
def published():
    return json.loads((load.RESULTS / "load.json").read_text(encoding="utf-8"))


def test_the_default_load_is_the_nearest_from_the_median_up(published):
    name = "PandaSiteAllocation-v0"
    rows = published["ids"][name]["loads"]
    nearest = min(rows, key=lambda row: row["rms_dex_upper"])["load"]
    assert (
        nearest
        == load.DEFAULT
        == inspect.signature(PandaSiteAllocationEnv).parameters["load"].default
    )


def test_published_streams_are_steady(published):
    parts = [*published["ids"].values(), *published["others"].values()]
    for row in (row for part in parts for row in part["loads"]):
        low, high = row["slope_if_steady"]
        assert low <= row["slope_a_week"] <= high


def test_the_table_says_each_wait_and_slope(published):
    text = load.to_markdown(published)
    rows = [row for part in published["ids"].values() for row in part["loads"]]
    assert text.count("\n| load ") == len(rows) and text.count("\n| published ") == 2
    for row in rows:
        assert f"| {row['waits_s'][-1]:,.0f} | {row['rms_dex_upper']:.2f} |" in text
    assert all(f"| {name} | " in text for name in ("tabddpm", *published["others"]))


@pytest.mark.slow
@pytest.mark.parametrize("which", load.IDS)
@pytest.mark.parametrize("heavy", [0.6, 0.8])
def test_the_stream_is_stationary_under_the_rule_of_panda(which, heavy):
    sites, rate, _ = load.IDS[which]
    found = load.judged(load.stream_of(load.Synthetic(), sites, rate, heavy))
    low, high = found["slope_if_steady"]
    assert low <= found["slope_a_week"] <= high
