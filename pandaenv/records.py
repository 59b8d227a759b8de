"""Job records: made from raw PanDA dumps, read back from files, split into train and test.

In: dumps of PanDA's job table (CSV, CSV.gz, Parquet, BigPanDA JSON), larger than memory if need be.
Out: the nine columns of `schema`, filtered in the order of Park et al. (2024), Fig. 3(b), with what
was kept and dropped at each stage.

Personal data stay inside: user names, job names and ids enter the query engine, are never spilled
in clear, and nothing but the nine columns, all but one of a closed vocabulary, leaves it. Messages
state counts and column names and never repeat a value or an error text of the engine.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pandaenv import nomenclature, schema, sites

MEMORY_LIMIT = "1GB"  # of the query engine; beyond it sorts spill, encrypted, beside the output
MAX_THREADS = 4
BATCH_ROWS = 131_072
MAX_CORES = 512
MAX_CPU_SECONDS = 1e9  # 30 years
FIRST_YEAR, LAST_YEAR = 2005, 2099  # PanDA was launched in 2005
TEST_SHARE = 0.2
OUTPUTS = ("records.parquet", "train.parquet", "test.parquet", "cascade.json")


# --- what comes out ------------------------------------------------------------------------------


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


# --- ingest --------------------------------------------------------------------------------------

RAW = (
    "prodsourcelabel", "jobstatus", "computingsite", "creationtime", "corecount",
    "actualcorecount", "cpuconsumptiontime", "ninputdatafiles", "inputfilebytes", "proddblock",
    "inputfileproject", "inputfiletype", "jobname", "destinationdblock", "pandaid", "produsername",
)  # fmt: skip
"""Columns of a dump that are looked at; all others are skipped unread."""
REQUIRED = (
    "prodsourcelabel", "jobstatus", "computingsite", "creationtime", "cpuconsumptiontime",
    "ninputdatafiles", "inputfilebytes",
)  # fmt: skip
ONE_OF = (
    ("corecount", "actualcorecount"),
    ("proddblock", "inputfiletype", "destinationdblock", "jobname"),
)


def ingest(
    dumps: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    split: str = "random",
    seed: int = 0,
    allow_unknown: bool = False,
) -> Cascade:
    """Turn raw PanDA dumps into `records`, `train` and `test.parquet` and `cascade.json` in `out`.

    A record is kept if it is (1) user analysis, (2) in a final state, (3) with a DAOD for input and
    (4) complete and valid. Zero files, bytes or cores are PanDA's way to say "unknown", so they
    count as missing. Rows are sorted by time; the same rows give the same bytes, whatever their
    order, format, or the number of threads. The four files appear together, or not at all.

    Args:
        split: "random" (80 % train, as in the paper) or "time" (the last 20 % are the test).
        seed: of the random split.
        allow_unknown: keep rows whose project or production step is missing, as level `unknown`.

    Raises:
        ValueError: a file is no dump, is damaged, or nothing of it is kept.
        FileNotFoundError: a dump does not exist.
        ImportError: the extra `ingest` is missing.
    """
    duckdb = _import_duckdb()
    paths = _check_dumps(dumps)
    out = _check_out(Path(out), paths)
    _check_split(split)
    with _workspace(out) as folder, _connect(duckdb, folder) as connection:
        dump_counts = [_stage(duckdb, connection, path, allow_unknown) for path in paths]
        with _rephrased(duckdb, "the staged records"):
            cascade = _count(connection, n_unreadable=sum(dump_counts))
            _refuse_nothing(cascade)
            cascade.default_power = _add_power(connection)
            _write_outputs(connection, folder, cascade, split, seed)
        _publish(folder, out)
    return cascade


def _import_duckdb():
    try:
        import duckdb
    except ImportError as error:
        raise ImportError(
            "reading PanDA dumps needs DuckDB: pip install 'pandaenv[ingest]'"
        ) from error
    return duckdb


def _check_dumps(dumps: str | Path | Sequence[str | Path]) -> list[Path]:
    paths = [Path(dumps)] if isinstance(dumps, str | os.PathLike) else [Path(d) for d in dumps]
    if not paths:
        raise ValueError("ingest needs at least one dump, got none")
    for path in paths:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise FileNotFoundError(f"a dump must be a file; {path} {what}")
    return [path.resolve() for path in paths]


def _check_out(out: Path, dumps: list[Path]) -> Path:
    if out.exists() and not out.is_dir():
        raise ValueError(f"the output must be a folder; {out} is a file")
    clash = {(out / name).resolve() for name in OUTPUTS} & set(dumps)
    if clash:
        raise ValueError(f"the output would overwrite the dump {clash.pop()}")
    return out


def _check_split(split: str) -> None:
    if split not in ("random", "time"):
        raise ValueError(f"split must be 'random' or 'time', got {split!r}")


@contextmanager
def _workspace(out: Path) -> Iterator[Path]:
    """A private folder on the output's file system, gone afterwards, for files and spills."""
    parent = next(p for p in (out, *out.resolve().parents) if p.is_dir())
    with tempfile.TemporaryDirectory(prefix=".ingest-", dir=parent) as folder:
        yield Path(folder)


