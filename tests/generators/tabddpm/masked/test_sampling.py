"""The masked process backwards: rows as likely as the network says, under any condition."""

import numpy as np
import pytest
import torch

from generators.conditions import Given
from generators.drawing import FREE, Limits, PartialRows, draw_given
from generators.tabddpm.masked.sampling import draw_columns, reveal
from tests.generators.tabddpm.masked.nets import EVERY, SIZES, log_p, rng, small_net

N = 60_000


def shares(x):
    """Share of each of the rows there can be."""
    at = torch.from_numpy(np.ravel_multi_index(x.T.numpy(), SIZES))
    return torch.bincount(at, minlength=len(EVERY)) / len(x)


def assert_likely(found, truth):
    """Shares of N rows within five standard deviations of their probabilities."""
    assert ((found - truth).abs() <= 5 * (truth * (1 - truth) / N).sqrt() + 1e-6).all()


def empty(net, n=N):
    return PartialRows(n, len(net.fields), net.d, 0)


@torch.no_grad()
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_rows_are_drawn_as_often_as_the_network_says(order):
    net = small_net()
    draw = draw_columns(empty(net), net, order, [], rng(3))
    assert_likely(shares(draw.x), log_p(net, EVERY, order).exp())


@torch.no_grad()
def test_a_condition_on_several_columns_is_that_of_their_joint():
    net, given = small_net(), Given(codes={0: (0, 2), 2: (1, 3)})
    limits = Limits.of(given, net.fields, [])
    source = rng(7)
    draws = draw_given(
        N,
        lambda m: draw_columns(empty(net, m), net, [0, 2], [], source, limits),
        lambda rows: draw_columns(rows, net, [1], [], source),
        source,
    )
    x = torch.cat([draw.x for draw in draws])[:N]
    truth = log_p(net, EVERY, [0, 2, 1]).exp()
    held = torch.from_numpy(given.held_by(np.empty((len(EVERY), 0)), EVERY.numpy()))
    assert_likely(shares(x), torch.where(held, truth, 0.0) / truth[held].sum())


@torch.no_grad()
def test_what_is_revealed_stays_and_the_rest_follows():
    net, x = small_net(), torch.tensor([[1, 0, 3]]).repeat(N, 1)
    draw = draw_columns(reveal(empty(net), net, [2, 0], x), net, [1], [], rng(3))
    assert torch.equal(draw.x[:, [0, 2]], x[:, [0, 2]])
    order = log_p(net, EVERY, [2, 0, 1]).exp()
    held = (EVERY[:, 0] == 1) & (EVERY[:, 2] == 3)
    assert_likely(shares(draw.x), torch.where(held, order, 0.0) / order[held].sum())


@torch.no_grad()
def test_columns_of_one_step_do_not_see_each_other():
    net = small_net()
    alone = [net.logits(i, torch.zeros(1, net.d), None).softmax(1)[0] for i in range(3)]
    truth = torch.einsum("i,j,k->ijk", *alone).flatten()
    draw = draw_columns(empty(net), net, [0, 1, 2], [], rng(3), FREE, steps=1)
    assert_likely(shares(draw.x), truth)
    some = draw_columns(empty(net), net, [0, 1, 2], [], rng(3), FREE, steps=2)
    excess = shares(some.x).view(SIZES).sum(2) - alone[0][:, None] * alone[1]
    assert excess.abs().max() < 0.02
