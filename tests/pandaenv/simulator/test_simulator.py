import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pandaenv.scenarios import Troubles
from pandaenv.simulator import MAX_ATTEMPTS, Simulator
from pandaenv.simulator.draws import uniform
from pandaenv.simulator.state import MOVING, QUEUED, RUNNING, copies_of
from tests.pandaenv.simulator.grids import (
    jobs,
    random_grid,
    random_others,
    random_troubles,
    sites,
    tiny_grid,
)
from tests.pandaenv.simulator.twin import Twin

STAGES = ("submit", "ready", "first_start", "start", "end")


def run(catalogue, stream, actions, **options) -> Simulator:
    return Simulator(catalogue, stream, **options).replay(np.asarray(actions)).drain()


def census(simulator: Simulator) -> list[tuple]:
    site = simulator.worlds.site[0]
    return [tuple(map(int, s)) for s in site[["moving", "queued", "running", "free"]]]


def copies(simulator: Simulator) -> dict:
    """(bytes, users) of each copy by site and data set, and what sites count of them."""
    copy = copies_of(simulator.worlds, 0)
    for s, site in enumerate(simulator.worlds.site[0]):
        here = copy[copy["site"] == s]
        assert here["nbytes"].sum() == site["cached"] <= simulator.grid.sites[s]["cache"]
        assert here["nbytes"][here["users"] == 0].sum() == site["unused"]
    return {(int(c["site"]), int(c["dataset"])): (int(c["nbytes"]), int(c["users"])) for c in copy}


def assert_same(simulator: Simulator, twin: Twin) -> None:
    """Stages of all jobs agree to the last bit."""
    log = simulator.log()
    for name in STAGES:
        expected = [getattr(job, name) for job in twin.jobs]
        np.testing.assert_array_equal(log[name], expected, err_msg=name)
    assert list(log["state"]) == [job.state for job in twin.jobs]
    assert list(log["attempts"]) == [job.attempts for job in twin.jobs]
    source = simulator.worlds.job[0]["source"]
    assert source.tolist() == [job.source for job in twin.jobs]


def follow(catalogue, stream, actions, seed, **options) -> Simulator:
    """Run both side by side, comparing every site at every placement."""
    simulator = Simulator(catalogue, stream, seed=seed, **options)
    twin = Twin(catalogue, stream, seed, **options)
    for action in actions:
        simulator.place(int(action))
        twin.place(int(action))
        assert census(simulator) == twin.census()
        assert simulator.now == twin.now
        assert copies(simulator) == twin.copies()
    simulator.drain()
    twin.drain()
    assert copies(simulator) == twin.copies()
    assert_same(simulator, twin)
    if options.get("others") is None:  # the twin looks at queues whenever others change
        assert simulator.worlds.world[0]["counter"] == twin.tokens
    return simulator


# By hand


def test_tiny_grid_follows_the_schedule_worked_out_by_hand():
    # t=0   job 0 -> site 0, data there, core free: runs 1000 / 10 = 100 s, until 100
    # t=10  job 1 -> site 0, 3000 bytes at 100 bytes/s: ready at 40, core taken
    # t=20  job 2 -> site 0, data there: first in the queue, ahead of job 1
    # t=30  job 3 -> site 1, 5000 bytes at 1000 bytes/s: ready at 35, runs 600 / (2 x 5) = 60 s
    # t=95  job 3 ends;  t=100 job 0 ends, job 2 runs 20 s;  t=120 job 1 runs 40 s;  t=160 end
    log = run(*tiny_grid(), [0, 0, 0, 1]).log()
    assert log["submit"].tolist() == [0, 10, 20, 30]
    assert log["ready"].tolist() == [0, 40, 20, 35]
    assert log["start"].tolist() == [0, 120, 100, 35]
    assert log["end"].tolist() == [100, 160, 120, 95]
    assert log["source"].tolist()[1] == "site1" and log["source"].tolist()[3] == "site0"
    assert set(log["state"]) == {"finished"}


def test_an_outage_fails_what_runs_and_stops_starts():
    # site 0 is down from 50 to 70: job 0 fails at 50 and queues behind jobs 2 (20) and 1 (40)
    # t=70 job 2 runs until 90, job 1 until 130, job 0 until 230
    outages = np.array([[50.0, 70.0], [np.inf, np.inf]])
    log = run(*tiny_grid(), [0, 0, 0, 1], outages=outages).log()
    assert log["start"].tolist() == [130, 90, 70, 35]
    assert log["end"].tolist() == [230, 130, 90, 95]
    assert log["attempts"].tolist() == [2, 1, 1, 1]
    assert log["first_start"].tolist() == [0, 90, 70, 35]


