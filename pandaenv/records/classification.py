"""The filter cascade of Park et al. (2024), Fig. 3(b): which rows become records, and why not.

In: relations of a DuckDB connection in the layout of PanDA's job archive, all values text. Out: the
table `kept` of that connection, and a `Cascade` of what was kept and dropped at each stage. The SQL
is made of constants alone: no name and no value of a file is ever pasted into it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from pandaenv import schema

from . import nomenclature

MAX_CORES = 512
MAX_CPU_SECONDS = 1e9  # 30 years
FIRST_YEAR, LAST_YEAR = 2005, 2099  # PanDA was launched in 2005

RAW = (
    "prodsourcelabel",
    "jobstatus",
    "computingsite",
    "creationtime",
    "corecount",
    "actualcorecount",
    "cpuconsumptiontime",
    "ninputdatafiles",
    "inputfilebytes",
    "proddblock",
    "inputfileproject",
    "inputfiletype",
    "jobname",
    "destinationdblock",
    "pandaid",
    "produsername",
)
"""Columns of a dump that are looked at; all others are skipped unread."""
REQUIRED = (
    "prodsourcelabel",
    "jobstatus",
    "computingsite",
    "creationtime",
    "cpuconsumptiontime",
    "ninputdatafiles",
    "inputfilebytes",
)
ONE_OF = (
    ("corecount", "actualcorecount"),
    ("proddblock", "inputfiletype", "destinationdblock", "jobname"),
)


# --- what became of a dump ------------------------------------------------------------------------


@dataclass
class Stage:
    """One box of Fig. 3(b): its name, the rows it kept, the rows it dropped by reason."""

    stage: str
    kept: int
    dropped: dict[str, int]


@dataclass
class Cascade:
    """What became of a dump: five stages, then where the kept rows' fields came from.

    Attributes:
        sources: kept rows by the place the data set was taken from.
        completed: kept rows of which a later place supplied the project or the production step.
        unknown: kept rows whose project or production step is the level `unknown`.
        default_power: sites outside the catalogue and their rows, at `gflops_per_core`.
        split: rows and rule of train and test.
        origin: the Monday from which `creationtime` counts, ISO 8601.
    """

    stages: list[Stage]
    sources: dict[str, int]
    completed: int
    unknown: int
    default_power: dict[str, float]
    split: dict[str, object] = field(default_factory=dict)
    origin: str = ""

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
        split = self.split
        lines.append(f"split by {split['by']}: {split['train']:,} train, {split['test']:,} test")
        return "\n".join(lines)


def _stage_lines(stage: Stage) -> list[str]:
    dropped = [f"{'':>24}- {n:,} {reason}" for reason, n in stage.dropped.items() if n]
    return [f"{stage.stage + ':':<20} {stage.kept:>14,}", *dropped]


# --- the stages and their rules -------------------------------------------------------------------

SOURCES = (
    "proddblock",
    "inputfileproject and inputfiletype",
    "words in jobname or destinationdblock",
)
STAGES = ("records read", "user analysis", "final status", "DAOD input", "valid and complete")
UNFINISHED = (
    "pending",
    "defined",
    "waiting",
    "assigned",
    "throttled",
    "activated",
    "sent",
    "starting",
    "running",
    "holding",
    "merging",
    "transferring",
)
# (stage, reason, condition); a row is dropped for the first that holds.
_RULES = (
    (1, "prodsourcelabel missing", "prodsourcelabel IS NULL"),
    (1, "not user analysis", "lower(prodsourcelabel) <> 'user'"),
    (2, "jobstatus missing", "jobstatus IS NULL"),
    (2, "jobstatus not final", f"lower(jobstatus) IN {UNFINISHED}"),
    (2, "jobstatus unknown", f"lower(jobstatus) NOT IN {schema.STATUSES}"),
    (3, "input is a private data set", "is_private"),
    (
        3,
        "input data set missing",
        "datatype IS NULL AND coalesce(proddblock, inputfiletype) IS NULL",
    ),
    (3, "input data set not readable", "datatype IS NULL"),
    (3, "input not a DAOD", f"NOT regexp_full_match(datatype, '{nomenclature.DAOD}')"),
    (4, "project missing", "project IS NULL"),
    (4, "prodstep missing", "prodstep IS NULL"),
    (4, "computingsite missing", "computingsite IS NULL"),
    (
        4,
        "computingsite no site name",
        "NOT regexp_full_match(computingsite, '[A-Za-z][A-Za-z0-9_./-]{1,63}') "
        f"OR regexp_matches(lower(computingsite), '{nomenclature.PRIVATE}') "
        "OR lower(computingsite) IN (lower(produsername), lower(jobname))",
    ),
    (4, "creationtime missing", "creationtime IS NULL"),
    (4, "creationtime no date", "moment IS NULL OR NOT isfinite(moment)"),
    (
        4,
        f"creationtime not in {FIRST_YEAR}-{LAST_YEAR}",
        f"NOT year(moment) BETWEEN {FIRST_YEAR} AND {LAST_YEAR}",
    ),
    (4, "corecount missing", "cores IS NULL OR finite(cores) = 0"),
    (
        4,
        f"corecount not a whole number in 1-{MAX_CORES}",
        f"NOT (is_count(cores) AND finite(cores) <= {MAX_CORES})",
    ),
    (4, "cpuconsumptiontime missing", "cpuconsumptiontime IS NULL"),
    (
        4,
        f"cpuconsumptiontime not a number in 0-{MAX_CPU_SECONDS:.0e} s",
        f"NOT coalesce(finite(cpuconsumptiontime) BETWEEN 0 AND {MAX_CPU_SECONDS:.0f}, false)",
    ),
    (4, "ninputdatafiles missing", "ninputdatafiles IS NULL OR finite(ninputdatafiles) = 0"),
    (4, "ninputdatafiles not a positive whole number", "NOT is_count(ninputdatafiles)"),
    (4, "inputfilebytes missing", "inputfilebytes IS NULL OR finite(inputfilebytes) = 0"),
    (4, "inputfilebytes not a positive whole number", "NOT is_count(inputfilebytes)"),
)
REPEATED = "the same job again"
_OPTIONAL = ("project missing", "prodstep missing")


# --- rows into the table `staged` -----------------------------------------------------------------

_MISSING = "('', 'null', 'none', 'nan', 'nat', 'na', 'n/a', '<na>', '\\n')"
_MACROS = f"""
CREATE TEMP MACRO cleaned(x) AS
    CASE WHEN lower(trim(x)) IN {_MISSING} THEN NULL ELSE trim(x) END;
