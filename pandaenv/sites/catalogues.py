"""The grid's sites: who computes, how fast, how much each stores, and how well they are linked.

In: the embedded catalogue `data/sites.csv`, or a user's CSV of the same columns. Out: a
`Catalogue`, arrays of length S (sites, largest first) and S x S (links).

The names are public WLCG site names; names ending in `_SHORT` or `_HIMEM` are queue names made from
them, since PanDA knows about 150 queues at about 104 sites. Everything else is ILLUSTRATIVE: sizes,
speeds, disks and failure rates are drawn once, by `pandaenv.sites.drawing`, from published
distributions over the sites of ATLAS (HS06 per core, relative queue sizes, DATADISK volumes, failed
shares) and say nothing about any one real site.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from .links import THROUGHPUT, UNKNOWN, derive_closeness
from .names import ALIASES, SITES, resolve_queue  # noqa: F401  SITES belongs to the catalogue

PATH = Path(__file__).parent.parent / "data" / "sites.csv"
COLUMNS = ("name", "tier", "cloud", "cores", "power", "disk", "ingress", "failure_rate")
DEFAULT_POWER = 10.0
"""GFLOP/s per core of a site nobody knows: HS06 per core = 10 is the common default, and 1 HS06
is read as 1 GFLOP/s."""
MAX_CORES = 1e9
"""Slots of the largest site anybody may ask for; sums over sites stay exact."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """S sites and the links between them; arrays are read-only and checked at construction.

    Args:
        names: S distinct names.
        tier: 0 to 3, int64 (S,).
        cloud: S names of regions.
        cores: slots of each site, int64 (S,), at least 1.
        power: GFLOP/s per core, float64 (S,), positive.
        disk: bytes, float64 (S,), not negative.
        ingress: capacity into the site in bytes/s, float64 (S,), positive.
        failure_rate: probability that an attempt fails there, float64 (S,), in [0, 1).
        closeness: 0 (same place) to 11 (unknown), int64 (S, S), symmetric with diagonal 0; None
            derives it.
        link_scale: common factor on all links (a scaled-down grid has scaled-down links).
    """

    names: tuple[str, ...]
    tier: np.ndarray
    cloud: tuple[str, ...]
    cores: np.ndarray
    power: np.ndarray
    disk: np.ndarray
    ingress: np.ndarray
    failure_rate: np.ndarray
    closeness: np.ndarray | None = None
    link_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("names", "cloud"):
            object.__setattr__(self, name, _tuple(name, getattr(self, name)))
        _check_names(self.names)
        for name in ("tier", "cores"):
            object.__setattr__(self, name, _frozen(_integers(name, getattr(self, name))))
        for name in ("power", "disk", "ingress", "failure_rate"):
            object.__setattr__(self, name, _frozen(_numbers(name, getattr(self, name))))
        if self.closeness is None:
            object.__setattr__(
                self, "closeness", derive_closeness(self.names, self.tier, self.cloud)
            )
        object.__setattr__(self, "closeness", _frozen(_integers("closeness", self.closeness)))
        _check_values(self)

    @property
    def n_sites(self) -> int:
        return len(self.names)

    @property
    def link(self) -> np.ndarray:
        """Throughput between each two sites in bytes/s, float64 (S, S), symmetric."""
        return THROUGHPUT[self.closeness] * self.link_scale

    def index(self, name: str) -> int:
        """Row of a site by its exact name."""
        if name not in self.names:
            raise ValueError(f"unknown site {name!r}; the catalogue has {_some(self.names)}")
        return self.names.index(name)

    def take(self, rows: Iterable[int]) -> Catalogue:
        """The catalogue of the given rows, in the given order."""
        rows = np.asarray(list(rows), dtype=np.int64)
        if rows.size == 0:
            raise ValueError("a catalogue needs at least one site, got none")
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name in _ARRAYS}
        return replace(
            self,
            names=tuple(self.names[i] for i in rows),
            cloud=tuple(self.cloud[i] for i in rows),
            closeness=self.closeness[np.ix_(rows, rows)],
            **arrays,
        )


_ARRAYS = ("tier", "cores", "power", "disk", "ingress", "failure_rate")


def catalogue(which: int | str | Path | Iterable[str] | Catalogue = 40) -> Catalogue:
    """The sites asked for, largest first.

    Args:
        which: n for the n largest, "tier1" for the Tier-0 and Tier-1 sites, "all", a list of names
            of the embedded catalogue, a CSV file, or a catalogue (returned as it is).

    Example:
        >>> catalogue("tier1").names[0]
        'BNL-ATLAS'
    """
    if isinstance(which, Catalogue):
        return which
    everything = _embedded()
    if isinstance(which, (int, np.integer)) and not isinstance(which, bool):
        if not 1 <= which <= everything.n_sites:
            raise ValueError(f"sites must be between 1 and {everything.n_sites}, got {which}")
        return everything.take(range(int(which)))
    if isinstance(which, Path) or (isinstance(which, str) and _is_file_name(which)):
        return read_catalogue(which)
    if isinstance(which, pd.DataFrame):
        raise ValueError(f"sites must be a CSV file or a Catalogue, got a table of {which.shape}")
    if isinstance(which, np.ndarray | pd.Series):
        which = which.tolist()
    if which == "all":
        return everything
    if which == "tier1":
        is_site = np.array(everything.names) == np.array(_parents())
        return everything.take(np.flatnonzero((everything.tier <= 1) & is_site))
    if isinstance(which, Iterable) and not isinstance(which, str):
        return _named(everything, list(which))
    raise ValueError(
        f'sites must be a number, "tier1", "all", names, a CSV file or a Catalogue, got {which!r}'
    )


def read_catalogue(path: str | Path) -> Catalogue:
    """Read sites from a CSV with COLUMNS (others are ignored), units as in `Catalogue`.

    Links follow from cloud and tier (`derive_closeness`); for others build a `Catalogue`.
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