BACKFILLED = [
    # cores, work of jobs that come at 0, 1, 2, ... on 4 cores of 1 GFLOP/s
    # job 0 takes 3 cores until 10; job 1 wants 4; job 2 ends by 10 on the core left
    ([3, 4, 1], [30, 4, 7], [0, 10, 2]),
    # job 2 would end at 12, after 10, on a core that job 1 wants
    ([3, 4, 1], [30, 4, 10], [0, 10, 11]),
    # job 1 wants 3, so at 10 a core is to spare: job 2 may take it, job 3 then waits
    ([3, 3, 1, 1], [30, 3, 10, 10], [0, 10, 2, 11]),
    # what ends at the very time the head starts does not delay it
    ([3, 4, 1], [30, 4, 8], [0, 10, 2]),
    # job 2 does not fit, job 3 behind it does
    ([3, 4, 2, 1], [30, 4, 2, 5], [0, 10, 11, 3]),
]


@pytest.mark.parametrize(("cores", "work", "start"), BACKFILLED)
def test_backfill_lets_those_overtake_that_do_not_delay_the_first(cores, work, start):
    stream = jobs(np.arange(len(cores)), work, [[True]], cores=cores)
    grid, zeros = sites([4], [1]), [0] * len(cores)
    assert run(grid, stream, zeros, backfill=True).log()["start"].tolist() == start
    plain = run(grid, stream, zeros).log()["start"].to_numpy()
    assert (np.diff(plain) >= 0).all()


def test_a_job_is_lost_after_its_attempts_and_frees_its_core_each_time():
    catalogue = sites([1], [10], failure_rate=0.999999)
    log = run(catalogue, jobs([0, 0], [1000, 1000], [[True]]), [0, 0]).log()
    assert log["state"].tolist() == ["lost", "lost"]
    assert log["attempts"].tolist() == [MAX_ATTEMPTS, MAX_ATTEMPTS]
    assert (log["end"] < 6 * 100).all()


def test_a_job_that_can_never_run_is_rejected_at_once():
    catalogue, stream = sites([1, 2], [10, 10]), jobs([5], [100], [[True, True]], cores=2)
    for site, state in ((0, "rejected"), (1, "finished"), (-1, "rejected")):
        log = run(catalogue, stream, [site]).log()
        assert log["state"].tolist() == [state]
    assert log["end"].tolist() == [5]


def test_closed_and_cancelled_jobs_fail_wherever_they_run():
    stream = jobs([0, 0, 0], [100, 100, 100], [[True]], status=[0, 2, 3])
    log = run(sites([3], [10]), stream, [0, 0, 0]).log()
    assert log["state"].tolist() == ["finished", "failed", "failed"]
    assert log["attempts"].tolist() == [1, 1, 1]


def test_the_ninth_transfer_waits_for_a_channel():
    catalogue = sites([9, 9], [10, 10], ingress=800)
    stream = jobs([0] * 9, [100] * 9, [[True, False]], nbytes=1000)
    log = run(catalogue, stream, [1] * 9).log()
    assert log["ready"].tolist() == [10] * 8 + [20]


def test_a_slow_link_limits_the_transfer_and_the_closest_replica_is_taken():
    closeness = np.array([[0, 6, 3], [6, 0, 4], [3, 4, 0]])
    catalogue = sites([9] * 3, [10] * 3, ingress=1e12, closeness=closeness)
    replicas = [[True, True, False], [True, False, False]]
    stream = jobs([0, 0], [100, 100], replicas, nbytes=35e6, dataset=[0, 1])
    log = run(catalogue, stream, [2, 1]).log()
    assert log["source"].tolist() == ["site0", "site0"]
    assert log["ready"].tolist() == [1.0, 35 / 1.3]


# Against the twin


def test_twin_imports_nothing_of_the_simulator():
    import ast
    from pathlib import Path

    tree = ast.parse((Path(__file__).parent / "twin.py").read_text())
    modules = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    modules += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    assert set(modules) == {"heapq", "math", "dataclasses"}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    n_sites=st.integers(1, 5),
    n_jobs=st.integers(1, 40),
    every_s=st.sampled_from([0.0, 5.0, 40.0, 300.0]),
    with_troubles=st.booleans(),
    backfill=st.booleans(),
    with_others=st.booleans(),
)
def test_agrees_with_the_twin_event_for_event(
    seed, n_sites, n_jobs, every_s, with_troubles, backfill, with_others
):
    rng = np.random.default_rng(seed)
    catalogue, stream, outages = random_grid(rng, n_sites, n_jobs, every_s=every_s)
    actions = rng.integers(-1, n_sites, n_jobs)
    troubles = random_troubles(rng, outages) if with_troubles else None
    others = random_others(rng, catalogue, stream) if with_others else None
    follow(catalogue, stream, actions, seed, troubles=troubles, backfill=backfill, others=others)