@contextmanager
def _connect(duckdb, folder: Path):
    config = {
        "memory_limit": MEMORY_LIMIT,
        "threads": min(MAX_THREADS, os.cpu_count() or 1),
        "temp_directory": str(folder / "spill"),
        "preserve_insertion_order": False,  # the output is sorted by its values
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,
    }
    with duckdb.connect(":memory:", config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET temp_file_encryption = true")
        connection.execute(_MACROS)
        connection.execute(_STAGED)
        yield connection


@contextmanager
def _rephrased(duckdb, what: str) -> Iterator[None]:
    """Turn errors of the engine, whose texts quote rows, into one sentence without them."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise ValueError(f"{what}: not enough memory or disk space to process it") from None
    except (duckdb.Error, pa.ArrowException) as error:
        kind = type(error).__name__
        raise ValueError(f"{what}: damaged, or not what its first bytes say ({kind})") from None


# --- one dump into the table `staged` ------------------------------------------------------------


def _stage(duckdb, connection, path: Path, allow_unknown: bool) -> int:
    """Add a dump's rows to `staged`, classified; return the number of lines nobody can read."""
    with _rephrased(duckdb, str(path)), _readable(path):
        head, is_gzip = _head(path)
        if head.startswith(b"PAR1"):
            return _stage_parquet(connection, path, allow_unknown)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
            return _stage_json(connection, path, is_gzip, allow_unknown)
        return _stage_csv(connection, path, head, is_gzip, allow_unknown)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise ValueError(f"{path}: the compressed file is damaged") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or 'damaged'})") from None


def _head(path: Path, n_bytes: int = 1 << 20) -> tuple[bytes, bool]:
    """First bytes of a file, unzipped, and whether it was zipped."""
    with open(path, "rb") as handle:
        is_gzip = handle.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_gzip else open(path, "rb") as handle:
        head = handle.read(n_bytes)
    if not head.strip():
        raise ValueError(f"{path}: no PanDA dump, the file is empty")
    return head, is_gzip


def _stage_parquet(connection, path: Path, allow_unknown: bool) -> int:
    names = _positions(pq.read_schema(path).names, path)
    with _safe_name(path) as name:
        _insert(connection, "read_parquet($path)", names, {"path": name}, allow_unknown)
    return 0


def _stage_csv(connection, path: Path, head: bytes, is_gzip: bool, allow_unknown: bool) -> int:
    header, delimiter = _header(head, path)
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(header)))
    relation = (
        f"read_csv($path, columns = {{{columns}}}, delim = $delimiter, compression = $compression, "
        "header = true, auto_detect = false, quote = '\"', escape = '\"', "
        "ignore_errors = true, store_rejects = true)"
    )
    compression = "gzip" if is_gzip else "none"
    with _safe_name(path) as name:
        values = {"path": name, "delimiter": delimiter, "compression": compression}
        _insert(connection, relation, _positions(header, path), values, allow_unknown)
    rejected = "SELECT count(DISTINCT (scan_id, file_id, line)) FROM reject_errors"
    n_unreadable = connection.execute(rejected).fetchone()[0]
    connection.execute("DELETE FROM reject_errors")
    return n_unreadable


def _header(head: bytes, path: Path) -> tuple[list[str], str]:
    """Column names of a CSV file and its delimiter: the one that yields most names we know."""
    if b"\0" in head:
        raise ValueError(f"{path}: no PanDA dump, neither CSV nor Parquet nor JSON")
    text = head.decode("utf-8-sig", errors="replace")
    try:
        headers = {d: next(csv.reader(io.StringIO(text, newline=""), delimiter=d)) for d in ",;\t|"}
    except (csv.Error, StopIteration):
        raise ValueError(f"{path}: no PanDA dump, its first line is no CSV header") from None
    delimiter = max(headers, key=lambda d: len(set(_folded(headers[d])) & set(RAW)))
    return headers[delimiter], delimiter


