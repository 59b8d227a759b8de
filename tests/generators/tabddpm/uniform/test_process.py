"""The two diffusions of a row: posteriors, marginals and the schedule."""

import math

import numpy as np
import pytest
import torch

from generators.tabddpm.uniform.process import (
    cosine_schedule,
    posterior_categorical,
    posterior_numerical,
    q_categorical,
)
from tests.generators.tabddpm.uniform.diffusions import rng

RNG = np.random.default_rng(2)


def one_hot_posterior(x_t, x_0, K, bar_t, bar_s):
    """q(x_s | x_t, x_0) as the product of the step and the marginal, in one-hot space."""
    a = bar_t / bar_s
    e = np.eye(K)
    pi = (a * e[x_t] + (1 - a) / K) * (bar_s * e[x_0] + (1 - bar_s) / K)
    return pi / pi.sum()


def index_posterior(x_t, x_0, K, bar_t, bar_s):
    same = torch.tensor([[float(x_t == x_0)]], dtype=torch.float64)
    Ks = torch.tensor([K], dtype=torch.float64)
    origin, stay, other = (float(w) for w in posterior_categorical(same, bar_t, bar_s, Ks))
    e = np.eye(K)
    pi = origin * e[x_0] + stay * e[x_t] + other / K
    return pi / pi.sum()


@pytest.mark.parametrize("K", [1, 2, 5, 300])
def test_index_posterior_is_the_one_hot_posterior(K):
    for _ in range(50):
        bar_t, bar_s = np.sort(RNG.random(2))
        x_t, x_0 = RNG.integers(K, size=2)
        args = x_t, x_0, K, bar_t, bar_s
        np.testing.assert_allclose(index_posterior(*args), one_hot_posterior(*args), atol=1e-13)


def test_posterior_mixes_to_marginal():
    K, e = 5, np.eye(5)
    for _ in range(200):
        bar_t, bar_s = np.sort(RNG.random(2))
        x_0 = RNG.integers(K)
        q_t = bar_t * e[x_0] + (1 - bar_t) / K
        mixed = sum(q_t[k] * index_posterior(k, x_0, K, bar_t, bar_s) for k in range(K))
        np.testing.assert_allclose(mixed, bar_s * e[x_0] + (1 - bar_s) / K, atol=1e-12)


def test_numerical_posterior_mixes_to_marginal():
    for _ in range(50):
        bar_t, bar_s = np.sort(RNG.random(2))
        mean, variance = posterior_numerical(
            torch.tensor(math.sqrt(bar_t)).double(), torch.tensor(1.0).double(), bar_t, bar_s
        )
        slope, _ = posterior_numerical(torch.tensor(1.0), torch.tensor(0.0), bar_t, bar_s)
        assert float(mean) == pytest.approx(math.sqrt(bar_s), abs=1e-6)
        assert variance + float(slope) ** 2 * (1 - bar_t) == pytest.approx(1 - bar_s, abs=1e-6)


def test_q_keeps_with_probability_alpha_bar():
    Ks = torch.tensor([4.0, 300.0]).double()
    x_0 = torch.tensor([[2, 250]]).repeat(40_000, 1)
    kept = (q_categorical(x_0, torch.tensor(0.3), Ks, rng()) == x_0).double().mean(0)
    torch.testing.assert_close(kept, 0.3 + 0.7 / Ks, atol=0.01, rtol=0)


def test_schedule_falls_from_one_to_zero():
    alpha_bar = cosine_schedule(1000)
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    assert (alpha_bar.diff() < 0).all() and alpha_bar[0] > 0.999 and alpha_bar[-1] < 1e-4
    assert beta.max() <= 0.999 + 1e-12
