"""No placement beats the bound: all of them on tiny worlds, every rule on windows."""

from dataclasses import replace
from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from pandaenv import policies
from pandaenv.env.measures import LOSS
from pandaenv.hindsight import limit_of, lower_bound
from pandaenv.policies import steps
from pandaenv.scenarios import Scenario
from pandaenv.simulator import Simulator, advance, place_all
from pandaenv.simulator.arrivals import next_arrival_time
from pandaenv.simulator.state import LOST
from tests.pandaenv.simulator.grids import jobs, random_grid, random_troubles, sites

TINY = {"rtol": 0, "atol": 1e-9}


def begun(simulator: Simulator, before=()) -> Simulator:
    """The world when the first job arrives that is not placed as `before` says."""
    simulator.replay(np.array(before, dtype=np.int64))
    simulator.worlds.world[0]["first_own"] = len(before)
    advance(
        simulator.grid, simulator.worlds, 0, next_arrival_time(simulator.grid, simulator.worlds, 0)
    )
    return simulator


def bound(simulator: Simulator, unit: float, n_steps: int = 100) -> float:
    """The bound of the total flow time of the jobs to come, in `unit` s."""
    n = simulator.n_left
    return limit_of(simulator.grid, simulator.worlds, 0, unit, n_steps).flow * n


def least(simulator: Simulator, unit: float) -> float:
    """The least total over all placements, rejections included, each simulated."""
    n, saved = simulator.n_left, [array.copy() for array in simulator.worlds]
    totals = []
    for plan in product(range(-1, simulator.catalogue.n_sites), repeat=n):
        for array, begin in zip(simulator.worlds, saved, strict=True):
            array[...] = begin
        place_all(simulator.grid, simulator.worlds, 0, np.array(plan))
        job = simulator.drain().worlds.job[0, -n:]
        spent = float((job["end"] - job["submit"]).sum())
        totals.append(spent / unit + LOSS * float((job["state"] >= LOST).sum()))
    return min(totals)


def random_world(seed: int) -> tuple[Simulator, float]:
    """A crowded world in which all may go wrong at once, jobs of others in it, and a unit in s."""
    rng = np.random.default_rng(seed)
    n_sites, n_before = int(rng.integers(1, 4)), int(rng.integers(0, 9))
    n = n_before + int(rng.integers(1, 6 - n_sites // 3))
    every_s = float(rng.choice([0.5, 5.0, 30.0, 100.0]))
    catalogue, stream, outages = random_grid(rng, n_sites, n, every_s=every_s)
    catalogue = replace(catalogue, cores=rng.integers(1, 4, n_sites))
    if rng.random() < 0.6:  # times are never alike
        stream = jobs(
            np.sort(rng.random(n)) * n * every_s, rng.lognormal(7, 1, n), stream.replicas,
            cores=np.minimum(stream.cores, 2), nbytes=stream.nbytes * rng.random(n),
            dataset=stream.dataset % 3, status=stream.status,
        )  # fmt: skip
        gap = rng.choice([0.2, 1.0, 5.0]) * n * every_s
        outages = np.cumsum(rng.exponential(gap, (n_sites, 8)), axis=1)
    troubles = random_troubles(rng, outages)
    if rng.random() < 0.5:
        troubles = troubles._replace(fails_after=np.full(n_sites, np.inf))
    if rng.random() < 0.3:
        troubles = troubles._replace(outages=np.full((n_sites, 0), np.inf))
    world = Simulator(catalogue, stream, seed=seed, troubles=troubles)
    unit = float(stream.work.mean() / 7.5 * rng.choice([0.05, 0.3, 1.0, 3.0]))
    return begun(world, rng.integers(-1, n_sites, n_before)), unit


# By hand


def alone(time, length, n_cores=1, **traits) -> Simulator:
    """Jobs of these lengths in s at one site."""
    return begun(Simulator(sites([n_cores], [1.0]), jobs(time, length, [[True]], **traits)))


def test_a_job_alone_takes_its_service_time():
    assert bound(alone([0], [30]), 10.0) == pytest.approx(3.0)


def test_a_job_of_more_than_a_loss_would_rather_be_rejected():
    assert bound(alone([0], [300]), 10.0) == pytest.approx(LOSS)


def test_jobs_share_a_core_the_shorter_first():
    world = alone([0, 0], [30, 10])
    assert bound(world, 10.0, 0) == pytest.approx(3 + 1)
    assert bound(world, 10.0) == pytest.approx(1 + 4, rel=0.02)
    assert least(world, 10.0) == pytest.approx(3 + 4)  # a queue keeps the order of arrival


def test_input_that_is_elsewhere_is_moved_at_the_speed_of_the_link():
    catalogue = sites([1, 1], [1.0, 1.0], ingress=[800.0, 800.0])
    stream = jobs([0], [10], [[True, False]], nbytes=2000)
    assert bound(begun(Simulator(catalogue, stream)), 10.0) == pytest.approx(1.0)
    down = np.array([[1.0, 1e6], [np.inf, np.inf]])
    world = begun(Simulator(catalogue, stream, outages=down))
    assert bound(world, 10.0) == pytest.approx(1.0 + 2.0) == least(world, 10.0)


def test_what_ran_before_holds_its_cores():
    catalogue, stream = sites([1], [1.0]), jobs([0, 1, 2], [50, 20, 10], [[True]])
    world = begun(Simulator(catalogue, stream), [0, 0])
    assert bound(world, 10.0) == pytest.approx((50 + 20 + 10 - 2) / 10, rel=1e-3)
    assert least(world, 10.0) == pytest.approx(7.8)


# All placements


def test_no_placement_of_a_tiny_world_beats_the_bound():
    shares = []
    for seed in range(150):
        world, unit = random_world(seed)
        found, best = bound(world, unit), least(world, unit)
        assert found <= best + 1e-9, seed
        shares.append(found / best)
    assert np.median(shares) > 0.95 and np.mean(np.array(shares) > 1 - 1e-6) > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1_000, 9_000, 1_000))
