"""The planner: what it believes, what it may know, and what it looks ahead for."""

import gymnasium as gym
import numpy as np
import pytest

from pandaenv.policies import steps
from pandaenv.policies.planner import (
    FIRST_RATIO,
    RATIO_STEP,
    Coming,
    Planner,
    best_site,
    hold,
    left_of,
)
from pandaenv.scenarios import Scenario
from pandaenv.simulator import Simulator
from pandaenv.simulator.state import RUNNING
from tests.pandaenv.simulator.grids import jobs, sites

ROUGH = Scenario(outage_every_s=86_400.0, outage_length_s=7_200.0)


def test_a_job_takes_the_cores_that_are_free_first():
    free = np.array([1.0, 4.0, 6.0, 9.0, -1.0])  # the last is no core of this site
    assert hold(free, 4, 2, 0.0, 3.0) == 7.0  # with the second core, at 4
    assert free.tolist() == [6.0, 7.0, 7.0, 9.0, -1.0]
    assert hold(free, 4, 1, 20.0, 1.0) == 21.0
    assert free.tolist() == [7.0, 7.0, 9.0, 21.0, -1.0]


def test_cores_stay_in_order_and_jobs_keep_theirs():
    rng = np.random.default_rng(0)
    free, plain = np.zeros(7), [0.0] * 7
    for _ in range(300):
        cores, time, length = int(rng.integers(1, 8)), rng.random() * 50, rng.exponential(5)
        end = max(time, plain[cores - 1]) + length
        assert hold(free, 7, cores, time, length) == end
        plain = sorted([*plain[cores:], *[end] * cores])
        assert free.tolist() == plain


def test_what_is_left_is_the_mean_over_longer_jobs_of_the_past(make):
    episodes = make().unwrapped.episodes
    left = left_of(episodes)
    past = max(window.stop for window in episodes.prepared.windows)
    known = episodes.prepared.grid.stream[:past]
    ratio = known["work"] / (known["estimate"] * 1e-3)
    for i in (0, 40, 70):
        run = FIRST_RATIO * np.exp(RATIO_STEP * i)
        assert left[i] == pytest.approx((ratio[ratio >= run] - run).mean())


@pytest.mark.parametrize("horizon", [0, 40])
def test_a_batch_chooses_what_single_planners_choose_and_nothing_masked(trace, horizon):
    options = {"workload": trace, "rate": 800, "episode_jobs": 60, "load": 0.9, "scenario": ROUGH}
    envs = gym.make_vec("PandaSiteAllocationTier1-v0", 2, **options)
    envs.reset(seed=3)
    many = Planner(horizon)
    many.reset([3, 4])
    singles = [gym.make("PandaSiteAllocationTier1-v0", **options) for _ in range(2)]
    for i, env in enumerate(singles):
        env.reset(seed=3 + i)
    for _ in range(60):
        actions = many.act_all(envs)
        assert actions.tolist() == [Planner(horizon).act(env) for env in singles]
        assert envs.unwrapped.action_masks()[np.arange(2), actions].all()
        for env, action in zip(singles, actions, strict=True):
            env.step(action)
        envs.step(actions)
    assert many.act_all(envs).tolist() == [0, 0]  # no job waits


def test_what_is_hidden_or_still_to_come_changes_no_choice(make):
    env = make(load=0.9)
    planner = Planner()
    played = steps(env, planner, 1, 0)
    for _ in range(150):
        next(played)
    e = env.unwrapped
    chosen, now = planner.act(env), int(e.worlds.world[0]["next"])
    stream, kept = e.grid.stream, e.grid.stream.copy()
    index = e.worlds.job[0]["index"]
    try:
        stream["work"][index] *= 7.0
        stream["status"][index] = 1
        later = index[now + 1 :]
        stream["time"][later] += 1e5
        stream["estimate"][later] *= 9
        stream["cores"][later] = 8
        job = e.worlds.job[0]
        job["end"][job["state"] == RUNNING] += 1e5
        e.worlds.world["seed"] += 1
        e.worlds.switch[...] = 1e12
        assert planner.act(env) == chosen
        stream["estimate"][index[:now]] *= 9  # this is known
        sites = {planner.act(env)}
        stream["estimate"][index[now]] //= 500
        assert {planner.act(env), *sites} != {chosen}
    finally:
        stream[:] = kept


def test_the_fast_core_is_kept_for_the_long_job_to_come():
    """Alone 20 s at 10 GFLOP/s or 25 s at 8; then comes one of 100 s or 125 s, a second later.

    Both on the fast core take 20 + 119 s, one on each takes 25 + 100 s.
    """
    world = Simulator(sites([1, 1], [10.0, 8.0]), jobs([0.0, 1e6], [200.0, 1.0], [[True] * 2]))
    world.grid.stream["estimate"][0] = 200_000
    coming = Coming(np.ones(1), np.ones(1, np.int64), np.full(1, 1000.0), np.zeros((1, 2)))
    free, ones = np.zeros((2, 1)), np.ones(2, np.int8)

    def site(weight, mask=ones):
        place = (world.grid, world.worlds, 0, mask, coming, 1, weight, free, free.copy())
        return best_site(*place)

    assert site(1.0) == 1 and site(0.0) == 0
    assert site(0.2) == 0  # 5 s more of its own for 0.2 of the 19 s saved
    assert site(1.0, np.array([1, 0], np.int8)) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": -1}, "horizon must be a whole number of at least 0, got -1"),
        ({"horizon": 1.5}, "horizon must be a whole number of at least 0, got 1.5"),
        ({"weight": -0.1}, "weight must be at least 0 and finite, got -0.1"),
    ],
)
def test_a_planner_refuses_what_is_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        Planner(**arguments)
