"""CTAB-GAN+: a conditional Wasserstein GAN of table rows."""

from .model import (
    Adversaries,
    CTABGANPlus,
    CTABGANPlusConfig,
    Networks,
    Target,
    condition_loss,
    draw_weights,
    gradient_penalty,
    gumbel_softmax,
    information_loss,
)

__all__ = [
    "Adversaries",
    "CTABGANPlus",
    "CTABGANPlusConfig",
    "Networks",
    "Target",
    "condition_loss",
    "draw_weights",
    "gradient_penalty",
    "gumbel_softmax",
    "information_loss",
]
