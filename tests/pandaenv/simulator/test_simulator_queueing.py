"""The simulator against queueing theory: formulas that nobody here could have tuned.

Means are compared by batch means (30 batches) with a Student interval of 99.9 %, which is 99 % for
the ten comparisons together, and which must itself be narrow enough to tell something.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pandaenv.simulator import Simulator, advance, advance_to_arrival, place
from tests.pandaenv.simulator.grids import jobs, random_grid, sites

N, SERVICE_S, POWER = 300_000, 1000.0, 10.0
T_999 = 3.659
"""Student's t, 29 degrees of freedom, 99.9 % two-sided."""
SERVICES = {
    "constant": lambda rng, n: np.ones(n),
    "exponential": lambda rng, n: rng.standard_exponential(n),
    "uniform": lambda rng, n: rng.uniform(0, 2, n),
    "two kinds": lambda rng, n: rng.choice([0.5, 5.5], n, p=[0.9, 0.1]),
}
"""Service times of mean 1, by name."""


def pollaczek_khinchine(load: float, service: np.ndarray, mean: float) -> float:
    """Mean wait of M/G/1: rho E[S^2] / (2 E[S] (1 - rho)), moments as sampled; seconds."""
    return load * (service**2).mean() * mean / (2 * service.mean() * (1 - load))


def lindley(time: np.ndarray, service: np.ndarray) -> np.ndarray:
    """Wait of each job at one server: W' = max(0, W + S - gap), unrolled; seconds."""
    step = np.concatenate([[0.0], np.cumsum(service[:-1] - np.diff(time))])
    return step - np.minimum.accumulate(step)


def erlang_c(c: int, load: float) -> float:
    """Probability that an arrival at M/M/c waits."""
    a = c * load
    last = a**c / math.factorial(c) / (1 - load)
    return last / (sum(a**k / math.factorial(k) for k in range(c)) + last)


