"""`decide="task"`: one action places the next jobs of a task, each when it arrives."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3_env

from pandaenv import policies
from pandaenv.env import TaskConfig
from pandaenv.env.decisions import N_TOGETHER, jobs_back
from pandaenv.env.measures import LOSS
from pandaenv.sb3 import PandaVecEnv
from pandaenv.scenarios import Scenario
from pandaenv.simulator import advance, advance_to_arrival, place
from pandaenv.simulator.state import LOST, NONE, REJECTED

TIER1 = "PandaSiteAllocationTier1-v0"
ROUGH = Scenario(outage_every_s=86_400.0, outage_length_s=36_000.0)


def back_plainly(task, cores):
    back, decider, placed = [], {}, {}
    for i, key in enumerate(zip(task, cores, strict=True)):
        if key not in decider or placed[key] == N_TOGETHER:
            decider[key], placed[key] = i, 0
        placed[key] += 1
        back.append(i - decider[key])
    return back


@pytest.mark.parametrize("n_tasks", [1, 3, 200])
def test_every_job_follows_the_first_of_at_most_so_many_of_its_task(n_tasks):
    rng = np.random.default_rng(n_tasks)
    task, cores = rng.integers(n_tasks, size=500), rng.choice([1, 1, 1, 8], size=500)
    assert jobs_back(task, cores).tolist() == back_plainly(task.tolist(), cores.tolist())
    assert len(jobs_back(task[:0], cores[:0])) == 0


def played(env, seed, rng):
    """An episode with some masked sites among random ones: actions, sites, rewards, costs."""
    _, info = env.reset(seed=seed)
    sites, rewards, costs, is_over = [], [], [], False
    while not is_over:
        mask = info["action_mask"]
        is_bold = rng.random() < 0.3 and not mask.all()
        s = int(rng.choice(np.flatnonzero(mask != is_bold)))
        sites.append(s if info["action_mask"][s] else NONE)
        _, reward, terminated, truncated, info = env.step(s)
        rewards.append(reward)
        costs.append(info["cost"])
        is_over = terminated or truncated
    return sites, np.array(rewards), np.array(costs)


def own_jobs(env):
    env = env.unwrapped
    advance(env.grid, env.worlds, 0, np.inf)
    world = env.worlds.world[0]
    return env.worlds.job[0, int(world["first_own"]) : int(world["n_rows"])]


@pytest.mark.parametrize("delay", [0.0, 1_800.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_world_is_the_one_in_which_each_job_is_sent_where_its_task_goes(make, seed, delay):
    env, twin = make(decide="task", scenario=ROUGH, information_delay=delay), make(scenario=ROUGH)
    sites, rewards, costs = played(env, seed, np.random.default_rng(seed))
    job = own_jobs(env).copy()
    twin.reset(seed=seed)
    e, where, left = twin.unwrapped, [], iter(sites)
    jobs = e.stream.jobs
    back = back_plainly(jobs.task[job["index"]].tolist(), jobs.cores[job["index"]].tolist())
    for i, k in enumerate(back):
        where.append(next(left) if k == 0 else where[i - k])
        place(e.grid, e.worlds, 0, where[i])
        if i + 1 < len(back):
            advance_to_arrival(e.grid, e.worlds, 0)
    assert next(left, None) is None and NONE in where and max(back) > 0
    expected = own_jobs(twin)
    for name in ("index", "site", "state", "submit", "start", "end"):
        assert np.array_equal(job[name], expected[name], equal_nan=True), name
    lost = np.isin(job["state"], (LOST, REJECTED)).sum()
    total = ((job["end"] - job["submit"]) / e.unit).sum() + LOSS * lost
    assert -rewards.sum() == pytest.approx(total, rel=1e-9)
    assert costs.sum() >= lost >= where.count(NONE)


@pytest.mark.parametrize("delay", [0.0, 1_800.0])
def test_accrued_pays_the_same_and_ends_with_the_grid_drained(make, delay):
    options = {"decide": "task", "scenario": ROUGH, "information_delay": delay}
    flow = played(make(**options), 4, np.random.default_rng(4))
    env = make(**options, reward="accrued")
    accrued = played(env, 4, np.random.default_rng(4))
    assert accrued[0] == flow[0]
    assert accrued[1].sum() == pytest.approx(flow[1].sum(), rel=1e-9)
    assert env.unwrapped.worlds.world[0]["own_in_system"] == 0


OPTIONS = [{"decide": "task"}, {"information_delay": 1_800.0}]
OPTIONS += [{**OPTIONS[0], **OPTIONS[1], "candidates": k} for k in (None, 4)]


@pytest.mark.parametrize("options", OPTIONS)
def test_libraries_accept_it_and_many_worlds_are_so_many_single_ones(trace, options):
    small = {"workload": trace, "rate": 800, "episode_jobs": 120, "scenario": ROUGH} | options
    check_env(gym.make(TIER1, **small).unwrapped, skip_render_check=True)
    check_sb3_env(gym.make(TIER1, **small))
    envs = gym.make_vec(TIER1, 3, autoreset_mode="SameStep", **small)
    native = PandaVecEnv(3, sites="tier1", **small)
    native.seed(5)
    singles = [gym.make(TIER1, **small) for _ in range(3)]
    seen, its = envs.reset(seed=5)[0], native.reset()
    alone = np.stack([env.reset(seed=5 + i)[0] for i, env in enumerate(singles)])
    assert seen.tobytes() == its.tobytes() == alone.tobytes()
    n_ends = 0
    for _ in range(150):
        actions = np.array([int(env.unwrapped.action_masks().argmax()) for env in singles])
        seen, rewards, terminated, truncated, _ = envs.step(actions)
        its, _, dones, _ = native.step(actions)
        assert (dones == terminated | truncated).all()
        for i, env in enumerate(singles):
            alone, reward, a, b, _ = env.step(actions[i])
            assert reward == rewards[i] and (a or b) == dones[i]
            if dones[i]:
                alone, n_ends = env.reset()[0], n_ends + 1
            assert seen[i].tobytes() == its[i].tobytes() == alone.tobytes()
    assert n_ends > 0


@pytest.mark.parametrize("name", policies.names())
def test_rules_place_tasks(make, name):
    steps = list(policies.steps(make(decide="task"), policies.make(name), seed=1))
    assert 0 < len(steps) < 300 and steps[-1].is_last
    assert all(step.mask[step.action] for step in steps)


def test_what_asks_for_the_best_site_of_one_job_refuses_tasks():
    with pytest.raises(ValueError, match="decide must be 'job' with reward='relative', got 'task'"):
        TaskConfig(decide="task", reward="relative")
    with pytest.raises(ValueError, match="unknown decide 'user'; known: job, task"):
        TaskConfig(decide="user")
