"""A catalogue of the grid's sites: who computes, how fast, what each stores, how they are linked.

In: names, tiers, regions, sizes, speeds, disks and failure rates of S sites. Out: a `Catalogue`,
read-only arrays of length S (sites) and S x S (links), checked once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np

from foundations import checks

from .links import THROUGHPUT, UNKNOWN, derive_closeness

NUMERICAL = ("tier", "cores", "power", "disk", "ingress", "failure_rate")
"""Fields with one number for each site."""
MAX_CORES = 1e9
"""Slots of the largest site anybody may ask for; sums over sites stay exact."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """S sites and the links between them; arrays are checked at construction and read-only.

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

    Raises:
        ValueError: a value out of its range; the message names the site.
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
        check_names(self.names)
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
        """S, the number of sites."""
        return len(self.names)

    @property
    def link(self) -> np.ndarray:
        """Throughput between each two sites in bytes/s, float64 (S, S), symmetric."""
        return THROUGHPUT[self.closeness] * self.link_scale

    def index(self, name: str) -> int:
        """Row of a site by its exact name.

        Raises: ValueError for a name that is not in the catalogue.
        """
        if name not in self.names:
            raise ValueError(f"unknown site {name!r}; the catalogue has {list_some(self.names)}")
        return self.names.index(name)

    def take(self, rows: Iterable[int]) -> Catalogue:
        """The catalogue of the given rows, in the given order.

        Raises: ValueError for no row.
        """
        rows = np.asarray(list(rows), dtype=np.int64)
        if rows.size == 0:
            raise ValueError("a catalogue needs at least one site, got none")
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name in NUMERICAL}
        return replace(
            self,
            names=tuple(self.names[i] for i in rows),
            cloud=tuple(self.cloud[i] for i in rows),
            closeness=self.closeness[np.ix_(rows, rows)],
            **arrays,
        )


def check_names(names: Iterable[str]) -> None:
    """Raise a ValueError unless these are one or more distinct, non-empty names."""
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


def _check_values(c: Catalogue) -> None:
    """Raise a ValueError for the first rule a catalogue breaks, naming the site."""
    n = c.n_sites
    for name in (*NUMERICAL, "cloud"):
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
    checks.positive("link_scale", c.link_scale)
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


def list_some(names: tuple[str, ...]) -> str:
    """The first five names, and how many there are."""
    return ", ".join(names[:5]) + (f", ... ({len(names)} in all)" if len(names) > 5 else "")