@st.composite
def worlds(draw):
    """A world in which every number is drawn, ends of ranges first: ties, zeros and extremes."""
    n_sites, n_jobs = draw(st.integers(1, 5)), draw(st.integers(1, 12))

    def some(values, n):
        return draw(st.lists(values, min_size=n, max_size=n))

    catalogue = sites(
        some(st.sampled_from([1, 2, 8, 1000]), n_sites),
        some(st.sampled_from([0.1, 1.0, 10.0, 1e6]), n_sites),
        failure_rate=some(st.sampled_from([0.0, 0.5, 0.999]), n_sites),
        ingress=some(st.sampled_from([1.0, 8e6, 1e12]), n_sites),
        closeness=draw(st.integers(0, 11)) * (1 - np.eye(n_sites, dtype=int)),
        disk=some(st.sampled_from([0.0, 10.0, 1e10, 1e300]), n_sites),
    )
    replicas = np.array([some(st.booleans(), n_sites) for _ in range(3)])
    replicas[~replicas.any(axis=1), draw(st.integers(0, n_sites - 1))] = True
    times = st.one_of(st.sampled_from([0.0, 100.0, 1e6]), st.floats(-1e3, 1e3))
    stream = jobs(
        sorted(some(times, n_jobs)),
        some(st.sampled_from([1e-6, 1.0, 1000.0, 1e12]), n_jobs),
        replicas,
        cores=some(st.sampled_from([1, 2, 8]), n_jobs),
        nbytes=some(st.sampled_from([0.0, 1.0, 1e9, 1e14]), n_jobs),
        dataset=some(st.integers(0, 2), n_jobs),
        status=some(st.integers(0, 3), n_jobs),
    )
    moments = st.sampled_from([-50.0, 0.0, 100.0, 100.0, 5e3, 1e6, np.inf])
    outages = np.array([sorted(some(moments, 6)) for _ in range(n_sites)])
    actions = some(st.integers(-1, n_sites - 1), n_jobs)
    slow = [
        (*sorted(some(st.sampled_from([0.0, 100.0, 1e6]), 2)), draw(st.sampled_from([0.1, 1.0])))
        for _ in range(n_sites)
    ]
    fails_after = some(st.sampled_from([np.inf, np.inf, 1.0]), n_sites)
    surge = (*sorted(some(st.sampled_from([-50.0, 0.0, 100.0, 1e6]), 2)), draw(st.floats(1, 9)))
    troubles = Troubles(outages, np.array(slow), np.array(fails_after), surge)
    return catalogue, stream, actions, draw(st.integers(0, 2**63)), troubles


@settings(max_examples=250, deadline=None, derandomize=True)
@given(worlds(), st.booleans())
def test_agrees_with_the_twin_where_every_number_is_drawn(world, backfill):
    *world, troubles = world
    follow(*world, troubles=troubles, backfill=backfill)


def test_ten_thousand_random_placements_equal_the_twin_exactly():
    rng = np.random.default_rng(7)
    catalogue, stream, outages = random_grid(rng, 5, 10_000, every_s=60.0)
    actions = rng.integers(0, 5, len(stream))
    simulator = run(catalogue, stream, actions, seed=3, outages=outages)
    twin = Twin(catalogue, stream, 3, outages)
    for action in actions:
        twin.place(int(action))
    twin.drain()
    assert_same(simulator, twin)
    states = simulator.log()["state"].value_counts()
    assert set(states.index) >= {"finished", "failed", "lost", "rejected"}


# Laws


@pytest.fixture(scope="module")
def crowd():
    """A long random run with everything on, a snapshot of all jobs at every placement."""
    rng = np.random.default_rng(11)
    catalogue, stream, outages = random_grid(rng, 4, 1500, every_s=30.0)
    simulator = Simulator(catalogue, stream, seed=1, outages=outages)
    snapshots = []
    for action in rng.integers(0, 4, len(stream)):
        simulator.place(int(action))
        snapshots.append((simulator.worlds.job[0].copy(), simulator.worlds.site[0].copy()))
    return catalogue, stream, simulator.drain(), snapshots


