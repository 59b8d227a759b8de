"""The grid's sites: who computes, how fast, how much each stores, and how well they are linked.

In: the embedded catalogue `data/sites.csv`, or a user's CSV of the same columns. Out: a
`Catalogue`, arrays of length S (sites, largest first) and S x S (links).

The names are public WLCG site names; names ending in `_SHORT` or `_HIMEM` are queue names made from
them, since PanDA knows about 150 queues at about 104 sites. Everything else is ILLUSTRATIVE: sizes,
speeds, disks and failure rates are drawn once, by `draw` below, from published distributions over
the sites of ATLAS (HS06 per core, relative queue sizes, DATADISK volumes, failed shares) and say
nothing about any one real site. `python -m pandaenv.sites` makes the file again, byte for byte.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

PATH = Path(__file__).parent / "data" / "sites.csv"
COLUMNS = ("name", "tier", "cloud", "cores", "power", "disk", "ingress", "failure_rate")
DEFAULT_POWER = 10.0
"""GFLOP/s per core of a site nobody knows: HS06 per core = 10 is the common default, and 1 HS06
is read as 1 GFLOP/s."""
MAX_CORES = 1e9
"""Slots of the largest site anybody may ask for; sums over sites stay exact."""
UNKNOWN = 11
"""Closeness of two sites that were never compared."""
THROUGHPUT = 1e6 * np.array([1e4, 1284, 159, 35, 8.9, 2.8, 1.3, 0.7, 0.7, 0.7, 0.7, 0.7])
"""Mean used throughput in bytes/s by closeness 0..11; 0 (local) and 8..11 are ASSUMED, the rest
measured on ATLAS links."""


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
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "cloud", tuple(self.cloud))
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
    if isinstance(which, np.ndarray):
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
        alias = _ALIASES.get(stem)
        if alias and alias.lower() in folded:
            return folded[alias.lower()]
        stem = stem.rpartition("_")[0]
    return None


def derive_closeness(
    names: tuple[str, ...], tier: np.ndarray, cloud: tuple[str, ...]
) -> np.ndarray:
    """Closeness of every two sites from tier and cloud, int64 (S, S), symmetric, diagonal 0.

    Median 4 within a cloud and 5 across (measured on ATLAS links); every Tier-0 or Tier-1 end
    brings a pair one step closer and queues of one site stand at 1 (both ASSUMED). About 14 % of
    all pairs are unknown, 11. The scatter is a hash of the two names, so a pair keeps its
    closeness in every catalogue.
    """
    u, v = _pair_uniform(names)
    hub = (np.asarray(tier) <= 1).astype(np.int64)
    hubs = hub[:, None] + hub[None, :]
    same_cloud = np.array(cloud)[:, None] == np.array(cloud)[None, :]
    scatter = np.searchsorted([0.10, 0.30, 0.65, 0.90], u) - 2
    closeness = np.clip(np.where(same_cloud, 4, 5) - hubs + scatter, 2, 7)
    closeness[(v < 0.26) & (hubs == 0)] = UNKNOWN
    stems = np.array([resolve_queue(n) for n in names])
    closeness[stems[:, None] == stems[None, :]] = 1
    np.fill_diagonal(closeness, 0)
    return closeness


def resolve_queue(name: str) -> str:
    """The site a queue-style name was made from: `MWT2_SHORT` -> `MWT2`; other names are sites."""
    for suffix in QUEUE_SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _pair_uniform(names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Two uniforms per unordered pair of names, float64 (S, S) each, by splitmix64 of the names'
    checksums."""
    code = np.array([zlib.crc32(n.encode()) for n in names], dtype=np.uint64)
    low, high = np.minimum.outer(code, code), np.maximum.outer(code, code)
    u = _splitmix(low << np.uint64(32) | high)
    v = _splitmix(u)
    return tuple((x >> np.uint64(11)) * 2.0**-53 for x in (u, v))


def _splitmix(x: np.ndarray) -> np.ndarray:
    z = x + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


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
    if not (np.isfinite(c.link_scale) and c.link_scale > 0):
        raise ValueError(f"link_scale must be positive and finite, got {c.link_scale}")
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


