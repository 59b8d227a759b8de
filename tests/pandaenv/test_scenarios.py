"""Each scenario does what it says, measured; and what the dataclass refuses."""

import copy
import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

import pandaenv  # noqa: F401  registers the environments
from foundations.units import HOUR_S
from pandaenv import policies, scenarios
from pandaenv.env.measures import MEASURES
from pandaenv.replay import replay
from pandaenv.scenarios import SCENARIOS, Scenario, untroubled
from pandaenv.simulator import Simulator, advance
from pandaenv.simulator.state import LOST
from tests.pandaenv.simulator.grids import jobs, records, sites

TIER1 = "PandaSiteAllocationTier1-v0"


def play(env, act, seed=0) -> tuple[float, np.ndarray]:
    """The return of one episode and the agent's jobs once all have ended."""
    observation, _ = env.reset(seed=seed)
    total, is_over = 0.0, False
    while not is_over:
        observation, reward, terminated, truncated, _ = env.step(act(env))
        total, is_over = total + reward, terminated or truncated
    e = env.unwrapped
    advance(e.grid, e.worlds, 0, np.inf)
    world = e.worlds.world[0]
    return total, e.worlds.job[0, int(world["first_own"]) : int(world["n_rows"])].copy()


def n_left(env) -> int:
    world = env.unwrapped.worlds.world[0]
    return int(world["n_rows"] - world["next"])


def troubles_of(env) -> list[bytes]:
    """What the world of an environment has in store, to the last bit."""
    worlds = env.unwrapped.worlds
    surge = worlds.world[0][["surge_from", "surge_until", "surge_factor", "seed"]].item()
    sites = (worlds.slow[0], worlds.site[0]["fails_after"], worlds.switch[0])
    return [*surge, *(array.tobytes() for array in sites)]


# By hand


def test_a_transfer_slows_down_while_links_are_degraded_and_catches_nothing_up():
    # 1 byte/s a channel, a tenth of it from 100 to 200: 50 bytes take 50 s before and after,
    # 500 s would they take within, 100 + 150 from 50, 10 + 50 + 90 from 40 bytes before the end
    slow = np.array([[np.inf, np.inf, 1.0], [100.0, 200.0, 0.1]])
    stream = jobs([0, 60, 110, 190, 300], [1.0] * 5, [[True, False]], nbytes=50.0)
    troubles = untroubled(2)._replace(slow=slow)
    simulator = Simulator(sites([9, 9], [1, 1], ingress=8.0), stream, troubles=troubles)
    log = simulator.replay(np.ones(5, int)).log()
    # 60: 40 bytes by 100, then 10 at a tenth; 110: 9 bytes by 200, 41 after; 190: 1, then 49
    assert simulator.drain().log()["ready"].tolist() == [50, 200, 241, 249, 350]
    assert log["source"].notna().all()


def test_a_surge_brings_jobs_earlier_and_leaves_none_out():
    # from 100 to 200 three times as fast: what is due by 400 comes by 200, the rest 200 s earlier
    stream = jobs([50, 100, 130, 400, 401, 1000], [1.0] * 6, [[True]])
    troubles = untroubled(1)._replace(surge=(100.0, 200.0, 3.0))
    simulator = Simulator(sites([9], [1]), stream, troubles=troubles).replay(np.zeros(6, int))
    assert simulator.log()["submit"].tolist() == [50, 100, 110, 200, 201, 800]


def test_a_black_hole_fails_every_attempt_fast():
    stream = jobs([0, 0], [1000.0, 20.0], [[True]])
    troubles = untroubled(1)._replace(fails_after=np.array([60.0]))
    log = Simulator(sites([9], [1]), stream, troubles=troubles).replay(np.zeros(2, int))
    log = log.drain().log()
    assert log["end"].tolist() == [180, 60] and set(log["state"]) == {"lost"}


# What they say they do


def test_outages_take_the_share_of_time_they_say():
    for name, share in (("normal", 0.982), ("outage", 0.8)):
        which = SCENARIOS[name]
        up = []
        for seed in range(400):
            times = which.draw(13, 0.0, np.random.default_rng(seed)).outages
            edges = np.minimum(times, 2 * 86_400.0)
            up.append(1 - (edges[:, 1::2] - edges[:, ::2]).sum(axis=1).mean() / (2 * 86_400.0))
        # all sites are up at first, so two days see fewer outages than ever after
        assert share < np.mean(up) < share + (1 - share) * 0.6
    calm = Scenario(outage_every_s=np.inf).draw(2, 0.0, np.random.default_rng(0)).outages
    assert np.isinf(calm).all()


def test_outages_alternate_after_the_start():
    times = Scenario().draw(6, 100.0, np.random.default_rng(0)).outages
    assert times.shape == (6, 8) and (np.diff(times, axis=1) > 0).all() and (times > 100).all()


