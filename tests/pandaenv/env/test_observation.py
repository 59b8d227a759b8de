import numpy as np
import pytest

from pandaenv.env.measures import FLOW_TIME
from pandaenv.env.observation import (
    N_GRID,
    N_JOB,
    N_SITE,
    View,
    expect_from_past,
    job_features,
    make_view,
    observe,
    space,
    update_view,
)
from pandaenv.env.rules import Rules
from pandaenv.policies import mark_allowed
from pandaenv.simulator import Simulator, advance_to_arrival, place
from pandaenv.simulator.state import FUTURE, MOVING, QUEUED
from tests.pandaenv.simulator.grids import jobs, random_grid, sites


def looked(simulator: Simulator, features: np.ndarray, unit: float = 100.0) -> View:
    """A first look at everything."""
    seen = make_view(1, simulator.catalogue.n_sites)
    seen.flat[:] = np.nan
    observe(simulator.grid, simulator.worlds, 0, rules_of(features, unit), seen)
    return seen


def rules_of(features: np.ndarray, unit: float) -> Rules:
    return Rules(FLOW_TIME, unit, 0.0, 0.0, 1.0, features)


def view(simulator: Simulator, features: np.ndarray, unit: float = 100.0) -> np.ndarray:
    return looked(simulator, features, unit).flat[0]


def features_of(stream) -> np.ndarray:
    service = stream.work / stream.cores
    past = slice(0, len(stream))
    expected = expect_from_past(stream, service, past)
    return job_features(stream, expected, service, float(service.mean()), past)


def test_every_observation_lies_in_its_space():
    rng = np.random.default_rng(0)
    catalogue, stream, outages = random_grid(rng, 4, 300, every_s=40.0)
    simulator = Simulator(catalogue, stream, outages=outages)
    features, box = features_of(stream), space(4, is_flat=True)
    for action in rng.integers(0, 4, len(stream)):
        assert box.contains(view(simulator, features))
        simulator.place(int(action))
    last = view(simulator, features)
    assert box.contains(last)
    sites_block = last[N_JOB:-N_GRID].reshape(-1, N_SITE)
    assert (last[:N_JOB] == 0).all() and (sites_block[:, 5] == 0).all()


@pytest.mark.parametrize("seed", range(6))
def test_looking_again_shows_what_a_first_look_would(seed):
    rng = np.random.default_rng(seed)
    catalogue, stream, outages = random_grid(rng, 5, 700, every_s=40.0 + 100 * seed)
    simulator = Simulator(catalogue, stream, seed=seed, outages=outages)
    grid, worlds, features = simulator.grid, simulator.worlds, features_of(stream)
    seen = looked(simulator, features)
    n_untouched, mask = 0, np.zeros(5, np.int8)
    for time in [*stream.time[1:].tolist(), None]:
        s = int(rng.integers(5))
        place(grid, worlds, 0, s)
        if time is not None:
            advance_to_arrival(grid, worlds, 0)
        n_untouched += 5 - worlds.touched[0].sum()
        update_view(grid, worlds, 0, rules_of(features, 100.0), seen)
        assert seen.flat.tobytes() == looked(simulator, features).flat.tobytes()
        mark_allowed(grid, worlds, 0, 1.0, mask)
        assert seen.mask[0].tolist() == mask.tolist()
    assert n_untouched > 700 and worlds.world[0]["age"] > 0


def test_sites_block_says_what_stands_there():
    catalogue = sites([2, 4], [10, 20], ingress=800)
    stream = jobs(
        [0, 0, 0, 0, 10], [1000] * 5, [[True, False]], nbytes=[0, 0, 0, 3600 * 100 * 8, 1]
    )
    simulator = Simulator(catalogue, stream).replay(np.array([0, 0, 0, 1]))
    advance_to_arrival(simulator.grid, simulator.worlds, 0)
    block = view(simulator, features_of(stream))[N_JOB:-N_GRID].reshape(-1, N_SITE)
    delay = (3600 * 8 - 10) / 8  # one of eight channels is busy that long
    wait = 1000 / (2 * 10) / 100
    log_count = np.log1p(1) / np.log1p(3000)
    assert block[0] == pytest.approx([0, log_count, wait / (1 + wait), 1, 0, 1, 0.5, 0])
    assert block[1] == pytest.approx([1, log_count, 0, 0, delay / (3600 + delay), 0, 1, 0])


