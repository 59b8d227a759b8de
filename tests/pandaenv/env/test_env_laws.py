"""What must hold of whole experiments with the environment, whoever plays it."""

import gc
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import pandaenv  # noqa: F401  registers the environments
from pandaenv import policies, sites, workload
from pandaenv.env.measures import MEASURES
from pandaenv.policies import warm_up
from pandaenv.scenarios import Scenario
from pandaenv.simulator import MAX_ATTEMPTS, advance
from pandaenv.simulator.reset import reset_world
from pandaenv.simulator.state import LOST, make_grid, make_worlds
from tests.pandaenv.env.players import Fixed
from tests.pandaenv.simulator.grids import records

TIER1 = "PandaSiteAllocationTier1-v0"
HOLE = 5
"""The site that is made to fail all it gets."""


@pytest.fixture(scope="module")
def trace():
    return workload.Trace(records())


@pytest.fixture(scope="module")
def make(trace):
    """Make a Tier-1 environment on a small stream."""

    def make(**options):
        small = {"workload": trace, "rate": 800, "episode_jobs": 300} | options
        return gym.make(TIER1, **small)

    return make


def play(env, policy, seed=0) -> list[tuple]:
    """One episode: (observation, reward, cost) of each step."""
    env.reset(seed=seed)
    policy.reset(seed)
    steps, is_over = [], False
    while not is_over:
        observation, reward, terminated, truncated, info = env.step(policy.act(env))
        steps.append((observation, reward, info["cost"]))
        is_over = terminated or truncated
    return steps


def digest(steps: list[tuple]) -> str:
    h = hashlib.sha256()
    for observation, reward, cost in steps:
        h.update(observation.tobytes() + np.array([reward, cost], np.float64).tobytes())
    return h.hexdigest()


# Rewards


@pytest.mark.parametrize("reward", MEASURES)
def test_a_black_hole_scores_worse_than_any_healthy_site(make, reward):
    env = make(reward=reward, load=0.02)  # so idle that no healthy site is full
    sites_ = env.unwrapped.grid.sites
    rate = sites_["failure_rate"].copy()
    try:
        sites_["failure_rate"] = 0.0
        sites_["failure_rate"][HOLE] = 0.999
        returns = [sum(reward for _, reward, _ in play(env, Fixed(s))) for s in range(len(sites_))]
    finally:
        sites_["failure_rate"] = rate
    healthy = np.delete(returns, HOLE)
    assert returns[HOLE] < healthy.min() and returns[HOLE] < -9 * 300


# Chance


def test_a_job_meets_the_same_failures_whoever_places_it(make):
    """Where all sites fail alike and none is down, the fate of a job is nobody's doing."""
    env = make(scenario=Scenario(n_outages=0))
    rate = env.unwrapped.grid.sites["failure_rate"].copy()
    fates = []
    try:
        env.unwrapped.grid.sites["failure_rate"] = 0.3
        for name in ("random", "least_loaded", "panda_analysis"):
            play(env, policies.make(name), seed=5)
            e = env.unwrapped
            advance(e.grid, e.worlds, 0, np.inf)
            world = e.worlds.world[0]
            own = e.worlds.job[0, int(world["first_own"]) : int(world["n_rows"])]
            fates.append((own["index"].tolist(), own["attempts"].tolist(), own["state"].tolist()))
    finally:
        env.unwrapped.grid.sites["failure_rate"] = rate
    assert fates[0] == fates[1] == fates[2]
    assert set(fates[0][1]) == set(range(1, MAX_ATTEMPTS + 1)) and LOST in fates[0][2]


