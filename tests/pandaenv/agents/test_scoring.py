"""Scoring sites: no order and no number of sites is known to the weights; masks are obeyed."""

import numpy as np
import pytest
import torch

from tests.pandaenv.simulator.grids import records

pytest.importorskip("sb3_contrib")
from gymnasium.spaces import Discrete
from sb3_contrib import MaskablePPO

from pandaenv.agents.scoring import SiteScorer, SiteScoringPolicy, Traits, odds, split, traits_of
from pandaenv.env.observation import N_GRID, N_JOB, N_SITE, space
from pandaenv.policies.estimates import transfer_time
from pandaenv.sb3 import PandaVecEnv
from pandaenv.workload import Trace

N = 6


@pytest.fixture(scope="module")
def workload():
    return Trace(records())


def envs_of(workload, sites):
    envs = PandaVecEnv(N, workload=workload, rate=800, episode_jobs=40, sites=sites)
    envs.seed(3)
    envs.reset()
    rng = np.random.default_rng(0)
    for _ in range(25):
        masks = envs.episodes.view.mask
        envs.step((rng.random(masks.shape) * masks).argmax(axis=1))
    return envs


@pytest.fixture(scope="module")
def envs(workload):
    return envs_of(workload, 12)


@pytest.fixture
def scorer(envs):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SiteScorer(traits_of(envs))


def test_shuffled_sites_get_shuffled_scores_and_the_same_value(envs, scorer):
    seen = torch.as_tensor(envs.episodes.view.flat)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    job, sites, grid = split(seen)
    shuffled = torch.cat([job, sites[:, order].flatten(1), grid], dim=1)
    scores, value = scorer(seen)
    traits = traits_of(envs)
    scorer.set_traits(Traits(traits.cores[order], traits.rate[order][:, order], traits.hours))
    again, same = scorer(shuffled)
    assert scores.std() > 1e-3
    assert torch.allclose(again, scores[:, order], atol=1e-5)
    assert torch.allclose(same, value, atol=1e-5)


def test_without_its_traits_a_shuffled_site_is_another_one(envs, scorer):
    seen = torch.as_tensor(envs.episodes.view.flat)
    job, sites, grid = split(seen)
    shuffled = torch.cat([job, sites.flip(1).flatten(1), grid], dim=1)
    assert not torch.allclose(scorer(shuffled)[0], scorer(seen)[0].flip(1), atol=1e-3)


def test_weights_of_twelve_sites_run_on_forty(workload, envs, scorer):
    forty = envs_of(workload, 40)
    other = SiteScorer(traits_of(forty))
    other.load_state_dict(scorer.state_dict())
    scores, value = other(torch.as_tensor(forty.episodes.view.flat))
    assert scores.shape == (N, 40) and value.shape == (N, 32)
    assert torch.isfinite(scores).all() and scores.std() > 1e-3
    assert not any(parameter.shape[0] in (12, 40) for parameter in scorer.parameters())


def test_derived_times_are_those_of_the_simulator(envs, scorer):
    """Time to move the input, idle channels apart, as `transfer_time` has it, over m."""
    job, sites, _ = split(torch.as_tensor(envs.episodes.view.flat))
    times = torch.expm1(scorer.derived(job, sites)[..., :5]).numpy()
    episodes, prepared = envs.episodes, envs.single.prepared
    n_moved = 0
    for w in range(N):
        for s in range(12):
            channel = episodes.worlds.channel[w, s]
            now = episodes.worlds.world[w]["now"]
            if channel.min() <= now:
                move = transfer_time(prepared.grid, episodes.worlds, w, s) / prepared.unit
                assert times[w, s, 0] == pytest.approx(move, rel=2e-3, abs=1e-6)
                n_moved += move > 0
    assert n_moved > 20
    powers = prepared.grid.sites["power"]
    mean = (powers * prepared.grid.sites["cores"]).sum() / prepared.grid.sites["cores"].sum()
    expected = odds(job[:, 3:4]).numpy() * mean / powers
    assert times[..., 3] == pytest.approx(expected, rel=1e-3)


def test_the_value_bends_nothing_that_scores(envs, scorer):
    _, value = scorer(torch.as_tensor(envs.episodes.view.flat))
    value.sum().backward()
    assert scorer.pooled.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in scorer.of_site.parameters())


def test_it_trains_under_masks_and_saves_as_any_policy(envs, tmp_path):
    model = MaskablePPO(
        SiteScoringPolicy,
        envs,
        n_steps=16,
        batch_size=32,
        n_epochs=1,
        seed=0,
        device="cpu",
        policy_kwargs={"traits": traits_of(envs), "width": 8, "n_layers": 3},
    )
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(2 * 16 * N)
    moved = [not p.equal(q) for p, q in zip(before, model.policy.parameters(), strict=True)]
    assert all(moved)
    mask = np.zeros((N, 12), np.int8)
    mask[:, 7] = 1
    sites, _ = model.predict(envs.episodes.view.flat, action_masks=mask)
    assert sites.tolist() == [7] * N
    model.policy.save(tmp_path / "policy.zip")
    again = SiteScoringPolicy.load(tmp_path / "policy.zip")
    seen = torch.as_tensor(envs.episodes.view.flat)
    assert again.mlp_extractor(seen)[0].equal(model.policy.mlp_extractor(seen)[0])


def test_without_traits_what_derives_from_them_is_zero(envs):
    scorer = SiteScorer(None)
    job, sites, _ = split(torch.as_tensor(envs.episodes.view.flat))
    derived = scorer.derived(job, sites)
    assert (derived[..., [0, 5, 6]] == 0).all() and (derived[..., 3] > 0).all()


@pytest.mark.parametrize(
    ("observations", "actions"),
    [
        (space(12, True), Discrete(11)),
        (space(12, False), Discrete(12)),
        (space(12, True), space(1, True)),
    ],
)
def test_other_spaces_are_refused(observations, actions):
    with pytest.raises(ValueError, match="flat observations"):
        SiteScoringPolicy(observations, actions, lambda _: 0.0)


def test_the_blocks_are_where_they_are_said_to_be():
    flat = torch.arange(float(N_JOB + 3 * N_SITE + N_GRID))[None]
    job, sites, grid = split(flat)
    assert job[0].tolist() == list(range(12))
    assert sites[0, 1].tolist() == list(range(20, 28)) and grid[0, 0] == 36
