"""PanDA's rules: against a slow plain restatement, and by hand."""

import numpy as np
import pytest

from pandaenv.brokerage import CAP_FLOOR, analysis_site, nearest, production_site


def plain_draw(weight: dict[int, float], u: float) -> int:
    best = sorted(weight, key=lambda s: (-weight[s], s))[:10]
    left = u * sum(weight[s] for s in best)
    for s in best:
        left -= weight[s]
        if left < 0:
            return s
    return best[-1]


def plain_healthy(s, running, queued, finished, failed, floor):
    return queued[s] <= 2 * max(floor, running[s]) and failed[s] < max(2 * finished[s], floor)


def plain_analysis(has_data, allowed, running, queued, finished, failed, floor, u):
    everywhere = [s for s in range(len(running)) if allowed[s]]
    healthy = [s for s in everywhere if plain_healthy(s, running, queued, finished, failed, floor)]
    for sites in (
        [s for s in healthy if has_data[s]],
        healthy,
        [s for s in everywhere if has_data[s]],
        everywhere,
    ):
        if sites:
            return plain_draw({s: (running[s] + 1) / (queued[s] + 1) for s in sites}, u)
    return -1


def plain_production(
    available, missing, total, near, allowed, running, queued, finished, failed, floor, u
):
    everywhere = [s for s in range(len(running)) if allowed[s]]
    healthy = [s for s in everywhere if plain_healthy(s, running, queued, finished, failed, floor)]
    sites = healthy or everywhere
    if not sites:
        return -1
    low, high = min(near[s] for s in sites), max(near[s] for s in sites)
    weight = {}
    for s in sites:
        data = (available[s] + total) / (total * (missing[s] / 100 + 1))
        network = 1 + (high - near[s]) / (high - low) if high > low else 1
        weight[s] = (running[s] + 1) / (queued[s] + 1) * data * network
    return plain_draw(weight, u)


def random_grid(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """A grid busy enough that every branch of the rules is met."""
    running = rng.integers(0, 60, n)
    return {
        "allowed": rng.random(n) < rng.choice([0.05, 0.5, 1.0]),
        "running": running,
        "queued": rng.integers(0, 150, n) * (rng.random(n) < 0.8) + rng.choice([0, 200]),
        "finished": rng.integers(0, 50, n),
        "failed": rng.integers(0, 60, n),
    }


@pytest.mark.parametrize("n", [1, 5, 40])
def test_analysis_rule_agrees_with_its_plain_restatement(n):
    rng = np.random.default_rng(n)
    for _ in range(1000):
        grid, has_data = random_grid(rng, n), rng.random(n) < 0.2
        args = (has_data, *grid.values(), CAP_FLOOR, rng.random())
        assert analysis_site(*args) == plain_analysis(*args)


@pytest.mark.parametrize("n", [1, 5, 40])
def test_production_rule_agrees_with_its_plain_restatement(n):
    rng = np.random.default_rng(n)
    for _ in range(1000):
        grid = random_grid(rng, n)
        missing = rng.integers(0, 300, n)
        near = rng.integers(0, 12, n) if rng.random() < 0.8 else np.full(n, 5)
        data = (rng.random(n) * 1e12, missing, 1e12, near)
        args = (*data, *grid.values(), CAP_FLOOR, rng.random())
        assert production_site(*args) == plain_production(*args)


def five_sites(**changes) -> tuple:
    """Five quiet sites; the data are at 1 and 3."""
    grid = {
        "has_data": np.array([False, True, False, True, False]),
        "allowed": np.ones(5, bool),
        "running": np.full(5, 100),
        "queued": np.zeros(5, np.int64),
        "finished": np.full(5, 100),
        "failed": np.zeros(5, np.int64),
    } | {k: np.array(v) for k, v in changes.items()}
    return tuple(grid.values())


def choices(grid: tuple, floor: float = CAP_FLOOR) -> set[int]:
    return {analysis_site(*grid, floor, u) for u in np.linspace(0, 0.999, 200)}


def test_a_job_goes_where_its_data_are():
    assert choices(five_sites()) == {1, 3}


def test_a_site_at_twice_its_running_jobs_is_kept_and_one_more_skips_it():
    assert choices(five_sites(queued=[0, 200, 0, 0, 0])) == {1, 3}
    assert choices(five_sites(queued=[0, 201, 0, 0, 0])) == {3}


def test_a_small_site_is_judged_as_if_it_ran_the_floor():
    assert choices(five_sites(running=[0, 1, 0, 1, 0], queued=[0, 40, 0, 41, 0])) == {1}
    assert choices(five_sites(running=[0, 1, 0, 1, 0], queued=[0, 4, 0, 5, 0]), 2.0) == {1}


def test_a_site_that_fails_twice_as_often_as_it_finishes_is_skipped():
    assert choices(five_sites(failed=[0, 199, 0, 0, 0])) == {1, 3}
    assert choices(five_sites(failed=[0, 200, 0, 0, 0])) == {3}


def test_the_data_filter_is_lifted_before_health_is_ignored():
    assert choices(five_sites(queued=[0, 900, 0, 900, 0])) == {0, 2, 4}
    assert choices(five_sites(queued=[900] * 5)) == {1, 3}
    assert choices(five_sites(queued=[900] * 5, has_data=[False] * 5)) == {0, 1, 2, 3, 4}


def test_no_allowed_site_gives_minus_one():
    assert choices(five_sites(allowed=[False] * 5)) == {-1}


def test_only_the_ten_best_are_drawn_by_their_weight():
    n = 30
    ones, queued = np.ones(n, bool), np.arange(n)
    grid = (ones, ones, np.full(n, 99), queued, np.full(n, 9), np.zeros(n, np.int64))
    u = np.random.default_rng(0).random(40_000)
    count = np.bincount([analysis_site(*grid, CAP_FLOOR, x) for x in u], minlength=n)
    assert (count[10:] == 0).all()
    weight = 100 / (queued[:10] + 1)
    np.testing.assert_allclose(count[:10] / len(u), weight / weight.sum(), atol=0.01)


def test_nearest_replica_counts_and_none_is_unknown():
    closeness = np.array([[0, 3, 5], [3, 0, 4], [5, 4, 0]])
    out = np.empty(3, np.int64)
    nearest(closeness, np.array([False, True, True]), out)
    assert out.tolist() == [3, 0, 0]
    nearest(closeness, np.zeros(3, bool), out)
    assert out.tolist() == [11, 11, 11]
