"""The network's shortcuts give what the long way gives."""

import torch

from generators.tabddpm import UniformConfig, UniformTabDDPM
from generators.tabddpm.uniform.network import sinusoids
from tests.generators.tabddpm.uniform.diffusions import prepared, rng


def test_the_table_of_a_shared_trust_gives_the_same_hidden_layer():
    diffusion, _, (z, _, x) = prepared(UniformConfig(n_cells=4, atom_share=0.05))
    t = torch.tensor([300.0])
    trust = torch.rand((1, len(diffusion.slices.Ks)), generator=rng())
    with torch.no_grad():
        once = diffusion.net(z, x, t, trust)
        by_row = diffusion.net(z, x, t, trust.expand(len(z), -1))
    torch.testing.assert_close(once, by_row, rtol=1e-4, atol=1e-5)


def test_the_paper_s_first_layer_may_be_applied_before_the_sum():
    diffusion, _, (z, _, x) = prepared(UniformTabDDPM(preset="paper", d_layers=(32, 16)).config)
    net, t = diffusion.net, torch.arange(len(z)).float()
    with torch.no_grad():
        h = net.time(sinusoids(t[:, None], net.clocks)) + net.numbers(z) + net.embed(x + net.starts)
        for layer in net.layers:
            h = layer(h).relu()
        torch.testing.assert_close(
            net(z, x, t, torch.ones(1, 1)), net.head(h), rtol=1e-4, atol=1e-4
        )
