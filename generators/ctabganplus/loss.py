"""The losses of CTAB-GAN+ beside the Wasserstein scores.

In: scores, logits or features of a batch. Out: one scalar each: the gradient penalty of the critic,
the condition and information losses of the generator.

Source: Zhao et al. (2022), arXiv 2204.00401; the penalty is that of Gulrajani et al. (2017), arXiv
1704.00028.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def gradient_penalty(score: Callable, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """E (norm of the gradient of the score - 1)^2 on the way between real and fake (n, w)."""
    # DIFF: code walks along the sphere and takes the norm of each value alone; we take the
    # straight way and the norm of the whole row, because that is the penalty of WGAN-GP.
    u = torch.rand((len(real), 1), generator=rng)
    between = (u * real + (1 - u) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(score(between).sum(), between, create_graph=True)
    return ((gradient.norm(dim=1) - 1) ** 2).mean()


def condition_loss(logits: Tensor, Ks: list[int], col: Tensor, opt: Tensor) -> Tensor:
    """Cross-entropy of the category asked for, in the column asked for; mean over the batch."""
    norm = torch.stack([part.logsumexp(1) for part in logits.split(Ks, 1)], 1)
    starts = torch.tensor(np.cumsum([0, *Ks])[:-1], dtype=torch.long)
    asked = logits.gather(1, (starts[col] + opt)[:, None])
    return (norm.gather(1, col[:, None]) - asked).mean()


def information_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Distance of the means plus that of the deviations of the critic's features (n, F)."""
    # DIFF: code adds up absolute differences; we take Euclidean norms, as the formula reads.
    unbiased = len(real) > 1
    spread = fake.std(0, correction=int(unbiased)) - real.std(0, correction=int(unbiased))
    return (fake.mean(0) - real.mean(0)).norm() + spread.norm()
