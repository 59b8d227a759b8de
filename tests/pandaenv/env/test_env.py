import json
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3_env

import metrics
import pandaenv
from pandaenv import policies, schema
from pandaenv.env.measures import LOSS, MEASURES
from pandaenv.env.reward import COSTS
from pandaenv.scenarios import Scenario
from pandaenv.simulator import advance
from pandaenv.simulator.others import Others
from pandaenv.simulator.reset import reset_world
from pandaenv.simulator.state import STATES, make_worlds
from pandaenv.sites import catalogue
from pandaenv.workload import Reference
from tests.pandaenv.env.players import Fixed
from tests.pandaenv.simulator.grids import records
from tests.pandaenv.simulator.twin import Twin

IDS = ("PandaSiteAllocation-v0", "PandaSiteAllocationTier1-v0")
ROUGH = Scenario(outage_every_s=86_400.0, outage_length_s=7_200.0)
KEYS = {"action_mask", "cost", "realised_load", "scale", "gathered"}
KEYS |= {f"cost_{name}" for name in COSTS}


def play(env, policy, seed=0, **options):
    """One episode: (observations, rewards, infos, last flags)."""
    observation, info = env.reset(seed=seed, **options)
    policy.reset(seed)
    observations, rewards, infos, is_over = [observation], [], [info], False
    while not is_over:
        observation, reward, terminated, truncated, info = env.step(policy.act(env))
        observations.append(observation)
        rewards.append(reward)
        infos.append(info)
        is_over = terminated or truncated
    return observations, np.array(rewards), infos, (terminated, truncated)


class Reckless:
    """Any site, masked or not."""

    def reset(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, env):
        return int(self.rng.integers(env.action_space.n))


# The contract