def _positions(names: Sequence[str], path: Path) -> list[str]:
    """Our name of each column of a dump, or "" for those not looked at.

    Names found in a file are never repeated: without a header they are the first record.
    """
    folded = _folded(names)
    _check_columns(set(folded), path)
    for i, name in enumerate(folded):
        if name in folded[:i]:
            raise ValueError(
                f"{path}: column names must be unique but for case; "
                f"columns {folded.index(name) + 1} and {i + 1} share one"
            )
    return [name if name in RAW else "" for name in folded]


def _folded(names: Sequence[str]) -> list[str]:
    return [str(name).strip().lower() for name in names]


def _check_columns(found: set[str], path: Path) -> None:
    missing = [name for name in REQUIRED if name not in found]
    missing += [" or ".join(names) for names in ONE_OF if not found & set(names)]
    if missing:
        raise ValueError(f"{path}: no PanDA dump, it lacks {', '.join(missing)}")


@contextmanager
def _safe_name(path: Path) -> Iterator[str]:
    """A plain name for a file: the engine would read `*`, `?`, `[` and `key=value` as patterns."""
    with tempfile.TemporaryDirectory(prefix="pandaenv-") as folder:
        link = Path(folder) / "dump"
        link.symlink_to(path)
        yield str(link)


# --- BigPanDA JSON, as a stream ------------------------------------------------------------------


def _stage_json(connection, path: Path, is_gzip: bool, allow_unknown: bool) -> int:
    opened = gzip.open if is_gzip else open
    with opened(path, "rt", encoding="utf-8-sig", errors="replace") as handle:
        jobs = _Jobs(handle, path)
        for batch in jobs.batches():
            connection.register("batch", batch)
            _insert(connection, "batch", list(RAW), {}, allow_unknown)
            connection.unregister("batch")
    _check_columns(jobs.found, path)
    return jobs.n_unreadable


class _Jobs:
    """The jobs of `{"jobs": [...]}` or `[...]` as Arrow tables of text, never all in memory."""

    CHUNK = 1 << 22  # characters
    LIMIT = 1 << 26  # no single value is longer
    ROWS = 10_000

    def __init__(self, handle, path: Path):
        self.handle, self.path = handle, path
        self.text, self.at = "", 0
        self.decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
        self.keys: dict[str, str] = {}  # column -> the key that means it in this file
        self.seen: set[str] = set()
        self.wanted: list[str | None] = [None] * len(RAW)
        self.n_unreadable = 0

    @property
    def found(self) -> set[str]:
        return set(self.keys)

    def batches(self) -> Iterator[pa.Table]:
        rows: list[list] = []
        for job in self._jobs():
            if not isinstance(job, dict):
                self.n_unreadable += 1
                continue
            if not job.keys() <= self.seen:
                self._learn(job)
            rows.append([job.get(key) for key in self.wanted])
            if len(rows) == self.ROWS:
                yield _text_table(rows)
                rows = []
        if rows:
            yield _text_table(rows)

    def _learn(self, job: dict) -> None:
        for key in job.keys() - self.seen:
            name = key.strip().lower()
            if name in self.keys:
                raise ValueError(
                    f"{self.path}: column names must be unique but for case; {name} occurs twice"
                )
            if name in RAW:
                self.keys[name] = key
        self.seen |= job.keys()
        self.wanted = [self.keys.get(name) for name in RAW]

    def _jobs(self) -> Iterator[object]:
        if self._peek() == "[":
            yield from self._array()
        else:
            yield from self._jobs_of_object()
        if self._peek():
            raise self._damaged()

    def _jobs_of_object(self) -> Iterator[object]:
        has_jobs = False
        self._take("{")
        while self._peek() != "}":
            key = self._value()
            self._take(":")
            if key == "jobs" and self._peek() == "[":
                has_jobs = True
                yield from self._array()
            else:
                self._value()
            if self._peek() != "}":
                self._take(",")
        self._take("}")
        if not has_jobs:
            raise ValueError(f'{self.path}: no PanDA dump, the JSON has no list "jobs"')

    def _array(self) -> Iterator[object]:
        self._take("[")
        if self._peek() == "]":
            return self._take("]")
        while True:
            yield self._value()
            mark = self._peek()
            self.at += 1
            if mark == "]":
                return
            if mark != ",":
                raise self._damaged()

    def _peek(self) -> str:
        """The next character that is not blank, '' at the end."""
        while True:
            self.at = _BLANK.match(self.text, self.at).end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                return ""

    def _take(self, character: str) -> None:
        if self._peek() != character:
            raise self._damaged()
        self.at += 1

    def _value(self) -> object:
        self._peek()
        value, end = self._decode()
        # What ends at the buffer's end may go on beyond it (a number cut in two).
        while end == len(self.text):
            if len(self.text) - self.at > self.LIMIT or not self._more():
                break
            value, end = self._decode()
        if value is _CUT:
            raise self._damaged()
        self.at = end
        return value

    def _decode(self) -> tuple[object, int]:
        try:
            return self.decoder.raw_decode(self.text, self.at)
        except (ValueError, RecursionError):
            return _CUT, len(self.text)

    def _more(self) -> bool:
        chunk = self.handle.read(self.CHUNK)
        self.text, self.at = self.text[self.at :] + chunk, 0
        return bool(chunk)

    def _damaged(self) -> ValueError:
        return ValueError(f"{self.path}: the JSON is damaged or cut short")


