"""Catalogues as CSV files: the embedded one, or a user's with the same columns.

In: `data/sites.csv`, or the path of another file. Out: a `Catalogue`, largest site first.

The names are public WLCG site names; names ending in `_SHORT` or `_HIMEM` are queue names made from
them, since PanDA knows about 150 queues at about 104 sites. Everything else is ILLUSTRATIVE: sizes,
speeds, disks and failure rates are drawn once, by `pandaenv.sites.drawing`, from published
distributions over the sites of ATLAS (HS06 per core, relative queue sizes, DATADISK volumes, failed
shares) and say nothing about any one real site.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from .catalogues import NUMERICAL, Catalogue

PATH = Path(__file__).parent.parent / "data" / "sites.csv"
COLUMNS = ("name", "tier", "cloud", "cores", "power", "disk", "ingress", "failure_rate")


def read_catalogue(path: str | Path) -> Catalogue:
    """Read sites from a CSV with COLUMNS (others are ignored), units as in `Catalogue`.

    Links follow from cloud and tier (`derive_closeness`); for others build a `Catalogue`.

    Raises: ValueError for an unreadable file, a missing column and a value out of its range.
    """
    frame = _read_csv(path)
    missing = [c for c in COLUMNS if c not in frame.columns]
    if missing:
        raise ValueError(
            f"{path}: a site catalogue needs the column {missing[0]!r}, got {list(frame.columns)}"
        )
    if frame.empty:
        raise ValueError(f"{path}: a site catalogue needs at least one row, got none")
    if frame["name"].isna().any():
        raise ValueError(
            f"{path}: every site needs a name, row {int(frame['name'].isna().argmax())} has none"
        )
    try:
        return _from_frame(frame)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


@lru_cache(maxsize=1)
def embedded() -> Catalogue:
    """The catalogue that comes with the package, 150 queues."""
    return _from_frame(_read_csv(PATH))


def _read_csv(path: str | Path) -> pd.DataFrame:
    try:
        return pd.read_csv(
            path,
            dtype={"name": str, "site": str, "cloud": str},
            keep_default_na=False,
            na_values=[""],
        )
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(
            f"{path}: a site catalogue must be a readable CSV file, got: {error}"
        ) from None


def _from_frame(frame: pd.DataFrame) -> Catalogue:
    """Build the catalogue of a frame with COLUMNS, largest site first (ties by name)."""
    values = {name: _column(frame, name) for name in NUMERICAL}
    order = np.lexsort((frame["name"].to_numpy(), -values["cores"]))
    whole = Catalogue(
        names=tuple(frame["name"]), cloud=tuple(frame["cloud"].fillna("").astype(str)), **values
    )
    return whole.take(order)


def _column(frame: pd.DataFrame, name: str) -> np.ndarray:
    numbers = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        row = frame.iloc[bad[0]]
        raise ValueError(
            f"{name} must be a finite number, got {str(row[name])!r} at site {row['name']!r}"
        )
    return numbers