@pytest.mark.parametrize("observation", ["flat", "dict"])
@pytest.mark.parametrize("reward", MEASURES)
@pytest.mark.parametrize("name", IDS)
def test_gymnasium_and_stable_baselines3_accept_it_without_a_warning(
    trace, name, observation, reward
):
    options = {"observation": observation, "reward": reward, "episode_jobs": 300, "rate": 800}
    env = gym.make(name, workload=trace, reveal="estimate", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
        check_env(env.unwrapped, skip_render_check=True)
        check_sb3_env(env)
        check_sb3_env(env.unwrapped)


def test_both_ids_are_registered_by_string_and_survive_json():
    for name in IDS:
        spec = gym.spec(name)
        assert spec.entry_point == "pandaenv.env:PandaSiteAllocationEnv"
        assert json.loads(spec.to_json())["id"] == name
    assert pandaenv.__version__


def test_an_episode_has_its_jobs_then_ends_by_truncation(make):
    env = make()
    observations, rewards, infos, flags = play(env, policies.make("random"))
    assert len(rewards) == 300 and flags == (False, True)
    assert all(set(info) == KEYS for info in infos)
    assert all(type(info["cost"]) is float for info in infos)
    assert type(flags[0]) is bool and type(flags[1]) is bool
    assert (observations[-1][:12] == 0).all() and infos[-1]["action_mask"].all()
    assert infos[0]["action_mask"].dtype == np.int8
    assert all(info["action_mask"].any() for info in infos)


def test_accrued_ends_by_termination_with_the_grid_drained(make):
    env = make(reward="accrued")
    _, rewards, _, flags = play(env, policies.make("random"))
    assert flags == (True, False)
    assert env.unwrapped.worlds.world[0]["own_in_system"] == 0
    same = play(make(), policies.make("random"))[1]
    assert rewards.sum() == pytest.approx(same.sum(), rel=1e-9)


def test_flat_and_dict_show_the_same(make):
    flat = play(make(), policies.make("panda_analysis"))[0]
    parts = play(make(observation="dict"), policies.make("panda_analysis"))[0]
    for one, other in zip(flat, parts, strict=True):
        joined = np.concatenate([other["job"], other["sites"], other["grid"]])
        assert one.tobytes() == joined.tobytes()
    assert {name: part.shape for name, part in other.items()} == {
        "job": (12,),
        "sites": (8 * 13,),
        "grid": (6,),
    }


def test_a_revealed_estimate_changes_what_is_expected_and_nothing_else(make):
    plain, told = (make(reveal=reveal) for reveal in (None, "estimate"))
    before, after = (play(env, Reckless()) for env in (plain, told))
    assert before[1].tobytes() == after[1].tobytes()
    one, other = np.array(before[0]), np.array(after[0])
    differs = (one != other).any(axis=0)
    expected = np.zeros(len(differs), bool)
    expected[[3, *range(12 + 2, 12 + 8 * 13, 8)]] = True  # service time, work queued at each site
    assert (differs <= expected).all() and differs[3]
    assert all(told.observation_space.contains(seen) for seen in after[0])
    parts = play(make(observation="dict", reveal="estimate"), Reckless())[0]
    joined = [np.concatenate([p[name] for name in ("job", "sites", "grid")]) for p in parts]
    assert np.array(joined).tobytes() == other.tobytes()


def test_a_revealed_estimate_is_the_true_work_with_the_noise_it_is_said_to_have(make):
    env, again, other = (
        make(reveal="estimate", workload_seed=seed).unwrapped for seed in (0, 0, 1)
    )
    job = env.grid.stream
    noise = np.log(job["estimate"] * 1e-3 / job["work"])
    assert noise.std() == pytest.approx(np.log(2), rel=0.02)
    assert np.exp(noise).mean() == pytest.approx(1, rel=0.02)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.03
    assert (again.grid.stream["estimate"] == job["estimate"]).all()
    size = min(len(job), len(other.grid.stream))
    theirs = other.grid.stream[:size]
    assert abs(np.corrcoef(np.log(theirs["estimate"] / theirs["work"]), noise[:size])[0, 1]) < 0.1
    sites = env.grid.sites
    mean_power = (sites["cores"] * sites["power"]).sum() / sites["cores"].sum()
    service = job["estimate"] * 1e-3 / job["cores"] / mean_power / env.unit
    np.testing.assert_allclose(env.prepared.features[:, 3], service / (1 + service), atol=1e-6)


def test_who_is_told_estimates_places_better(make):
    returns = {}
    for reveal in (None, "estimate"):
        env = make(reveal=reveal, load=0.5)
        returns[reveal] = [play(env, policies.make("greedy"), s)[1].sum() for s in range(6)]
    assert (np.array(returns["estimate"]) > returns[None]).all()


# The reward


@pytest.mark.parametrize("policy", [policies.make("random"), Reckless()])
def test_return_is_minus_the_summed_normalised_flow_time(make, policy):
    env = make(scenario=ROUGH)
    for seed in range(3):
        rewards = play(env, policy, seed)[1]
        e = env.unwrapped
        advance(e.grid, e.worlds, 0, np.inf)
        log = e.log()
        assert len(log) == 300 and log["jobstatus"].notna().all()
        flow = (log["end"] - log["submit"]) / e.unit
        lost = log["state"].isin(["lost", "rejected"])
        assert -rewards.sum() == pytest.approx((flow + LOSS * lost).sum(), rel=1e-9)
    assert (log["attempts"] > 1).any()


def test_costs_add_up_and_binary_clips(make):
    env = make(scenario=ROUGH, wait_limit=0, byte_limit=0)
    infos = [info for seed in range(6) for info in play(env, Reckless(), seed)[2]]
    parts = np.array([[info[f"cost_{name}"] for name in COSTS] for info in infos])
    cost = np.array([info["cost"] for info in infos])
    assert (parts.sum(axis=1) == cost).all() and cost.max() >= 2 and (parts.sum(axis=0) > 0).all()
    clipped = make(scenario=ROUGH, wait_limit=0, byte_limit=0, cost="binary")
    first = play(clipped, Reckless())[2]
    assert [i["cost"] for i in first] == np.minimum(cost[: len(first)], 1).tolist()


def test_a_masked_site_rejects_the_job(make):
    env = make(scenario=Scenario(outage_every_s=3600.0, outage_length_s=36_000.0))
    env.reset(seed=0)
    while True:
        mask = env.unwrapped.action_masks()
        if not mask.all():
            break
        env.step(0)
    _, reward, _, _, info = env.step(int(np.argmin(mask)))
    assert reward == -LOSS and info["cost_rejected"] == 1.0


def test_a_black_hole_is_worse_than_any_healthy_site(make):
    env = make(load=0.02)  # so idle that only speed, transfers and failures tell sites apart
    rate = env.unwrapped.grid.sites["failure_rate"].copy()
    try:
        env.unwrapped.grid.sites["failure_rate"][5] = 0.999
        returns = [play(env, Fixed(s), 0)[1].sum() for s in range(env.action_space.n)]
    finally:
        env.unwrapped.grid.sites["failure_rate"] = rate
    assert returns[5] == min(returns) < -9 * 300


# Chance


def test_same_seed_and_actions_give_the_same_bytes(make):
    first, again, other = (play(make(scenario=ROUGH), Reckless(), s) for s in (4, 4, 5))
    assert first[1].tobytes() == again[1].tobytes() != other[1].tobytes()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first[0], again[0], strict=True))


