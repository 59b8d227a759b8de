"""The names that leave an ingest: sites that somebody knows, and no level of a handful of rows.

In: the table `kept` of a connection. Out: the same table, names replaced by `unknown` where they
could be a login or could point at one job, and the counts of what was replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pandaenv.sites import AliasTable

from .cascade import Cascade

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

RARE = 5
"""Levels of fewer rows do not leave by default; ASSUMED, as k = 5 is common for small counts."""
WORDED = ("project", "prodstep", "datatype")


def name_sites(connection: DuckDBPyConnection, table: AliasTable, cascade: Cascade) -> None:
    """Replace queues and short names by their sites, and names that nobody knows by `unknown`."""
    rows = connection.execute("SELECT computingsite, count(*) FROM kept GROUP BY 1").fetchall()
    named = {name: table.resolve(name) for name, _ in rows}
    unknown = [(name, n) for name, n in rows if named[name] is None and name != "unknown"]
    cascade.unnamed = {"names": len(unknown), "records": sum(n for _, n in unknown)}
    changed = {name: site or "unknown" for name, site in named.items() if site != name}
    _replace(connection, "computingsite", changed)


def drop_rare(connection: DuckDBPyConnection, fewer_than: int, cascade: Cascade) -> None:
    """Replace levels of fewer rows than `fewer_than` by `unknown`."""
    cascade.rare = {"fewer_than": fewer_than}
    for column in ("computingsite", *WORDED):
        rows = connection.execute(f"SELECT {column}, count(*) FROM kept GROUP BY 1").fetchall()
        rare = {name: n for name, n in rows if n < fewer_than and name != "unknown"}
        _replace(connection, column, dict.fromkeys(rare, "unknown"))
        cascade.rare[column] = sum(rare.values())


def _replace(connection: DuckDBPyConnection, column: str, changed: dict[str, str]) -> None:
    if not changed:
        return
    names = {"old": pa.array(list(changed), pa.string()), "new": pa.array(changed.values())}
    connection.register("changed", pa.table(names))
    connection.execute(f"UPDATE kept SET {column} = new FROM changed WHERE {column} = old")
    connection.unregister("changed")
