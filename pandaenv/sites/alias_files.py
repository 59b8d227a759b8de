"""A user's own table of site names, which extends the names that `aliases` knows.

In: a CSV file with the columns `name` and `site`, and `power` if wanted (GFLOP/s per core). Out: an
`AliasTable`. A row whose site is its own name declares a site that the catalogue lacks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from .aliases import DEFAULT_POWER, resolve
from .names import resolve_queue
from .reading import embedded

COLUMNS = ("name", "site")


@dataclass(frozen=True)
class AliasTable:
    """Names of sites beyond the catalogue's.

    Attributes:
        site: the site that each name, in lower case, means.
        power: GFLOP/s per core of the declared sites.
    """

    site: dict[str, str] = field(default_factory=dict)
    power: dict[str, float] = field(default_factory=dict)

    def resolve(self, name: str) -> str | None:
        """The site that a name means, None where neither table nor catalogue knows it.

        Names of the catalogue's sites and of their queues stay as they are.
        """
        if resolve_queue(name) in embedded().names:
            return name
        return self.site.get(name.lower()) or resolve(name)


def read_aliases(path: str | Path) -> AliasTable:
    """Read a table of aliases.

    Example of a file::

        name,site,power
        MY_QUEUE,BNL-ATLAS,
        LOCAL-T3,LOCAL-T3,12.5

    Raises:
        ValueError: no readable CSV of these columns, a name twice, names that lead in a circle, a
            site that is neither in the catalogue nor declared, or a power that is not positive.
    """
    path = Path(path)
    rows = _read_rows(path)
    means = dict(zip(rows["name"].str.lower(), rows["site"], strict=True))
    declared = {site.lower(): site for name, site in means.items() if site.lower() == name}
    site = {name: _follow(name, means, declared, path) for name in means}
    return AliasTable(site, _power(rows, declared, path))


def _read_rows(path: Path) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (ValueError, OSError):
        raise ValueError(f"{path}: a table of site names must be a readable CSV file") from None
    rows.columns = [str(name).strip().lower() for name in rows.columns]
    missing = [name for name in COLUMNS if name not in rows]
    if missing:
        lacks = ", ".join(missing)
        raise ValueError(f"{path}: a table of site names needs name and site; it lacks {lacks}")
    rows = rows.apply(lambda column: column.str.strip())
    folded = rows["name"].str.lower()
    if folded.duplicated().any() or not (rows[list(COLUMNS)] != "").to_numpy().all():
        raise ValueError(f"{path}: each row must have a site and a name that no other row has")
    return rows


def _follow(name: str, means: dict[str, str], declared: dict[str, str], path: Path) -> str:
    """The site at the end of a chain of names."""
    met = []
    while name not in met:
        if name in declared:
            return declared[name]
        site = means[name]
        if site in embedded().names:
            return site
        met.append(name)
        if site.lower() not in means:
            raise ValueError(
                f"{path}: a site must be in the catalogue or declared by a row of its own, got "
                f"{site!r} in the row of {name!r}"
            )
        name = site.lower()
    raise ValueError(f"{path}: names must lead to a site, {' -> '.join([*met, name])} do not")


def _power(rows: pd.DataFrame, declared: dict[str, str], path: Path) -> dict[str, float]:
    """GFLOP/s per core of the declared sites, `DEFAULT_POWER` where the table does not say."""
    given = rows["power"] if "power" in rows else pd.Series("", index=rows.index)
    power = {}
    for name, text in zip(rows["name"].str.lower(), given, strict=True):
        number = pd.to_numeric(text, errors="coerce") if text else DEFAULT_POWER
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"{path}: a power must be a number above 0, got {text!r}")
        if name in declared:
            power[declared[name]] = float(number)
    return power