def test_two_policies_meet_the_same_world(make):
    worlds = []
    for name in ("random", "least_loaded"):
        env = make(scenario=ROUGH).unwrapped
        rewards = [play(env, policies.make(name), 9)[1], play(env, policies.make(name), None)[1]]
        world = env.worlds.world[0]
        rows = slice(int(world["first_own"]), None)
        worlds.append(
            (
                world["seed"],
                env.window,
                env.worlds.switch[0].tobytes(),
                env.worlds.job[0]["index"][rows].tobytes(),
                env.worlds.job[0]["submit"][rows].tobytes(),
            )
        )
        worlds.append(rewards)
    assert worlds[0] == worlds[2]
    assert worlds[1][0].tobytes() != worlds[3][0].tobytes()


def test_episodes_of_one_seed_differ_in_window_and_outages(make):
    env = make().unwrapped
    env.reset(seed=1)
    seen = set()
    for _ in range(12):
        env.reset()
        seen.add((env.window, env.worlds.switch[0].tobytes()))
    assert len({window for window, _ in seen}) > 3 and len(seen) == 12


def test_an_episode_leaves_no_trace_in_the_next(make):
    env = make(scenario=ROUGH)
    alone = play(env, policies.make("random"), 3)[1]
    play(env, Reckless(), 77)
    assert play(env, policies.make("random"), 3)[1].tobytes() == alone.tobytes()
    fresh = make(scenario=ROUGH)
    play(fresh, Reckless(), 5, options={"window": 0})
    assert play(fresh, policies.make("random"), 3)[1].tobytes() == alone.tobytes()


def test_the_grid_is_warm_at_the_start_and_warming_is_kept(make):
    env = make().unwrapped
    env.reset(seed=0, options={"window": 7})
    assert env.window == 7
    world = env.worlds.world[0]
    assert world["in_system"] > 0 and world["own_in_system"] == 0
    window = env.prepared.windows[7]
    time = env.stream.jobs.time
    assert time[window.start] - time[window.first] > 2.9 * 86_400
    assert world["now"] == time[window.start]
    assert env.prepared.snapshot(7) is env.prepared.snapshot(7)


@pytest.mark.parametrize("background", ["none", "busy"])
def test_an_episode_agrees_with_the_twin_from_its_warm_up_on(make, background):
    env = make(scenario=ROUGH, background=background).unwrapped
    play(env, Reckless(), 6, options={"window": 3})
    window, prepared = env.prepared.windows[3], env.prepared
    advance(env.grid, env.worlds, 0, np.inf)
    n_warm, n_jobs = window.start - window.first, window.stop - window.first
    warm = make_worlds(1, len(env.mask), n_jobs, 0, 1, n_jobs)
    reset_world(env.grid, warm, 0, window.first, n_jobs, n_jobs, np.uint64(window.start))
    policies.warm_up(env.grid, warm, 0, n_warm, prepared.cap_floor)
    stream = env.stream.jobs.take(slice(window.first, window.stop))
    others = None
    if background != "none":
        others = Others(env.grid.held, env.grid.ahead, env.grid.sites["latency"])
    twin = Twin(env.stream.catalogue, stream, window.start, first=window.first, others=others)
    for site in warm.job[0, :n_warm]["site"].tolist():
        twin.place(site)
    twin.seed = int(env.worlds.world[0]["seed"])
    twin.expect_outages(env.worlds.switch[0])
    first_own = int(env.worlds.world[0]["first_own"])
    job = env.worlds.job[0, : env.worlds.world[0]["n_rows"]]
    for site in job[first_own:]["site"].tolist():
        twin.place(site)
    twin.drain()
    assert job["attempts"].max() > 1 and first_own > 0
    for state in job:
        expected = twin.jobs[state["index"] - window.first]
        assert STATES[state["state"]] == expected.state
        for name in ("submit", "ready", "first_start", "start", "end"):
            np.testing.assert_array_equal(state[name], getattr(expected, name))


def test_among_others_sites_are_large_and_a_wait_begins_with_a_pilot(make):
    env, alone = make(background="busy"), make().unwrapped
    observations, _, infos, _ = play(env, policies.make("panda_analysis"))
    env = env.unwrapped
    assert all(env.observation_space.contains(o) for o in observations)
    assert env.grid.sites["cores"].sum() > 50 * alone.grid.sites["cores"].sum()
    assert (env.grid.sites["least"] <= env.grid.sites["usual"]).all()
    assert infos[0]["realised_load"] == pytest.approx(0.6, rel=1e-2)
    advance(env.grid, env.worlds, 0, np.inf)
    log = env.log()
    started = log[log["first_start"].notna()]
    at = [env.stream.catalogue.index(name) for name in started["computingsite"]]
    wait = started["first_start"] - started["ready"]
    assert (wait >= env.grid.sites["latency"][at] - 1e-6).all()
    assert wait.median() > 600
    free = np.array(observations)[:, 12 : 12 + 8 * env.action_space.n : 8]
    assert (free == 0).mean() > 0.3 and (free > 0).any()


