"""CTAB-GAN+: a conditional Wasserstein GAN of table rows."""

from .model import CTABGANPlus, CTABGANPlusConfig

__all__ = ["CTABGANPlus", "CTABGANPlusConfig"]
