"""generators.grouped.arrivals: likelihoods against slow twins, what is recovered, what is drawn."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import gamma

from generators.grouped import arrivals
from generators.grouped.arrivals import Arrivals, Terms

RNG = np.random.default_rng(4)
FLAT = Arrivals(
    0.0, 84.0, 40.0, np.ones(24), np.ones(7), np.zeros(12), 0.0, 0.0, 0, np.zeros(2), np.zeros(3)
)


def terms(n=60, seed=0):
    at = np.cumsum(np.random.default_rng(seed).exponential(1.0, n))
    return Terms(at, np.diff(at, prepend=0.0), np.arange(n) % 3 > 0)


def test_the_likelihood_of_self_excited_starts_is_that_of_a_double_loop():
    found, share, decay = terms(), 0.4, 1.7
    total = 0.0
    for i, t in enumerate(found.at):
        if not found.is_inside[i]:
            continue
        before = found.at[:i]
        rate = 1 - share + sum(share * decay * np.exp(-decay * (t - s)) for s in before)
        grid = np.linspace(found.at[i - 1] if i else 0.0, t, 2_001)
        rates = (
            1
            - share
            + sum(
                (share * decay * np.exp(-decay * (grid - s)) for s in before), np.zeros(len(grid))
            )
        )
        total += np.log(rate) - np.trapezoid(rates, grid)
    grid = np.array([[share, decay], [0.1, 0.3]])
    assert arrivals._log_likelihood("hawkes", grid, found)[0] == pytest.approx(total, abs=1e-4)


def test_the_likelihood_of_renewals_is_that_of_gamma_gaps():
    found = terms()
    expected = gamma.logpdf(found.gap[found.is_inside], 0.6, scale=1 / 0.6).sum()
    grid = np.array([[0.6, 0.0]])
    assert arrivals._log_likelihood("renewal", grid, found)[0] == pytest.approx(expected)
    poisson = arrivals._log_likelihood("poisson", grid, found)[0]
    assert poisson == pytest.approx(-found.gap[found.is_inside].sum())


@pytest.mark.parametrize(
    ("process", "parameters"),
    [("renewal", (0.4, 0.0)), ("renewal", (2.5, 0.0)), ("hawkes", (0.6, 0.5))],
)
def test_the_process_that_made_starts_is_found(process, parameters):
    made = replace(FLAT, process=arrivals.PROCESSES.index(process), parameters=np.array(parameters))
    start = made.draw(np.random.default_rng(1), 0.0, 84.0)
    found = Arrivals.fit(start, 0.0, 84.0)
    assert arrivals.PROCESSES[found.process] == process
    assert found.parameters[0] == pytest.approx(parameters[0], rel=0.25)
    assert found.held_out[found.process] > 0.02


def test_hours_and_weekdays_are_recovered():
    hour = 1 + 0.5 * np.cos(2 * np.pi * (np.arange(24) - 14) / 24)
    weekday = np.array([1.1, 1.2, 1.2, 1.1, 1.0, 0.8, 0.6])
    made = replace(FLAT, rate=300.0, hour=hour, weekday=weekday)
    found = Arrivals.fit(made.draw(np.random.default_rng(2), 0.0, 84.0), 0.0, 84.0)
    assert np.abs(found.hour - hour).max() < 0.08
    assert np.abs(found.weekday - weekday).max() < 0.06
    assert found.rate == pytest.approx(300.0, rel=0.02)


def test_drift_is_recovered_and_noise_is_no_drift():
    drift = 0.3 * np.sin(np.arange(12))
    made = replace(FLAT, rate=200.0, drift=drift)
    found = Arrivals.fit(made.draw(np.random.default_rng(3), 0.0, 84.0), 0.0, 84.0)
    away = found.drift - drift
    assert np.std(away) < 0.1 < np.std(drift)
    flat = Arrivals.fit(FLAT.draw(np.random.default_rng(3), 0.0, 84.0), 0.0, 84.0)
    assert np.std(flat.drift) < 0.04


@pytest.mark.parametrize("process", range(3))
def test_as_many_starts_are_drawn_as_asked_for(process):
    parameters = np.array([(0.0, 0.0), (0.5, 0.0), (0.5, 0.2)][process])
    made = replace(FLAT, process=process, parameters=parameters)
    for begin, end, factor in ((0.0, 84.0, 1.0), (3.2, 60.7, 2.0), (500.0, 550.0, 1.0)):
        start = made.draw(np.random.default_rng(5), begin, end, factor)
        expected = factor * 40.0 * (end - begin)
        assert abs(len(start) - expected) < 6 * np.sqrt(4 * expected)
        assert (np.diff(start) >= 0).all() and begin <= start[0] and start[-1] < end


def test_beyond_the_days_seen_drift_keeps_its_spread():
    made = replace(FLAT, memory=0.7, spread=0.2, drift=np.full(12, 0.4))
    week, drift = made._drift_until(84.0 + 7 * 4_000, np.random.default_rng(0))
    assert (drift[:12] == 0.4).all() and np.diff(week) == pytest.approx(7)
    assert np.std(drift[50:]) == pytest.approx(0.2, rel=0.1)
    assert np.corrcoef(drift[50:-1], drift[51:])[0, 1] == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_few_starts_are_enough(n):
    start = np.sort(RNG.random(n)) * 3
    found = Arrivals.fit(start, 0.0, 3.0)
    drawn = found.draw(np.random.default_rng(0), 0.0, 3.0)
    assert found.rate == pytest.approx(n / 3) and np.isfinite(drawn).all()
