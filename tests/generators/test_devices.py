"""generators.devices: models make all their tensors on the device they are asked to use.

Without an accelerator: what forgets the device falls on "meta", where nothing can be computed.
Those that need one are marked `gpu`.
"""

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import generators
from generators import devices
from generators.plan import Plan
from generators.sources import InMemory
from tests.generators import contracts

ROOT = Path(__file__).parents[2]
META = torch.device("meta")
AT_HAND = {"used", "n", "n_averaged"}  # buffers the processor reads at every step
gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]


def table(n=600):
    rng = np.random.default_rng(0)
    site = rng.choice(list("abc"), n, p=[0.6, 0.3, 0.1])
    return pd.DataFrame(
        {
            "creationtime": rng.random(n) * 20,
            "x": rng.normal(size=n) + (site == "a"),
            "files": rng.integers(0, 5, n),
            "site": site,
            "status": rng.choice(["done", "failed"], n),
        }
    )


@pytest.fixture
def elsewhere():
    """Tensors that nobody places fall on the meta device."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device("cpu")


def used(model):
    """All that a fitted model does with tensors."""
    found = [model.sample(50, seed=1), model.sample(20, seed=2, where={"site": "b"})]
    rows = table(20)
    if hasattr(model, "anomaly_score"):
        found.append(pd.Series(model.anomaly_score(rows)))
    if hasattr(model, "log_prob"):
        found.append(pd.Series(model.log_prob(rows)))
        found.append(model.impute(rows.assign(site=None)))
    return found


@pytest.mark.parametrize("name", contracts.ALL)
def test_a_device_that_is_not_the_default_one_holds_every_tensor(name, tmp_path, elsewhere):
    def whole(stop=None):
        model = contracts.make(name)
        model.fit(table(), steps=4, seed=3, progress=False, device="cpu")
        return model, used(model)

    model, found = whole()
    again = generators.load(model.save(tmp_path))
    torch.set_default_device("cpu")
    for one, other, here in zip(found, used(again), whole()[1], strict=True):
        assert one.equals(other) and one.equals(here)


def network(name, model):
    """A network like the model's on the meta device, with no weights."""
    with devices.on(META):
        if name in ("tabddpm", "tabar"):
            return model._make_net(model.net_.fields)
        if name == "tabddpm-uniform":
            model._build(model.layout_, model.encoding_.scales)
            return model.diffusion_
        if name == "tvae":
            model._build(model.encoding_)
        else:
            model._build(model.layout_, model.encoding_)
        return model.net_


@pytest.mark.parametrize("name", contracts.LEARNED)
def test_a_network_is_made_where_it_is_asked_to_be(name):
    net = network(name, contracts.fit(name, table(), steps=2))
    tensors = dict(net.named_parameters()) | dict(net.named_buffers())
    here = {n for n, t in tensors.items() if t.device != META}
    assert {n.rpartition(".")[2] for n in here} <= AT_HAND and len(tensors) > len(here)


@pytest.mark.parametrize("name", ["tvae", "tabddpm", "tabar"])
def test_a_loss_is_computed_on_the_device_of_its_rows(name):
    """Of CTAB-GAN+ and the uniform process some draws cannot be tried there."""
    net, rng = network(name, contracts.fit(name, table(), steps=2)), torch.Generator()
    with devices.on(META):
        if name == "tabddpm":
            net.switch_heads(torch.ones_like(net.used_heads()))
        if name == "tvae":
            alpha, x = torch.zeros(8, net.D), torch.zeros(8, len(net.Ks), dtype=torch.long)
            loss = sum(net.loss(alpha, x, rng).values())
        else:
            x = torch.zeros(8, len(net.fields), dtype=torch.long)
            loss = net.nll(x, rng).sum()
        loss.backward()
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    assert grads and all(grad.device == META for grad in grads)


