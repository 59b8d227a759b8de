"""The grid's sites: who computes, how fast, how much each stores, and how well they are linked."""

from .catalogues import COLUMNS, DEFAULT_POWER, PATH, Catalogue, catalogue, read_catalogue, resolve
from .links import THROUGHPUT, derive_closeness
from .names import ALIASES, SITES, resolve_queue

__all__ = [
    "ALIASES",
    "COLUMNS",
    "DEFAULT_POWER",
    "PATH",
    "SITES",
    "THROUGHPUT",
    "Catalogue",
    "catalogue",
    "derive_closeness",
    "read_catalogue",
    "resolve",
    "resolve_queue",
]
