"""TabAR: an autoregressive surrogate, one column after the other."""

from .model import Draw, TabAR, TabARConfig, cut, encode, fields_of, nll_of, select, walk

__all__ = ["Draw", "TabAR", "TabARConfig", "cut", "encode", "fields_of", "nll_of", "select", "walk"]