def resolve(name: str, among: Iterable[str] | None = None) -> str | None:
    """The catalogue's name for a queue or site name, or None where nothing fits.

    A known name is its own answer. Otherwise case, a leading `ANALY_` and suffixes after `_` are
    ignored, and a few names by which PanDA calls sites (`BNL`, `CERN`) are known.

    Args:
        among: the names an answer may have; by default the whole embedded catalogue.

    Example:
        >>> resolve("ANALY_BNL_LONG"), resolve("MWT2_SHORT", among=["MWT2"]), resolve("nowhere")
        ('BNL-ATLAS', 'MWT2', None)
    """
    known = _embedded().names if among is None else tuple(among)
    if name in known:
        return name
    folded = {n.lower(): n for n in known}
    stem = str(name).lower().removeprefix("analy_")
    while stem:
        if stem in folded:
            return folded[stem]
        alias = ALIASES.get(stem)
        if alias and alias.lower() in folded:
            return folded[alias.lower()]
        stem = stem.rpartition("_")[0]
    return None


# --- reading and checking -----------------------------------------------------------------------


@lru_cache(maxsize=1)
def _embedded() -> Catalogue:
    return _from_frame(_read_csv(PATH))


@lru_cache(maxsize=1)
def _parents() -> tuple[str, ...]:
    return tuple(resolve_queue(n) for n in _embedded().names)


def _is_file_name(which: str) -> bool:
    return which.lower().endswith((".csv", ".csv.gz"))


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
    values = {name: _column(frame, name) for name in _ARRAYS}
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


def _named(everything: Catalogue, names: list[str]) -> Catalogue:
    """The named sites, largest first."""
    _check_names(names)
    unknown = [n for n in names if n not in everything.names]
    if unknown:
        raise ValueError(
            f"unknown site {unknown[0]!r}; the catalogue has {_some(everything.names)}"
        )
    return everything.take(sorted(everything.names.index(n) for n in names))


