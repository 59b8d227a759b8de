"""benchmarks.sensitivity: settings that change one thing, orders compared, the published result."""

import json

import pytest

from benchmarks import sensitivity
from benchmarks.report.comparison import ORACLE
from pandaenv import policies, sites
from pandaenv.env import TaskConfig


def test_every_setting_is_a_task_that_differs_from_the_default():
    for name, changed in sensitivity.settings().items():
        task = TaskConfig(**changed)
        assert (task == TaskConfig()) == (name == sensitivity.FLOOR), name


@pytest.mark.slow
def test_sites_of_the_default_given_as_ones_own_make_the_same_world():
    changes = {"own": {"sites": sites.catalogue("tier1")}, "named": {"sites": "tier1"}}
    result = sensitivity.run(changes, n_seeds=2, n_jobs=40)
    own, named = result["settings"]
    assert own["flow"] == named["flow"] != result["flow"]
    assert own["tau"] == named["tau"] and -1 <= own["tau"]["low"] <= own["tau"]["high"] <= 1


def test_all_rules_are_played_and_the_one_that_sees_the_truth_is_not_ranked():
    result = sensitivity.run({"the same": {}}, n_seeds=2, n_jobs=40)
    (row,) = result["settings"]
    assert row["flow"] == result["flow"] and set(row["flow"]) == set(policies.names())
    assert row["tau"]["value"] == pytest.approx(1) and row["regret"]["value"] == 0
    assert row["best"] == min(set(row["flow"]) - {ORACLE}, key=row["flow"].__getitem__)
    assert f"| the same | 1.00 ({row['tau']['low']:.2f} to" in sensitivity.to_markdown(result)


@pytest.fixture(scope="module")
def published():
    return json.loads(sensitivity.OUT.read_text(encoding="utf-8"))


def test_every_setting_is_published(published):
    assert [row["setting"] for row in published["settings"]] == list(sensitivity.settings())


def test_the_floor_is_the_highest_order_but_for_chance(published):
    tau = {row["setting"]: row["tau"]["value"] for row in published["settings"]}
    assert tau[sensitivity.FLOOR] >= 0.85