# --- how the embedded catalogue was drawn -------------------------------------------------------

QUEUE_SUFFIXES = ("_SHORT", "_HIMEM")
N_SECOND_QUEUES = 19
"""Tier-2 sites with a second queue: 105 sites + 2 x 13 (Tier-0 and Tier-1) + 19 make 150 queues."""
CORES_MEDIAN, CORES_SIGMA, CORES_MAX = 1900.0, 1.8, 24_000.0
"""Queue sizes: a lognormal cut off at the largest, fitted to a median of about 1,600 and a largest
queue of about 24 k at 600 k cores in all."""
POWER = (
    [0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1],
    [2.4, 2.4, 8.2, 10.0, 11.1, 14.1, 19.3, 21.3, 24.5],
)
"""Quantiles of HS06 per core over the queues."""
DISK = (
    [0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1],
    [6, 6, 263, 1132, 2848, 5678, 20490, 26780, 30210],
)
"""Quantiles of a site's DATADISK in TB."""
FAILURE = ([0, 0.05, 0.25, 0.5, 0.75, 0.95, 1], [0.002, 0.008, 0.027, 0.053, 0.13, 0.36, 0.45])
"""Quantiles of a queue's failed share; the ends are ASSUMED."""
INGRESS = {0: (100, 100), 1: (100, 100), 2: (10, 40), 3: (1, 10)}
"""Gb/s into a site by tier, smallest to largest site; ASSUMED."""

SEED = 7
"""The published catalogue's seed, of the first ten the one with the most ordinary Tier-1 speeds."""
TIER_RANK = {0: 2.5, 1: 2.0, 2: 1.0, 3: 0.0}
"""Where a tier stands in the order of sizes before noise of width 1.2; ASSUMED."""
KNOWN_LARGE = {"BNL-ATLAS": 9.0} | dict.fromkeys(
    "MWT2 AGLT2 SWT2_CPB SLAC DESY-HH TOKYO-LCG2 CERN-P1 UKI-LT2-QMUL UKI-SCOTGRID-GLASGOW".split(),
    0.6,
)
"""BNL-ATLAS is the paper's largest site of user analysis; some Tier-2s are known to be large
(ASSUMED rank)."""

SITES = {
    "CERN": {
        0: "CERN-PROD",
        2: "CERN-P1",
    },
    "US": {
        1: "BNL-ATLAS",
        2: "AGLT2 MWT2 SWT2_CPB UTA_SWT2 OU_OSCER_ATLAS NET2 SLAC BU_ATLAS_Tier2",
        3: "LUCILLE ANLASC BELLARMINE-ATLAS-T3 NERSC",
    },
    "UK": {
        1: "RAL-LCG2",
        2: (
            "UKI-LT2-QMUL UKI-LT2-RHUL UKI-NORTHGRID-MAN-HEP UKI-NORTHGRID-LANCS-HEP "
            "UKI-NORTHGRID-LIV-HEP UKI-SCOTGRID-GLASGOW UKI-SCOTGRID-ECDF "
            "UKI-SOUTHGRID-OX-HEP UKI-SOUTHGRID-RALPP UKI-SOUTHGRID-BHAM-HEP"
        ),
        3: (
            "UKI-NORTHGRID-SHEF-HEP UKI-SCOTGRID-DURHAM UKI-SOUTHGRID-CAM-HEP UKI-LT2-UCL-HEP "
            "UKI-SOUTHGRID-SUSX"
        ),
    },
    "DE": {
        1: "FZK-LCG2",
        2: (
            "DESY-HH DESY-ZN GoeGrid LRZ-LMU MPPMU wuppertalprod UNI-FREIBURG praguelcg2 "
            "CYFRONET-LCG2 CSCS-LCG2"
        ),
        3: "TUDresden-ZIH HEPHY-UIBK UNI-SIEGEN-HEP",
    },
    "FR": {
        1: "IN2P3-CC",
        2: (
            "GRIF-LAL GRIF-IRFU GRIF-LPNHE IN2P3-CPPM IN2P3-LAPP IN2P3-LPC IN2P3-LPSC "
            "TOKYO-LCG2 BEIJING-LCG2 RO-07-NIPNE"
        ),
        3: "RO-02-NIPNE",
    },
    "IT": {
        1: "INFN-T1",
        2: "INFN-MILANO-ATLASC INFN-NAPOLI-ATLAS INFN-ROMA1 INFN-FRASCATI",
        3: "INFN-GENOVA INFN-ROMA3 INFN-COSENZA GR-01-AUTH",
    },
    "NL": {
        1: "SARA-MATRIX NIKHEF",
        2: "WEIZMANN-LCG2 TECHNION-HEP IL-TAU-HEP TR-10-ULAKBIM",
        3: "RUG-CIT ZA-WITS-CORE",
    },
    "RU": {
        1: "RRC-KI-T1",
        2: "RRC-KI JINR-LCG2 RU-Protvino-IHEP ru-PNPI",
        3: "ITEP ru-Moscow-SINP-LCG2 ru-Moscow-FIAN-LCG2",
    },
    "CA": {
        1: "TRIUMF-LCG2",
        2: (
            "CA-SFU-T2 CA-VICTORIA-WESTGRID-T2 CA-SCINET-T2 CA-MCGILL-CLUMEQ-T2 "
            "CA-WATERLOO-T2 Australia-ATLAS"
        ),
    },
    "ES": {
        1: "pic",
        2: "ifae IFIC-LCG2 UAM-LCG2 NCG-INGRID-PT EELA-UTFSM",
        3: "LIP-Coimbra",
    },
    "ND": {
        1: "NDGF-T1",
        2: "SiGNET UNIBE-LHEP SE-SNIC-T2",
        3: "ARNES UNIGE-DPNC",
    },
    "TW": {
        1: "Taiwan-LCG2",
        2: "TW-FTT",
        3: "HK-LCG2",
    },
}
"""Public WLCG names by cloud and tier: T0 1, T1 12, T2 66, T3 26."""

