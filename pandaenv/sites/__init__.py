"""The grid's sites: who computes, how fast, how much each stores, and how well they are linked."""

from .alias_files import AliasTable, read_aliases
from .aliases import ALIASES, DEFAULT_POWER, power_by_name, resolve
from .catalogues import Catalogue
from .choice import catalogue, is_own
from .links import THROUGHPUT, derive_closeness
from .names import SITES, resolve_queue
from .reading import COLUMNS, PATH, read_catalogue

__all__ = [
    "ALIASES",
    "COLUMNS",
    "DEFAULT_POWER",
    "PATH",
    "SITES",
    "THROUGHPUT",
    "AliasTable",
    "Catalogue",
    "catalogue",
    "derive_closeness",
    "is_own",
    "power_by_name",
    "read_aliases",
    "read_catalogue",
    "resolve",
    "resolve_queue",
]
