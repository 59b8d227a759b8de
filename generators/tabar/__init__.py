"""TabAR: an autoregressive surrogate, one column after the other."""

from .model import TabAR, TabARConfig

__all__ = ["TabAR", "TabARConfig"]
