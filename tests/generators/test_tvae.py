"""TVAE: its loss against a slow plain restatement, and what its samples promise."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from generators import make
from generators.modes import ModeOptions
from generators.training import initialise
from generators.tvae import Autoencoder, TVAEConfig, gaussian_nll, kl_normal, truncated_normal
from tests.generators import contracts
from tests.generators.encoded import encoded, rng, sited

TABLE = sited()
SMALL = {"d_latent": 16, "d_layers": (64,), "batch_size": 200, "lr": 1e-2}
STEPS = 800


def prepared(table=TABLE, **options):
    """A random network over a table and the table encoded."""
    config = TVAEConfig(**{**SMALL, **options})
    layout, encoding, alpha, x = encoded(table, ModeOptions())
    net = Autoencoder(len(encoding.smooth), encoding.Ks, config)
    initialise(net, rng(7))
    return net, torch.from_numpy(alpha).float(), torch.from_numpy(x)


@pytest.fixture(scope="module")
def fitted():
    return make("tvae", **SMALL).fit(TABLE, steps=STEPS, progress=False)


# The loss ---------------------------------------------------------------------------------------


def plain_loss(net, alpha, x, noise, weight):
    """Term by term and row by row, in float64."""
    net = net.double()
    total = {"kl": 0.0, "numerical": 0.0, "categorical": 0.0}
    for i in range(len(alpha)):
        one_hots = [torch.eye(K, dtype=torch.float64)[x[i, j]] for j, K in enumerate(net.Ks)]
        r = torch.cat([alpha[i].double(), *one_hots])
        mu, logvar = net.encoder(r).chunk(2)
        for m, v in zip(mu.tolist(), logvar.tolist(), strict=True):
            total["kl"] += -0.5 * (1 + v - m * m - math.exp(v))
        out = net.decoder(mu + (logvar / 2).exp() * noise[i].double()).tolist()
        for j in range(net.D):
            delta = float(net.sigma[j].detach())
            error = (float(alpha[i, j]) - math.tanh(out[j])) ** 2
            total["numerical"] += weight * (error / 2 / delta**2 + math.log(delta))
        at = net.D
        for j, K in enumerate(net.Ks):
            logits = out[at : at + K]
            norm = math.log(sum(math.exp(v) for v in logits))
            total["categorical"] += weight * (norm - logits[int(x[i, j])])
            at += K
    return {k: v / len(alpha) for k, v in total.items()}


@pytest.mark.parametrize("weight", [2.0, 1.0])
def test_loss_terms_equal_a_slow_plain_restatement(weight):
    net, alpha, x = prepared(weight=weight)
    alpha, x = alpha[:24], x[:24]
    with torch.no_grad():
        net.sigma.copy_(torch.linspace(0.05, 0.9, net.D))
        terms = net.double().loss(alpha.double(), x, rng(3))
    # the same noise: mu is float64 here, and the noise is drawn in float32 by both
    noise = torch.randn((24, net.config.d_latent), generator=rng(3))
    expected = plain_loss(net, alpha, x, noise, weight)
    assert {k: float(v) for k, v in terms.items()} == pytest.approx(expected, rel=1e-10)


def test_kl_of_the_prior_is_nothing_and_that_of_others_is_known():
    assert float(kl_normal(torch.zeros(1, 3), torch.zeros(1, 3))) == 0
    p = torch.distributions.Normal(torch.tensor([0.4, -2.0]), torch.tensor([0.3, 1.7]))
    q = torch.distributions.Normal(0.0, 1.0)
    known = torch.distributions.kl_divergence(p, q).sum()
    found = kl_normal(p.loc[None], 2 * p.scale.log()[None])
    torch.testing.assert_close(found[0], known)


def test_the_gaussian_term_is_the_log_density_but_for_its_constant():
    alpha, place, sigma = torch.rand(5, 2), torch.rand(5, 2), torch.tensor([0.1, 0.7])
    exact = -torch.distributions.Normal(place, sigma).log_prob(alpha) - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(gaussian_nll(alpha, place, sigma), exact)


def test_deviations_stay_in_their_bounds_and_are_learned(fitted):
    sigma = fitted.net_.sigma.detach()
    assert (sigma >= 0.01 - 1e-6).all() and (sigma <= 1).all() and len(sigma.unique()) == len(sigma)


def test_the_loss_falls(fitted):
    total = fitted.losses_.drop(columns=["step", "lr"]).sum(axis=1)
    assert total.iloc[-20:].mean() < total.iloc[:20].mean() - 3


def test_the_default_is_the_paper_s_network():
    net, *_ = prepared(d_latent=128, d_layers=(128, 128))
    width = net.D + sum(net.Ks)
    shapes = [tuple(p.shape) for name, p in net.named_parameters() if name.endswith("weight")]
    assert shapes == [(128, width), (128, 128), (256, 128), (128, 128), (128, 128), (width, 128)]


# Sampling ---------------------------------------------------------------------------------------


def distance(a, b):
    """Total variation of the frequencies of two columns."""
    shares = [c.value_counts(normalize=True) for c in (a, b)]
    return shares[0].sub(shares[1], fill_value=0).abs().sum() / 2


def test_softmax_matches_the_train_frequencies_and_argmax_only_takes_the_top():
    """A decoder that knows the frequencies and nothing else: what z leaves open is drawn."""
    share = {}
    for draw in ("softmax", "argmax"):
        net, *_ = prepared(draw=draw)
        frequencies = torch.cat([torch.linspace(1, 3, K) / (2 * K) for K in net.Ks])
        with torch.no_grad():
            net.decoder[-1].weight.zero_()
            net.decoder[-1].bias[net.D :] = frequencies.log()
        x = net.sample(40_000, rng())[1][:, -2]
        share[draw] = torch.bincount(x, minlength=net.Ks[-2]) / len(x)
    torch.testing.assert_close(share["softmax"], torch.linspace(1, 3, 4) / 8, atol=0.01, rtol=0)
    assert share["argmax"].tolist() == [0, 0, 0, 1]


def test_softmax_matches_the_train_frequencies_better_than_argmax():
    """A table whose many categories do not fit into one latent number."""
    p, draw = 1 / np.arange(1, 31), np.random.default_rng(2)
    site = np.array([f"s{k}" for k in range(30)])[draw.choice(30, 4000, p=p / p.sum())]
    table = pd.DataFrame({"site": site, "status": draw.choice(["a", "b"], 4000, p=[0.8, 0.2])})
    far = {}
    for draw in ("softmax", "argmax"):
        model = make("tvae", **{**SMALL, "d_latent": 1}, draw=draw)
        sample = model.fit(table, steps=300, progress=False).sample(20_000, seed=1)
        far[draw] = np.mean([distance(table[c], sample[c]) for c in table])
    assert far["softmax"] < 0.08 and far["softmax"] < far["argmax"] / 2


def test_columns_stay_together(fitted):
    sample = fitted.sample(4000, seed=1)
    assert (sample["like"] == "k_" + sample["site"]).mean() > 0.8
    assert sample["x"][sample["site"] == "a"].mean() < 0 < sample["x"][sample["site"] == "b"].mean()


def test_numbers_do_not_pile_up_at_the_ends(fitted):
    time = fitted.sample(20_000, seed=1)["time"]
    low, high = TABLE["time"].min(), TABLE["time"].max()
    assert (time == low).mean() < 1e-3 and (time == high).mean() < 1e-3
    assert (time < low + 1.5).mean() < 0.03 and (time > high - 1.5).mean() < 0.03  # fair: .01


def test_truncated_draws_are_those_of_the_truncated_normal():
    mean, sigma = torch.tensor([[0.2]]).repeat(100_000, 1), torch.tensor([0.5])
    ends = torch.tensor([[[-0.3, 0.4]]], dtype=torch.float64).repeat(100_000, 1, 1)
    drawn = truncated_normal(mean, sigma, ends, rng())
    assert drawn.min() >= -0.3 and drawn.max() <= 0.4
    from scipy.stats import truncnorm

    known = truncnorm(-1, 0.4, loc=0.2, scale=0.5)
    assert float(drawn.mean()) == pytest.approx(known.mean(), abs=3e-3)
    assert float(drawn.std()) == pytest.approx(known.std(), abs=3e-3)


def test_a_mean_far_outside_its_bounds_ends_inside():
    ends = torch.tensor([[[0.8, 1.0], [-1.0, 0.0]]], dtype=torch.float64)
    drawn = truncated_normal(torch.tensor([[-1.0, 1.0]]), torch.tensor([0.01, 0.01]), ends, rng())
    assert 0.8 <= float(drawn[0, 0]) <= 1.0 and -1.0 <= float(drawn[0, 1]) <= 0.0


def test_where_keeps_what_goes_with_the_category(fitted):
    sample = fitted.sample(500, seed=2, where={"site": "d"})
    assert set(sample["site"]) == {"d"} and len(sample) == 500
    assert (sample["like"] == "k_d").mean() > 0.5


def test_permuted_columns_and_renamed_categories_change_only_noise():
    other = TABLE[TABLE.columns[::-1]].assign(
        site=TABLE["site"].map(dict(zip("abcd", "zyxw", strict=True)))
    )
    model = make("tvae", **SMALL).fit(other, steps=STEPS, progress=False)
    sample = model.sample(20_000, seed=1)
    assert distance(other["site"], sample["site"]) < 0.1
    assert (
        "k_" + sample["site"].map(dict(zip("zyxw", "abcd", strict=True))) == sample["like"]
    ).mean() > 0.8


def test_unknown_ways_to_draw_are_refused():
    with pytest.raises(ValueError, match="draw must be softmax or argmax, got 'beam'"):
        make("tvae", draw="beam")


# Training ---------------------------------------------------------------------------------------


def test_resume_gives_the_model_of_an_unbroken_run(tmp_path):
    contracts.assert_resumes(
        lambda: make("tvae", **SMALL), TABLE, tmp_path / "run", steps=30, stop=17
    )


def test_a_budget_counts_the_preparation():
    model = make("tvae", **SMALL).fit(TABLE, budget=1.5, progress=False)
    assert model.n_steps_ >= 1 and 0 < model.seconds_ < 6
