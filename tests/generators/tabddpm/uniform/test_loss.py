"""The losses of categories against their plain restatement, and at the edges of float32."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.plain.tabddpm import PlainDiffusion
from generators.tabddpm.uniform.loss import CrossEntropy, Slices, StepKL, WeightedSum
from generators.tabddpm.uniform.process import cosine_schedule, kl_prior, log_gain
from tests.generators.tabddpm.uniform.diffusions import double, rng


@pytest.mark.parametrize("t", [0, 1, 30, 99])
def test_the_bound_and_its_gradient_equal_the_plain_restatement_in_float64(t):
    Ks, T, n = [300, 3, 1, 7], 100, 30
    plain = PlainDiffusion(None, 0, Ks, T, torch.float64)
    draw = lambda s: torch.stack(  # noqa: E731
        [torch.randint(K, (n,), generator=rng(s + K)) for K in Ks], 1
    )
    x_0, x_t = draw(0), draw(1)
    x_t = torch.where(torch.rand(n, len(Ks), generator=rng(2)) < 0.5, x_0, x_t)
    logits = (3 * torch.randn(n, sum(Ks), generator=rng(3), dtype=torch.float64)).requires_grad_()
    theirs = plain.terms(
        logits, plain.log_one_hot(x_0), plain.log_one_hot(x_t), torch.full((n,), t)
    )
    alpha_bar = cosine_schedule(T)
    before = torch.full((n, 1), 1.0 if t == 0 else float(alpha_bar[t - 1]), dtype=torch.float64)
    step = StepKL(x_0, x_t, alpha_bar[t] / before, before, torch.tensor(Ks).double())
    weight = torch.full((n, len(Ks)), T / n, dtype=torch.float64)
    ours = WeightedSum.apply(logits, weight, step, double(Slices.from_sizes(Ks)))
    prior = kl_prior(float(alpha_bar[-1]), torch.tensor(Ks).double()).sum()
    assert float(ours.detach() + prior) == pytest.approx(float(theirs.mean().detach()), rel=1e-6)
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs.mean())]
    torch.testing.assert_close(*grads, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_plain_sampling_and_ours_agree_on_a_constant_network(dtype):
    class Biased(nn.Module):
        def forward(self, x, t):
            return torch.tensor([[0.0, 1.0, 0.0, -1.0, 2.0, 0.0]], dtype=dtype).repeat(len(x), 1)

    z, x = PlainDiffusion(Biased(), 1, [2, 3], 20, dtype).sample(4000)
    share = torch.bincount(x[:, 1], minlength=3) / 4000
    torch.testing.assert_close(share, torch.tensor([-1.0, 2.0, 0.0]).softmax(0), atol=0.03, rtol=0)
    assert z.isfinite().all()


def posterior_cross_entropy(logits, x_0, x_t, bars, Ks):
    """The same, slowly: softmax of logits plus log q(x_t | x_0), column by column."""
    parts = []
    for i, (part, K) in enumerate(zip(logits.split(Ks, 1), Ks, strict=True)):
        q = bars * F.one_hot(x_t[:, i], K) + (1 - bars) / K
        parts.append(F.cross_entropy(part + q.log(), x_0[:, i], reduction="none"))
    return torch.stack(parts, 1)


def test_posterior_cross_entropy_and_its_gradient_equal_autograd():
    Ks = [3, 1, 5, 2]
    x_0, x_t = (
        torch.stack([torch.randint(K, (50,), generator=rng(s + K)) for K in Ks], 1) for s in (0, 9)
    )
    bars = torch.rand((50, 1), generator=rng(4), dtype=torch.float64)
    gain = torch.log(bars * torch.tensor(Ks) / (1 - bars))
    logits = (5 * torch.randn(50, sum(Ks), generator=rng(5), dtype=torch.float64)).requires_grad_()
    weight = torch.rand((50, len(Ks)), generator=rng(6), dtype=torch.float64)
    term, slices = CrossEntropy(x_0, x_t, gain), double(Slices.from_sizes(Ks))
    ours = WeightedSum.apply(logits, weight, term, slices)
    plain = posterior_cross_entropy(logits, x_0, x_t, bars, Ks)
    detached = logits.detach()
    found = term.terms(detached, slices, torch.empty_like(detached))
    torch.testing.assert_close(found, plain.detach())
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (ours, (plain * weight).sum())]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_extreme_logits_stay_finite(size):
    Ks = [150, 300]
    logits = (size * torch.randn(8, 450, generator=rng())).requires_grad_()
    x = torch.stack([torch.arange(8), torch.arange(8)], 1)
    for bar in (1e-9, 0.5, 1 - 1e-5):
        gain = log_gain(torch.full((8, 1), bar), torch.tensor(Ks))
        term = CrossEntropy(x, x.flip(0), gain)
        loss = WeightedSum.apply(logits, torch.ones(8, 2), term, Slices.from_sizes(Ks))
        assert loss.isfinite() and torch.autograd.grad(loss, logits)[0].isfinite().all()


@pytest.mark.parametrize("size", [1.0, 1e2, 1e4])
@pytest.mark.parametrize("t", [0, 1, 500, 999])
def test_the_bound_stays_finite_in_float32_with_300_categories(size, t):
    Ks, n = [150, 300], 8
    alpha_bar = cosine_schedule(1000)
    before = torch.full((n, 1), 1.0 if t == 0 else float(alpha_bar[t - 1]))
    logits = (size * torch.randn(n, 450, generator=rng())).requires_grad_()
    x = torch.stack([torch.arange(n), torch.arange(n)], 1)
    for x_t in (x, x.flip(0)):
        step = StepKL(x, x_t, float(alpha_bar[t]) / before, before, torch.tensor(Ks).float())
        loss = WeightedSum.apply(logits, torch.ones(n, 2), step, Slices.from_sizes(Ks))
        assert loss.isfinite() and torch.autograd.grad(loss, logits)[0].isfinite().all()
