"""generators.grouped.scale: laws of normal scores."""

import numpy as np
import pytest

from generators.grouped.scale import N_KNOTS, Scale

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "x",
    [
        RNG.lognormal(20, 3, 50_000),
        RNG.poisson(3, 5_000).astype(float),
        np.where(RNG.random(20_000) < 0.3, 1e11, RNG.lognormal(20, 2, 20_000)),
        np.full(7, 3.0),
        np.array([2.0]),
    ],
    ids=["wide", "counts", "atom", "constant", "one"],
)
def test_scores_lead_back_to_values(x):
    scale = Scale.of(x)
    score = scale.score(x)
    value, count = np.unique(x, return_counts=True)
    frequent = np.isin(x, value[count > len(x) / N_KNOTS])
    assert (scale.values(score)[frequent] == x[frequent]).all()
    assert np.isfinite(score).all() and len(scale.value) <= 2 * N_KNOTS
    rank = np.searchsorted(np.sort(x), scale.values(score)) / len(x)
    assert np.abs(rank - np.searchsorted(np.sort(x), x) / len(x)).max() < 2 / N_KNOTS


def test_scores_are_standard_normal_and_keep_the_order():
    x = RNG.lognormal(0, 2, 40_000)
    score = Scale.of(x).score(x)
    assert abs(score.mean()) < 0.01 and score.std() == pytest.approx(1, abs=0.01)
    assert (np.diff(score[np.argsort(x)]) >= 0).all()


def test_values_stay_in_the_seen_range():
    x = RNG.normal(size=300)
    values = Scale.of(x).values(np.linspace(-9, 9, 1_001))
    assert values.min() == x.min() and values.max() == x.max() and (np.diff(values) >= 0).all()