def test_two_threads_of_python_play_as_one_does(make):
    expected = [digest(play(make(), policies.make("random"), seed)) for seed in (1, 2)]
    got = [None, None]

    def work(i):
        got[i] = digest(play(make(), policies.make("random"), i + 1))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert got == expected


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_on_one_and_on_two_threads():
    code = (
        "import gymnasium as gym\n"
        "from tests.pandaenv.env.test_env_laws import TIER1, digest, play\n"
        "from pandaenv import policies\n"
        "env = gym.make(TIER1, episode_jobs=500)\n"
        "print(digest(play(env, policies.make('panda_analysis'), 3)))\n"
        "import hashlib, os; n = int(os.environ['NUMBA_NUM_THREADS'])\n"
        "many = gym.make_vec(TIER1, 64, n_threads=n, episode_jobs=50)\n"
        "rule = policies.make('panda_analysis')\n"
        "parts = [many.reset(seed=3)[0]]; rule.reset(list(range(64)))\n"
        "for _ in range(120): parts += many.step(rule.act_all(many))[:4]\n"
        "print(hashlib.sha256(b''.join(p.tobytes() for p in parts)).hexdigest())"
    )
    seen = set()
    for n in ("1", "2"):
        threads = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), n)
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **threads},
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        seen.add(run.stdout.strip())
    assert len(seen) == 1


@pytest.mark.slow
def test_processes_of_stable_baselines3_play_as_one_does():
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

    options = {"id": TIER1, "workload": workload.Trace(records()), "rate": 800, "episode_jobs": 40}
    makers = [lambda: gym.make(**options)] * 2
    seen = []
    for kind in (DummyVecEnv, SubprocVecEnv):
        envs = kind(makers)
        envs.seed(7)
        h = hashlib.sha256(envs.reset().tobytes())
        for action in np.random.default_rng(0).integers(0, 13, (100, 2)):  # over an episode's end
            observation, reward, done, _ = envs.step(action)
            h.update(observation.tobytes() + np.float32(reward).tobytes())
            h.update(done.tobytes())
        assert np.asarray(envs.env_method("action_masks")).shape == (2, 13)
        envs.close()
        seen.append(h.hexdigest())
    assert seen[0] == seen[1]


# Streams


@pytest.mark.parametrize("load", [0.05, 0.5, 0.6, 0.7, 0.8, 1.1])
@pytest.mark.parametrize("kind", ["trace", "pool", "reference", "tabddpm", "tabar"])
def test_the_load_of_every_workload_is_the_one_asked_for(trace, kind, load):
    source = {
        "trace": lambda: trace,
        "pool": lambda: workload.Synthetic(trace.records),
        "reference": lambda: workload.Reference(days=14),
        "tabddpm": workload.Synthetic,
        "tabar": lambda: workload.Synthetic("tabar"),
    }[kind]()
    stream = source.stream(sites.catalogue("tier1"), rate=700, load=load)
    capacity = (stream.catalogue.cores * stream.catalogue.power).sum() * stream.duration
    assert stream.jobs.work.sum() / capacity == pytest.approx(load, rel=1e-3)


def in_system(stream, every_s: float, rule=warm_up) -> np.ndarray:
    """Jobs in the grid at every multiple of every_s, all placed by PanDA's analysis rule."""
    grid, n = make_grid(stream.catalogue, stream.jobs), len(stream.jobs)
    worlds = make_worlds(1, stream.catalogue.n_sites, n, 0)
    reset_world(grid, worlds, 0, 0, n, n, np.uint64(0))
    floor = policies.broker_floor(stream.scale)
    marks = np.arange(every_s, stream.jobs.time[-1], every_s)
    counts, placed = np.empty(len(marks)), 0
    for i, mark in enumerate(marks):
        until = int(np.searchsorted(stream.jobs.time, mark))
        rule(grid, worlds, 0, until - placed, floor)
        advance(grid, worlds, 0, mark)
        counts[i], placed = worlds.world[0]["in_system"], until
    return counts


