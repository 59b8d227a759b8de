"""TabDDPM: Modelling Tabular Data with Diffusion Models."""

from .model import TabDDPM, TabDDPMConfig

__all__ = ["TabDDPM", "TabDDPMConfig"]
