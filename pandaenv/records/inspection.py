"""What dumps hold, in about ten lines, before anything is written.

In: the table `kept` of a connection and the `Cascade` that led to it. Out: what was found, and a
text that says it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .cascade import Cascade

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

N_REASONS, N_SITES = 4, 3  # that have lines or places of their own
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


def find(connection: DuckDBPyConnection, cascade: Cascade, n_files: int) -> dict[str, Any]:
    """Rows by file and reason, and of the kept ones the time, the sites, formats and states."""
    found = {
        "files": n_files,
        "lines": cascade.stages[0].kept + sum(cascade.stages[0].dropped.values()),
        "kept": cascade.stages[-1].kept,
        "dropped": {r: n for stage in cascade.stages for r, n in stage.dropped.items() if n},
        "unnamed": cascade.unnamed,
    }
    return found | _find_kept(connection) if found["kept"] else found


def describe(found: dict[str, Any]) -> str:
    """What `find` found, in about ten lines."""
    n_files, n_lines, n_kept = (found[name] for name in ("files", "lines", "kept"))
    share = f"{n_kept / n_lines:.1%}" if n_lines else "none"
    files = "file" if n_files == 1 else "files"
    lines = [f"{n_lines:,} lines in {n_files} {files}, {n_kept:,} would be kept ({share})"]
    lines += _reasons(found["dropped"])
    if n_kept:
        lines += _kept_lines(found)
    if found["unnamed"]["records"]:
        lines.append(
            f"{found['unnamed']['records']:,} records at {found['unnamed']['names']:,} names that "
            "the catalogue lacks: their site would be unknown; --sites FILE names them"
        )
    return "\n".join(lines)


def _reasons(dropped: dict[str, int]) -> list[str]:
    """A line for each of the commonest reasons, and one for all others together."""
    worst = sorted(dropped, key=lambda reason: -dropped[reason])
    lines = [
        f"- {dropped[r]:,} {r}" + (f" ({HINTS[r]})" if r in HINTS else "")
        for r in worst[:N_REASONS]
    ]
    rest = sum(dropped[reason] for reason in worst[N_REASONS:])
    others = f"- {rest:,} for {len(worst) - N_REASONS} other reasons"
    return lines + ([others] if rest else [])


def _find_kept(connection: DuckDBPyConnection) -> dict[str, Any]:
    first, last, n_formats = connection.execute(
        "SELECT min(moment), max(moment), count(DISTINCT datatype) FROM kept"
    ).fetchone()
    sites, states = (
        dict(
            connection.execute(
                f"SELECT {column}, count(*) FROM kept GROUP BY 1 ORDER BY 2 DESC, 1"
            ).fetchall()
        )
        for column in ("computingsite", "jobstatus")
    )
    times = {"first": f"{first:%Y-%m-%d %H:%M}", "last": f"{last:%Y-%m-%d %H:%M}"}
    return times | {"sites": sites, "formats": n_formats, "states": states}


def _kept_lines(found: dict[str, Any]) -> list[str]:
    sites = found["sites"]
    top = dict(list(sites.items())[:N_SITES])
    return [
        f"created from {found['first']} to {found['last']} UTC",
        f"{len(sites):,} sites: {_listed(top)}" + (", ..." if len(sites) > len(top) else ""),
        f"{found['formats']:,} formats; {_listed(found['states'])}",
    ]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())
