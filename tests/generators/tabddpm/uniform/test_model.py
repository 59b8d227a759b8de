"""UniformTabDDPM: what it learns, and what sampling, conditioning and scoring promise."""

import copy
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ks_2samp

from benchmarks.plain.tabddpm import PlainDiffusion
from generators import make
from generators.tabddpm import UniformConfig, UniformTabDDPM
from generators.tabddpm.uniform.encoding import TrainingRows
from generators.tabddpm.uniform.model import CHUNK
from tests.generators.tabddpm.uniform.diffusions import TABLE, prepared, rng


def test_the_paper_s_loss_is_mean_eps_mse_plus_bound_over_columns():
    diffusion, _, batch = prepared(UniformTabDDPM(preset="paper", n_timesteps=50).config)
    z_0, _, x_0 = batch
    ours = diffusion.loss(*batch, rng(3))
    again = rng(3)
    t = diffusion._draw_times(len(z_0), again)
    known = diffusion._draw_known(len(z_0), again)
    out, eps, x_t, times = diffusion.predict_noised(z_0, x_0, t, known, again)
    assert float(ours["numerical"].detach()) == pytest.approx(
        float(((out[:, :2] - eps) ** 2).mean().detach())
    )
    plain = PlainDiffusion(None, 2, diffusion.slices.Ks, 50, torch.float64)
    theirs = plain.terms(
        out[:, 2:].detach().double(), plain.log_one_hot(x_0), plain.log_one_hot(x_t), times
    ).mean()
    assert float(ours["categorical"].detach()) == pytest.approx(
        float(theirs) / len(diffusion.slices.Ks), rel=1e-3
    )


def test_a_row_on_an_atom_does_not_pull_the_numericals():
    diffusion, _, (z_0, weight, x_0) = prepared(UniformConfig(n_cells=1, atom_share=0.05))
    assert 0 < weight[:, 1].mean() < 1 and (weight[:, 0] == 1).all()
    moved = torch.where(weight == 0, z_0 + 100, z_0)
    assert float(diffusion.loss(moved, weight * 0, x_0, rng(3))["numerical"].detach()) == 0.0


def test_heads_start_at_the_log_marginals():
    diffusion, rows, _ = prepared(UniformConfig(n_cells=1, atom_share=1.0))
    head = rows.log_marginals()[:3].exp()
    share = TABLE["site"].value_counts(normalize=True).sort_index().to_numpy()
    np.testing.assert_allclose(head, share, atol=0.01)
    assert len(rows.log_marginals()) == sum(diffusion.slices.Ks)


@pytest.fixture(scope="module")
def trained():
    options = dict(
        d_layers=(64, 64), n_cells=1, atom_share=0.05, batch_size=256, steps=25, reveal=0.4
    )
    return UniformTabDDPM(**options).fit(TABLE, steps=700, progress=False)


def test_a_trained_model_learns_marginals_spikes_and_dependence(trained):
    sample = trained.sample(2000, seed=0)
    freq = sample["site"].value_counts(normalize=True)
    share = TABLE["site"].value_counts(normalize=True)
    assert (freq - share).abs().max() < 0.06
    assert abs((sample["spike"] == 0).mean() - (TABLE["spike"] == 0).mean()) < 0.06
    assert (sample["like"] == "k_" + sample["site"]).mean() > 0.9
    assert (
        sample.loc[sample["site"] == "a", "x"].mean()
        < -2
        < 2
        < sample.loc[sample["site"] != "a", "x"].mean()
    )


def test_calibration_gives_biased_heads_the_marginals_of_the_table(trained):
    biased = copy.deepcopy(trained)
    diffusion = biased.diffusion_
    with torch.no_grad():
        diffusion.net.head.bias[diffusion.d] -= 1.5  # site a
    shares = [biased.sample(3000, seed=0)["site"].eq("a").mean()]
    rows = TrainingRows.from_table(biased.encoding_, *biased.layout_.split(TABLE))
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
    model = UniformTabDDPM(preset="paper", d_layers=(16,), steps=5)
    model.fit(TABLE, steps=5, progress=False)
    assert (model.sample(20, seed=0, where={"site": "a"})["site"] == "a").all()


def test_ways_of_conditioning_are_checked(trained):
    with pytest.raises(ValueError, match="condition must be one of .*, got 'magic'"):
        trained.sample(2, where={"site": "a"}, condition="magic")
    with pytest.raises(ValueError, match="needs sampler='jumps', got sampler='ancestral'"):
        trained.sample(2, where={"site": "a"}, condition="particles", sampler="ancestral")


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
        UniformTabDDPM(preset="best")
    with pytest.raises(ValueError, match=r"cells names the numerical columns .* got 'site'"):
        UniformTabDDPM(cells=("site",)).fit(TABLE, steps=1, progress=False)


def test_the_paper_preset_can_be_changed_option_by_option():
    config = UniformTabDDPM(preset="paper", lr=1e-3).config
    assert (config.lr, config.batch_size, config.objective) == (1e-3, 4096, "eps-kl")


def test_new_names_for_categories_change_nothing_else():
    options = dict(d_layers=(16,), n_cells=4, batch_size=128, steps=4)
    renamed = TABLE.assign(site="z" + TABLE["site"])  # the order of the names stays
    samples = [
        UniformTabDDPM(**options).fit(table, steps=20, progress=False).sample(100, seed=0)
        for table in (TABLE, renamed)
    ]
    pd.testing.assert_frame_equal(samples[0].assign(site="z" + samples[0]["site"]), samples[1])


def test_the_order_of_columns_changes_samples_by_noise_only(trained):
    turned = UniformTabDDPM(**asdict(trained.config) | {"preset": "default"})
    turned.fit(TABLE[["like", "spike", "site", "x"]], steps=700, progress=False)
    a, b = trained.sample(2000, seed=0), turned.sample(2000, seed=0)
    assert list(b.columns) == ["like", "spike", "site", "x"]
    shares = [t["site"].value_counts(normalize=True).sort_index() for t in (a, b)]
    assert (shares[0] - shares[1]).abs().max() < 0.06
    assert ks_2samp(a["x"], b["x"]).statistic < 0.08
    assert (b["like"] == "k_" + b["site"]).mean() > 0.9


def test_sampling_uses_the_averaged_weights():
    fast, slow = (
        make(
            "tabddpm", process="uniform", d_layers=(16,), batch_size=128, ema=ema, calibrate=False
        ).fit(TABLE, steps=30, progress=False)
        for ema in (0.0, 0.999)
    )
    pd.testing.assert_frame_equal(fast.losses_, slow.losses_)  # the run itself is the same
    assert not fast.sample(50, seed=0).equals(slow.sample(50, seed=0))
