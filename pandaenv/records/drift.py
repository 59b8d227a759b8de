"""What changed over the years: when each category came and went, and which months lack something.

In: the table `kept` of a connection. Out: a dict for `cascade.json`, months as "2024-03" (UTC):

- `months`: records of each month from the first to the last, 0 where there are none;
- `categories`: by column and category its first month, last month and records;
- `unknown`: by column the months in which it is `unknown` in all records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from pandaenv import schema

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MONTH = "strftime(moment, '%Y-%m')"


def report(connection: DuckDBPyConnection) -> dict[str, Any]:
    """The drift of the kept records."""
    counts = dict(_rows(connection, f"SELECT {MONTH}, count(*) FROM kept GROUP BY 1"))
    every = pd.period_range(min(counts), max(counts), freq="M").astype(str)
    return {
        "months": {month: counts.get(month, 0) for month in every},
        "categories": {name: _categories(connection, name) for name in schema.CATEGORICAL},
        "unknown": {name: _unknown(connection, name) for name in ("project", "prodstep")},
    }


def _categories(connection: DuckDBPyConnection, name: str) -> dict[str, dict[str, Any]]:
    found = _rows(
        connection,
        f"SELECT {name}, min({MONTH}), max({MONTH}), count(*) FROM kept GROUP BY 1 ORDER BY 1",
    )
    return {level: {"first": a, "last": b, "records": n} for level, a, b, n in found}


def _unknown(connection: DuckDBPyConnection, name: str) -> list[str]:
    """Months in which all records lack a column."""
    lacking = f"HAVING bool_and({name} = 'unknown')"
    rows = _rows(connection, f"SELECT {MONTH} FROM kept GROUP BY 1 {lacking} ORDER BY 1")
    return [month for (month,) in rows]


def _rows(connection: DuckDBPyConnection, query: str) -> list[tuple]:
    return connection.execute(query).fetchall()