_BLANK = re.compile(r"[ \t\r\n]*")
_CUT = object()


def _text_table(rows: list[list]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table({name: _text_array(c) for name, c in zip(RAW, columns, strict=True)})


def _text_array(values: tuple) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except (TypeError, UnicodeEncodeError, pa.ArrowException):
        return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _text(value: object) -> str:
    """Any JSON value as valid UTF-8 text (JSON may hold halves of a surrogate pair)."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


# --- the cascade in SQL: constants only, nothing of a file is ever pasted in ----------------------

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

SOURCES = (
    "proddblock",
    "inputfileproject and inputfiletype",
    "words in jobname or destinationdblock",
)
STAGES = ("records read", "user analysis", "final status", "DAOD input", "valid and complete")
UNFINISHED = (
    "pending", "defined", "waiting", "assigned", "throttled", "activated", "sent", "starting",
    "running", "holding", "merging", "transferring",
)  # fmt: skip
# (stage, reason, condition); a row is dropped for the first that holds.
_RULES = (
    (1, "prodsourcelabel missing", "prodsourcelabel IS NULL"),
    (1, "not user analysis", "lower(prodsourcelabel) <> 'user'"),
    (2, "jobstatus missing", "jobstatus IS NULL"),
    (2, "jobstatus not final", f"lower(jobstatus) IN {UNFINISHED}"),
    (2, "jobstatus unknown", f"lower(jobstatus) NOT IN {schema.STATUSES}"),
    (3, "input is a private data set", "is_private"),
    (3, "input data set missing",
     "datatype IS NULL AND coalesce(proddblock, inputfiletype) IS NULL"),
    (3, "input data set not readable", "datatype IS NULL"),
    (3, "input not a DAOD", f"NOT regexp_full_match(datatype, '{nomenclature.DAOD}')"),
    (4, "project missing", "project IS NULL"),
    (4, "prodstep missing", "prodstep IS NULL"),
    (4, "computingsite missing", "computingsite IS NULL"),
    (4, "computingsite no site name",
     "NOT regexp_full_match(computingsite, '[A-Za-z][A-Za-z0-9_./-]{1,63}') "
     "OR computingsite = produsername OR computingsite = jobname"),
    (4, "creationtime missing", "creationtime IS NULL"),
    (4, "creationtime no date", "moment IS NULL"),
    (4, f"creationtime not in {FIRST_YEAR}-{LAST_YEAR}",
     f"NOT year(moment) BETWEEN {FIRST_YEAR} AND {LAST_YEAR}"),
    (4, "corecount missing", "cores IS NULL OR finite(cores) = 0"),
    (4, f"corecount not a whole number in 1-{MAX_CORES}",
     f"NOT (is_count(cores) AND finite(cores) <= {MAX_CORES})"),
    (4, "cpuconsumptiontime missing", "cpuconsumptiontime IS NULL"),
    (4, f"cpuconsumptiontime not a number in 0-{MAX_CPU_SECONDS:.0e} s",
     f"NOT coalesce(finite(cpuconsumptiontime) BETWEEN 0 AND {MAX_CPU_SECONDS:.0f}, false)"),
    (4, "ninputdatafiles missing", "ninputdatafiles IS NULL OR finite(ninputdatafiles) = 0"),
    (4, "ninputdatafiles not a positive whole number", "NOT is_count(ninputdatafiles)"),
    (4, "inputfilebytes missing", "inputfilebytes IS NULL OR finite(inputfilebytes) = 0"),
    (4, "inputfilebytes not a positive whole number", "NOT is_count(inputfilebytes)"),
)  # fmt: skip
REPEATED = "the same job again"
_OPTIONAL = ("project missing", "prodstep missing")


def _insert(
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
    "source", "completed", "moment", "ninputdatafiles", "inputfilebytes", "core_seconds",
    "computingsite", "project", "prodstep", "datatype", "jobstatus",
)  # fmt: skip
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


# --- counting and writing ------------------------------------------------------------------------


def _count(connection, n_unreadable: int) -> Cascade:
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


def _refuse_nothing(cascade: Cascade) -> None:
    if cascade.stages[-1].kept:
        return
    reasons = {r: n for stage in cascade.stages for r, n in stage.dropped.items() if n}
    worst = sorted(reasons, key=lambda r: -reasons[r])[:3]
    listed = ", ".join(f"{reasons[r]:,} {r}" for r in worst) or "the dump has no rows"
    raise ValueError(
        f"nothing is kept of {cascade.stages[0].kept:,} rows: no complete user-analysis job in a "
        f"final state with a DAOD for input ({listed})"
    )


def _add_power(connection) -> dict[str, float]:
    """Make the table `power` (site, GFLOP/s per core); return what got the default."""
    names = _levels(connection, "computingsite").to_pylist()
    catalogue = sites.catalogue("all")
    power = dict(zip(catalogue.names, catalogue.power.tolist(), strict=True))
    known = {name: power.get(sites.resolve(name)) for name in names}
    rows = pa.table(
        {
            "computingsite": pa.array(names, pa.string()),
            "power": [sites.DEFAULT_POWER if known[n] is None else known[n] for n in names],
            "is_default": [known[n] is None for n in names],
        }
    )
    connection.register("rows", rows)
    connection.execute("CREATE TEMP TABLE power AS SELECT * FROM rows")
    connection.unregister("rows")
    n_records = connection.execute(
        "SELECT count(*) FROM kept JOIN power USING (computingsite) WHERE is_default"
    ).fetchone()[0]
    n_sites = sum(p is None for p in known.values())
    return {"gflops_per_core": sites.DEFAULT_POWER, "sites": n_sites, "records": n_records}


_SORTED = """
SELECT epoch_us(moment) - $origin AS time_us, ninputdatafiles, inputfilebytes,
    core_seconds * power AS workload, computingsite, project, prodstep, datatype, jobstatus
FROM kept JOIN power USING (computingsite)
ORDER BY ALL"""


def _write_outputs(connection, folder: Path, cascade: Cascade, by: str, seed: int) -> None:
    """Write the sorted records and both parts, batch by batch, and then the cascade."""
    origin = _origin(connection)
    n_rows = cascade.stages[-1].kept
    is_test = _test_rows(n_rows, by, seed)
    cascade.origin = origin.isoformat() + "Z"
    n_test = int(is_test.sum())
    cascade.split = {"by": by, "seed": seed, "train": n_rows - n_test, "test": n_test}
    levels = {name: _levels(connection, name) for name in schema.CATEGORICAL}
    origin_us = origin.value // 1000
    relation = connection.sql(_SORTED, params={"origin": origin_us})
    reader = pa.RecordBatchReader.from_stream(relation)
    with _writers(folder) as (all_records, train, test):
        for i, batch in enumerate(_batches(reader)):
            table = _record_table(batch, levels)
            in_test = pa.array(is_test[i * BATCH_ROWS :][: len(table)])
            all_records.write_table(table)
            train.write_table(table.filter(pc.invert(in_test)))
            test.write_table(table.filter(in_test))
    (folder / OUTPUTS[3]).write_text(cascade.to_json(), encoding="utf-8")


def _origin(connection) -> pd.Timestamp:
    """The Monday 00:00 UTC on or before the first record."""
    first = pd.Timestamp(connection.execute("SELECT min(moment) FROM kept").fetchone()[0])
    return (first - pd.Timedelta(days=first.weekday())).normalize().as_unit("ns")


def _levels(connection, name: str) -> pa.Array:
    rows = connection.execute(f"SELECT DISTINCT {name} FROM kept").fetchall()
    return pa.array(sorted(row[0] for row in rows), pa.string())


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Tables of exactly `BATCH_ROWS` rows but for the last, however the engine cut its batches."""
    held = reader.schema.empty_table()
    for batch in reader:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while len(held) >= BATCH_ROWS:
            yield held.slice(0, BATCH_ROWS)
            held = held.slice(BATCH_ROWS)
    if len(held):
        yield held


_ARROW = pa.schema(
    [
        (c.name, pa.dictionary(pa.int32(), pa.string()) if not c.is_numerical else c.dtype)
        for c in schema.SCHEMA
    ]
)


def _record_table(batch: pa.Table, levels: dict[str, pa.Array]) -> pa.Table:
    """A batch of the sorted query with the schema's columns; categories coded by `levels`."""
    days = batch["time_us"].to_numpy() / 86_400e6
    columns = {"creationtime": pa.array(days)}
    columns |= {name: batch[name].combine_chunks() for name in schema.NUMERICAL[1:]}
    for name in schema.CATEGORICAL:
        codes = pc.index_in(batch[name].combine_chunks(), value_set=levels[name])
        columns[name] = pa.DictionaryArray.from_arrays(codes, levels[name])
    return pa.table(columns, schema=_ARROW)


@contextmanager
def _writers(folder: Path) -> Iterator[list[pq.ParquetWriter]]:
    writers = [pq.ParquetWriter(folder / name, _ARROW, compression="zstd") for name in OUTPUTS[:3]]
    try:
        yield writers
    finally:
        for writer in writers:
            writer.close()


def _publish(folder: Path, out: Path) -> None:
    """Move the finished files to their place; the cascade, which vouches for them, comes last."""
    out.mkdir(parents=True, exist_ok=True)
    for name in OUTPUTS:
        os.replace(folder / name, out / name)


# --- split ---------------------------------------------------------------------------------------


def split(
    records: pd.DataFrame, *, by: str = "random", seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a record table into train (80 %) and test (20 %), rows in their given order.

    Args:
        by: "random", or "time": no test record is older than a train record.
    """
    _check_split(by)
    if by == "random":
        is_test = _test_rows(len(records), by, seed)
    else:
        order = np.argsort(records["creationtime"].to_numpy(), kind="stable")
        is_test = np.empty(len(records), dtype=bool)
        is_test[order] = _test_rows(len(records), by, seed)
    return records[~is_test], records[is_test]


def _test_rows(n: int, by: str, seed: int) -> np.ndarray:
    """Which of n rows sorted by time are the test. Shape: (n,) bool, `TEST_SHARE` of them true."""
    is_test = np.zeros(n, dtype=bool)
    is_test[n - round(TEST_SHARE * n) :] = True
    if by == "random":
        np.random.default_rng(seed).shuffle(is_test)
    return is_test


# --- read and write ------------------------------------------------------------------------------


def read(path: str | Path) -> pd.DataFrame:
    """Read a record table from Parquet, CSV or CSV.gz and check it against the schema.

    Raises:
        FileNotFoundError: there is no such file.
        SchemaError: the table breaks a rule of `schema`.
        ValueError: the file is no readable table.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"a record table must be a file; {path} {what}")
    with _readable(path):
        head, _ = _head(path, n_bytes=64)
        frame = _read_parquet(path) if head.startswith(b"PAR1") else _read_csv(path)
    try:
        return schema.check(frame)
    except schema.SchemaError as error:
        raise schema.SchemaError(f"{path}: {error}") from None


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (pa.ArrowException, OSError):
        raise ValueError(f"{path}: the Parquet file is damaged") from None


def _read_csv(path: Path) -> pd.DataFrame:
    # "NA" is a name like any other in a text column.
    text = dict.fromkeys(schema.CATEGORICAL, str)
    missing = dict.fromkeys(schema.NUMERICAL, ["", "NA", "NaN", "nan", "null"])
    try:
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=missing)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        raise ValueError(f"{path}: no readable CSV table") from None


def write(records: pd.DataFrame, path: str | Path) -> Path:
    """Write a table as Parquet, or as CSV where the name ends so; all of it or nothing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".write-", dir=path.parent) as folder:
        draft = Path(folder) / path.name
        if path.name.lower().endswith((".csv", ".csv.gz")):
            records.to_csv(draft, index=False)
        else:
            records.to_parquet(draft, index=False)
        os.replace(draft, path)
    return path
