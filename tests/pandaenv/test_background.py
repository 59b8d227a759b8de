"""What others do: shares and waits as asked for, by formulas, and bad values refused."""

import numpy as np
import pytest

from foundations.units import DAY_S
from pandaenv import background
from pandaenv.background import Background
from pandaenv.simulator import Simulator
from pandaenv.simulator.others import AHEAD, HELD, Others, check_others, held_range
from tests.pandaenv.simulator.grids import jobs, sites

CORES = np.array([20_000, 5_000, 900, 40])


def mean_left(which: Background) -> np.ndarray:
    """Cores left on average at each site over 400 days."""
    others = which.draw(CORES, 0.0, 400 * DAY_S, 8, seed=1)
    return CORES - held_range(others.held, 0.0, 400 * DAY_S)[0]


def test_others_hold_the_share_asked_for_and_leave_room_for_every_job():
    others = Background(held=0.9).draw(CORES, 0.0, 400 * DAY_S, 8, seed=1)
    left = CORES[:, None] - others.held["cores"]
    assert (left >= 8).all() and (left <= CORES[:, None]).all()
    assert mean_left(Background(held=0.9)).sum() == pytest.approx(0.1 * CORES.sum(), rel=0.05)
    check_others(others, CORES, 8)


def test_what_is_left_spreads_remembers_and_follows_the_day():
    which = Background(held=0.9, spread=0.5, site_spread=0.0, day=0.3, week=0.0)
    held = which.draw(np.full(50, 10**6), 0.0, 400 * DAY_S, 8, seed=0).held
    left, time = np.log(10**6 - held["cores"]), held["time"]
    left, time = left[:, :4000], time[:, :4000]
    night = np.cos(2 * np.pi * (time - 7200) / DAY_S)
    left = left - np.log1p(0.3 * night)
    assert left.std() == pytest.approx(0.5, rel=0.03)
    gap = np.diff(time, axis=1)
    near = (gap > 3000) & (gap < 4200)
    pairs = (left[:, 1:] - left.mean()) * (left[:, :-1] - left.mean())
    assert pairs[near].mean() / left.var() == pytest.approx(
        np.exp(-3600 / which.memory_s), abs=0.03
    )


def test_a_job_that_brings_no_work_waits_as_pollaczek_and_khinchine_say():
    """Bursts are M/G/1 with lognormal service: mean wait rho E[S^2] / (2 E[S] (1 - rho))."""
    which = Background(held=0.0, queue=0.7, burst_s=1000.0, burst_spread=0.5, site_spread=0.0,
                       latency_s=300.0, latency_spread=0.0)  # fmt: skip
    n, span = 200_000, 4000 * DAY_S
    others = which.draw(np.full(1, 10**6), 0.0, span, 1, seed=3)
    time = np.sort(np.random.default_rng(0).uniform(0, span, n))
    simulator = Simulator(sites([10**6], [10.0]), jobs(time, np.ones(n), [[True]]), others=others)
    log = simulator.replay(np.zeros(n, int)).drain().log()
    wait = (log["start"] - log["submit"]).to_numpy() - 300.0
    assert wait.min() > -1e-3
    assert (wait > 1e-3).mean() == pytest.approx(0.7, abs=0.01)
    expected = 0.7 * 1000.0 * np.exp(0.25) / (2 * 0.3)
    batches = wait[: n // 30 * 30].reshape(30, -1).mean(axis=1)
    half = 3.659 * batches.std(ddof=1) / np.sqrt(30)
    assert half < 0.05 * expected and abs(batches.mean() - expected) < half


def test_no_background_is_nobody():
    others = background.make("none").draw(CORES, 0.0, DAY_S, 8, seed=0)
    assert others.held.shape == others.ahead.shape == (4, 0)


def test_the_same_seed_gives_the_same_others_and_another_does_not():
    drawn = [Background().draw(CORES, 0.0, DAY_S, 8, seed=s).ahead.tobytes() for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("which", "sentence"),
    [
        ("crowded", "unknown background 'crowded'; known: none, busy"),
        ({"hold": 1}, "unknown background field 'hold'"),
        ({"held": 1.0}, "held must be at least 0 and below 1, got 1.0"),
        ({"queue": -0.1}, "queue must be at least 0 and below 1, got -0.1"),
        ({"latency_s": np.inf}, "latency_s must be at least 0 and at most 1e.09, got inf"),
        ({"burst_s": 0}, "burst_s must be above 0"),
    ],
)
def test_bad_backgrounds_get_one_sentence(which, sentence):
    with pytest.raises(ValueError, match=sentence):
        background.make(which)


def steps(dtype, *rows):
    return np.array([list(rows)], dtype)


@pytest.mark.parametrize(
    ("held", "ahead", "latency", "sentence"),
    [
        (steps(HELD, (0, 4)), steps(AHEAD, (0, 0)), [0.0], "leave room for the largest job"),
        (steps(HELD, (1, 0), (0, 0)), steps(AHEAD, (0, 0)), [0.0], "held must be in order of"),
        (steps(HELD, (0, 0)), steps(AHEAD, (0, 9), (1, 5)), [0.0], "no step takes back"),
        (steps(HELD, (0, 0)), steps(AHEAD, (0, 9)), [-1.0], "latency must be 0 s or more"),
        (steps(HELD, (0, 0)), steps(AHEAD, (0, 9)), [0.0, 1.0], "at each of 1 sites"),
        (steps(HELD), steps(AHEAD, (0, 9)), [0.0], "at each of 1 sites"),
    ],
)
def test_others_that_do_not_fit_a_grid_are_refused(held, ahead, latency, sentence):
    stream = jobs([0.0], [1.0], [[True]])
    with pytest.raises(ValueError, match=sentence):
        Simulator(sites([4], [1.0]), stream, others=Others(held, ahead, np.array(latency)))
