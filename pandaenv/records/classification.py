"""The filter rules of Park et al. (2024), Fig. 3(b), applied to the rows of a raw dump by SQL.

In: relations of a DuckDB connection in the layout of PanDA's job archive, all values text. Out: the
table `staged` of that connection: of a row that breaks no rule its typed columns, of any other the
number of the first rule it breaks. The SQL is made of constants alone: no name and no value of a
file is ever pasted into it.
Source: Park et al. (2024), arXiv 2410.07940, Fig. 3(b).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pandaenv import schema

from . import nomenclature
from .raw_columns import RAW

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Leniency:
    """What an ingest takes beyond the paper's rules and columns.

    Attributes:
        allow_unknown: rows without project or production step, or of a format that is not in the
            vocabulary; a derived data set of no named format counts as a DAOD.
        all_analysis: rows without a label are user analysis. By default, of a dump without the
            column prodsourcelabel those are whose jobname begins with `user.` or `group.`.
        groups: pseudonyms of task and data set, of rows that have both; other rows are dropped.
    """

    allow_unknown: bool = False
    all_analysis: bool = False
    groups: bool = False


MAX_CORES = 512
MAX_CPU_SECONDS = 1e9  # 30 years
FIRST_YEAR, LAST_YEAR = 2005, 2099  # PanDA was launched in 2005

SOURCES = (
    "proddblock",
    "inputfileproject and inputfiletype",
    "words in jobname or destinationdblock",
)
"""Places a data set's name is taken from, first to last."""
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
MONTH_FIRST = "creationtime with the month before the day"
RULES = (
    (1, "prodsourcelabel missing", "label IS NULL"),
    (1, "not user analysis", "lower(label) <> 'user'"),
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
    (
        3,
        "input a DAOD of no known format",
        f"NOT regexp_full_match(datatype, '{nomenclature.FORMAT}')",
    ),
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
    (
        4,
        MONTH_FIRST,
        "regexp_matches(creationtime, '^[0-9]{1,2}/(1[3-9]|2[0-9]|3[01])/')",
    ),
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
    (4, "jeditaskid missing", "jeditaskid IS NULL OR finite(jeditaskid) = 0"),
    (4, "proddblock missing", "proddblock IS NULL"),
)
"""(position in STAGES, reason, SQL condition); a row is dropped for the first rule it breaks."""
_UNLESS_UNKNOWN = ("project missing", "prodstep missing", "input a DAOD of no known format")
_FOR_GROUPS = ("jeditaskid missing", "proddblock missing")
_TIMES = (
    "%d-%b-%y %I.%M.%S.%n %p",  # Oracle's default
    "%d-%b-%y %I.%M.%S %p",
    "%d-%b-%y",
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%Y",
    "%a, %d %b %Y %H:%M:%S GMT",  # RFC 1123
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%dT%H%M%S",
    "%Y%m%d%H%M%S",
    "%Y%m%d",
)
"""Times beyond ISO 8601; epoch seconds, milli-, micro- and nanoseconds are told by their size."""

_MISSING = "('', 'null', 'none', 'nan', 'nat', 'na', 'n/a', '<na>', '\\n')"
_MACROS = f"""
CREATE TEMP MACRO cleaned(x) AS
    CASE WHEN lower(trim(x)) IN {_MISSING} THEN NULL ELSE trim(x) END;
CREATE TEMP MACRO untrimmed(x) AS
    CASE WHEN strlen(x) < 5 AND lower(x) IN {_MISSING} THEN NULL ELSE x END;
CREATE TEMP MACRO finite(x) AS
    CASE WHEN isfinite(try_cast(x AS DOUBLE)) THEN try_cast(x AS DOUBLE) END;
CREATE TEMP MACRO is_count(x) AS
    coalesce(finite(x) BETWEEN 1 AND 9007199254740992 AND finite(x) = floor(finite(x)), false);
CREATE TEMP MACRO moment_of(x) AS CASE
    WHEN finite(x) BETWEEN 1e9 AND 1e10 THEN make_timestamp(CAST(finite(x) * 1e6 AS BIGINT))
    WHEN finite(x) BETWEEN 1e12 AND 9.9e12 THEN make_timestamp(CAST(finite(x) * 1e3 AS BIGINT))
    WHEN finite(x) BETWEEN 1e15 AND 9.9e15 THEN make_timestamp(CAST(finite(x) AS BIGINT))
    WHEN finite(x) BETWEEN 1e18 AND 9e18 THEN make_timestamp(CAST(finite(x) / 1e3 AS BIGINT))
    WHEN regexp_full_match(x, '[0-9]{{4}}-.*:[0-9]{{2}},[0-9]+.*')
        THEN try_cast(try_cast(replace(x, ',', '.') AS TIMESTAMPTZ) AS TIMESTAMP)
    WHEN regexp_matches(x, '^([0-9]{{4}}-|-?inf)')
        THEN try_cast(try_cast(x AS TIMESTAMPTZ) AS TIMESTAMP)
    ELSE coalesce(try_strptime(x, {list(_TIMES)}),
        try_cast(try_cast(x AS TIMESTAMPTZ) AS TIMESTAMP)) END;
CREATE TEMP MACRO word(x, pattern) AS CASE WHEN regexp_full_match(x, pattern) THEN x END;
CREATE TEMP MACRO first_word(x, pattern) AS nullif(regexp_extract(x, pattern, 1), '');
"""
_UNTRIMMED = ("jobname", "destinationdblock", "pandaid", "produsername")  # spaces do not matter
_STAGED = """
CREATE TEMP TABLE staged (
    reason UTINYINT, source UTINYINT, completed BOOLEAN, moment TIMESTAMP,
    ninputdatafiles BIGINT, inputfilebytes BIGINT, core_seconds DOUBLE, computingsite VARCHAR,
    project VARCHAR, prodstep VARCHAR, datatype VARCHAR, jobstatus VARCHAR, task UBIGINT,
    dataset UBIGINT, identity UBIGINT
)"""


