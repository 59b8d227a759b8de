"""TabDDPM: the algebra against slow plain restatements, and what sampling promises."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chi2_contingency, ks_2samp
from torch import nn

from benchmarks.plain_tabddpm import PlainDiffusion
from generators import make, sampler
from generators.fields import Fields, Rows, cut
from generators.likelihood import Evidence, Slices, Step, WeightedSum, terms
from generators.particles import jumps_to
from generators.process import (
    cosine_schedule,
    kl_prior,
    log_gain,
    posterior_categorical,
    posterior_numerical,
    q_categorical,
)
from generators.sampler import Chain, ancestral, draw_x_0, jumps, visited
from generators.tabddpm import CHUNK, Diffusion, TabDDPM, TabDDPMConfig
from generators.training import initialise
from generators.transform import Layout

RNG = np.random.default_rng(2)
N = 400
SITE = RNG.choice(["a", "b", "c"], N, p=[0.6, 0.3, 0.1])
TABLE = pd.DataFrame(
    {
        "x": np.where(SITE == "a", -3.0, 3.0) + RNG.normal(size=N),
        "spike": np.where(RNG.random(N) < 0.3, 0.0, RNG.lognormal(3, 1, N)),
        "site": SITE,
        "like": np.char.add("k_", SITE),
    }
)


def double(slices):
    """Slices for logits in float64."""
    return slices._replace(member=slices.member.double())


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def prepared(config, table=TABLE):
    """A random network over a table and a batch of it."""
    layout = Layout.of(table)
    numbers, codes = layout.split(table)
    n_cells = [config.n_cells] * numbers.shape[1]
    fields = Fields.of(layout, cut(numbers, n_cells, config.atom_share))
    diffusion = Diffusion(fields, config)
    initialise(diffusion, rng(7))
    rows = Rows.of(fields, numbers, codes, config.dequantise)
    return diffusion, rows, rows.draw_random(torch.arange(128), rng(1))


# The process ------------------------------------------------------------------------------------


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
        mean, variance = posterior_numerical(torch.tensor(math.sqrt(bar_t)).double(),
                                             torch.tensor(1.0).double(), bar_t, bar_s)  # fmt: skip
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


def test_visited_times_begin_at_most_noise_and_end_at_least():
    assert visited(1000, 1000) == list(range(999, -1, -1))
    times = visited(1000, 25)
    assert times[0] == 999 and times[-1] == 0 and len(times) == 25
    assert visited(10, 1000) == list(range(9, -1, -1))


# The loss ---------------------------------------------------------------------------------------


def plain_log_posterior(log_x_0, x_t, t, alpha_bar, K):
    """log p(x_{t-1} | x_t) of the reference algebra: one-hot logs in float64, row by row."""
    bar = alpha_bar.numpy()
    before = 1.0 if t == 0 else bar[t - 1]
    alpha = bar[t] / before
    onehot = np.log(np.where(np.eye(K)[x_t] > 0, 1.0, 1e-300))
    step = np.logaddexp(onehot + np.log(alpha), np.log(max(1 - alpha, 1e-300)) - np.log(K))
    if t == 0:
        marginal = log_x_0
    else:
        marginal = np.logaddexp(log_x_0 + np.log(before), np.log(1 - before) - np.log(K))
    out = marginal + step
    return out - np.logaddexp.reduce(out)


def plain_terms(logits, x_0, x_t, t, alpha_bar, K):
    """T KL_t (the decoder's NLL at t = 0) + KL_prior, as the paper's equations read."""
    T = len(alpha_bar)
    log_hat = logits - np.logaddexp.reduce(logits)
    log_true = np.log(np.where(np.eye(K)[x_0] > 0, 1.0, 1e-300))
    model = plain_log_posterior(log_hat, x_t, t, alpha_bar, K)
    if t == 0:
        term = -model[x_0]
    else:
        true = plain_log_posterior(log_true, x_t, t, alpha_bar, K)
        term = float((np.exp(true) * (true - model)).sum())
    last = np.eye(K)[x_0] * float(alpha_bar[-1]) + (1 - float(alpha_bar[-1])) / K
    return T * term + float((last * np.log(last * K)).sum())


@pytest.mark.parametrize("t", [0, 1, 5, 50, 99])
@pytest.mark.parametrize("K", [2, 7])
def test_kl_equals_the_one_hot_algebra(t, K):
    alpha_bar = cosine_schedule(100)
    logits = torch.randn(40, K, generator=rng(t), dtype=torch.float64) * 3
    x_0, x_t = torch.randint(K, (2, 40), generator=rng(K))
    before = torch.full((40, 1), 1.0 if t == 0 else float(alpha_bar[t - 1]), dtype=torch.float64)
    step = Step(x_0[:, None], x_t[:, None], alpha_bar[t] / before, before, torch.tensor([K]))
    ours = terms(logits, step, double(Slices.of([K])))[:, 0]
    plain = [plain_terms(lo.numpy(), int(a), int(b), t, alpha_bar, K) / 100
             for lo, a, b in zip(logits, x_0, x_t, strict=True)]  # fmt: skip
    np.testing.assert_allclose(ours.numpy(), plain, rtol=1e-7, atol=1e-9)


def test_the_paper_s_loss_is_mean_eps_mse_plus_bound_over_columns():
    config = TabDDPM(preset="paper", n_timesteps=50).config
    diffusion, _, batch = prepared(config)
    z_0, _, x_0 = batch
    terms = diffusion.loss(*batch, rng(3))
    again = rng(3)
    t = diffusion._times(len(z_0), again)
    out, eps, x_t, times = diffusion.noised(
        z_0, x_0, t, diffusion._reveal(len(z_0), again), again
    )
    assert float(terms["numerical"].detach()) == pytest.approx(
        float(((out[:, :2] - eps) ** 2).mean().detach())
    )
    columns = zip(out[:, 2:].split(diffusion.slices.Ks, 1), x_0.T, x_t.T, diffusion.slices.Ks,
                  strict=True)  # fmt: skip
    plain = [
        np.mean([plain_terms(lo.detach().double().numpy(), int(a), int(b), int(s),
                             diffusion.alpha_bar, K)
                 for lo, a, b, s in zip(part, x, y, times, strict=True)])
        for part, x, y, K in columns
    ]  # fmt: skip
    assert float(terms["categorical"].detach()) == pytest.approx(sum(plain) / len(plain), rel=1e-3)


def posterior_cross_entropy(logits, x_0, x_t, bars, Ks):
    """The same, slowly: softmax of logits plus log q(x_t | x_0), column by column."""
    parts = []
    for i, (part, K) in enumerate(zip(logits.split(Ks, 1), Ks, strict=True)):
        q = bars * F.one_hot(x_t[:, i], K) + (1 - bars) / K
        parts.append(F.cross_entropy(part + q.log(), x_0[:, i], reduction="none"))
    return torch.stack(parts, 1)


def test_posterior_cross_entropy_and_its_gradient_equal_autograd():
    Ks = [3, 1, 5, 2]
    x_0, x_t = (torch.stack([torch.randint(K, (50,), generator=rng(s + K)) for K in Ks], 1)
                for s in (0, 9))  # fmt: skip
    bars = torch.rand((50, 1), generator=rng(4), dtype=torch.float64)
    gain = torch.log(bars * torch.tensor(Ks) / (1 - bars))
    logits = (5 * torch.randn(50, sum(Ks), generator=rng(5), dtype=torch.float64)).requires_grad_()
    weight = torch.rand((50, len(Ks)), generator=rng(6), dtype=torch.float64)
    view, slices = Evidence(x_0, x_t, gain), double(Slices.of(Ks))
    ours = WeightedSum.apply(logits, weight, view, slices)
    plain = posterior_cross_entropy(logits, x_0, x_t, bars, Ks)
    torch.testing.assert_close(terms(logits.detach(), view, slices), plain.detach())
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (ours, (plain * weight).sum())]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_extreme_logits_stay_finite(size):
    Ks = [150, 300]
    logits = (size * torch.randn(8, 450, generator=rng())).requires_grad_()
    x = torch.stack([torch.arange(8), torch.arange(8)], 1)
    for bar in (1e-9, 0.5, 1 - 1e-5):
        gain = log_gain(torch.full((8, 1), bar), torch.tensor(Ks))
        view = Evidence(x, x.flip(0), gain)
        loss = WeightedSum.apply(logits, torch.ones(8, 2), view, Slices.of(Ks))
        assert loss.isfinite() and torch.autograd.grad(loss, logits)[0].isfinite().all()


def test_a_row_on_an_atom_does_not_pull_the_numericals():
    diffusion, _, (z_0, weight, x_0) = prepared(TabDDPMConfig(n_cells=1, atom_share=0.05))
    assert 0 < weight[:, 1].mean() < 1 and (weight[:, 0] == 1).all()
    moved = torch.where(weight == 0, z_0 + 100, z_0)
    assert float(diffusion.loss(moved, weight * 0, x_0, rng(3))["numerical"].detach()) == 0.0


def test_heads_start_at_the_log_marginals():
    diffusion, rows, _ = prepared(TabDDPMConfig(n_cells=1, atom_share=1.0))
    head = rows.log_marginals()[:3].exp()
    share = TABLE["site"].value_counts(normalize=True).sort_index().to_numpy()
    np.testing.assert_allclose(head, share, atol=0.01)
    assert len(rows.log_marginals()) == sum(diffusion.slices.Ks)


# Sampling ---------------------------------------------------------------------------------------


def test_x_0_is_drawn_from_softmax_times_q():
    diffusion, _, _ = prepared(TabDDPMConfig(n_cells=1, atom_share=1.0))
    assert diffusion.slices.Ks == [3, 3]
    logits = torch.tensor([[0.0, 1.0, -1.0, 2.0, 2.0, -9.0]])
    n, bar = 60_000, 0.4
    x_t = torch.tensor([[2, 0]]).repeat(n, 1)
    drawn = draw_x_0(x_t, logits.repeat(n, 1), bar, diffusion.chain(), rng())
    for i, part in enumerate(logits.double().split(3, 1)):
        q = bar * F.one_hot(x_t[0, i], 3) + (1 - bar) / 3
        p = (part[0].exp() * q) / (part[0].exp() * q).sum()
        freq = torch.bincount(drawn[:, i], minlength=3) / n
        torch.testing.assert_close(freq.double(), p, atol=0.01, rtol=0)


class Knowing(nn.Module):
    """A net that knows the joint of two columns, and so the odds of one given the other's state.

    Its last hidden layer is the logits themselves; the head passes them on.
    """

    def __init__(self, joint, alpha_bar):
        super().__init__()
        self.joint, self.alpha_bar = joint, alpha_bar
        self.head = nn.Linear(sum(joint.shape), sum(joint.shape))
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(sum(joint.shape)))
            self.head.bias.zero_()

    def hidden(self, z_t, x_t, t, trust):
        bar, (K, L) = float(self.alpha_bar[int(t)]), self.joint.shape
        q = [bar * F.one_hot(x, size) + (1 - bar) / size
             for x, size in zip(x_t.T, (K, L), strict=True)]  # fmt: skip
        given_second = q[1] @ self.joint.T.float()
        given_first = q[0] @ self.joint.float()
        return torch.cat([given_second, given_first], 1).log()

    def forward(self, *args):
        return self.head(self.hidden(*args))


@pytest.mark.parametrize("rule", [ancestral, jumps])
def test_with_a_perfect_network_sampling_gives_the_joint_back(rule):
    joint = torch.tensor([[0.4, 0.02, 0.05], [0.03, 0.3, 0.2]], dtype=torch.float64)
    alpha_bar = cosine_schedule(100)
    chain = Chain(Knowing(joint, alpha_bar), Slices.of([2, 3]), torch.tensor([2.0, 3.0]).double(),
                  alpha_bar, torch.empty(0), torch.zeros(5), False)  # fmt: skip
    n = 20_000
    _, x = rule(chain, n, visited(100, 50), {}, rng(3))
    counts = torch.bincount(x[:, 0] * 3 + x[:, 1], minlength=6)
    torch.testing.assert_close(counts / n, joint.flatten().float(), atol=0.02, rtol=0)


def test_a_known_category_is_never_moved_by_a_jump():
    joint = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    alpha_bar = cosine_schedule(100)
    chain = Chain(Knowing(joint, alpha_bar), Slices.of([2, 2]), torch.tensor([2.0, 2.0]).double(),
                  alpha_bar, torch.empty(0), torch.zeros(4), False)  # fmt: skip
    _, x = jumps(chain, 200, visited(100, 10), {1: 1}, rng())
    assert (x[:, 1] == 1).all() and set(x[:, 0].tolist()) == {0, 1}


def test_landing_draws_x_0_from_softmax_times_q():
    diffusion, _, _ = prepared(TabDDPMConfig(n_cells=1, atom_share=1.0))
    chain, n, bar = diffusion.chain(), 60_000, 0.4
    h = torch.randn((1, chain.net.head.in_features), generator=rng(2))
    x_t = torch.full((n,), 2)
    drawn = sampler.land(chain, h.repeat(n, 1), x_t, 1, bar, rng())
    logits = chain.net.head(h)[0, chain.d + 3 : chain.d + 6].detach().double()
    q = bar * F.one_hot(x_t[0], 3) + (1 - bar) / 3
    p = logits.softmax(0) * q
    torch.testing.assert_close(torch.bincount(drawn, minlength=3) / n, (p / p.sum()).float(),
                               atol=0.01, rtol=0)  # fmt: skip


def test_the_table_of_a_shared_trust_gives_the_same_hidden_layer():
    diffusion, _, (z, _, x) = prepared(TabDDPMConfig(n_cells=4, atom_share=0.05))
    t = torch.tensor([300.0])
    trust = torch.rand((1, len(diffusion.slices.Ks)), generator=rng())
    with torch.no_grad():
        once = diffusion.net(z, x, t, trust)
        by_row = diffusion.net(z, x, t, trust.expand(len(z), -1))
    torch.testing.assert_close(once, by_row, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def trained():
    options = dict(
        d_layers=(64, 64), n_cells=1, atom_share=0.05, batch_size=256, steps=25, reveal=0.4
    )
    return make("tabddpm", **options).fit(TABLE, steps=700, progress=False)


def test_a_trained_model_learns_marginals_spikes_and_dependence(trained):
    sample = trained.sample(2000, seed=0)
    freq = sample["site"].value_counts(normalize=True)
    share = TABLE["site"].value_counts(normalize=True)
    assert (freq - share).abs().max() < 0.06
    assert abs((sample["spike"] == 0).mean() - (TABLE["spike"] == 0).mean()) < 0.06
    assert (sample["like"] == "k_" + sample["site"]).mean() > 0.9
    assert sample.loc[sample["site"] == "a", "x"].mean() < -2 < 2 < sample.loc[
        sample["site"] != "a", "x"].mean()  # fmt: skip


def test_calibration_gives_biased_heads_the_marginals_of_the_table(trained):
    biased = copy.deepcopy(trained)
    diffusion = biased.diffusion_
    with torch.no_grad():
        diffusion.net.head.bias[diffusion.d] -= 1.5  # site a
    shares = [biased.sample(3000, seed=0)["site"].eq("a").mean()]
    rows = Rows.of(biased.fields_, *biased.layout_.split(TABLE))
    diffusion.calibrate(rows.log_marginals().exp(), 2000, rng())
    shares.append(biased.sample(3000, seed=0)["site"].eq("a").mean())
    true = TABLE["site"].eq("a").mean()
    assert abs(shares[0] - true) > 0.1 > 0.05 > abs(shares[1] - true)


def test_where_is_obeyed_and_the_rest_follows(trained):
    for site, sign in [("a", -1), ("c", 1)]:
        sample = trained.sample(500, seed=1, where={"site": site})
        assert (sample["site"] == site).all()
        assert (sample["like"] == f"k_{site}").mean() > 0.6
        assert sign * sample["x"].mean() > 1


@pytest.mark.parametrize("condition", ["particles", "rejection", "revealed"])
def test_every_way_of_conditioning_obeys(trained, condition):
    sample = trained.sample(300, seed=1, where={"site": "b"}, condition=condition)
    assert (sample["site"] == "b").all() and sample.duplicated().mean() < 0.05


def test_the_paper_s_sampler_conditions_by_rejection():
    model = make("tabddpm", preset="paper", d_layers=(16,), steps=5)
    model.fit(TABLE, steps=5, progress=False)
    assert (model.sample(20, seed=0, where={"site": "a"})["site"] == "a").all()


def test_ways_of_conditioning_are_checked(trained):
    with pytest.raises(ValueError, match="condition must be one of .*, got 'magic'"):
        trained.sample(2, where={"site": "a"}, condition="magic")
    with pytest.raises(ValueError, match="particles jump, got sampler='ancestral'"):
        trained.sample(2, where={"site": "a"}, condition="particles", sampler="ancestral")


@pytest.mark.parametrize("seen", [0, 1])
def test_particles_keep_the_conditional_of_a_perfect_network(seen):
    joint = torch.tensor([[0.45, 0.02, 0.05], [0.01, 0.01, 0.001], [0.2, 0.1, 0.159]]).double()
    alpha_bar = cosine_schedule(100)
    chain = Chain(Knowing(joint, alpha_bar), Slices.of([3, 3]), torch.tensor([3.0, 3.0]).double(),
                  alpha_bar, torch.empty(0), torch.zeros(6), False)  # fmt: skip
    n, wanted = 6000, 1
    _, x = jumps_to(chain, n, visited(100, 40), {seen: wanted}, rng(4))
    assert (x[:, seen] == wanted).all()
    true = joint.select(seen, wanted) / joint.select(seen, wanted).sum()
    observed = torch.bincount(x[:, 1 - seen], minlength=3)
    _, free = jumps(chain, 60_000, visited(100, 40), {}, rng(5))
    kept = torch.bincount(free[free[:, seen] == wanted, 1 - seen], minlength=3)
    torch.testing.assert_close(observed / n, true.float(), atol=0.05, rtol=0)
    # particles of one chunk share early noise: their chi-square is held against a tenth of n
    p = chi2_contingency(np.stack([observed.numpy() / 10, kept.numpy()])).pvalue
    assert p > 0.01


def test_conditioning_keeps_the_conditional_of_the_table(trained):
    for site in "bc":
        real = TABLE[TABLE["site"] == site]
        steered = trained.sample(600, seed=5, where={"site": site})
        kept = trained.sample(600, seed=6, where={"site": site}, condition="rejection")
        like = [(t["like"] == f"k_{site}").mean() for t in (steered, kept)]
        assert abs(like[0] - like[1]) < 0.06 and like[0] > 0.85
        distance = [ks_2samp(t["x"], real["x"]).statistic for t in (steered, kept)]
        assert distance[0] < distance[1] + 0.08



def test_anomalies_of_three_kinds_score_above_normal_rows(trained):
    normal = TABLE.iloc[:200].reset_index(drop=True)
    broken = [
        normal.assign(like="k_" + normal["site"].map({"a": "b", "b": "c", "c": "a"})),
        normal.assign(x=-normal["x"]),
        normal.assign(x=normal["x"] + 1e6),
    ]
    base = trained.anomaly_score(normal)
    for table in broken:
        odd = trained.anomaly_score(table)
        assert (odd[:, None] > base).mean() > 0.85  # the AUC
    assert np.isfinite(base).all() and base.shape == (200,)


def test_an_unseen_category_is_scored_not_refused(trained):
    new = TABLE.iloc[:5].assign(site="new site")
    assert (trained.anomaly_score(new) > trained.anomaly_score(TABLE.iloc[:5])).all()


def test_an_anomaly_score_does_not_depend_on_the_other_rows(trained):
    whole = trained.anomaly_score(TABLE)
    np.testing.assert_allclose(whole[7:9], trained.anomaly_score(TABLE.iloc[7:9]), rtol=1e-4)


def test_sampling_steps_are_an_option_of_the_call(trained):
    assert not trained.sample(5, seed=0, steps=3).equals(trained.sample(5, seed=0))


def test_samples_cross_chunks(trained):
    assert len(trained.sample(CHUNK + 3, seed=0, steps=1)) == CHUNK + 3


def test_presets_and_cells_are_checked():
    with pytest.raises(ValueError, match="preset must be default or paper, got 'best'"):
        make("tabddpm", preset="best")
    with pytest.raises(ValueError, match=r"cells names the numerical columns .* got 'site'"):
        make("tabddpm", cells=("site",)).fit(TABLE, steps=1, progress=False)


def test_the_paper_preset_can_be_changed_option_by_option():
    config = make("tabddpm", preset="paper", lr=1e-3).config
    assert (config.lr, config.batch_size, config.objective) == (1e-3, 4096, "eps-kl")


# The plain twin -----------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0, 1, 30, 99])
def test_the_bound_and_its_gradient_equal_the_plain_restatement_in_float64(t):
    Ks, T, n = [300, 3, 1, 7], 100, 30
    plain = PlainDiffusion(None, 0, Ks, T, torch.float64)
    draw = lambda s: torch.stack(  # noqa: E731
        [torch.randint(K, (n,), generator=rng(s + K)) for K in Ks], 1)  # fmt: skip
    x_0, x_t = draw(0), draw(1)
    x_t = torch.where(torch.rand(n, len(Ks), generator=rng(2)) < 0.5, x_0, x_t)
    logits = (3 * torch.randn(n, sum(Ks), generator=rng(3), dtype=torch.float64)).requires_grad_()
    theirs = plain.terms(logits, plain.log_one_hot(x_0), plain.log_one_hot(x_t),
                         torch.full((n,), t))  # fmt: skip
    alpha_bar = cosine_schedule(T)
    before = torch.full((n, 1), 1.0 if t == 0 else float(alpha_bar[t - 1]), dtype=torch.float64)
    step = Step(x_0, x_t, alpha_bar[t] / before, before, torch.tensor(Ks).double())
    weight = torch.full((n, len(Ks)), T / n, dtype=torch.float64)
    ours = WeightedSum.apply(logits, weight, step, double(Slices.of(Ks)))
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
