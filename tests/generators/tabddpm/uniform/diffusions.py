"""A small mixed table, a random diffusion over it, and a network that knows the truth."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from generators.layout import Layout
from generators.tabddpm.uniform.encoding import Encoding, TrainingRows
from generators.tabddpm.uniform.loss import Slices
from generators.tabddpm.uniform.model import Diffusion
from generators.tabddpm.uniform.process import cosine_schedule
from generators.tabddpm.uniform.sampling import ReverseProcess
from generators.tabddpm.uniform.scales import Scales
from generators.training import initialise

RNG = np.random.default_rng(2)
N = 400
SITE = RNG.choice(["a", "b", "c"], N, p=[0.6, 0.3, 0.1])
TABLE = pd.DataFrame(
    {
        "x": np.where(SITE == "a", -3.0, 3.0) + RNG.normal(size=N),
        "spike": np.where(RNG.random(N) < 0.3, 0.0, RNG.lognormal(3, 1, N)),
        "site": SITE,
        "like": np.char.add("k_", SITE),
    }
)


def double(slices):
    """Slices for logits in float64."""
    return slices._replace(member=slices.member.double())


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def prepared(config, table=TABLE):
    """A random network over a table and a batch of it."""
    layout = Layout.from_table(table)
    numbers, codes = layout.split(table)
    n_cells = [config.n_cells] * numbers.shape[1]
    scales = Scales.fit(numbers, n_cells, atom_share=config.atom_share)
    encoding = Encoding.from_scales(layout, scales)
    diffusion = Diffusion(encoding, config)
    initialise(diffusion, rng(7))
    rows = TrainingRows.from_table(encoding, numbers, codes, config.dequantise)
    return diffusion, rows, rows.draw_random(torch.arange(128), rng(1))


class Knowing(nn.Module):
    """A net that knows the joint of two columns, and so the odds of one given the other's state.

    Its last hidden layer is the logits themselves; the head passes them on.
    """

    def __init__(self, joint, alpha_bar):
        super().__init__()
        self.joint, self.alpha_bar = joint, alpha_bar
        self.head = nn.Linear(sum(joint.shape), sum(joint.shape))
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(sum(joint.shape)))
            self.head.bias.zero_()

    def hidden(self, z_t, x_t, t, trust):
        bar, (K, L) = float(self.alpha_bar[int(t)]), self.joint.shape
        q = [
            bar * F.one_hot(x, size) + (1 - bar) / size
            for x, size in zip(x_t.T, (K, L), strict=True)
        ]
        given_second = q[1] @ self.joint.T.float()
        given_first = q[0] @ self.joint.float()
        return torch.cat([given_second, given_first], 1).log()

    def forward(self, *args):
        return self.head(self.hidden(*args))


def knowing_process(joint):
    """A process over two columns whose network knows their joint."""
    alpha_bar, Ks = cosine_schedule(100), list(joint.shape)
    return ReverseProcess(
        Knowing(joint, alpha_bar),
        Slices.from_sizes(Ks),
        torch.tensor(Ks).double(),
        alpha_bar,
        torch.empty(0),
        torch.zeros(sum(Ks)),
        False,
    )