def test_degraded_links_slow_the_half_of_the_sites_down_tenfold(make):
    parts = [_slowed_down(make, seed) for seed in range(6)]
    hit, calm = (np.concatenate(ratios) for ratios in zip(*parts, strict=True))
    assert len(hit) > 10 < len(calm) and np.median(calm) == pytest.approx(1, abs=0.05)
    assert 4 < np.median(hit) <= 10  # some waited for transfers from before, at full speed


def _slowed_down(make, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How many times longer inputs took to come, at slow sites and at the others."""
    actions = np.random.default_rng(seed).integers(0, 13, 300)
    seconds = []
    for name in ("normal", "degraded_network"):
        env = make(scenario=name)
        _, job = play(env, lambda env: int(actions[-n_left(env)]), seed)
        seconds.append(job["ready"] - job["submit"])
    slow = env.unwrapped.worlds.slow[0]["factor"] < 1
    assert slow.sum() == 7  # half of 13, rounded up
    begin = env.unwrapped.worlds.slow[0]["begin"][slow][0]
    moved = (seconds[0] > 60) & (seconds[1] > 60)  # not those whose input was there
    hit = slow[job["site"]] & (job["submit"] > begin) & moved
    return tuple(seconds[1][rows] / seconds[0][rows] for rows in (hit, ~slow[job["site"]] & moved))


def test_a_surge_multiplies_the_rate_of_jobs_and_keeps_them_all(make):
    logs = []
    for name in ("normal", "surge"):
        env = make(scenario=name)
        play(env, lambda env: 0)
        logs.append(env.unwrapped.log())
    plain, hurried = (log["submit"].to_numpy() for log in logs)
    begin = env.unwrapped.worlds.world[0]["surge_from"]
    assert logs[0]["index"].tolist() == logs[1]["index"].tolist()
    assert (np.diff(hurried) >= 0).all()
    in_surge = (plain > begin) & (plain <= begin + 3 * 4 * HOUR_S)
    gaps = [np.diff(times[in_surge]).sum() for times in (plain, hurried)]
    assert in_surge.sum() > 50 and gaps[0] / gaps[1] == pytest.approx(3, rel=1e-9)
    assert (hurried[plain <= begin] == plain[plain <= begin]).all()
    assert logs[1]["creationtime"].to_numpy() == pytest.approx(hurried / 86_400)


def test_the_clock_an_agent_sees_is_that_of_the_world(make):
    env = make(scenario=Scenario(surge_factor=4.0, surge_after_s=0.0))
    seen, _ = env.reset(seed=1)
    for _ in range(100):
        angle = 2 * np.pi * env.unwrapped.worlds.world[0]["now"] / 86_400
        assert seen[8:10] == pytest.approx([np.sin(angle), np.cos(angle)], abs=1e-6)
        seen = env.step(0)[0]


@pytest.mark.parametrize("reward", MEASURES)
def test_a_black_hole_site_scores_worse_than_any_healthy_one(make, reward):
    calm = Scenario(black_holes=1, n_outages=0)
    env = make(reward=reward, scenario=calm, load=0.02)  # so idle that no healthy site is full
    grid = env.unwrapped.grid
    rate = grid.sites["failure_rate"].copy()
    try:
        grid.sites["failure_rate"] = 0.0
        returns = [play(env, lambda env, s=s: s)[0] for s in range(13)]
        hole = int(np.argmin(env.unwrapped.worlds.site[0]["fails_after"]))
        _, job = play(env, lambda env: hole)
    finally:
        grid.sites["failure_rate"] = rate
    assert returns[hole] < np.delete(returns, hole).min() and returns[hole] < -9 * 300
    ran = job["attempts"] > 0
    assert (job["state"][ran] == LOST).all() and (job["end"] - job["start"])[ran].max() < 60.001


def test_black_holes_are_not_always_the_same_sites(make):
    env, holes = make(scenario="black_hole_site"), set()
    for seed in range(12):
        env.reset(seed=seed)
        assert np.isfinite(env.unwrapped.worlds.site[0]["fails_after"]).sum() == 1
        holes.add(int(np.argmin(env.unwrapped.worlds.site[0]["fails_after"])))
    assert len(holes) > 4


# Common random numbers


@pytest.mark.parametrize("name", SCENARIOS)
def test_two_policies_meet_the_same_troubles(make, name):
    env, seen = make(scenario=name), []
    for rule in ("random", "panda_analysis"):
        policy = policies.make(rule)
        policy.reset(0)
        env.reset(seed=4)
        before = troubles_of(env)
        play(env, policy.act, seed=3)
        seen.append(troubles_of(env))
        env.reset(seed=4)
        assert troubles_of(env) == before != seen[-1]
    assert seen[0] == seen[1]


def test_scenarios_share_windows_failures_and_outages(make):
    """Only what a scenario adds differs from the calm world of its seed."""
    switches, seeds = [], []
    for name in ("normal", "degraded_network", "surge", "black_hole_site"):
        env = make(scenario=name)
        env.reset(seed=9)
        switches.append(env.unwrapped.worlds.switch[0].tobytes())
        seeds.append((env.unwrapped.window, int(env.unwrapped.worlds.world[0]["seed"])))
    assert len(set(switches)) == 1 and len(set(seeds)) == 1


# The dataclass


@pytest.fixture
def all_bad():
    """The table with one more entry."""
    SCENARIOS["all_bad"] = Scenario(degraded_share=1.0, degraded_after_s=0.0, black_holes=12)
    yield
    del SCENARIOS["all_bad"]


def test_a_new_scenario_is_one_entry(make, all_bad):
    """Entered in the table, it is known by name to the environment and to replays."""
    env = make(scenario="all_bad")
    env.reset(seed=0)
    assert (env.unwrapped.worlds.slow[0]["factor"] < 1).all()
    bad, plain = (replay(records(n=300), "tier1", scenario=s) for s in ("all_bad", None))
    assert (bad["jobstatus"] == "failed").sum() > (plain["jobstatus"] == "failed").sum()
    with pytest.raises(ValueError, match="known: normal, .* all_bad$"):
        scenarios.make("storm")


def test_a_scenario_of_ones_own_survives_the_json_of_a_spec(make):
    mine = Scenario(outage_every_s=np.float32(7200), black_holes=np.int64(2), surge_factor=2)
    env = make(scenario=mine)
    spec = copy.deepcopy(env.spec)
    del spec.kwargs["workload"]  # a table of records is nothing for JSON
    again = EnvSpec.from_json(spec.to_json())
    assert scenarios.make(again.kwargs["scenario"]) == mine
    twin = gym.make(again, workload=env.spec.kwargs["workload"])
    env.reset(seed=2), twin.reset(seed=2)
    assert troubles_of(env) == troubles_of(twin)
    assert json.loads(json.dumps(Scenario(outage_every_s=np.inf).__dict__))


def test_scenarios_are_known_by_name_and_unknown_ones_refused():
    assert scenarios.make("surge") is SCENARIOS["surge"]
    assert scenarios.make({"black_holes": 3}) == Scenario(black_holes=3)
    with pytest.raises(ValueError, match="unknown scenario 'storm'; known: normal, outage, degr"):
        scenarios.make("storm")
    with pytest.raises(ValueError, match="unknown scenario field 'storms'; known: outage_e"):
        scenarios.make({"storms": 3})
    with pytest.raises(ValueError, match="unknown scenario None"):
        scenarios.make(None)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"outage_every_s": 0}, "positive, got 0"),
        ({"outage_every_s": "1"}, "positive, got '1'"),
        ({"outage_every_s": np.nan}, "positive, got nan"),
        ({"outage_length_s": -1.0}, r"above 0 and at most 1e\+09, got -1.0"),
        ({"outage_length_s": np.inf}, r"above 0 and at most 1e\+09, got inf"),
        ({"n_outages": 2.5}, "a whole number between 0 and 10000, got 2.5"),
        ({"n_outages": -1}, "a whole number between 0 and 10000, got -1"),
        ({"n_outages": True}, "a whole number between 0 and 10000, got True"),
        ({"degraded_share": 1.1}, "at least 0 and at most 1, got 1.1"),
        ({"degraded_factor": 0}, "above 0 and at most 1, got 0"),
        ({"degraded_after_s": -1}, "at least 0 and finite, got -1"),
        ({"degraded_length_s": np.inf}, r"above 0 and at most 1e\+09, got inf"),
        ({"surge_factor": 0.5}, "at least 1 and finite, got 0.5"),
        ({"surge_after_s": np.nan}, "at least 0 and finite, got nan"),
        ({"surge_length_s": 0}, r"above 0 and at most 1e\+09, got 0"),
        ({"black_holes": None}, "a whole number between 0 and 10000, got None"),
        ({"black_hole_s": 0}, "positive and finite, got 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(wrong, rule):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name} must be {rule}$"):
        Scenario(**wrong)


def test_a_grid_of_black_holes_alone_is_refused(make):
    with pytest.raises(ValueError, match=r"black_holes must be fewer than the sites \(13\), got 1"):
        make(scenario=Scenario(black_holes=13))


def test_no_more_outages_are_drawn_than_memory_holds():
    with pytest.raises(ValueError, match="n_outages must be a whole number between 0 and 10000"):
        Scenario(n_outages=10**9)
