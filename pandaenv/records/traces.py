"""Job traces of other grids as records: SWF, GWF, or any CSV by a map of its columns.

In: a trace file, zipped or not. Out: a `TraceFile`: records of the nine columns with `corecount`
beside them, the sites in the columns of `pandaenv.sites.COLUMNS`, and what was dropped. Traces tell
no input: files and bytes are 0, project, production step and format `unknown`. Work is cores x run
time x `DEFAULT_POWER`, since traces tell no speeds either.

Sources: Standard Workload Format, Feitelson, https://www.cs.huji.ac.il/labs/parallel/workload/swf;
Grid Workload Format, Iosup et al. (2008), http://gwa.ewi.tudelft.nl.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from foundations import checks, files
from foundations.units import DAY_S
from pandaenv import schema
from pandaenv.sites import COLUMNS, DEFAULT_POWER, AliasTable, read_aliases

from . import folder
from .cascade import Cascade, Stage
from .first_bytes import open_once, what_is_there
from .splits import SPLITS, mark_test_rows

SWF = {"job": 1, "time": 2, "wait": 3, "run": 4, "cores": 5, "asked": 8, "status": 11, "site": 16}
GWF = {"job": 1, "time": 2, "wait": 3, "run": 4, "cores": 5, "asked": 8, "status": 11, "site": 17}
"""Position of each field, from 1; fields hold -1 where they are unknown."""
N_FIELDS = {"swf": 18, "gwf": 29}
STATUS = {1: "finished", 0: "failed", 5: "cancelled"}
PARTIAL = (2, 3, 4)
"""Statuses of parts of a job, which its own line sums up."""
MAPPED = ("time", "run", "cores", "site", "status", "wait", "files", "bytes")
NEEDED = ("time", "run")
SITES = "sites.csv"
MONDAY_UNIX = 345_600
TIER, DISK, INGRESS, MAX_FAILURE = 2, 1e15, 1.25e9, 0.9
"""What traces do not tell of a site: tier 2, a petabyte, 10 Gb/s; ASSUMED. Its failure rate is the
recorded one, at most MAX_FAILURE."""


@dataclass(frozen=True, eq=False)
class TraceFile:
    """What a trace tells.

    Attributes:
        records: the nine columns and `corecount`, by time.
        sites: one row a site, in the columns of a catalogue.
        origin: the Monday from which `creationtime` counts, ISO 8601; of 1970 where the trace does
            not say when it began.
        n_read: jobs read; dropped: of these by reason.
    """

    records: pd.DataFrame
    sites: pd.DataFrame
    origin: str
    n_read: int
    dropped: dict[str, int]


def read_trace(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    sites: AliasTable | None = None,
) -> TraceFile:
    """Read a trace of another grid.

    Args:
        columns: for a CSV the file's name of each of MAPPED; `time` and `run` are needed. Times are
            epoch seconds or dates, run and wait seconds, a status one of `schema.STATUSES`.
        sites: names of sites for the trace's partitions (`1`, or the name its header gives).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no trace, is two in one, or none of its jobs is usable.
    """
    path = Path(path)
    if not (path.is_file() or path.is_fifo()):
        raise FileNotFoundError(f"a trace must be a file; {path} {what_is_there(path)}")
    with open_once(path) as opened:
        text = opened.text().read()
    if columns is not None:
        jobs, header = _read_mapped(text, columns, path), {}
    else:
        jobs, header = _read_numbered(text, path)
    return _to_records(jobs, header, sites or AliasTable(), path)


def import_trace(
    path: str | Path,
    out: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    sites: str | Path | None = None,
    split: str = "random",
    seed: int = 0,
) -> TraceFile:
    """Write a trace as `ingest` would a dump, and `sites.csv`, its catalogue, beside.

    Args:
        columns: of a CSV, see `read_trace`.
        sites: a table of your own names, see `pandaenv.sites.read_aliases`; sites that it declares
            with their power give the work of their jobs.
        split, seed: as for `ingest`.

    Raises: as `read_trace` does, and ValueError for a folder that cannot be written.
    """
    out = Path(out)
    folder.check_target(out, [Path(path).resolve()])
    checks.known("split", split, SPLITS)
    checks.seed(seed)
    trace = read_trace(path, columns=columns, sites=read_aliases(sites) if sites else None)
    is_test = mark_test_rows(len(trace.records), split, seed)
    with folder.workspace(out) as work:
        parts = (trace.records, trace.records[~is_test], trace.records[is_test])
        for name, part in zip(folder.TABLES, parts, strict=True):
            part.to_parquet(work / name, index=False)
        counts = {"train": int((~is_test).sum()), "test": int(is_test.sum())}
        report = _cascade(trace, {"by": split, "seed": seed} | counts)
        (work / folder.CASCADE).write_text(report.to_json(), encoding="utf-8")
        folder.publish(work, out)
    files.write(out / SITES, trace.sites.to_csv(index=False))
    return trace


def _cascade(trace: TraceFile, split: dict[str, object]) -> Cascade:
    """The report of an import, in the form of an ingest's."""
    n = len(trace.records)
    power = {"gflops_per_core": DEFAULT_POWER, "sites": len(trace.sites), "records": n}
    stages = [Stage("jobs read", trace.n_read, {}), Stage("usable jobs", n, trace.dropped)]
    return Cascade(stages, {"trace": n}, 0, n, power, split=split, origin=trace.origin)