_ALIASES = dict(
    pair.split("=")
    for pair in (
        "bnl=BNL-ATLAS cern=CERN-PROD fzk=FZK-LCG2 ral=RAL-LCG2 triumf=TRIUMF-LCG2 "
        "sara=SARA-MATRIX taiwan=Taiwan-LCG2 ndgf=NDGF-T1 infn=INFN-T1 tokyo=TOKYO-LCG2 "
        "ific=IFIC-LCG2 uam=UAM-LCG2 lrz=LRZ-LMU cscs=CSCS-LCG2 cyfronet=CYFRONET-LCG2 "
        "sfu=CA-SFU-T2 qmul=UKI-LT2-QMUL rhul=UKI-LT2-RHUL glasgow=UKI-SCOTGRID-GLASGOW "
        "ecdf=UKI-SCOTGRID-ECDF lancs=UKI-NORTHGRID-LANCS-HEP man=UKI-NORTHGRID-MAN-HEP "
        "liv=UKI-NORTHGRID-LIV-HEP weizmann=WEIZMANN-LCG2 wuppertal=wuppertalprod "
        "prague=praguelcg2 nikhef-elprod=NIKHEF in2p3=IN2P3-CC swt2=SWT2_CPB "
        "ou_oscer=OU_OSCER_ATLAS jinr=JINR-LCG2 milano=INFN-MILANO-ATLASC"
    ).split()
)
"""Short names by which PanDA queues call a site, folded."""


def draw(seed: int = SEED) -> pd.DataFrame:
    """Draw the illustrative catalogue (COLUMNS, largest first) from the distributions above.

    Draws are stratified, one per 1/S of the distribution, so that the catalogue as a whole shows
    the published quantiles. Larger tiers get the larger sizes and disks with some noise; speed is
    independent of size (r = 0.09 in the published data); queues of a site share its disk by
    cores.
    """
    rng = np.random.default_rng(seed)
    frame = _sites()
    frame["rank"] = frame["tier"].map(TIER_RANK) + 1.2 * rng.random(len(frame))
    frame["rank"] += frame["name"].map(KNOWN_LARGE).fillna(0.0)
    frame = pd.concat([frame, _second_queues(frame, rng)], ignore_index=True)
    n = len(frame)
    frame["cores"] = _by_rank(_lognormal(_strata(n, rng)), frame["rank"])
    frame["power"] = rng.permutation(np.interp(_strata(n, rng), *POWER))
    frame["failure_rate"] = _by_rank(
        _interp(_strata(n, rng), FAILURE), rng.random(n) + 0.4 * (frame["tier"] > 1)
    )
    frame["disk"] = _disk(frame, rng)
    frame["ingress"] = [_ingress(t, np.mean(g >= c)) for t, c, g in _with_tier_sizes(frame)]
    frame = frame.sort_values(["cores", "name"], ascending=[False, True])
    frame = frame.round({"power": 2, "failure_rate": 4, "ingress": 0})
    return frame.astype({"ingress": np.int64})[list(COLUMNS)]