def prepare(connection: DuckDBPyConnection, groups: bool) -> None:
    """Make the empty table `staged` and the macros that fill it.

    groups: ids become pseudonyms, keyed with a secret that is drawn here and kept nowhere.
    """
    connection.execute(_MACROS)
    keyed = f"md5_number_lower('{secrets.token_hex(32)}' || x)" if groups else "NULL::UBIGINT"
    connection.execute(f"CREATE TEMP MACRO pseudonym(x) AS {keyed}")
    connection.execute(_STAGED)


def classify(
    connection: DuckDBPyConnection,
    relation: str,
    names: list[str],
    values: dict[str, str],
    leniency: Leniency,
) -> None:
    """Classify the rows of a relation into `staged`.

    Args:
        relation: SQL that yields the rows, with parameters such as `$path`.
        names: our name of each column, "" for a column that is not used.
        values: the parameters of `relation`.
    """
    aliases = ", ".join(f"c{i}" for i in range(len(names)))
    column = {
        name: f"{'untrimmed' if name in _UNTRIMMED else 'cleaned'}(CAST(c{i} AS VARCHAR))"
        for i, name in enumerate(names)
        if name
    }
    raw = ", ".join(f"{column.get(name, 'NULL::VARCHAR')} AS {name}" for name in RAW)
    connection.execute(
        f"INSERT INTO staged WITH raw AS (SELECT {raw} FROM {relation} AS dump({aliases})), "
        f"{_parsed(leniency, 'prodsourcelabel' in names)}, "
        f"classified AS (SELECT *, {_reason(leniency)} AS reason FROM parsed) "
        f"{_KEPT_COLUMNS}",
        values or None,
    )


def _reason(leniency: Leniency) -> str:
    """SQL for the number of the first rule a row breaks, 0 for none."""
    waived = _UNLESS_UNKNOWN if leniency.allow_unknown else ()
    waived += () if leniency.groups else _FOR_GROUPS
    cases = (
        f"WHEN {condition} THEN {i}"
        for i, (_, reason, condition) in enumerate(RULES, start=1)
        if reason not in waived
    )
    return f"CASE {' '.join(cases)} ELSE 0 END"


def _parsed(leniency: Leniency, is_labelled: bool) -> str:
    """SQL for the fields of each row, its label and its time."""
    own_name = "CASE WHEN regexp_matches(jobname, '^(user|group)[.]') THEN 'user' END"
    derived = "CASE WHEN prodstep = 'deriv' AND project IS NOT NULL THEN 'DAOD_UNKNOWN' END"
    unlabelled = "'user'" if leniency.all_analysis else "NULL" if is_labelled else own_name
    unnamed = derived if leniency.allow_unknown else "NULL"
    return _PARSED.replace("$unlabelled", unlabelled).replace("$unnamed", unnamed)


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
        moment_of(creationtime) AS moment,
        coalesce(prodsourcelabel, $unlabelled) AS label
    FROM raw
), fields AS (
    SELECT * EXCLUDE (name),
        name[5] AS datatype_0,
        word(inputfiletype, '{nomenclature.DATATYPE}') AS datatype_1,
        word(name[1], '{nomenclature.PROJECT}') AS project_0,
        word(inputfileproject, '{nomenclature.PROJECT}') AS project_1,
        word(name[4], '{nomenclature.PRODSTEP}') AS prodstep_0
    FROM named
), worded AS (
    SELECT *,
        CASE WHEN datatype_0 IS NOT NULL THEN datatype_0
            WHEN datatype_1 IS NOT NULL THEN datatype_1
            ELSE first_word({_WORDS}, '{nomenclature.DAOD_TOKEN}') END AS named_type,
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
), parsed AS (
    SELECT *, coalesce(named_type, $unnamed) AS datatype FROM worded
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
_STAGED_COLUMNS = ", ".join(
    f"CASE WHEN reason = 0 THEN {name} END" for name in (*_KEPT, *schema.GROUPS)
)
_TASK = "coalesce(try_cast(finite(jeditaskid) AS BIGINT)::VARCHAR, jeditaskid)"
_DATASET = f"regexp_replace(proddblock, '{nomenclature.AROUND}', '', 'g')"
# Of a dropped row nothing but the reason is kept.
_KEPT_COLUMNS = f"""
, typed AS (
    SELECT reason, source, completed, moment, pandaid,
        try_cast(finite(ninputdatafiles) AS BIGINT) AS ninputdatafiles,
        try_cast(finite(inputfilebytes) AS BIGINT) AS inputfilebytes,
        finite(cores) * finite(cpuconsumptiontime) AS core_seconds, computingsite,
        coalesce(project, 'unknown') AS project, coalesce(prodstep, 'unknown') AS prodstep,
        coalesce(word(datatype, '{nomenclature.FORMAT}'), 'unknown') AS datatype,
        lower(jobstatus) AS jobstatus,
        pseudonym({_TASK}) AS task, pseudonym({_DATASET}) AS dataset
    FROM classified
)
SELECT reason, {_STAGED_COLUMNS},
    CASE WHEN reason = 0 AND pandaid IS NOT NULL THEN hash(pandaid, {", ".join(_KEPT[2:])}) END
FROM typed"""
