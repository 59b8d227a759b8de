"""The masked network: what it says of each column, and the bound it learns by."""

import itertools

import pytest
import torch

from generators.fields import Field
from generators.tabddpm.masked.network import NEVER, Unit, list_units
from tests.generators.tabddpm.masked.nets import EVERY, log_p, rng, small_net

MIXED = [
    Field("coarse", 0, 4),
    Field("fine", 0, 3),
    Field("cell", 0, 12),
    Field("hour", 0, 24),
    Field("category", 0, 3),
    Field("coarse", 1, 5),
]


@pytest.fixture(scope="module")
def mixed():
    return small_net(fields=MIXED)


def rows(n=40):
    return torch.stack([torch.randint(f.size, (n,), generator=rng(4)) for f in MIXED], 1)


def test_the_fields_of_a_column_are_masked_together():
    assert list_units(MIXED) == [Unit((0, 1), (2, 3)), Unit((4,), ()), Unit((5,), ())]


@torch.no_grad()
def test_the_likelihood_is_that_of_the_order_of_the_fields(mixed):
    found = mixed.nll(rows())
    assert torch.allclose(-found.sum(1), log_p(mixed, rows(), [0, 1, 2]), atol=1e-4)
    assert (found[:, [2, 3]] == 0).all()  # what follows from others costs nothing


@torch.no_grad()
def test_a_distribution_is_learned_whatever_the_order():
    net = small_net()
    for order in itertools.permutations(range(3)):
        assert float(log_p(net, EVERY, list(order)).exp().sum()) == pytest.approx(1, abs=1e-5)


@torch.no_grad()
def test_training_estimates_the_mean_over_all_orders():
    net = small_net(shuffled=1.0)
    orders = list(itertools.permutations(range(3)))
    truth = -torch.stack([log_p(net, EVERY, list(order)) for order in orders]).mean(0)
    x = EVERY.repeat(4000, 1)
    found = net.nll(x[torch.randperm(len(x), generator=rng(1))], rng(5)).sum(1).mean().item()
    assert found == pytest.approx(truth.mean().item(), rel=0.01)


@torch.no_grad()
def test_a_share_of_a_batch_sees_the_columns_before():
    net, x = small_net(shuffled=0.25), EVERY.repeat(2, 1)
    in_order, mixed = net.nll(x), net.nll(x, rng(5))
    same = torch.isclose(in_order, mixed, atol=1e-5).all(1)
    assert same[:36].all() and not same[36:].all()


@torch.no_grad()
def test_a_head_switched_off_leaves_the_frequencies(mixed):
    x, used = rows(), mixed.used_heads()
    mixed.switch_heads(torch.zeros(len(MIXED), dtype=torch.bool))
    assert not mixed.used_heads().any()
    logits = mixed.logits(1, torch.randn(40, 8), x[:, 0])
    assert torch.equal(logits, mixed.base_1[x[:, 0]]) and (logits >= NEVER).all()
    mixed.switch_heads(used)


@torch.no_grad()
def test_surprise_is_zero_on_average_over_what_the_network_expects():
    net = small_net()
    for given in itertools.product(range(3), range(2)):  # the last column, all others known
        x = torch.tensor([(*given, k) for k in range(4)])
        s = sum(net.embed(i, x[:, i]) for i in (0, 1))
        p = net.logits(2, s, None).softmax(1)[0]
        assert float((net.surprise(x)[:, 2] * p).sum()) == pytest.approx(0, abs=1e-5)