CREATE TEMP MACRO given(x) AS
    CASE WHEN strlen(x) < 5 AND lower(x) IN {_MISSING} THEN NULL ELSE x END;
CREATE TEMP MACRO finite(x) AS
    CASE WHEN isfinite(try_cast(x AS DOUBLE)) THEN try_cast(x AS DOUBLE) END;
CREATE TEMP MACRO is_count(x) AS
    coalesce(finite(x) BETWEEN 1 AND 9007199254740992 AND finite(x) = floor(finite(x)), false);
CREATE TEMP MACRO word(x, pattern) AS CASE WHEN regexp_full_match(x, pattern) THEN x END;
CREATE TEMP MACRO first_word(x, pattern) AS nullif(regexp_extract(x, pattern, 1), '');
"""
_AS_GIVEN = ("jobname", "destinationdblock", "pandaid", "produsername")  # spaces do not matter
_STAGED = """
CREATE TEMP TABLE staged (
    reason UTINYINT, source UTINYINT, completed BOOLEAN, moment TIMESTAMP,
    ninputdatafiles BIGINT, inputfilebytes BIGINT, core_seconds DOUBLE, computingsite VARCHAR,
    project VARCHAR, prodstep VARCHAR, datatype VARCHAR, jobstatus VARCHAR, identity UBIGINT
)"""


def prepare(connection) -> None:
    """Make the empty table `staged` and the macros that fill it."""
    connection.execute(_MACROS)
    connection.execute(_STAGED)


def classify(
    connection, relation: str, names: list[str], values: dict[str, str], allow_unknown: bool
) -> None:
    """Classify the rows of a relation, whose i-th column is `names[i]`, into `staged`."""
    aliases = ", ".join(f"c{i}" for i in range(len(names)))
    column = {
        name: f"{'given' if name in _AS_GIVEN else 'cleaned'}(CAST(c{i} AS VARCHAR))"
        for i, name in enumerate(names)
        if name
    }
    raw = ", ".join(f"{column.get(name, 'NULL::VARCHAR')} AS {name}" for name in RAW)
    connection.execute(
        f"INSERT INTO staged WITH raw AS (SELECT {raw} FROM {relation} AS dump({aliases})), "
        f"{_PARSED}, classified AS (SELECT *, {_reason(allow_unknown)} AS reason FROM parsed) "
        f"{_KEPT_COLUMNS}",
        values or None,
    )


def _reason(allow_unknown: bool) -> str:
    """SQL for the number of the first rule a row breaks, 0 for none."""
    cases = (
        f"WHEN {condition} THEN {i}"
        for i, (_, reason, condition) in enumerate(_RULES, start=1)
        if not (allow_unknown and reason in _OPTIONAL)
    )
    return f"CASE {' '.join(cases)} ELSE 0 END"


_WORDS = "coalesce(jobname, '') || ' ' || coalesce(destinationdblock, '')"
_PARSED = f"""
named AS (
    SELECT *,
        CASE WHEN regexp_matches(proddblock, '{nomenclature.NAME}')
            THEN string_split(split_part(proddblock, ':', -1), '.') END AS name,
        coalesce(regexp_matches(proddblock, '{nomenclature.PRIVATE}'), false)
            OR (proddblock IS NULL AND lower(coalesce(inputfileproject, '')) IN ('user', 'group'))
            AS is_private,
        CASE WHEN coalesce(finite(actualcorecount), -1) = 0 THEN corecount
            ELSE coalesce(actualcorecount, corecount) END AS cores,
        try_cast(try_cast(creationtime AS TIMESTAMPTZ) AS TIMESTAMP) AS moment
    FROM raw
), fields AS (
    SELECT * EXCLUDE (name),
        name[5] AS datatype_0,
        word(inputfiletype, '{nomenclature.DATATYPE}') AS datatype_1,
        word(name[1], '{nomenclature.PROJECT}') AS project_0,
        word(inputfileproject, '{nomenclature.PROJECT}') AS project_1,
        word(name[4], '{nomenclature.PRODSTEP}') AS prodstep_0
    FROM named
), parsed AS (
    SELECT *,
        CASE WHEN datatype_0 IS NOT NULL THEN datatype_0
            WHEN datatype_1 IS NOT NULL THEN datatype_1
            ELSE first_word({_WORDS}, '{nomenclature.DAOD_TOKEN}') END AS datatype,
        CASE WHEN project_0 IS NOT NULL THEN project_0
            WHEN project_1 IS NOT NULL THEN project_1
            ELSE first_word({_WORDS}, '{nomenclature.PROJECT_TOKEN}') END AS project,
        CASE WHEN prodstep_0 IS NOT NULL THEN prodstep_0
            ELSE coalesce(first_word({_WORDS}, '{nomenclature.PRODSTEP_BEFORE_DAOD}'),
                first_word({_WORDS}, '{nomenclature.PRODSTEP_TOKEN}')) END AS prodstep,
        CASE WHEN datatype_0 IS NOT NULL THEN 0 WHEN datatype_1 IS NOT NULL THEN 1 ELSE 2 END
            AS source,
        (source = 0 AND (project_0 IS NULL OR prodstep_0 IS NULL))
            OR (source = 1 AND (project_1 IS NULL OR prodstep IS NOT NULL)) AS completed
    FROM fields
)"""
_KEPT = (
    "source",
    "completed",
    "moment",
    "ninputdatafiles",
    "inputfilebytes",
    "core_seconds",
    "computingsite",
    "project",
    "prodstep",
    "datatype",
    "jobstatus",
)
# Of a dropped row nothing but the reason is kept.
_KEPT_COLUMNS = f"""
, typed AS (
    SELECT reason, source, completed, moment, pandaid,
        try_cast(finite(ninputdatafiles) AS BIGINT) AS ninputdatafiles,
        try_cast(finite(inputfilebytes) AS BIGINT) AS inputfilebytes,
        finite(cores) * finite(cpuconsumptiontime) AS core_seconds, computingsite,
        coalesce(project, 'unknown') AS project, coalesce(prodstep, 'unknown') AS prodstep,
        datatype, lower(jobstatus) AS jobstatus
    FROM classified
)
SELECT reason, {", ".join(f"CASE WHEN reason = 0 THEN {name} END" for name in _KEPT)},
    CASE WHEN reason = 0 AND pandaid IS NOT NULL THEN hash(pandaid, {", ".join(_KEPT[2:])}) END