@pytest.mark.parametrize("path", sorted((ROOT / "generators").rglob("*.py")), ids=str)
def test_only_devices_turns_arrays_into_tensors_and_back(path):
    if path.name == "devices.py":
        return
    called = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    names = {name.rpartition(".")[2] for name in called if "random" not in name}
    assert not names & {"from_numpy", "numpy", "Generator", "skip_init", "cuda"}, path.name


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ("gpu", "device must be auto, cpu, cuda or cuda:N, got 'gpu'"),
        ("meta", "device must be auto, cpu, cuda or cuda:N, got 'meta'"),
        (7.5, "device must be auto, cpu, cuda or cuda:N, got 7.5"),
        ("mps", "device must not be mps: it has no float64"),
        ("cuda:99", "device must be one of this machine's, got 'cuda:99': it has . CUDA"),
    ],
)
@pytest.mark.parametrize("name", ["tabddpm", "smote"])
def test_a_device_that_is_none_is_refused_in_one_sentence(device, sentence, name):
    model = contracts.make(name)
    with pytest.raises(ValueError, match=sentence):
        model.fit(table(), device=device)
    with pytest.raises(ValueError, match=sentence):
        contracts.fit(name, table(), steps=1).sample(3, device=device)


def test_a_fit_that_is_refused_leaves_the_model_where_it_was():
    model = contracts.fit("tvae", table(), steps=1)
    model._device = torch.device("cuda", 0)  # as if it lay there
    with pytest.raises(ValueError, match="steps must be"):
        model.fit(table(), steps=0, device="cpu")
    assert model.device == "cuda:0"


def test_moving_to_where_it_is_changes_nothing():
    model = contracts.fit("tvae", table(), steps=1)
    net = model.net_
    assert model.to("cpu").net_ is net and model.sample(3, device="cpu").shape == (3, 5)


def test_a_plan_of_another_device_is_another_run(tmp_path):
    model = contracts.make("tvae")
    model.fit(table(), steps=1, progress=False)
    source = InMemory(model.view_, model.layout_, np.zeros((2, 1)), np.zeros((2, 1)))
    here = model._run_key(source)
    model._device = torch.device("cuda", 0)
    assert model.device == "cuda:0" and model._run_key(source) != here
    assert Plan(key=here) != Plan(key=model._run_key(source))


class TestOnAnAccelerator:
    """Learned there and drawn here, and the other way round."""

    pytestmark = gpu

    @pytest.mark.parametrize("name", contracts.ALL)
    def test_the_same_seed_gives_the_same_rows_twice(self, name):
        one, other = (contracts.fit(name, table(), steps=20, device="cuda") for _ in "ab")
        assert one.sample(200, seed=1).equals(other.sample(200, seed=1))
        assert one.device == ("cpu" if name == "smote" else "cuda:0")

    @pytest.mark.parametrize("name", contracts.ALL)
    def test_what_is_saved_has_no_device(self, name, tmp_path):
        model = contracts.fit(name, table(), steps=20, device="cuda")
        far = used(model)
        near = generators.load(model.save(tmp_path))
        assert near.device == "cpu" and len(near.sample(100, seed=0)) == 100
        for one, other in zip(far, used(near.to("cuda")), strict=True):
            assert one.equals(other)

    @pytest.mark.parametrize("name", ["tabddpm", "tabar"])
    def test_likelihoods_agree_with_the_processors(self, name):
        model = contracts.fit(name, table(), steps=50, device="cuda")
        score = model.log_prob if name == "tabddpm" else lambda rows: _nll(model, rows)
        far = score(table(100))
        model.to("cpu")
        np.testing.assert_allclose(far, score(table(100)), rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize("name", contracts.LEARNED)
    def test_a_killed_training_goes_on_to_the_same_rows(self, name, tmp_path):
        options = dict(steps=20, seed=1, progress=False, device="cuda")
        whole = contracts.make(name).fit(table(), **options)
        killed = contracts.make(name)
        killed.__class__ = contracts.stopping(type(killed), 11)
        options |= dict(checkpoint=tmp_path / "run", every=0.0)
        with pytest.raises(KeyboardInterrupt):
            killed.fit(table(), **options)
        again = contracts.make(name).fit(table(), **options)
        assert again.sample(100, seed=2).equals(whole.sample(100, seed=2))

    def test_too_little_memory_is_said_in_one_sentence(self):
        with (
            pytest.raises(MemoryError, match=r"cuda:0 has too little memory.*smaller batch_size"),
            devices.on(devices.resolve("cuda")),
        ):
            torch.empty(10**13)


def _nll(model, rows):
    from generators.likelihood import evaluate_nll

    with model.here():
        return devices.to_array(evaluate_nll(model.net_, model.to_rows(rows)).sum(1))
