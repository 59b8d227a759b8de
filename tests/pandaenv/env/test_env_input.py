"""What environments refuse, in one sentence, and what they put up with."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from gymnasium.error import InvalidAction, ResetNeeded

import pandaenv  # noqa: F401  registers the environments
from pandaenv.env.measures import LOSS
from pandaenv.sb3 import PandaVecEnv
from pandaenv.scenarios import Scenario
from pandaenv.sites import PATH, catalogue
from tests.pandaenv.simulator.grids import records

TIER1 = "PandaSiteAllocationTier1-v0"
DARK = Scenario(outage_every_s=3_600.0, outage_length_s=36_000.0)


def test_step_needs_a_reset_and_an_episode_that_goes_on(make):
    env = make().unwrapped
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(0)
    with pytest.raises(ResetNeeded, match="call reset"):
        env.log()
    with pytest.raises(ResetNeeded):
        make().step(0)
    env.reset(seed=0)
    for _ in range(300):
        env.step(0)
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(0)


@pytest.mark.parametrize("action", [-1, 13, 10**30, 0.0, 1.5, "0", None, True, [0], np.array([0])])
def test_an_action_must_be_a_whole_number_that_names_a_site(make, action):
    env = make().unwrapped
    env.reset(seed=0)
    before = env.worlds.job[0].tobytes()
    with pytest.raises(InvalidAction, match=r"whole number in \[0, 13\), got"):
        env.step(action)
    assert env.worlds.job[0].tobytes() == before


def test_numpy_integers_are_actions(make):
    env = make().unwrapped
    env.reset(seed=0)
    for action in (np.int64(3), np.uint8(3), np.array(3)):
        env.step(action)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"reward": "fast"}, "unknown reward 'fast'; known: flow_time, slowdown, wait, accrued"),
        ({"observation": "image"}, "unknown observation 'image'; known: flat, dict"),
        ({"cost": 3}, "unknown cost 3; known: count, binary"),
        ({"scenario": "storm"}, "unknown scenario 'storm'; known: normal"),
        ({"reveal": "all"}, "unknown reveal 'all'; known: None, estimate"),
        ({"render_mode": "video"}, "unknown render_mode 'video'; known: None, ansi, rgb"),
        ({"split": "dev"}, "unknown split 'dev'; known: train, test"),
        ({"split": ["train"]}, r"unknown split \['train'\]; known: train, test"),
        ({"workload_seed": None}, "workload_seed must be a whole number of at .*, got None"),
        ({"workload_seed": -1}, "workload_seed must be a whole number of at least 0 .*, got -1"),
        ({"backfill": "no"}, "backfill must be True or False, got 'no'"),
        ({"warmup_days": True}, "warmup_days must be at least 0 and finite, got True"),
        ({"rate": 1e-4}, "rate must leave a job in [0-9]+ weeks, got rate=0.0001 a day"),
        ({"sites": pd.DataFrame({"name": ["a"]})}, r"must be a CSV file or a Catalogue, got a tab"),
        ({"workload": pd.Series([1.0])}, "a table, a file or a generator, got Series"),
        ({"workload": "nope.parquet"}, "'nope.parquet' must be a file or a folder, there is none"),
        ({"wait_limit": -1}, "wait_limit must be at least 0, got -1"),
        ({"byte_limit": float("nan")}, "byte_limit must be at least 0, got nan"),
        ({"rate": 0}, "rate must be positive"),
        ({"load": 0}, "load must be positive"),
        ({"sites": "nowhere"}, "sites must be"),
        ({"episode_jobs": 0}, "episode_jobs must be a whole number of at least 1, got 0"),
        ({"episode_jobs": 10**6}, "must hold"),
        ({"workload": "nope"}, "unknown workload 'nope'; known: reference, tabddpm"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*render_mode")
def test_a_wrong_option_is_named_with_what_is_known(make, option, message):
    with pytest.raises(ValueError, match=message):
        make(**option)


def test_files_written_anew_make_another_environment(make, trace, tmp_path):
    pool, grid = tmp_path / "pool.parquet", tmp_path / "grid.csv"
    lines = PATH.read_text().splitlines()
    seen = []
    for n in (3, 5):
        trace.records.iloc[:-n].to_parquet(pool)
        grid.write_text("\n".join(lines[: 1 + n]))
        env = make(workload=str(pool), sites=str(grid), rate=None).unwrapped
        seen.append((int(env.action_space.n), len(env.stream.jobs) - len(trace.records)))
    assert seen == [(3, -3), (5, -5)]


def test_tables_of_the_same_content_share_a_setting(make):
    table = records()
    first = make(workload=table).unwrapped.prepared
    assert make(workload=table.copy()).unwrapped.prepared is first
    table.loc[0, "workload"] *= 2
    assert make(workload=table).unwrapped.prepared is not first


def test_a_grid_that_would_take_for_ever_is_refused(make):
    grid = catalogue(3)
    ingress = grid.ingress.copy()
    ingress[1] = 1e-290
    with pytest.raises(ValueError, match=r"ingress must move the largest input .* at "):
        make(sites=replace(grid, ingress=ingress))
    with pytest.raises(ValueError, match=r"link must move the largest input .* at "):
        make(sites=replace(grid, link_scale=1e-15))
    power = grid.power.copy()
    power[1] = 1e30
    with pytest.raises(ValueError, match=r"power must run the longest job .* at "):
        make(sites=replace(grid, power=power))


def test_a_job_too_large_for_every_site_is_rejected_wherever_it_goes(make, trace):
    table = trace.records.assign(corecount=1)
    table.loc[table.index[::7], "corecount"] = 10**6
    env = make(workload=table, rate=None, warmup_days=0, episode_jobs=50)
    _, info = env.reset(seed=0)
    window = env.unwrapped.prepared.windows[env.unwrapped.window]
    is_large = env.unwrapped.stream.jobs.cores[window.start : window.stop] > 1
    assert 3 < is_large.sum() < 40
    for too_large in is_large:
        assert not too_large or info["action_mask"].all()
        *_, info = env.step(int(info["action_mask"].argmax()))
        assert info["cost_rejected"] == too_large


def test_reset_options_are_checked(make):
    env = make()
    for options, message in (
        ({"window": 24}, r"window must be a whole number between 0 and 23, got 24"),
        ({"window": True}, r"window must be a whole number between 0 and 23, got True"),
        ({"windows": 1}, "unknown reset option 'windows'; known: window"),
    ):
        with pytest.raises(ValueError, match=message):
            env.reset(options=options)


@pytest.mark.parametrize("reward", ["flow_time", "accrued"])
def test_masked_sites_reject_jobs_in_batches_as_in_single_environments(trace, reward):
    small = {"workload": trace, "rate": 800, "episode_jobs": 60, "scenario": DARK, "reward": reward}
    single, many = gym.make(TIER1, **small), gym.make_vec(TIER1, 2, **small)
    native = PandaVecEnv(2, sites="tier1", **small)
    native.seed(0)
    single.reset(seed=0), many.reset(seed=0), native.reset()
    n_rejected = 0
    for _ in range(60):
        site = int(np.argmin(single.unwrapped.mask))  # a masked one, where there is one
        is_masked = single.unwrapped.mask[site] == 0
        _, reward_now, *_, info = single.step(site)
        _, rewards, _, _, infos = many.step(np.array([site, site]))
        _, theirs, _, told = native.step(np.array([site, site]))
        assert info["cost_rejected"] == infos["cost_rejected"][0] == is_masked
        assert reward_now == rewards[0] and np.float32(reward_now) == theirs[0]
        assert info["cost"] == told[0]["cost"] >= is_masked
        assert reward_now <= -LOSS * is_masked
        n_rejected += is_masked
    assert 20 < n_rejected


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "fast", True])
@pytest.mark.parametrize("name", ["rate", "load"])
def test_a_rate_and_a_load_are_positive_numbers(make, name, value):
    with pytest.raises(ValueError, match=f"{name} must be positive and finite, got "):
        make(**{name: value})


@pytest.mark.parametrize("value", [0, -5, 1.5, "many", None, True])
def test_episode_jobs_is_a_positive_whole_number(make, value):
    with pytest.raises(ValueError, match=f"episode_jobs must be .*got {value!r}"):
        make(episode_jobs=value)


def test_an_episode_fits_its_part_of_the_stream_or_is_refused(make):
    """Train and test have a week each here; three days of it warm up."""
    time = make().unwrapped.stream.jobs.time / 86_400.0
    longest = min(((time >= begin + 3) & (time < begin + 7)).sum() for begin in (0, 7))
    env = make(split="test", episode_jobs=int(longest))
    env.reset(seed=0)
    n_left, truncated = longest, False
    while not truncated:
        *_, truncated, _ = env.step(n_left % 13)
        n_left -= 1
    assert n_left == 0
    with pytest.raises(ValueError, match=r"part must hold 3 days of warm-up and"):
        make(split="test", episode_jobs=int(longest) + 1)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "long", None])
def test_the_warm_up_is_a_number_of_days(make, value):
    with pytest.raises(ValueError, match=f"warmup_days must be .*got {value!r}"):
        make(warmup_days=value)
