"""A small random network of the masked process over three categories, and its truth."""

import itertools

import torch

from generators.fields import Field
from generators.tabddpm.masked.network import MaskedNet

SIZES = (3, 2, 4)
EVERY = torch.tensor(list(itertools.product(*map(range, SIZES))))
"""All rows there can be."""


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small_net(shuffled=0.5, fields=None):
    """A network whose columns depend on each other strongly, though it has learned nothing."""
    fields = fields or [Field("category", j, size) for j, size in enumerate(SIZES)]
    net = MaskedNet(fields, 8, 8, shuffled)
    x = torch.stack([torch.randint(f.size, (60,), generator=rng(3)) for f in fields], 1)
    net.start(x, rng(1))
    with torch.no_grad():
        for weight in net.outer:
            weight.normal_(0.0, 2.0, generator=rng(2))
    return net


def known_sum(net, x, columns):
    """s (n, d) of the given columns of rows x, summed one by one."""
    s = torch.zeros(len(x), net.d)
    for u in columns:
        for i in (*net.units[u].drawn, *net.units[u].derived):
            s = s + net.table[x[:, i] + net.starts[i]]
    return s


def log_p(net, x, order):
    """log p (n,) of rows drawn column after column in an order, written plainly."""
    total = torch.zeros(len(x))
    for position, u in enumerate(order):
        s = known_sum(net, x, order[:position])
        for i in net.units[u].drawn:
            logits = net.logits(i, s, x[:, i - 1])
            total = total + logits.log_softmax(1).gather(1, x[:, i : i + 1])[:, 0]
            s = s + net.table[x[:, i] + net.starts[i]]
    return total