def _read_numbered(text: str, path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The jobs and the header comments of an SWF or GWF file."""
    lines = [line.strip() for line in text.splitlines()]
    comments = [line for line in lines if line[:1] in (";", "#")]
    rows = [line.split() for line in lines if line and line[:1] not in (";", "#")]
    header = _header(comments, path)
    n_fields = len(rows[0]) if rows else 0
    kinds = {n: kind for kind, n in N_FIELDS.items()}
    if n_fields not in kinds:
        raise ValueError(
            f"{path}: a trace has 18 fields a line (SWF) or 29 (GWF), got {n_fields}; for a CSV "
            "say which columns it has"
        )
    for i, row in enumerate(rows, start=1):
        if len(row) != n_fields:
            raise ValueError(f"{path}: job {i} must have {n_fields} fields, got {len(row)}")
    places = SWF if kinds[n_fields] == "swf" else GWF
    jobs = pd.DataFrame({name: [row[place - 1] for row in rows] for name, place in places.items()})
    numbers = [name for name in places if name != "site"]
    jobs[numbers] = jobs[numbers].apply(pd.to_numeric, errors="coerce")
    jobs["cores"] = jobs["cores"].where(jobs["cores"] > 0, jobs["asked"])
    jobs = jobs.replace({name: {-1: np.nan} for name in numbers})
    whole = jobs[~jobs["status"].isin(PARTIAL)]
    if whole["job"].duplicated().any():
        raise ValueError(f"{path}: a job number occurs twice, so these are two traces in one file")
    jobs["site"] = jobs["site"].map(_partitions(comments)).fillna(jobs["site"])
    return jobs, header


def _header(comments: list[str], path: Path) -> dict[str, str]:
    pairs = [re.match(r"[;#]\s*(\w+)\s*:\s*(.*)", line) for line in comments]
    header: dict[str, str] = {}
    for pair in pairs:
        if pair is None:
            continue
        name, value = pair.groups()
        if name == "UnixStartTime" and header.get(name, value) != value:
            raise ValueError(f"{path}: UnixStartTime occurs twice, import each trace by itself")
        header.setdefault(name, value.strip())
    return header


def _partitions(comments: list[str]) -> dict[str, str]:
    """Names that the header gives to numbers of partitions."""
    found = (re.match(r";\s*Partition:\s*(\d+)\s+(\S+)", line) for line in comments)
    return {match[1]: match[2] for match in found if match}


def _read_mapped(text: str, columns: Mapping[str, str], path: Path) -> pd.DataFrame:
    """The jobs of a CSV, by the file's names of its columns."""
    unknown = [name for name in columns if name not in MAPPED]
    missing = [name for name in NEEDED if name not in columns]
    if unknown or missing:
        raise ValueError(
            f"a map of columns has {', '.join(MAPPED)}, of which time and run are needed; got "
            f"{', '.join(columns) or 'none'}"
        )
    try:
        table = pd.read_csv(
            io.StringIO(text), dtype=str, keep_default_na=False, sep=None, engine="python"
        )
    except (pd.errors.ParserError, ValueError):
        raise ValueError(f"{path}: no readable CSV table") from None
    for name in columns.values():
        if name not in table:
            raise ValueError(f"{path}: there is no column {name!r}; it has {', '.join(table)}")
    jobs = pd.DataFrame({name: table[theirs] for name, theirs in columns.items()})
    for name in jobs.columns.difference(["time", "site", "status"]):
        jobs[name] = pd.to_numeric(jobs[name], errors="coerce")
    jobs["time"] = _seconds(jobs["time"])
    return jobs


def _seconds(values: pd.Series) -> pd.Series:
    """Seconds since 1970 of numbers or dates."""
    numbers = pd.to_numeric(values, errors="coerce")
    dates = pd.to_datetime(values.where(numbers.isna()), errors="coerce", utc=True, format="mixed")
    return numbers.fillna((dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1))


def _to_records(
    jobs: pd.DataFrame, header: dict[str, str], table: AliasTable, path: Path
) -> TraceFile:
    jobs = jobs.assign(cores=jobs.get("cores", pd.Series(1.0, jobs.index)))
    kept, dropped = _usable(jobs)
    if kept.empty:
        listed = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items() if n)
        raise ValueError(f"{path}: no usable job ({listed or 'the trace has none'})")
    start = pd.to_numeric(header.get("UnixStartTime", "nan"), errors="coerce")
    begin = start if np.isfinite(start) and start > 0 else 0.0
    if begin == 0 and kept["time"].min() < 1e9:
        begin = float(MONDAY_UNIX)
    kept = kept.assign(time=kept["time"] + begin).sort_values("time", kind="stable")
    first = pd.Timestamp(kept["time"].min(), unit="s")
    origin = (first - pd.Timedelta(days=first.weekday())).normalize()
    sites = kept.get("site", pd.Series("site", kept.index)).astype(str).replace({"-1": "unknown"})
    sites = sites.map(lambda name: table.site.get(name.lower(), name))
    power = sites.map(lambda name: table.power.get(name, DEFAULT_POWER))
    records = pd.DataFrame(
        {
            "creationtime": (kept["time"] - origin.timestamp()) / DAY_S,
            "ninputdatafiles": kept.get("files", pd.Series(0, kept.index)).fillna(0),
            "inputfilebytes": kept.get("bytes", pd.Series(0, kept.index)).fillna(0),
            "workload": kept["cores"] * kept["run"] * power,
            "computingsite": sites,
            **dict.fromkeys(("project", "prodstep", "datatype"), "unknown"),
            "jobstatus": _statuses(kept),
        }
    )
    checked = schema.check(records).assign(corecount=kept["cores"].astype(np.int64))
    described = _describe_sites(kept.assign(site=sites, state=records["jobstatus"]), header, table)
    moment = origin.isoformat() + "Z"
    return TraceFile(checked.reset_index(drop=True), described, moment, len(jobs), dropped)