def _sites() -> pd.DataFrame:
    rows = [
        (name, name, tier, cloud)
        for cloud, tiers in SITES.items()
        for tier, names in tiers.items()
        for name in names.split()
    ]
    return pd.DataFrame(rows, columns=["name", "site", "tier", "cloud"])


def _second_queues(sites: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Two more queues at each Tier-0 and Tier-1 and one at the largest Tier-2 sites; all of them
    small."""
    hubs = sites[sites["tier"] <= 1]
    large = sites[sites["tier"] == 2].nlargest(N_SECOND_QUEUES, "rank")
    parts = [hubs.assign(name=hubs["site"] + "_SHORT"), hubs.assign(name=hubs["site"] + "_HIMEM")]
    queues = pd.concat([*parts, large.assign(name=large["site"] + "_SHORT")])
    return queues.assign(rank=0.3 + 0.9 * rng.random(len(queues)))


def _strata(n: int, rng: np.random.Generator) -> np.ndarray:
    """One uniform in each of n equal cells of [0, 1), ascending."""
    return (np.arange(n) + rng.random(n)) / n


def _lognormal(u: np.ndarray) -> np.ndarray:
    """Cores at the levels u of the lognormal cut off at CORES_MAX."""
    from scipy.special import ndtr, ndtri  # half a second that a reader of the catalogue saves

    top = ndtr(np.log(CORES_MAX / CORES_MEDIAN) / CORES_SIGMA)
    return (CORES_MEDIAN * np.exp(CORES_SIGMA * ndtri(u * top))).astype(np.int64)


def _interp(u: np.ndarray, quantiles: tuple[list[float], list[float]]) -> np.ndarray:
    """Values at the levels u of a distribution given by quantiles, straight lines in the
    logarithm."""
    return np.exp(np.interp(u, quantiles[0], np.log(quantiles[1])))


def _by_rank(ascending: np.ndarray, rank: pd.Series) -> np.ndarray:
    """Give the i-th smallest value to the row of i-th smallest rank."""
    values = np.empty_like(ascending)
    values[np.argsort(np.asarray(rank), kind="stable")] = ascending
    return values


def _disk(frame: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Bytes: one draw per site, the larger site tending to the larger disk, shared among its
    queues by cores."""
    total = frame.groupby("site")["cores"].sum()
    noisy = np.log(total) + 0.8 * rng.standard_normal(len(total))
    tb = pd.Series(_by_rank(_interp(_strata(len(total), rng), DISK), noisy), index=total.index)
    share = frame["cores"] / frame["site"].map(total)
    return np.round(frame["site"].map(tb) * share * 1e3).astype(np.int64).to_numpy() * 10**9


def _with_tier_sizes(frame: pd.DataFrame) -> Iterable[tuple[int, int, np.ndarray]]:
    sizes = {tier: group.to_numpy() for tier, group in frame.groupby("tier")["cores"]}
    return [(t, c, sizes[t]) for t, c in zip(frame["tier"], frame["cores"], strict=True)]


def _ingress(tier: int, larger: float) -> float:
    """Bytes/s into a site of which the share `larger` of its tier is at least as large."""
    low, high = INGRESS[tier]
    return (high - (high - low) * larger) * 1e9 / 8


def write(path: str | Path = PATH, seed: int = SEED) -> None:
    """Write the drawn catalogue as CSV."""
    draw(seed).to_csv(path, index=False, lineterminator="\n")


if __name__ == "__main__":
    write()