def test_another_workload_seed_is_another_background(make):
    drawn = [make(background="busy", workload_seed=s).unwrapped.grid.held for s in (0, 0, 1)]
    assert drawn[0].tobytes() == drawn[1].tobytes() != drawn[2].tobytes()


def test_train_and_test_windows_do_not_share_jobs(make):
    train, test = (make(split=split).unwrapped.prepared for split in ("train", "test"))
    assert (train.stream.jobs.time == test.stream.jobs.time).all()
    assert max(w.stop for w in train.windows) <= min(w.first for w in test.windows)
    assert len(train.windows) == 24 and len(test.windows) == 8


def test_info_states_the_realised_load(make):
    for load in (0.4, 0.9):
        _, info = make(load=load).reset(seed=0)
        assert info["realised_load"] == pytest.approx(load, rel=1e-3)


def test_without_a_load_catalogue_and_stream_are_taken_as_they_are(make):
    own = catalogue("tier1").take([1, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = make(sites=own, load=None).unwrapped
    for name in ("cores", "power", "disk", "ingress"):
        assert (getattr(env.stream.catalogue, name) == getattr(own, name)).all()
    assert (env.grid.sites["cores"] == own.cores).all()
    _, info = env.reset(seed=0)
    offered = env.stream.jobs.offered_work / env.stream.duration
    assert info["scale"] == 1
    assert info["realised_load"] == pytest.approx(offered / (own.cores @ own.power))


def test_a_user_is_told_that_sites_of_his_own_are_scaled(make):
    own = catalogue("tier1").take([2, 4])
    with pytest.warns(UserWarning, match=rf"load=0.6 scales the {own.cores.sum()} slots") as told:
        _, info = make(sites=own, rate=300).reset(seed=0)
    assert "load=None takes sites as they are" in str(told[0].message)
    assert 0 < info["scale"] < 1


def test_the_log_is_a_record_table_with_stages(make):
    env = make()
    play(env, policies.make("least_loaded"))
    log = env.unwrapped.log()
    assert list(log.columns[:9]) == list(schema.COLUMNS)
    assert (log["creationtime"] * 86_400 - log["submit"]).abs().max() < 1e-6
    assert set(log["computingsite"]) <= set(env.unwrapped.stream.catalogue.names)


def test_the_log_of_jobs_that_have_ended_is_scored_as_it_is(make):
    table = records()
    env = make(workload=table, reward="accrued", rate=None, episode_jobs=200)
    play(env, policies.make("random"))
    log = env.unwrapped.log()
    known = schema.check(log)
    first = np.searchsorted(np.sort(table["creationtime"]), known["creationtime"].iloc[0])
    own = table.sort_values("creationtime", kind="stable").iloc[first : first + 200]
    for name in ("project", "prodstep", "datatype", "ninputdatafiles", "inputfilebytes"):
        assert known[name].astype(str).tolist() == own[name].astype(str).tolist(), name
    half = len(table) // 2
    report = metrics.evaluate(table[:half], log, table[half:], only=["WD", "JSD"])
    assert np.isfinite(report.table1()[["WD", "JSD"]].to_numpy()).all()


@pytest.mark.parametrize(
    "options",
    [
        {"workload": records()},
        {"workload": Reference(days=7)},
        {"sites": ["BNL-ATLAS", "MWT2", "CERN-PROD"]},
        {"sites": catalogue(5)},
        {"sites": 3},
    ],
    ids=["records", "workload", "site names", "catalogue", "number"],
)
def test_workload_and_sites_may_be_objects(make, options):
    env = make(**options, episode_jobs=20, warmup_days=1)
    rewards = play(env, policies.make("panda_analysis"))[1]
    assert len(rewards) == 20 and np.isfinite(rewards).all()


# The real thing


@pytest.mark.slow
def test_the_default_configuration_runs_on_the_reference_workload():
    env = gym.make("PandaSiteAllocation-v0", workload="reference")
    observations, rewards, infos, _ = play(env, policies.make("panda_analysis"))
    assert len(rewards) == 5500 and observations[0].shape == (12 + 8 * 40 + 6,)
    e = env.unwrapped
    advance(e.grid, e.worlds, 0, np.inf)
    log = e.log()
    flow = (log["end"] - log["submit"]) / e.unit + LOSS * log["state"].isin(["lost", "rejected"])
    assert -rewards.sum() == pytest.approx(flow.sum(), rel=1e-9)
