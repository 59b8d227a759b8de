"""TabDDPM: Modelling Tabular Data with Diffusion Models."""

from .model import CHUNK, Diffusion, TabDDPM, TabDDPMConfig

__all__ = ["CHUNK", "Diffusion", "TabDDPM", "TabDDPMConfig"]
