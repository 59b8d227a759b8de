"""The card of the task, which is the environment's docstring, says what the code does."""

import inspect
import re
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

import pandaenv  # noqa: F401  registers the environments
from pandaenv.env import PandaSiteAllocationEnv
from pandaenv.env.measures import MEASURES
from pandaenv.env.observation import N_GRID, N_JOB, N_SITE
from pandaenv.scenarios import SCENARIOS, Scenario
from pandaenv.sites import PATH
from tests.pandaenv.simulator.grids import records

IDS = ("PandaSiteAllocation-v0", "PandaSiteAllocationTier1-v0")
CARD = inspect.getdoc(PandaSiteAllocationEnv)
SECTIONS = {
    title: text for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", CARD, re.M | re.S)
}


def rows(text: str) -> list[list[str]]:
    """Cells of the lines of tables, heads and rules left out."""
    lines = [re.findall(r"[^|]+", line) for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in cells] for cells in lines]


def test_the_card_has_gymnasiums_headings_in_order():
    assert list(SECTIONS) == [
        "Description",
        "Action Space",
        "Observation Space",
        "Rewards",
        "Costs",
        "Starting State",
        "Episode Termination",
        "Episode Truncation",
        "Info",
        "Arguments",
        "How to Learn It",
        "Scenarios",
        "Background",
        "Version History",
    ]


def test_every_argument_is_listed_with_its_default():
    parameters = list(inspect.signature(PandaSiteAllocationEnv).parameters.values())
    listed = {name.strip("`"): default for name, default, *_ in rows(SECTIONS["Arguments"])[1:]}
    assert list(listed) == [parameter.name for parameter in parameters]
    for parameter in parameters:
        text = listed[parameter.name].strip("`")
        if isinstance(parameter.default, str):
            assert text == f'"{parameter.default}"'
        elif isinstance(parameter.default, bool) or parameter.default is None:
            assert text == str(parameter.default)
        else:
            assert float(text) == parameter.default


def test_every_number_of_an_observation_is_described_once():
    tables, name = {}, None
    for first, *_ in rows(SECTIONS["Observation Space"]):
        if first.isalpha():
            name = first
            tables[name] = []
        else:
            tables[name] += [int(number) for number in first.split(",")]
    assert tables == {
        "job": list(range(N_JOB)),
        "sites": list(range(N_SITE)),
        "grid": list(range(N_GRID)),
    }


def test_rewards_and_scenarios_are_those_there_are():
    assert set(re.findall(r'^- `"(\w+)"`', SECTIONS["Rewards"], re.M)) == set(MEASURES)
    listed = [name.strip("`") for name, *_ in rows(SECTIONS["Scenarios"])[1:]]
    assert listed == list(SCENARIOS)


def test_the_history_ends_with_the_version_that_is_registered():
    versions = re.findall(r"^\* v(\d+): ", SECTIONS["Version History"], re.M)
    assert [int(v) for v in versions] == sorted((int(v) for v in versions), reverse=True)
    assert {gym.spec(name).version for name in IDS} == {int(versions[0])}


# What JSON carries


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of records and one of sites."""
    folder = tmp_path_factory.mktemp("files")
    records().to_parquet(folder / "jobs.parquet")
    (folder / "sites.csv").write_text("\n".join(PATH.read_text().splitlines()[:7]))
    return {"jobs": str(folder / "jobs.parquet"), "sites": str(folder / "sites.csv")}


@pytest.mark.parametrize(
    "options",
    [
        {"sites": 5, "load": 0.5, "split": "test", "reward": "wait", "cost": "binary"},
        {"sites": ["BNL-ATLAS", "MWT2", "CERN-PROD"], "observation": "dict"},
        {"sites": ("BNL-ATLAS", "MWT2", "CERN-PROD"), "reveal": "estimate"},
        {"sites": "file", "rate": None, "byte_limit": 1e9, "wait_limit": 3600},
        {"workload": "reference", "workload_seed": 3, "rate": 2000.0},
        {"scenario": "black_hole_site", "warmup_days": 1.5, "reward": "accrued"},
        {"scenario": {"surge_factor": 2.0, "outage_every_s": float("inf")}},
        {"scenario": Scenario(black_holes=2, degraded_share=0.25), "render_mode": "ansi"},
        {"backfill": True, "reward": "slowdown"},
        {"sites": {"BNL-ATLAS", "MWT2", "CERN-PROD"}, "load": np.float64(0.5)},
        {"sites": np.array(["BNL-ATLAS", "MWT2"]), "episode_jobs": np.int64(60)},
        {"sites": "path"},
        {"scenario": {"black_holes": np.int64(1)}},
    ],
    ids=lambda options: next(iter(options)) + "-" + str(len(options)),
)
def test_a_spec_made_into_json_and_back_makes_the_same_environment(files, options):
    options = {"workload": files["jobs"], "rate": 800, "episode_jobs": 60} | options
    which = options["sites"] if isinstance(options.get("sites"), str) else ""
    if which == "file":
        options["sites"] = files["sites"]
    if which == "path":
        options |= {
            name: Path(files[part]) for name, part in (("sites", "sites"), ("workload", "jobs"))
        }
    env = gym.make(IDS[1], **options)
    again = EnvSpec.from_json(env.spec.to_json())
    twin, many = gym.make(again), gym.make_vec(again, 2)
    one, other, both = (e.reset(seed=4)[0] for e in (env, twin, many))
    for k in range(60):
        assert np.array_equal(flat(one), flat(other)) and np.array_equal(flat(one), flat(both, 0))
        action = k % int(env.action_space.n)
        first, second = env.step(action), twin.step(action)
        batch = many.step(np.array([action, action]))
        assert first[1:4] == second[1:4] == tuple(part[0] for part in batch[1:4])
        assert first[4]["cost"] == second[4]["cost"] == batch[4]["cost"][0]
        one, other, both = first[0], second[0], batch[0]


def flat(observation, row=...) -> np.ndarray:
    if isinstance(observation, dict):
        return np.concatenate([observation[name][row] for name in ("job", "sites", "grid")])
    return observation[row]


def test_what_json_cannot_carry_is_refused_when_it_is_asked_for():
    env = gym.make(IDS[1], workload=records(), rate=800, episode_jobs=60)
    with pytest.raises(TypeError, match="JSON"):
        env.spec.to_json()
