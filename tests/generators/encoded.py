"""A table as the networks of TVAE and CTAB-GAN+ see it, and the random numbers of their tests."""

import numpy as np
import pandas as pd
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


def sited(n=1200):
    """Numbers that depend on a site, counts, times, two names of the site, and a status."""
    rng = np.random.default_rng(2)
    site = rng.choice(["a", "b", "c", "d"], n, p=[0.55, 0.25, 0.15, 0.05])
    return pd.DataFrame(
        {
            "x": np.where(site == "a", -3.0, 3.0) + rng.normal(size=n),
            "files": rng.poisson(3, n),
            "time": rng.random(n) * 150,
            "site": site,
            "like": np.char.add("k_", site),
            "status": rng.choice(["done", "failed", "lost"], n, p=[0.6, 0.3, 0.1]),
        }
    )