FROM typed"""


# --- counting -------------------------------------------------------------------------------------


def count(connection, n_unreadable: int) -> Cascade:
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
    n_kept = connection.execute("SELECT count(*) FROM kept").fetchone()[0]
    dropped = _dropped(by_reason)
    dropped[0] = {"unreadable line": n_unreadable}
    dropped[4][REPEATED] = by_reason.get(0, 0) - n_kept
    by_source = connection.execute("SELECT source, count(*) FROM kept GROUP BY 1").fetchall()
    return Cascade(
        stages=_stages(n_rows, dropped),
        sources={name: dict(by_source).get(i, 0) for i, name in enumerate(SOURCES)},
        completed=_number(connection, "completed"),
        unknown=_number(connection, "project = 'unknown' OR prodstep = 'unknown'"),
        default_power={},
    )


def _dropped(by_reason: dict[int, int]) -> list[dict[str, int]]:
    """Rows dropped at each of the five stages, by reason."""
    dropped: list[dict[str, int]] = [{} for _ in STAGES]
    for i, (stage, reason, _) in enumerate(_RULES, start=1):
        dropped[stage][reason] = by_reason.get(i, 0)
    return dropped


def _stages(n_rows: int, dropped: list[dict[str, int]]) -> list[Stage]:
    stages = [Stage(STAGES[0], n_rows, dropped[0])]
    for name, reasons in zip(STAGES[1:], dropped[1:], strict=True):
        stages.append(Stage(name, stages[-1].kept - sum(reasons.values()), reasons))
    return stages


def _number(connection, condition: str) -> int:
    return connection.execute(f"SELECT count(*) FROM kept WHERE {condition}").fetchone()[0]


def refuse_nothing(cascade: Cascade) -> None:
    if cascade.stages[-1].kept:
        return
    reasons = {r: n for stage in cascade.stages for r, n in stage.dropped.items() if n}
    worst = sorted(reasons, key=lambda r: -reasons[r])[:3]
    listed = ", ".join(f"{reasons[r]:,} {r}" for r in worst) or "the dump has no rows"
    raise ValueError(
        f"nothing is kept of {cascade.stages[0].kept:,} rows: no complete user-analysis job in a "
        f"final state with a DAOD for input ({listed})"
    )
