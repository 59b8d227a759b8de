"""The sites a user asks for.

In: a number, a name of a group, names of sites, a CSV file or a catalogue. Out: a `Catalogue`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from foundations import checks

from .catalogues import Catalogue, check_names, list_some
from .names import resolve_queue
from .reading import embedded, read_catalogue


def catalogue(which: int | str | Path | Iterable[str] | Catalogue = 40) -> Catalogue:
    """The sites asked for, largest first.

    Args:
        which: n for the n largest, "tier1" for the Tier-0 and Tier-1 sites, "all", a list of names
            of the embedded catalogue, a CSV file, or a catalogue (returned as it is).

    Raises:
        ValueError: none of these, a name that is not known, or a broken file.

    Example:
        >>> catalogue("tier1").names[0]
        'BNL-ATLAS'
    """
    if isinstance(which, Catalogue):
        return which
    everything = embedded()
    if checks.is_whole(which):
        if not 1 <= which <= everything.n_sites:
            raise ValueError(f"sites must be between 1 and {everything.n_sites}, got {which}")
        return everything.take(range(int(which)))
    if is_own(which):
        return read_catalogue(which)
    if isinstance(which, pd.DataFrame):
        raise ValueError(f"sites must be a CSV file or a Catalogue, got a table of {which.shape}")
    if isinstance(which, np.ndarray | pd.Series):
        which = which.tolist()
    if which == "all":
        return everything
    if which == "tier1":
        return everything.take(np.flatnonzero(_is_tier1(everything)))
    if isinstance(which, Iterable) and not isinstance(which, str):
        return _take_named(everything, list(which))
    raise ValueError(
        f'sites must be a number, "tier1", "all", names, a CSV file or a Catalogue, got {which!r}'
    )


def is_own(which: object) -> bool:
    """Whether these sites are a user's own, a catalogue or a file, and not of the embedded ones."""
    return isinstance(which, Catalogue | Path) or (isinstance(which, str) and _is_file_name(which))


def _is_file_name(which: str) -> bool:
    return which.lower().endswith((".csv", ".csv.gz"))


def _is_tier1(everything: Catalogue) -> np.ndarray:
    """Where a Tier-0 or Tier-1 site stands, not one of its further queues. Shape: (S,) bool."""
    is_site = np.array([resolve_queue(name) == name for name in everything.names])
    return (everything.tier <= 1) & is_site


def _take_named(everything: Catalogue, names: list[str]) -> Catalogue:
    """The named sites, largest first."""
    check_names(names)
    unknown = [n for n in names if n not in everything.names]
    if unknown:
        raise ValueError(
            f"unknown site {unknown[0]!r}; the catalogue has {list_some(everything.names)}"
        )
    return everything.take(sorted(everything.names.index(n) for n in names))
