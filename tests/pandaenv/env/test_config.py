"""The task in one object: checked, comparable by what it means, into JSON and back."""

import inspect
import json
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import numpy as np
import pytest

from pandaenv.env import PandaSiteAllocationEnv, TaskConfig
from pandaenv.env.config import PREPARED
from pandaenv.env.prepared import Kept, prepare
from pandaenv.scenarios import SCENARIOS, Scenario
from tests.pandaenv.simulator.grids import records

TIER1 = {"sites": "tier1", "rate": 800, "episode_jobs": 60}


def test_the_environment_takes_the_fields_and_how_to_render():
    names = list(inspect.signature(PandaSiteAllocationEnv).parameters)
    assert names == [*(field.name for field in fields(TaskConfig)), "render_mode"]


def test_an_unknown_argument_is_told_what_is_known():
    with pytest.raises(TypeError, match="unknown argument 'sights'; known: workload, sites, rate"):
        PandaSiteAllocationEnv(sights=3)


def test_a_task_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        TaskConfig().load = 0.7


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"sites": ["BNL-ATLAS", "MWT2"], "rate": None, "load": np.float64(0.5)},
        {"scenario": "surge", "workload": "reference", "reveal": "estimate"},
        {"scenario": {"surge_factor": 2.0, "outage_every_s": float("inf")}},
        {"scenario": Scenario(black_holes=2), "backfill": True, "byte_limit": float("inf")},
        {"background": "busy", "load": None},
        {"background": {"held": 0.5, "queue": 0}},
        {"workload": Path("jobs.parquet"), "sites": Path("grid.csv")},
        {"split": "test", "windows": 32},
        {"decide": "task", "information_delay": np.float64(600)},
    ],
)
def test_json_carries_a_task_there_and_back(arguments):
    config = TaskConfig(**arguments)
    text = json.dumps(config.to_json())
    again = TaskConfig.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert replace(again, workload="tabddpm", sites=40) == replace(
        config, workload="tabddpm", sites=40
    )


def test_a_task_of_the_usual_windows_is_written_down_as_ever():
    assert not {"windows", "decide", "information_delay"} & set(TaskConfig().to_json())
    assert TaskConfig(windows=24) != TaskConfig() == TaskConfig(windows=None)
    with pytest.raises(ValueError, match="windows must be a whole number of at least 1, got 0"):
        TaskConfig(windows=0)


def test_objects_have_no_json():
    with pytest.raises(ValueError, match="workload must be a name or a file .* got a DataFrame"):
        TaskConfig(workload=records()).to_json()


def test_its_arguments_are_those_that_differ():
    assert TaskConfig().arguments() == {}
    config = TaskConfig(**TIER1, scenario="outage", load=0.6)
    assert config.arguments() == TIER1 | {"scenario": "outage"}
    assert TaskConfig(**config.arguments()) == config


def test_tasks_are_equal_if_they_mean_the_same(tmp_path):
    table = records()
    assert TaskConfig(workload=table) == TaskConfig(workload=table.copy())
    assert hash(TaskConfig(workload=table)) == hash(TaskConfig(workload=table.copy()))
    assert TaskConfig(workload=table) != TaskConfig(workload=table.iloc[1:])
    as_int = table.assign(workload=table["workload"].round())
    assert TaskConfig(workload=as_int) != TaskConfig(workload=as_int.astype({"workload": int}))
    assert TaskConfig(scenario="surge") == TaskConfig(scenario=SCENARIOS["surge"])
    assert TaskConfig(sites=["MWT2"]) == TaskConfig(sites=("MWT2",))
    assert TaskConfig(load=0.5) != TaskConfig(load=0.6)
    file = tmp_path / "jobs.parquet"
    table.to_parquet(file)
    before = TaskConfig(workload=file)
    key = before.key()
    table.iloc[1:].to_parquet(file)
    assert before.key() != key


def test_what_only_judges_placements_shares_what_is_prepared():
    config = TaskConfig(workload=records(), **TIER1)
    judged = replace(config, reward="wait", cost="binary", scenario="surge", observation="dict")
    assert prepare(judged) is prepare(config)
    assert prepare(replace(config, load=0.5)) is not prepare(config)
    assert set(PREPARED) < {field.name for field in fields(TaskConfig)}


def test_the_last_few_are_kept_and_what_is_no_key_is_made_each_time():
    kept, made = Kept(2), []
    for key in ("a", "b", "a", "c", "a", "b"):
        kept.get((key,), lambda key=key: made.append(key))
    assert made == ["a", "b", "c", "b"]
    for _ in range(2):
        kept.get(([],), lambda: made.append("list"))
    assert made[4:] == ["list", "list"]
