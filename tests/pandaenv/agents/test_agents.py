"""Trained agents as policies: single and batched alike, saved without code, damage is noticed."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch

from tests.pandaenv.simulator.grids import records

pytest.importorskip("sb3_contrib")
from pandaenv import agents
from pandaenv.workload import Trace

N = 3


@pytest.fixture(scope="module")
def options():
    return {"workload": Trace(records()), "rate": 800, "episode_jobs": 40}


@pytest.fixture(params=agents.KINDS)
def agent(request):
    rng = torch.Generator().manual_seed(1)
    size = {"flat": {"width": 8}, "scoring": {"width": 8, "n_layers": 2}}[request.param]
    network = agents.KINDS[request.param](12, **size)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=rng)
    if request.param == "flat":
        network.features_extractor.measure(np.random.default_rng(0).random((50, 114)))
    return agents.Agent(network, request.param, 12, size)


def test_it_chooses_alike_in_one_world_and_in_many(agent, options):
    envs = gym.make_vec("PandaSiteAllocation-v0", num_envs=N, sites=12, **options)
    env = gym.make("PandaSiteAllocation-v0", sites=12, **options)
    envs.reset(seed=0)
    agent.reset(range(N))
    env.reset(seed=2)
    chosen = []
    for _ in range(30):
        sites = agent.act_all(envs)
        assert sites.shape == (N,) and sites[2] == agent.act(env)
        assert envs.unwrapped.action_masks()[np.arange(N), sites].all()
        chosen += sites.tolist()
        envs.step(sites)
        env.step(int(sites[2]))
    assert len(set(chosen)) > 2


def test_one_that_draws_follows_its_probabilities_and_its_seed(agent, options):
    envs = gym.make_vec("PandaSiteAllocation-v0", num_envs=500, sites=12, **options).unwrapped
    envs.reset(seed=[0] * 500, options={"window": 0})
    drawing = agents.Agent(agent.network, agent.kind, 12, agent.options, draws=True)
    drawing.reset(range(500))
    sites = drawing.act_all(envs)
    logits = np.where(envs.action_masks()[0] > 0, drawing.logits(envs.episodes.view.flat)[0], -99)
    share = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert np.bincount(sites, minlength=12) / 500 == pytest.approx(share, abs=0.08)
    assert len(set(sites)) > 1 and set(agent.act_all(envs)) == {share.argmax()}
    drawing.reset(range(500))
    assert (drawing.act_all(envs) == sites).all()


def test_it_goes_only_where_it_may(agent, options):
    env = gym.make("PandaSiteAllocation-v0", sites=12, **options)
    env.reset(seed=0)
    env.unwrapped.mask[:] = 0
    env.unwrapped.mask[5] = 1
    assert agent.act(env) == 5


def test_saved_and_loaded_it_is_the_same(agent, tmp_path):
    seen = np.random.default_rng(0).random((4, 114)).astype(np.float32)
    again = agents.load(agents.save(agent, tmp_path / "one", {"seed": 7}))
    assert repr(again) == repr(agent)
    assert (again.logits(seen) == agent.logits(seen)).all()
    card = json.loads((tmp_path / "one" / agents.CARD).read_text())
    assert card["seed"] == 7 and card["format"] == agents.FORMAT
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == [agents.CARD, agents.WEIGHTS]


def test_one_that_scores_plays_on_any_grid_and_a_flat_one_on_its_own(agent, options):
    env = gym.make("PandaSiteAllocation-v0", sites=20, **options)
    env.reset(seed=0)
    if agent.kind == "scoring":
        assert 0 <= agent.act(env) < 20
    else:
        with pytest.raises(ValueError, match="trained on 12 sites, got 20"):
            agent.act(env)


def test_damage_is_noticed(agent, tmp_path):
    folder = agents.save(agent, tmp_path)
    card, weights = folder / agents.CARD, folder / agents.WEIGHTS
    whole, data = card.read_text(), bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ValueError, match="its hash is not the one in the card"):
        agents.load(folder)
    for wrong in ("{", "[]", whole.replace(agents.FORMAT, "agent/9"), whole.replace("kind", "k")):
        card.write_text(wrong)
        with pytest.raises(ValueError, match="must hold|must be the card"):
            agents.load(folder)
    agents.save(agent, folder)
    (tmp_path / "elsewhere").mkdir()
    weights.rename(tmp_path / "elsewhere/weights")
    for target in ("/dev/zero", tmp_path / "elsewhere/weights"):
        weights.symlink_to(target)
        with pytest.raises(ValueError, match="must be a regular file in its folder"):
            agents.load(folder)
        weights.unlink()
    agents.save(agent, folder)
    for wrong in (0, 10**12, "8", True):
        odd = json.loads(whole) | {"n_sites": wrong}
        card.write_text(json.dumps(odd))
        with pytest.raises(ValueError, match="n_sites must be a whole number between 1 and"):
            agents.load(folder)
    card.write_text(whole.replace('"width": 8', '"width": 1000000000'))
    with pytest.raises(ValueError, match="width must be a whole number between 1 and"):
        agents.load(folder)
    card.write_text(whole.replace('"width": 8', '"width": 9'))
    with pytest.raises(ValueError, match="does not fit an agent"):
        agents.load(folder)
    with pytest.raises(ValueError, match="must hold"):
        agents.load(tmp_path / "nowhere")


def test_weights_that_are_no_numbers_are_refused(agent, tmp_path):
    tensors = agent.network.state_dict()
    name = next(name for name, values in tensors.items() if values.dtype.is_floating_point)
    kept = tensors[name].clone()
    tensors[name][...] = torch.nan
    try:
        agents.save(agent, tmp_path)
    finally:
        tensors[name].copy_(kept)
    with pytest.raises(ValueError, match="weights must be finite, those of"):
        agents.load(tmp_path)


def test_moments_centre_and_scale_what_changes():
    extractor = agents.Standardiser(gym.spaces.Box(-1, 1, (2,)))
    seen = np.array([[1.0, 5.0], [3.0, 5.0]], np.float32)
    extractor.measure(seen)
    assert extractor(torch.as_tensor(seen)).tolist() == [[-1.0, 0.0], [1.0, 0.0]]
