"""TabDDPM: Modelling Tabular Data with Diffusion Models."""

from .masked import MaskedConfig, MaskedTabDDPM
from .model import TabDDPM
from .uniform import UniformConfig, UniformTabDDPM

__all__ = ["MaskedConfig", "MaskedTabDDPM", "TabDDPM", "UniformConfig", "UniformTabDDPM"]