def test_grid_block_counts_the_whole_grid():
    catalogue = sites([2, 4], [10, 20], ingress=800)
    stream = jobs([0, 0, 0, 0, 10], [1000] * 5, [[True, False]], nbytes=[0, 0, 0, 1e9, 1])
    outages = np.array([[np.inf, np.inf], [5.0, 1e6]])
    simulator = Simulator(catalogue, stream, outages=outages).replay(np.array([0, 0, 0, 1]))
    advance_to_arrival(simulator.grid, simulator.worlds, 0)
    grid = view(simulator, features_of(stream))[-N_GRID:]
    assert grid == pytest.approx([4 / 10, 1 / 5, 0, 1 / 4, 1 / 4, 1 / 2])


def test_recent_failures_show_and_fade():
    catalogue = sites([9], [10], failure_rate=0.999999)
    stream = jobs([0, 1000, 21_599, 21_600, 43_200 * 10], [100] * 5, [[True]])
    simulator, features = Simulator(catalogue, stream), features_of(stream)
    seen = []
    for _ in range(5):
        advance_to_arrival(simulator.grid, simulator.worlds, 0)
        seen.append(float(view(simulator, features)[N_JOB + 7]))
        simulator.place(0)
    # 0, then 3 failures of one job, 6, the same 6 halved, 3 + 2 x 3 halved 19 times
    assert seen[:3] == pytest.approx([0, 3 / 4, 6 / 7])
    assert 3 / 4 <= seen[3] < 6 / 7 and seen[4] < 1e-4


def test_hidden_truth_stays_hidden():
    rng = np.random.default_rng(1)
    catalogue, stream, _ = random_grid(rng, 4, 400, failures=False, every_s=20.0)
    simulator = Simulator(catalogue, stream).replay(rng.integers(0, 4, 250))
    features = features_of(stream)
    before = view(simulator, features)
    state = simulator.worlds.job[0]["state"]
    not_run = np.isin(state, (FUTURE, MOVING, QUEUED))
    assert np.count_nonzero(state == QUEUED) and np.count_nonzero(state == MOVING)
    simulator.grid.stream["work"][not_run] = 1e9
    simulator.grid.stream["status"][not_run] = 3
    assert view(simulator, features).tobytes() == before.tobytes()


def test_job_block_describes_what_is_known_at_submission():
    stream = jobs([6 * 3600, 3.5 * 86400], [100, 300], [[True]], nbytes=[0, 1e12], cores=[1, 8])
    block = features_of(stream)
    assert block.shape == (2, N_JOB) and block.dtype == np.float32
    assert block[:, 0] == pytest.approx([0, 1]) and block[:, 2] == pytest.approx([0, 3 / 8])
    assert block[0, 8:] == pytest.approx([1, 0, np.sin(np.pi / 14), np.cos(np.pi / 14)], abs=1e-6)
    assert block[1, 8:] == pytest.approx([0, -1, 0, -1], abs=1e-6)


def test_expectation_is_the_past_mean_of_alike_jobs_drawn_to_the_overall_mean():
    n = 2000
    cores = np.where(np.arange(n) % 2, 8, 1)
    stream = jobs(np.arange(n), np.where(cores == 8, 800.0, 100.0), [[True]], cores=cores)
    expected = expect_from_past(stream, stream.work, slice(0, 1000))
    assert expected[cores == 8] == pytest.approx((500 * 800 + 20 * 450) / 520)
    assert expected[cores == 1] == pytest.approx((500 * 100 + 20 * 450) / 520)
    future = stream.work.copy()
    future[1000:] = 1e9
    assert (expect_from_past(stream, future, slice(0, 1000)) == expected).all()
