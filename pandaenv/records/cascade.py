"""The filter cascade of Park et al. (2024), Fig. 3(b): rows kept and dropped, stage by stage.

In: the table `staged` of a connection, filled by `classification`. Out: the table `kept` without
repeated jobs, and a `Cascade` of the rows kept and dropped at each stage.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from .classification import MONTH_FIRST, RULES, SOURCES, STAGES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

REPEATED = "the same job again"


@dataclass
class Stage:
    """One box of Fig. 3(b): its name, the rows it kept, the rows it dropped by reason."""

    stage: str
    kept: int
    dropped: dict[str, int]


@dataclass
class Cascade:
    """What an ingest kept and dropped in five stages, and where the fields of kept rows came from.

    Attributes:
        sources: kept rows by the place the data set was taken from.
        completed: kept rows of which a later place supplied the project or the production step.
        unknown: kept rows whose project or production step is the level `unknown`.
        default_power: sites outside the catalogue and their rows, at `gflops_per_core`.
        unnamed: kept rows whose site is the level `unknown`, since neither the catalogue nor the
            user's table knows its name, and the number of these names.
        rare: kept rows whose level of a column fewer than `fewer_than` rows had, now `unknown`.
        split: rows and rule of train and test.
        origin: the Monday from which `creationtime` counts, ISO 8601.
        renamed: kept rows of each old name, by column.
        drift: what changed when, month by month (see `drift`).
    """

    stages: list[Stage]
    sources: dict[str, int]
    completed: int
    unknown: int
    default_power: dict[str, float]
    unnamed: dict[str, int] = field(default_factory=dict)
    rare: dict[str, int] = field(default_factory=dict)
    split: dict[str, object] = field(default_factory=dict)
    origin: str = ""
    renamed: dict[str, dict[str, int]] = field(default_factory=dict)
    drift: dict[str, dict] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    def __str__(self) -> str:
        lines = [line for stage in self.stages for line in _stage_lines(stage)]
        sources = ", ".join(f"{count:,} from {name}" for name, count in self.sources.items())
        lines.append(f"data set: {sources}; {self.completed:,} completed, {self.unknown:,} unknown")
        power = self.default_power
        lines.append(
            f"default power {power['gflops_per_core']:g} GFLOP/s per core: "
            f"{power['sites']:,} sites outside the catalogue, {power['records']:,} records"
        )
        if self.unnamed.get("records"):
            lines.append(
                f"names of sites: {self.unnamed['records']:,} records of {self.unnamed['names']:,} "
                "names that are not in the catalogue, now unknown; --sites FILE names them"
            )
        rare = {name: n for name, n in self.rare.items() if n and name != "fewer_than"}
        if rare:
            listed = ", ".join(f"{n:,} of {name}" for name, n in rare.items())
            lines.append(
                f"levels of fewer than {self.rare['fewer_than']} rows, now unknown: {listed}"
            )
        lines += _drift_lines(self.renamed, self.drift)
        split = self.split
        if not split:
            return "\n".join(lines)
        lines.append(f"split by {split['by']}: {split['train']:,} train, {split['test']:,} test")
        return "\n".join(lines)


def _drift_lines(renamed: dict[str, dict[str, int]], drift: dict[str, dict]) -> list[str]:
    """Old names in use, months without records, and what came late or went early."""
    lines = []
    for column, names in renamed.items():
        n_rows, used = sum(names.values()), sum(n > 0 for n in names.values())
        lines.append(f"{column}: {used:,} of {len(names):,} old names renamed, {n_rows:,} records")
    months = list(drift.get("months", ()))
    if len(months) > 1:
        empty = [month for month, n in drift["months"].items() if not n]
        lines.append(f"months: {months[0]} to {months[-1]}, without records: {len(empty)} {empty}")
    for column, levels in drift.get("categories", {}).items() if len(months) > 1 else ():
        came = sum(level["first"] > months[0] for level in levels.values())
        went = sum(level["last"] < months[-1] for level in levels.values())
        lines.append(f"{column}: {len(levels):,} categories, {came:,} came, {went:,} went")
    return lines


def _stage_lines(stage: Stage) -> list[str]:
    dropped = [f"{'':>24}- {n:,} {reason}" for reason, n in stage.dropped.items() if n]
    return [f"{stage.stage + ':':<20} {stage.kept:>14,}", *dropped]


def count(connection: DuckDBPyConnection, n_unreadable: int) -> Cascade:
    """Make the table `kept` (no job twice) and count what led to it."""
    counts = connection.execute("SELECT reason, count(*) FROM staged GROUP BY 1").fetchall()
    by_reason = dict(counts)
    n_rows = sum(by_reason.values())
    connection.execute(
        "CREATE TEMP TABLE kept AS SELECT * EXCLUDE (reason, identity) FROM staged "
        "WHERE reason = 0 AND identity IS NULL UNION ALL "
        "SELECT min(source), min(completed), any_value(COLUMNS(* EXCLUDE "
        "(reason, source, completed, identity))) "
        "FROM staged WHERE reason = 0 AND identity IS NOT NULL GROUP BY identity"
    )
    connection.execute("DROP TABLE staged")
    n_kept = _count_kept(connection, "true")
    dropped = _dropped(by_reason)
    dropped[0] = {"unreadable line": n_unreadable}
    dropped[4][REPEATED] = by_reason.get(0, 0) - n_kept
    by_source = connection.execute("SELECT source, count(*) FROM kept GROUP BY 1").fetchall()
    return Cascade(
        stages=_stages(n_rows, dropped),
        sources={name: dict(by_source).get(i, 0) for i, name in enumerate(SOURCES)},
        completed=_count_kept(connection, "completed"),
        unknown=_count_kept(connection, "project = 'unknown' OR prodstep = 'unknown'"),
        default_power={},
    )


def _dropped(by_reason: dict[int, int]) -> list[dict[str, int]]:
    """Rows dropped at each of the five stages, by reason."""
    dropped: list[dict[str, int]] = [{} for _ in STAGES]
    for i, (stage, reason, _) in enumerate(RULES, start=1):
        dropped[stage][reason] = by_reason.get(i, 0)
    return dropped


def _stages(n_rows: int, dropped: list[dict[str, int]]) -> list[Stage]:
    stages = [Stage(STAGES[0], n_rows, dropped[0])]
    for name, reasons in zip(STAGES[1:], dropped[1:], strict=True):
        stages.append(Stage(name, stages[-1].kept - sum(reasons.values()), reasons))
    return stages


def _count_kept(connection: DuckDBPyConnection, condition: str) -> int:
    return connection.execute(f"SELECT count(*) FROM kept WHERE {condition}").fetchone()[0]


def check_kept(cascade: Cascade) -> None:
    """Refuse dates whose month comes first, and dumps of which nothing is kept."""
    _check_dates(cascade)
    _check_some_kept(cascade)


def _check_dates(cascade: Cascade) -> None:
    """Raise a ValueError where dates with slashes have the month first: half of them pass."""
    n = cascade.stages[4].dropped[MONTH_FIRST]
    if n:
        raise ValueError(
            f"dates with slashes are read as day/month/year, {n:,} have the month first; write "
            "creationtime as year-month-day"
        )


def _check_some_kept(cascade: Cascade) -> None:
    """Raise a ValueError that lists the commonest reasons where no row is kept."""
    if cascade.stages[-1].kept:
        return
    reasons = {r: n for stage in cascade.stages for r, n in stage.dropped.items() if n}
    worst = sorted(reasons, key=lambda r: -reasons[r])[:3]
    listed = ", ".join(f"{reasons[r]:,} {r}" for r in worst) or "the dump has no rows"
    raise ValueError(
        f"nothing is kept of {cascade.stages[0].kept:,} rows: no complete user-analysis job in a "
        f"final state with a DAOD for input ({listed})"
    )
