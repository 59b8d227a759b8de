"""TabDDPM with the uniform and Gaussian process of its paper."""

from .model import UniformConfig, UniformTabDDPM

__all__ = ["UniformConfig", "UniformTabDDPM"]
