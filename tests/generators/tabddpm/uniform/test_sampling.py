"""Both rules of sampling, against distributions that are known."""

import pytest
import torch
import torch.nn.functional as F

from generators.tabddpm import UniformConfig
from generators.tabddpm.uniform.sampling import ancestral, draw_column, draw_x_0, jumps, timesteps
from tests.generators.tabddpm.uniform.diffusions import knowing_process, prepared, rng


def test_visited_times_begin_at_most_noise_and_end_at_least():
    assert timesteps(1000, 1000) == list(range(999, -1, -1))
    times = timesteps(1000, 25)
    assert times[0] == 999 and times[-1] == 0 and len(times) == 25
    assert timesteps(10, 1000) == list(range(9, -1, -1))


def test_x_0_is_drawn_from_softmax_times_q():
    diffusion, _, _ = prepared(UniformConfig(n_cells=1, atom_share=1.0))
    assert diffusion.slices.Ks == [3, 3]
    logits = torch.tensor([[0.0, 1.0, -1.0, 2.0, 2.0, -9.0]])
    n, bar = 60_000, 0.4
    x_t = torch.tensor([[2, 0]]).repeat(n, 1)
    drawn = draw_x_0(x_t, logits.repeat(n, 1), bar, diffusion.reverse_process(), rng())
    for i, part in enumerate(logits.double().split(3, 1)):
        q = bar * F.one_hot(x_t[0, i], 3) + (1 - bar) / 3
        p = (part[0].exp() * q) / (part[0].exp() * q).sum()
        freq = torch.bincount(drawn[:, i], minlength=3) / n
        torch.testing.assert_close(freq.double(), p, atol=0.01, rtol=0)


@pytest.mark.parametrize("rule", [ancestral, jumps])
def test_with_a_perfect_network_sampling_gives_the_joint_back(rule):
    joint = torch.tensor([[0.4, 0.02, 0.05], [0.03, 0.3, 0.2]], dtype=torch.float64)
    process = knowing_process(joint)
    n = 20_000
    _, x = rule(process, n, timesteps(100, 50), {}, rng(3))
    counts = torch.bincount(x[:, 0] * 3 + x[:, 1], minlength=6)
    torch.testing.assert_close(counts / n, joint.flatten().float(), atol=0.02, rtol=0)


def test_a_known_category_is_never_moved_by_a_jump():
    joint = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    process = knowing_process(joint)
    _, x = jumps(process, 200, timesteps(100, 10), {1: 1}, rng())
    assert (x[:, 1] == 1).all() and set(x[:, 0].tolist()) == {0, 1}


def test_one_column_draws_x_0_from_softmax_times_q():
    diffusion, _, _ = prepared(UniformConfig(n_cells=1, atom_share=1.0))
    process, n, bar = diffusion.reverse_process(), 60_000, 0.4
    h = torch.randn((1, process.net.head.in_features), generator=rng(2))
    x_t = torch.full((n,), 2)
    drawn = draw_column(process, h.repeat(n, 1), x_t, 1, bar, rng())
    logits = process.net.head(h)[0, process.d + 3 : process.d + 6].detach().double()
    q = bar * F.one_hot(x_t[0], 3) + (1 - bar) / 3
    p = logits.softmax(0) * q
    torch.testing.assert_close(
        torch.bincount(drawn, minlength=3) / n, (p / p.sum()).float(), atol=0.01, rtol=0
    )
