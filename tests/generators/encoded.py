"""A table as the networks of TVAE and CTAB-GAN+ see it, and the random numbers of their tests."""

import numpy as np
import torch

from generators.layout import Layout
from generators.modes import Encoding


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def encoded(table, options):
    """(layout, encoding, places in modes, codes) of a table."""
    layout = Layout.from_table(table)
    numbers, codes = layout.split(table)
    encoding = Encoding.fit(layout, numbers, options, np.random.default_rng(0))
    return layout, encoding, *encoding.encode(numbers, codes, np.random.default_rng(1))
