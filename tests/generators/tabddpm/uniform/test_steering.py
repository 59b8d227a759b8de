"""Steered rows: they hold the condition and keep the conditional distribution."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency

from generators.tabddpm.uniform.sampling import jumps, timesteps
from generators.tabddpm.uniform.steering import draw_systematically, steered_jumps
from tests.generators.tabddpm.uniform.diffusions import knowing_process, rng


@pytest.mark.parametrize("seen", [0, 1])
def test_particles_keep_the_conditional_of_a_perfect_network(seen):
    joint = torch.tensor([[0.45, 0.02, 0.05], [0.01, 0.01, 0.001], [0.2, 0.1, 0.159]]).double()
    process = knowing_process(joint)
    n, wanted = 6000, 1
    _, x = steered_jumps(process, n, timesteps(100, 40), {seen: wanted}, rng(4))
    assert (x[:, seen] == wanted).all()
    true = joint.select(seen, wanted) / joint.select(seen, wanted).sum()
    observed = torch.bincount(x[:, 1 - seen], minlength=3)
    _, free = jumps(process, 60_000, timesteps(100, 40), {}, rng(5))
    kept = torch.bincount(free[free[:, seen] == wanted, 1 - seen], minlength=3)
    torch.testing.assert_close(observed / n, true.float(), atol=0.05, rtol=0)
    # particles of one chunk share early noise: their chi-square is held against a tenth of n
    p = chi2_contingency(np.stack([observed.numpy() / 10, kept.numpy()])).pvalue
    assert p > 0.01


def test_two_conditions_at_once_are_both_held():
    joint = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    _, x = steered_jumps(knowing_process(joint), 50, timesteps(100, 10), {0: 0, 1: 1}, rng())
    assert x.tolist() == [[0, 1]] * 50


def test_systematic_draws_are_even():
    w = torch.tensor([0.5, 0.0, 0.3, 0.2])
    counts = torch.bincount(draw_systematically(w, 10, rng()), minlength=4)
    assert counts.tolist() == [5, 0, 3, 2]