def test_every_job_is_in_one_place_and_no_slot_runs_two(crowd):
    catalogue, stream, _, snapshots = crowd
    for n, (job, site) in enumerate(snapshots, start=1):
        placed = job[:n]
        assert (placed["state"] >= MOVING).all() and (job[n:]["state"] < MOVING).all()
        for name, state in (("moving", MOVING), ("queued", QUEUED), ("running", RUNNING)):
            counts = np.bincount(placed["site"][placed["state"] == state], minlength=4)
            assert counts.tolist() == site[name].tolist()
        runs = placed["state"] == RUNNING
        busy = np.bincount(placed["site"][runs], stream.cores[:n][runs], minlength=4)
        assert (busy + site["free"] == catalogue.cores).all() and (site["free"] >= 0).all()


def test_every_job_is_accounted_for_at_the_end(crowd):
    _, stream, simulator, _ = crowd
    log, world = simulator.log(), simulator.worlds.world[0]
    assert len(log) == len(stream) and log["end"].notna().all()
    assert world["in_system"] == 0 and world["n_events"] == 0
    assert (simulator.worlds.site[0]["first"] == -1).all()
    assert (simulator.worlds.site[0]["estimate"] == 0).all()
    kept = log["state"] != "rejected"
    assert world["integral"] == pytest.approx((log["end"] - log["submit"])[kept].sum(), rel=1e-12)


def test_stages_follow_each_other(crowd):
    log = crowd[2].log()
    times = log.loc[log["state"] != "rejected", list(STAGES)].to_numpy()
    assert (np.diff(times, axis=1) >= 0).all()


def test_first_come_is_first_served_and_cores_are_never_overbooked():
    rng = np.random.default_rng(5)
    catalogue, stream, _ = random_grid(rng, 3, 2000, failures=False, every_s=60.0)
    log = run(catalogue, stream, rng.integers(0, 3, len(stream))).log()
    log["cores"] = stream.cores
    for site, here in log[log["state"] == "finished"].groupby("site"):
        start = here.groupby("ready")["start"].agg(["min", "max"])
        assert (start["min"].to_numpy()[1:] >= start["max"].to_numpy()[:-1]).all()
        change = np.concatenate([here["cores"], -here["cores"]])
        order = np.lexsort((change, np.concatenate([here["start"], here["end"]])))
        assert np.cumsum(change[order]).max() <= catalogue.cores[catalogue.index(site)]


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    rng = np.random.default_rng(2)
    catalogue, stream, outages = random_grid(rng, 4, 500)
    actions = rng.integers(0, 4, 500)
    runs = [
        run(catalogue, stream, actions, seed=s, outages=outages).worlds.job[0] for s in (5, 5, 6)
    ]
    assert runs[0].tobytes() == runs[1].tobytes() != runs[2].tobytes()


def test_a_job_that_fails_somewhere_fails_at_every_worse_site():
    stream = jobs(np.arange(500.0), np.full(500, 10.0), [[True]])
    attempts = [
        run(sites([500], [1], failure_rate=p), stream, [0] * 500, seed=4).log()["attempts"]
        for p in (0.1, 0.3, 0.7)
    ]
    assert (attempts[0] <= attempts[1]).all() and (attempts[1] <= attempts[2]).all()
    assert attempts[0].sum() < attempts[1].sum() < attempts[2].sum()


def test_failures_come_at_the_rate_of_the_site():
    keys = [(j, a, q) for j in range(4000) for a in (0, 1) for q in (0, 1)]
    draws = np.array([uniform(np.uint64(9), *key) for key in keys])
    assert ((draws >= 0) & (draws < 1)).all() and len(np.unique(draws)) == len(draws)
    assert draws.mean() == pytest.approx(0.5, abs=4 / math.sqrt(12 * len(draws)))
    assert (draws < 0.05).mean() == pytest.approx(0.05, abs=4 * math.sqrt(0.0475 / len(draws)))