def _check_names(names: Iterable[str]) -> None:
    names = list(names)
    if not names:
        raise ValueError("a catalogue needs at least one site, got none")
    for i, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise ValueError(f"site names must be non-empty strings, got {name!r} in row {i}")
    twice = [n for n in dict.fromkeys(names) if names.count(n) > 1]
    if twice:
        raise ValueError(
            f"site names must be distinct, got {twice[0]!r} {names.count(twice[0])} times"
        )


def _check_values(c: Catalogue) -> None:
    """Raise on the first rule a catalogue breaks, naming the site."""
    n = c.n_sites
    for name in (*_ARRAYS, "cloud"):
        if len(getattr(c, name)) != n or np.ndim(getattr(c, name)) != 1:
            shape = np.shape(getattr(c, name))
            raise ValueError(f"{name} must have one value for each of {n} sites, got shape {shape}")
    _check_each(c, "tier", (c.tier >= 0) & (c.tier <= 3), "in 0..3")
    _check_each(c, "cores", c.cores >= 1, "at least 1")
    _check_each(c, "cores", c.cores <= MAX_CORES, f"at most {MAX_CORES:.0e}")
    _check_each(c, "power", c.power > 0, "positive")
    _check_each(c, "disk", c.disk >= 0, "at least 0")
    _check_each(c, "ingress", c.ingress > 0, "positive")
    _check_each(c, "failure_rate", (c.failure_rate >= 0) & (c.failure_rate < 1), "in [0, 1)")
    is_number = isinstance(c.link_scale, int | float | np.number)
    if not (is_number and np.isfinite(c.link_scale) and c.link_scale > 0):
        raise ValueError(f"link_scale must be positive and finite, got {c.link_scale!r}")
    _check_closeness(c)


def _check_each(c: Catalogue, name: str, good: np.ndarray, rule: str) -> None:
    if not good.all():
        i = int(np.argmin(good))
        raise ValueError(f"{name} must be {rule}, got {getattr(c, name)[i]} at site {c.names[i]!r}")


def _check_closeness(c: Catalogue) -> None:
    n, d = c.n_sites, c.closeness
    if d.shape != (n, n):
        raise ValueError(f"closeness must have shape ({n}, {n}), got {d.shape}")
    rules = (
        ("between 0 and 11", (d >= 0) & (d <= UNKNOWN)),
        ("symmetric", d == d.T),
        ("0 from a site to itself", ~np.eye(n, dtype=bool) | (d == 0)),
    )
    for rule, good in rules:
        if not good.all():
            i, j = np.argwhere(~good)[0]
            pair = f"{c.names[i]!r} to {c.names[j]!r}"
            raise ValueError(
                f"closeness must be {rule}, got {d[i, j]} from {pair} and {d[j, i]} back"
            )


def _tuple(name: str, values) -> tuple:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a sequence of strings, got {values!r}")
    return tuple(values)


def _numbers(name: str, values: np.ndarray) -> np.ndarray:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values!r}") from None
    if not np.isfinite(array).all():
        i = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"{name} must be finite, got {array[tuple(i)]} in row {int(i[0])}")
    return array


def _integers(name: str, values: np.ndarray) -> np.ndarray:
    array = _numbers(name, values)
    if (array != np.floor(array)).any():
        i = np.argwhere(array != np.floor(array))[0]
        raise ValueError(f"{name} must be whole numbers, got {array[tuple(i)]} in row {int(i[0])}")
    if (np.abs(array) >= 2.0**63).any():
        i = np.argwhere(np.abs(array) >= 2.0**63)[0]
        raise ValueError(f"{name} must fit 64 bits, got {array[tuple(i)]} in row {int(i[0])}")
    return array.astype(np.int64)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f", ... ({len(names)} in all)" if len(names) > 5 else "")
