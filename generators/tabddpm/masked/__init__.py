"""TabDDPM with the masked process."""

from .model import MaskedConfig, MaskedTabDDPM

__all__ = ["MaskedConfig", "MaskedTabDDPM"]