def slope_interval(series: np.ndarray, block: int, rng, n: int = 2000) -> tuple[float, float]:
    """Slope of a straight line through the series, and half the 99 % interval it would have.

    The interval is that of slopes through resampled blocks of the residuals, a moving-block
    bootstrap under the hypothesis that there is no slope.
    """
    time = np.arange(len(series)) - (len(series) - 1) / 2

    def slope(values):
        return values @ time / (time @ time)

    residual = series - series.mean() - slope(series) * time
    begins = rng.integers(0, len(series) - block + 1, (n, -(-len(series) // block)))
    rows = (begins[:, :, None] + np.arange(block)).reshape(n, -1)[:, : len(series)]
    slopes = [slope(values - values.mean()) for values in residual[rows]]
    return slope(series), float(np.quantile(np.abs(slopes), 0.99))


WHOLE = {
    "tabddpm": workload.Synthetic,
    "tabar": lambda: workload.Synthetic("tabar"),
    "reference": workload.Reference,
}


def daily_mean_in_system(source, load: float) -> np.ndarray:
    """Mean jobs in the grid by day, the first week left out. Shape: (days,)."""
    stream = source.stream(sites.catalogue(40), rate=5_500, load=load)
    hourly = in_system(stream, 3600.0)[7 * 24 - 1 :]
    return hourly[: len(hourly) // 24 * 24].reshape(-1, 24).mean(axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.5, 0.6, 0.7, 0.8])
@pytest.mark.parametrize("kind", WHOLE)
def test_named_streams_are_stationary_under_pandas_rule(kind, load):
    """Jobs in the grid neither grow nor fall over the eight weeks: daily means, blocks of a week.

    The interval is wide, since weeks differ: queues that grow from nothing to twice their mean
    are the least it must tell.
    """
    daily = daily_mean_in_system(WHOLE[kind](), load)
    slope, half = slope_interval(daily, 7, np.random.default_rng(0))
    assert abs(slope) < half
    assert half * len(daily) < 2 * daily.mean()


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.6, 0.8])
def test_streams_of_the_reference_have_no_drift_on_average(load):
    """A tighter look: slopes over ten seeds, parts of the mean a week, and Student's interval."""
    slopes = []
    for seed in range(10):
        daily = daily_mean_in_system(workload.Reference(seed=seed), load)
        slopes.append(7 * np.polyfit(np.arange(len(daily)), daily, 1)[0] / daily.mean())
    error = np.std(slopes, ddof=1) / np.sqrt(len(slopes))
    assert abs(np.mean(slopes)) < 2.26 * error  # 95 %
    assert error < 0.05


def test_the_slope_test_finds_a_queue_that_grows():
    rng = np.random.default_rng(0)
    noise = np.convolve(rng.normal(size=60), np.ones(5) / 5, "valid") * 100
    slope, half = slope_interval(1000 + noise, 7, rng)
    assert abs(slope) < half
    slope, half = slope_interval(1000 + noise + 20 * np.arange(56), 7, rng)
    assert slope > half


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("workload", np.inf, "workload: 1 of 12000 rows are infinite"),
        ("workload", -1.0, "workload: 1 of 12000 rows are below 0 GFLOP"),
        ("creationtime", np.nan, r"creationtime: 1 of 12000 rows are missing \(NaN\)"),
        ("jobstatus", "running", "jobstatus: 1 of 12000 rows are not one of finished, failed"),
        ("computingsite", "", "computingsite: 1 of 12000 rows are empty"),
    ],
)
def test_a_broken_workload_is_refused_by_the_environment(column, value, message):
    table = records()
    table.loc[7, column] = value
    with pytest.raises(ValueError, match=message):
        gym.make(TIER1, workload=table, rate=800, episode_jobs=10)


def test_jobs_without_work_or_of_unknown_sites_out_of_order_are_played(make):
    table = records().sample(frac=1.0, random_state=0)
    odd = table.assign(workload=0.0, computingsite="a site nobody knows", inputfilebytes=0)
    env = make(workload=odd, episode_jobs=50, warmup_days=1)
    steps = play(env, policies.make("least_loaded"))
    assert len(steps) == 50 and np.isfinite([reward for _, reward, _ in steps]).all()


# Memory


@pytest.mark.slow
def test_ten_million_steps_leave_the_memory_as_it_was():
    n, small = 100, {"workload": workload.Trace(records()), "rate": 800, "episode_jobs": 500}
    envs = gym.make_vec(TIER1, num_envs=n, **small)
    policy, resident = policies.make("random"), []
    envs.reset(seed=0)
    policy.reset(range(n))
    for millions in (1, 9):  # the first warms all windows up
        for _ in range(millions * 1_000_000 // n):
            envs.step(policy.act_all(envs))
        gc.collect()
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
    assert resident[1] - resident[0] < 2e6