def test_waits_at_one_site_agree_with_erlang_c():
    """M/M/5 at load 0.7: the mean wait, by batch means, against Erlang's formula."""
    c, load, service, n = 5, 0.7, 1000.0, 300_000
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.exponential(service / (c * load), n))
    stream = jobs(time, rng.exponential(service * 10.0, n), [[True]])
    log = run(sites([c], [10.0]), stream, np.zeros(n, int)).log()
    wait = (log["start"] - log["submit"]).to_numpy()[n // 10 :]
    batches = wait[: len(wait) // 30 * 30].reshape(30, -1).mean(axis=1)
    half_width = 2.756 * batches.std(ddof=1) / math.sqrt(30)  # Student t, 29 degrees, 99 %
    a = c * load
    last = a**c / math.factorial(c) / (1 - load)
    waits = last / (sum(a**k / math.factorial(k) for k in range(c)) + last)
    expected = waits * service / (c * (1 - load))
    assert abs(batches.mean() - expected) < half_width
    assert half_width < 0.1 * expected
    idle = (wait == 0).mean()
    assert idle == pytest.approx(1 - waits, abs=0.02)


def test_an_outage_that_began_before_the_first_arrival_goes_on_and_time_does_not_run_back():
    stream = jobs([100.0], [1000.0], [[True]])
    simulator = Simulator(sites([1], [10]), stream, outages=np.array([[20.0, 30.0, 50.0, 170.0]]))
    simulator.place(0)
    assert simulator.now == 100 and simulator.worlds.world[0]["integral"] == 0
    assert simulator.drain().log()["start"].tolist() == [170]


def test_a_stream_may_begin_before_its_monday():
    stream = jobs([-100.0, -90.0], [1000.0, 1000.0], [[True, False]], nbytes=1e9)
    log = run(sites([2, 2], [10, 10]), stream, [1, 1]).log()
    assert log["ready"].tolist() == [-99.0, -89.0]


def test_a_simulator_can_be_copied_and_pickled_halfway():
    rng = np.random.default_rng(8)
    catalogue, stream, outages = random_grid(rng, 3, 300)
    actions = rng.integers(0, 3, 300)
    simulator = Simulator(catalogue, stream, seed=1, outages=outages).replay(actions[:150])
    twins = [copy.deepcopy(simulator), pickle.loads(pickle.dumps(simulator))]
    expected = simulator.replay(actions[150:]).drain().worlds.job[0].tobytes()
    for twin in twins:
        assert twin.replay(actions[150:]).drain().worlds.job[0].tobytes() == expected


def test_a_heap_never_outgrows_its_room_under_many_outages():
    catalogue = sites([50], [1])
    stream = jobs(np.zeros(50), np.full(50, 1e4), [[True]])
    outages = np.arange(1.0, 2001.0).reshape(1, -1)
    simulator = run(catalogue, stream, [0] * 50, outages=outages)
    assert set(simulator.log()["state"]) == {"lost"}


# Arguments


def test_placing_checks_the_site_and_that_a_job_is_left():
    simulator = Simulator(*tiny_grid())
    with pytest.raises(ValueError, match=r"site must be in \[-1, 2\), got 2"):
        simulator.place(2)
    for _ in range(4):
        simulator.place(0)
    with pytest.raises(ValueError, match="a job must be left to place"):
        simulator.place(0)
    with pytest.raises(ValueError, match="whole numbers"):
        Simulator(*tiny_grid()).place(0.5)


def test_a_drained_world_takes_no_more_jobs():
    simulator = Simulator(*tiny_grid()).replay(np.array([0, 0])).drain()
    with pytest.raises(ValueError, match="the next arrives at 20 s, it is 140 s"):
        simulator.place(0)
    assert simulator.now == 140 and simulator.n_left == 2
    late = Simulator(sites([1], [10]), jobs([0, 500], [1000, 1000], [[True]]))
    assert late.replay(np.array([0])).drain().replay(np.array([0])).drain().now == 600


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, None, True, "0"])
def test_a_seed_must_be_a_whole_number_of_64_bits(seed):
    with pytest.raises(ValueError, match=r"seed must be a whole number in \[0, 2\^64\), got"):
        Simulator(*tiny_grid(), seed=seed)
    assert Simulator(*tiny_grid(), seed=np.uint64(2**64 - 1)).n_left == 4


def test_stream_and_catalogue_must_have_the_same_sites():
    with pytest.raises(ValueError, match="the same sites, got 2 and 1"):
        Simulator(sites([1], [1]), tiny_grid()[1])


@pytest.mark.parametrize("outages", [[[1.0, 2.0]], [[3.0, 2.0], [1.0, 2.0]], [[np.nan], [1.0]]])
def test_outages_must_fit_the_sites_and_run_forward(outages):
    with pytest.raises(ValueError, match="outages must"):
        Simulator(*tiny_grid(), outages=np.array(outages))


def test_work_beyond_what_a_queue_can_count_is_refused():
    with pytest.raises(ValueError, match=r"below 9e\+15 GFLOP, got 1e\+18"):
        Simulator(sites([1], [1]), jobs([0], [1e18], [[True]]))