def assert_mean(wait: np.ndarray, expected: float, width: float = 0.1) -> None:
    """The mean of a stationary series is as expected; its first tenth warms the queue up."""
    wait = wait[len(wait) // 10 :]
    batches = wait[: len(wait) // 30 * 30].reshape(30, -1).mean(axis=1)
    half = T_999 * batches.std(ddof=1) / math.sqrt(30)
    assert half < width * expected, "the interval is too wide to tell anything"
    assert abs(batches.mean() - expected) < half


@pytest.mark.parametrize("kind", SERVICES)
def test_waits_at_one_core_agree_with_pollaczek_and_khinchine(kind):
    rng = np.random.default_rng(2)
    load, service = 0.7, SERVICES[kind](rng, N)
    time = np.cumsum(rng.exponential(SERVICE_S / load, N))
    stream = jobs(time, service * SERVICE_S * POWER, [[True]])
    log = Simulator(sites([1], [POWER]), stream).replay(np.zeros(N, int)).drain().log()
    wait = (log["start"] - log["submit"]).to_numpy()
    np.testing.assert_allclose(wait, lindley(time, service * SERVICE_S), rtol=1e-9, atol=1e-3)
    assert_mean(wait, pollaczek_khinchine(load, service, SERVICE_S))


def transfers(rng, service: np.ndarray, load: float, n_channels: int) -> np.ndarray:
    """Wait of each transfer for a channel when n_channels are left to them, s.

    The channels that are not left move inputs that never end; a transfer lasts SERVICE_S on
    average.
    """
    rate = 1e6
    held = 8 - n_channels
    gap = rng.exponential(SERVICE_S / (n_channels * load), len(service))
    time = np.concatenate([np.zeros(held), 1.0 + np.cumsum(gap)])
    nbytes = np.concatenate([np.full(held, 1e9 * SERVICE_S * rate), service * SERVICE_S * rate])
    stream = jobs(time, np.ones(len(time)), [[True, False]], nbytes=nbytes)
    catalogue = sites([1, 100], [1e9, 1e9], ingress=8 * rate)
    actions = np.ones(len(time), int)
    log = Simulator(catalogue, stream).replay(actions).drain().log()
    return ((log["ready"] - log["submit"]).to_numpy() - nbytes / rate)[held:]


@pytest.mark.parametrize("kind", SERVICES)
def test_one_ingress_channel_alone_agrees_with_pollaczek_and_khinchine(kind):
    rng = np.random.default_rng(3)
    service = SERVICES[kind](rng, N)
    wait = transfers(rng, service, 0.6, 1)
    assert wait.min() > -1e-3
    assert_mean(wait, pollaczek_khinchine(0.6, service, SERVICE_S))


def test_eight_ingress_channels_agree_with_erlang_c():
    rng = np.random.default_rng(4)
    load = 0.8
    wait = transfers(rng, rng.standard_exponential(2 * N), load, 8)
    assert_mean(wait, erlang_c(8, load) * SERVICE_S / (8 * (1 - load)), width=0.15)


def test_a_site_with_cores_to_spare_runs_as_many_jobs_as_little_says():
    """M/G/infinity: the number running is Poisson of mean rate x service, whatever the service."""
    rng = np.random.default_rng(5)
    n, mean = 100_000, 20.0
    time = np.cumsum(rng.exponential(SERVICE_S / mean, n))
    service = SERVICES["two kinds"](rng, n)
    stream = jobs(time, service * SERVICE_S * POWER, [[True]])
    simulator = Simulator(sites([1000], [POWER]), stream)
    running = np.empty(n)
    watch(simulator, running)
    running = running[1000:]
    assert running.mean() == pytest.approx(mean, rel=0.01)
    assert running.var() == pytest.approx(mean, rel=0.05)


def watch(simulator: Simulator, running: np.ndarray) -> None:
    """Put every job on site 0; keep how many ran there as it arrived (arrivals see averages)."""
    grid, worlds = simulator.grid, simulator.worlds
    for i in range(len(running)):
        advance_to_arrival(grid, worlds, 0)
        running[i] = worlds.site[0, 0]["running"]
        place(grid, worlds, 0, 0)


# Little's law, exact on every path: the integral of a count is the sum of the times spent in it


def integrate(simulator: Simulator, actions: np.ndarray) -> np.ndarray:
    """Integrals of (moving, queued, running) of each site over the run, event by event; (S, 3)."""
    grid, worlds = simulator.grid, simulator.worlds
    world, heap = worlds.world[0], worlds.heap[0]
    total = np.zeros((len(grid.sites), 3))

    def pass_to(time):
        before = float(world["now"])
        counts = [worlds.site[0][name].astype(float) for name in ("moving", "queued", "running")]
        advance(grid, worlds, 0, time)
        now = float(world["now"])
        assert now == max(time, before)  # an outage may have begun before the first arrival
        total[:] += np.stack(counts, axis=1) * (now - before)

    for action in actions:
        arrival = grid.stream[world["next"]]["time"]
        while world["n_events"] and heap[0]["time"] <= arrival:
            pass_to(float(heap[0]["time"]))
        pass_to(float(arrival))
        place(grid, worlds, 0, int(action))
    while world["n_events"]:
        pass_to(float(heap[0]["time"]))
    return total


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    n_sites=st.integers(1, 5),
    n_jobs=st.integers(1, 40),
    every_s=st.sampled_from([0.0, 5.0, 40.0, 300.0]),
    with_failures=st.booleans(),
)
def test_littles_law_holds_exactly_at_every_stage(seed, n_sites, n_jobs, every_s, with_failures):
    rng = np.random.default_rng(seed)
    catalogue, stream, outages = random_grid(
        rng, n_sites, n_jobs, failures=with_failures, every_s=every_s
    )
    outages = outages if with_failures else None
    simulator = Simulator(catalogue, stream, seed=seed, outages=outages)
    total = integrate(simulator, rng.integers(-1, n_sites, n_jobs))
    log = simulator.log()
    log = log[log["state"] != "rejected"]
    assert simulator.worlds.world[0]["integral"] == pytest.approx(
        (log["end"] - log["submit"]).sum(), rel=1e-9
    )
    for s, name in enumerate(catalogue.names):
        here = log[log["site"] == name]
        spent = [here["ready"] - here["submit"], here["end"] - here["ready"]]
        assert total[s, 0] == pytest.approx(spent[0].sum(), rel=1e-9, abs=1e-6)
        assert total[s, 1:].sum() == pytest.approx(spent[1].sum(), rel=1e-9, abs=1e-6)
        if not with_failures:  # with them the last start tells nothing of those before
            assert total[s, 2] == pytest.approx((here["end"] - here["start"]).sum(), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_littles_law_holds_at_every_moment_of_a_long_run(seed):
    """The integral so far is the time spent so far, jobs still in the system included."""
    rng = np.random.default_rng(seed)
    catalogue, stream, outages = random_grid(rng, 4, 1000, every_s=40.0)
    simulator = Simulator(catalogue, stream, seed=seed, outages=outages)
    for n, action in enumerate(rng.integers(0, 4, len(stream)), start=1):
        simulator.place(int(action))
        if n % 50 == 0:
            job = simulator.worlds.job[0, :n]
            ended = job["state"] > 3
            until = np.where(ended, job["end"], simulator.now)
            spent = (until - job["submit"]).sum()
            assert simulator.worlds.world[0]["integral"] == pytest.approx(spent, rel=1e-9)
