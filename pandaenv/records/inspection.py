"""What dumps hold, in about ten lines, before anything is written.

In: the table `kept` of a connection and the `Cascade` that led to it. Out: text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cascade import Cascade

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

N_REASONS = 4
HINTS = {
    "prodsourcelabel missing": "--all-analysis takes rows without a label as user analysis",
    "project missing": "--allow-unknown keeps rows without a project",
    "prodstep missing": "--allow-unknown keeps rows without a production step",
    "input data set missing": "it is read from proddblock, inputfiletype, destinationdblock or "
    "jobname; --allow-unknown keeps derived data of no named format",
    "input a DAOD of no known format": "--allow-unknown keeps them, their format unknown",
    "corecount missing": "it is read from actualcorecount or corecount",
    "unreadable line": "lines of too few or too many values, or with a quote that does not close",
}
"""What can be done about a reason."""


def describe(connection: DuckDBPyConnection, cascade: Cascade, n_files: int) -> str:
    """Rows by file and reason, and of the kept ones the time, the sites and the formats."""
    n_kept = cascade.stages[-1].kept
    n_lines = cascade.stages[0].kept + sum(cascade.stages[0].dropped.values())
    share = f"{n_kept / n_lines:.1%}" if n_lines else "none"
    files = "file" if n_files == 1 else "files"
    lines = [f"{n_lines:,} lines in {n_files} {files}, {n_kept:,} would be kept ({share})"]
    lines += _reasons(cascade)
    if n_kept:
        lines += _kept_lines(connection)
    if cascade.unnamed["records"]:
        lines.append(
            f"{cascade.unnamed['records']:,} records at {cascade.unnamed['names']:,} names that "
            "the catalogue lacks: their site would be unknown; --sites FILE names them"
        )
    return "\n".join(lines)


def _reasons(cascade: Cascade) -> list[str]:
    """A line for each of the commonest reasons, and one for all others together."""
    dropped = {r: n for stage in cascade.stages for r, n in stage.dropped.items() if n}
    worst = sorted(dropped, key=lambda reason: -dropped[reason])
    lines = [
        f"- {dropped[r]:,} {r}" + (f" ({HINTS[r]})" if r in HINTS else "")
        for r in worst[:N_REASONS]
    ]
    rest = sum(dropped[reason] for reason in worst[N_REASONS:])
    others = f"- {rest:,} for {len(worst) - N_REASONS} other reasons"
    return lines + ([others] if rest else [])


def _kept_lines(connection: DuckDBPyConnection) -> list[str]:
    first, last, n_sites, n_formats = connection.execute(
        "SELECT min(moment), max(moment), count(DISTINCT computingsite), count(DISTINCT datatype) "
        "FROM kept"
    ).fetchone()
    top = connection.execute(
        "SELECT computingsite, count(*) FROM kept GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3"
    ).fetchall()
    states = connection.execute(
        "SELECT jobstatus, count(*) FROM kept GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    return [
        f"created from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC",
        f"{n_sites:,} sites: {_listed(top)}" + (", ..." if n_sites > len(top) else ""),
        f"{n_formats:,} formats; {_listed(states)}",
    ]


def _listed(rows: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in rows)
