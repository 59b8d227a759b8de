"""Anomaly scores: how badly the network restores a row from noise.

Place in the paper: none; it reuses the paper's noise process and network.

In: a `Diffusion`, rows as `TrainingRows`. Out: a score (n,), high is anomalous. Every row gets the
same noise. A number counts by its squared error. A category counts by its surprise: the negative
log probability the rest of the row gives it, minus its expectation (the entropy). Of all columns
the most surprising one counts, because an anomaly rarely breaks more than one rule, and the other
columns would only add their own noise.

Source: a denoising score, ours; the surprise less its expectation is the centred self-information
of Shannon (1948).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from generators.devices import seeded, to_array

from .encoding import TrainingRows
from .loss import Slices

if TYPE_CHECKING:
    from .model import Diffusion

LEVELS = (0.05, 0.15, 0.3)  # t / T at which to look


@torch.no_grad()
def denoising_error(
    diffusion: Diffusion, rows: TrainingRows, chunk: slice, seed: int, draws: int
) -> np.ndarray:
    """Scores (n,) of the rows of a chunk, from `draws` noises at each of `LEVELS`."""
    rng = seeded(seed)
    n, n_numbers = rows.atom[chunk].shape
    still = torch.zeros((n, len(rows.encoding.smooth)))
    z_0, weight, x_0 = rows.draw(chunk, torch.full((n, n_numbers), 0.5), still)
    known = torch.zeros((n, diffusion.n_known), dtype=torch.bool)
    errors, surprises = torch.zeros(n), torch.zeros((n, len(diffusion.Ks)))
    for t in (torch.tensor([int(level * diffusion.config.n_timesteps)]) for level in LEVELS):
        for _ in range(draws):
            out, eps, _, at = diffusion.predict_noised(z_0, x_0, t, known, rng, draws=1)
            numbers, logits = out[:, : diffusion.d], out[:, diffusion.d :]
            error = diffusion.numerical_error(numbers, z_0, eps, diffusion.alpha_bar[at])
            errors += (error * weight).sum(1)
            surprises += surprise(logits, x_0, diffusion.slices)
    looks = len(LEVELS) * draws
    worst = surprises.amax(1) if surprises.shape[1] else torch.zeros(n)
    return to_array(((errors + worst) / looks).double())


def surprise(logits: Tensor, x_0: Tensor, slices: Slices) -> Tensor:
    """-log p(x_0) less the entropy of p (n, C), p the softmax of each column's logits."""
    columns = zip(logits.split(slices.Ks, 1), x_0.T, strict=True)
    parts = []
    for part, x in columns:
        log_p = part.log_softmax(1)
        parts.append((log_p.exp() * log_p).sum(1) - log_p.gather(1, x[:, None])[:, 0])
    return torch.stack(parts, 1) if parts else torch.zeros((len(logits), 0))