def _usable(jobs: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The jobs with time, run time and cores, and how many others for what."""
    status = jobs.get("status", pd.Series(np.nan, jobs.index))
    rules = {
        "part of a job": ~status.isin(PARTIAL),
        "submit time missing": jobs["time"] >= 0,
        "run time missing": np.isfinite(jobs["run"]) & (jobs["run"] > 0),
        "cores missing": (jobs["cores"] >= 1) & (jobs["cores"] == np.floor(jobs["cores"])),
    }
    left, dropped = pd.Series(True, jobs.index), {}
    for reason, is_good in rules.items():
        dropped[reason] = int((left & ~is_good).sum())
        left &= is_good
    return jobs[left], dropped


def _statuses(jobs: pd.DataFrame) -> pd.Series:
    """The final states; a job that ran and does not tell counts as finished."""
    status = jobs.get("status", pd.Series(np.nan, jobs.index))
    named = status.astype(str).str.strip().str.lower()
    return status.map(STATUS).fillna(named.where(named.isin(schema.STATUSES))).fillna("finished")


def _describe_sites(jobs: pd.DataFrame, header: dict[str, str], table: AliasTable) -> pd.DataFrame:
    """A catalogue of the trace's sites: as many cores as ran at once, or as the header says."""
    names, rows = sorted(jobs["site"].unique()), []
    most = pd.to_numeric(header.get("MaxProcs", "nan").split()[0], errors="coerce")
    for name in names:
        here = jobs[jobs["site"] == name]
        is_told = len(names) == 1 and np.isfinite(most) and most >= 1
        cores = int(most) if is_told else _most_at_once(here)
        failed = min(float((here["state"] == "failed").mean()), MAX_FAILURE)
        power = table.power.get(name, DEFAULT_POWER)
        rows.append((name, TIER, "TRACE", cores, power, DISK, INGRESS, failed))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _most_at_once(jobs: pd.DataFrame) -> int:
    """Cores in use at the busiest moment."""
    begin = (jobs["time"] + jobs.get("wait", pd.Series(0.0, jobs.index)).fillna(0)).to_numpy()
    end, cores = begin + jobs["run"].to_numpy(), jobs["cores"].to_numpy()
    moments, change = np.r_[begin, end], np.r_[cores, -cores]
    order = np.lexsort((change, moments))  # at one moment, ends come first
    return int(np.cumsum(change[order]).max())
