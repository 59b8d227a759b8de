"""benchmarks.plain.tvae: what `benchmarks.speed.gan` times beside ours is the same loss."""

import numpy as np
import pytest
import torch

from benchmarks.plain.tvae import PlainTVAE
from generators.training import initialise
from generators.tvae import Autoencoder, TVAEConfig


@pytest.fixture
def ours():
    net = Autoencoder(2, [3, 4], TVAEConfig(d_latent=5, d_layers=(6, 6)))
    initialise(net, torch.Generator().manual_seed(0))
    return net


def test_the_restated_loss_is_ours(ours):
    rng = np.random.default_rng(0)
    alpha = torch.from_numpy(rng.uniform(-1, 1, (50, 2))).float()
    x = torch.from_numpy(np.column_stack([rng.integers(0, K, 50) for K in ours.Ks]))
    plain = PlainTVAE(ours.row(alpha, x), 2, ours.Ks, d_latent=5, hidden=6)
    _copy(ours, plain)
    terms = ours.loss(alpha, x, torch.Generator().manual_seed(1))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        theirs = plain.loss(plain.rows)
    assert float(theirs) == pytest.approx(float(sum(terms.values()).detach()), rel=1e-5)


def _copy(ours: Autoencoder, plain: PlainTVAE) -> None:
    with torch.no_grad():
        for a, b in ((0, 0), (2, 2)):
            plain.encoder[a].load_state_dict(ours.encoder[b].state_dict())
        weight, bias = ours.encoder[4].weight.chunk(2), ours.encoder[4].bias.chunk(2)
        for head, w, b in zip((plain.mu, plain.logvar), weight, bias, strict=True):
            head.weight.copy_(w)
            head.bias.copy_(b)
        plain.decoder.load_state_dict(ours.decoder.state_dict())