def test_no_placement_of_many_tiny_worlds_beats_the_bound(first):
    for seed in range(first, first + 1_000):
        world, unit = random_world(seed)
        assert bound(world, unit) <= least(world, unit) + 1e-9, seed


# Environments


@pytest.mark.parametrize("scenario", ["normal", "outage", "degraded_network", "black_hole_site"])
def test_no_rule_beats_the_bound(make, scenario):
    env = make(load=0.9, scenario=scenario)
    env.reset(seed=3, options={"window": 1})
    limit = lower_bound(env)
    assert 0 < limit.service <= limit.flow
    for name in policies.names():
        played = steps(env, policies.make(name), 3, 1)
        assert -sum(step.reward for step in played) / 300 >= limit.flow, name


def test_prices_make_a_crowded_grid_tighter_and_more_steps_never_looser(make):
    env = make(load=2.0)
    env.reset(seed=0)
    found = [lower_bound(env, n_steps=n) for n in (0, 20, 200)]
    assert found[0].flow == found[0].service
    assert found[2].flow > found[1].flow > 1.2 * found[0].flow


def test_a_bound_leaves_the_world_as_it_is_and_comes_again(make):
    env = make(scenario=Scenario(outage_every_s=86_400.0))
    env.reset(seed=0)
    before = [array.tobytes() for array in env.unwrapped.worlds]
    first = lower_bound(env)
    assert [array.tobytes() for array in env.unwrapped.worlds] == before
    again = lower_bound(env)
    assert (first.flow, first.service) == (again.flow, again.service)
    assert first.site.tobytes() == again.site.tobytes() and first.site.shape == (300,)


def test_the_second_of_a_vector_is_the_single_one_and_accrued_is_flow_time(make, trace):
    single, accrued = make(), make(reward="accrued")
    for env in (single, accrued):
        env.reset(seed=8, options={"window": 0})
    options = {"workload": trace, "rate": 800, "episode_jobs": 300}
    envs = gym.make_vec("PandaSiteAllocationTier1-v0", 2, **options)
    envs.reset(seed=7, options={"window": 0})
    assert lower_bound(envs, 1).flow == lower_bound(single).flow == lower_bound(accrued).flow
    with pytest.raises(ValueError, match="w must be a whole number between 0 and 1, got 2"):
        lower_bound(envs, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward": "slowdown"}, "unknown reward 'slowdown'; known: flow_time, accrued"),
        ({"reward": "wait"}, "unknown reward 'wait'; known: flow_time, accrued"),
        ({"backfill": True}, "a bound needs queues in order of arrival: backfill=False, got True"),
        ({"background": "busy"}, "a bound needs background='none', got others on 99% of"),
    ],
)
def test_rules_that_it_does_not_model_are_refused(make, options, message):
    env = make(**options)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        lower_bound(env)


def test_it_needs_an_episode_that_has_just_begun(make):
    env = make()
    with pytest.raises(ResetNeeded, match="a bound needs an episode: call reset"):
        lower_bound(env)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="n_steps must be a whole number of at least 0, got -1"):
        lower_bound(env, n_steps=-1)
    env.step(int(env.unwrapped.mask.argmax()))
    with pytest.raises(
        ValueError, match="a bound needs an episode in which no job is placed, got 1"
    ):
        lower_bound(env)
