"""A stream of jobs as a file that other simulators read: SWF, or the job CSV of CGSim.

In: a `Stream`. Out: the file, and beside it `FILE.json` with what the format has no place for; from
both the same stream is read back bit for bit. The second file holds sites (slots, power, disk,
ingress, closeness), the sites of each data set's replicas, names of the data formats, project and
production step of each job, duration and scale of the stream, and the hash of the first, so that
the two cannot be mixed up.

**SWF** (Standard Workload Format 2.2, Parallel Workloads Archive,
https://www.cs.huji.ac.il/labs/parallel/workload/swf.html): 18 fields a job, -1 where unknown.

| field | here |
|---|---|
| 1 job number | row + 1 |
| 2 submit time | s since `UnixStartTime`, with fractions, which the format permits |
| 4 run time | s on the grid's mean core: work / (cores x mean power) |
| 5, 8 processors | cores |
| 11 status | recorded: 1 finished, 0 failed, 5 closed or cancelled |
| 14 executable | code of the data format + 1 |
| 16 partition | recorded site + 1, named in the header |

Work, bytes, files, task, data set and the four-valued status of each job go to `FILE.json`.

**CGSim** (Vatsavai et al., 2025, arXiv 2510.00822, a grid simulator on SimGrid): a CSV whose
columns are found by PanDA's names. Its workload readers take `pandaid`, `creationtime` (here s
since Monday 00:00 UTC), `computingsite`, `corecount`, `cpuconsumptiontime` (s a core),
`inputfilebytes`, `outputfilebytes` (here 0), and make floating-point operations of them as GFLOPS
of the site x cpuconsumptiontime x corecount, which is how `workload` is defined. `jobstatus`,
`ninputdatafiles` and `noutputdatafiles` bear PanDA's names too; `datatype`, `proddblock` (the data
set), `jeditaskid` (the task) and `workload` (GFLOP, exact) are columns it passes over.
"""

from __future__ import annotations

import hashlib
import io
import json
import unicodedata
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from foundations import files
from pandaenv.schema import STATUSES
from pandaenv.sites import Catalogue

from .jobs import JobArrays
from .stream import LABELS, Stream, capacity

MONDAY_UNIX = 345_600
"""Monday 1970-01-05 00:00 UTC: streams know the weekday, not the year."""
N_FIELDS = 18
SWF_STATUS = {"finished": 1, "failed": 0, "closed": 5, "cancelled": 5}
NOT_IN_SWF = ("work", "nbytes", "nfiles", "dataset", "status", "task")
UNWRITABLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, halves of characters and ends of lines."""
CGSIM_COLUMNS = (
    "pandaid",
    "creationtime",
    "jobstatus",
    "computingsite",
    "corecount",
    "cpuconsumptiontime",
    "ninputdatafiles",
    "inputfilebytes",
    "noutputdatafiles",
    "outputfilebytes",
    "datatype",
    "proddblock",
    "jeditaskid",
    "workload",
)


def write(stream: Stream, path: str | Path, kind: str) -> tuple[Path, Path]:
    """Write the stream as "swf" or "cgsim"; returns the file and the one beside it.

    Raises:
        ValueError: an unknown kind, a folder for a file, a name that would break a line; for SWF a
            time below 0. Nothing is written then.
    """
    path = Path(path)
    to_text, _ = _known(kind)
    _check_names("site", stream.catalogue.names)
    _check_names("data format", stream.formats)
    if path.is_dir():
        raise ValueError(f"the output must be a file; {path} is a folder")
    text, rest = to_text(stream)
    beside = _beside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"kind": kind, "sha256": _hash(text), **_grid(stream), "jobs": rest}
    files.write(path, text)
    files.write(beside, json.dumps(whole))
    return path, beside


def read(path: str | Path) -> Stream:
    """Read a stream that `write` wrote.

    Raises:
        ValueError: the file or the one beside it is missing, damaged or not of the other.
    """
    path = Path(path)
    text, rest = _bytes(path), _beside_of(path)
    if rest.get("sha256") != _hash(text):
        raise ValueError(f"{_beside(path)} must have been written with {path}, got another's")
    _, from_text = _known(rest["kind"])
    catalogue = _catalogue(rest)
    jobs = from_text(text, rest, catalogue)
    return Stream(
        JobArrays(**jobs, replicas=_replicas(rest["replicas"], catalogue.n_sites)),
        catalogue,
        rest["duration"],
        rest["scale"],
        tuple(rest["formats"]),
        pd.DataFrame({name: pd.Categorical.from_codes(**rest["labels"][name]) for name in LABELS}),
    )


# --- SWF ------------------------------------------------------------------------------------------


def _to_swf(stream: Stream) -> tuple[bytes, dict]:
    """Text of the file, and what it cannot hold of each job."""
    jobs, catalogue = stream.jobs, stream.catalogue
    if jobs.time[0] < 0:
        raise ValueError(f"SWF needs times of at least 0 s, got {jobs.time[0]:g} at the first job")
    begin = int(np.floor(jobs.time[0]))
    mean_power = capacity(catalogue) / catalogue.cores.sum()
    table = np.full((len(jobs), N_FIELDS), -1, dtype=object)
    columns = {
        1: np.arange(1, len(jobs) + 1),
        2: jobs.time - begin,  # exact, as 0 <= begin <= time
        4: jobs.work / (jobs.cores * mean_power),
        5: jobs.cores,
        8: jobs.cores,
        11: np.array([SWF_STATUS[name] for name in STATUSES])[jobs.status],
        14: jobs.format + 1,
        16: jobs.site + 1,
    }
    for number, values in columns.items():
        table[:, number - 1] = values.tolist()
    body = pd.DataFrame(table).to_csv(sep=" ", header=False, index=False, lineterminator="\n")
    rest = {name: getattr(jobs, name).tolist() for name in NOT_IN_SWF}
    return (_swf_header(stream, begin) + body).encode(), rest


def _swf_header(stream: Stream, begin: int) -> str:
    catalogue, n = stream.catalogue, len(stream.jobs)
    lines = [
        "Version: 2.2",
        f"Computer: simulated grid of {catalogue.n_sites} sites, illustrative",
        "Conversion: pandaenv",
        f"MaxJobs: {n}",
        f"MaxRecords: {n}",
        f"UnixStartTime: {MONDAY_UNIX + begin}",
        "TimeZoneString: UTC",
        f"MaxProcs: {int(catalogue.cores.sum())}",
        "Note: weekday and hour of the start are meant, its year is not",
        "Note: run time is on the grid's mean core; the sites differ in speed",
        "Note: executable number is the format of the input data",
        "Note: bytes, data sets, replicas and sites are in the JSON file beside this one",
        f"MaxPartitions: {catalogue.n_sites}",
    ]
    lines += [
        f"Partition: {i} {name} ({cores} cores)"
        for i, (name, cores) in enumerate(zip(catalogue.names, catalogue.cores, strict=True), 1)
    ]
    return "".join(f"; {line}\n" for line in lines)


def _from_swf(text: bytes, rest: dict, catalogue: Catalogue) -> dict:
    header = [line for line in text.decode().splitlines() if line.startswith(";")]
    begin = next(int(line.split(":")[1]) for line in header if "UnixStartTime" in line)
    table = pd.read_csv(io.BytesIO(text), sep=" ", comment=";", header=None, dtype={1: str})
    jobs = {name: np.array(rest["jobs"][name]) for name in NOT_IN_SWF}
    return jobs | {
        "time": _floats(table[1]) + (begin - MONDAY_UNIX),
        "cores": table[4],
        "format": table[13] - 1,
        "site": table[15] - 1,
    }


# --- CGSim ----------------------------------------------------------------------------------------


def _to_cgsim(stream: Stream) -> tuple[bytes, dict]:
    """Text of the file; nothing of a job is left over."""
    jobs, catalogue = stream.jobs, stream.catalogue
    n = len(jobs)
    seconds = jobs.work / (jobs.cores * catalogue.power[jobs.site])
    columns = (
        np.arange(1, n + 1),
        jobs.time,
        np.array(STATUSES)[jobs.status],
        np.array(catalogue.names)[jobs.site],
        jobs.cores,
        seconds,
        jobs.nfiles,
        jobs.nbytes,
        np.zeros(n, int),
        np.zeros(n, int),
        np.array(stream.formats)[jobs.format],
        np.char.add("dataset_", jobs.dataset.astype(str)),
        jobs.task,
        jobs.work,
    )
    table = pd.DataFrame(dict(zip(CGSIM_COLUMNS, columns, strict=True)))
    return table.to_csv(index=False, lineterminator="\n").encode(), {}


def _from_cgsim(text: bytes, rest: dict, catalogue: Catalogue) -> dict:
    whole = {name: np.int64 for name in ("corecount", "ninputdatafiles", "jeditaskid")}
    as_text = {name: str for name in CGSIM_COLUMNS if name not in whole}
    table = pd.read_csv(io.BytesIO(text), keep_default_na=False, dtype=as_text | whole)
    return {
        "time": _floats(table["creationtime"]),
        "cores": table["corecount"],
        "work": _floats(table["workload"]),
        "nbytes": _floats(table["inputfilebytes"]),
        "nfiles": table["ninputdatafiles"],
        "dataset": table["proddblock"].str.removeprefix("dataset_").astype(np.int64),
        "format": _rows(table["datatype"], rest["formats"]),
        "status": _rows(table["jobstatus"], STATUSES),
        "site": _rows(table["computingsite"], catalogue.names),
        "task": table["jeditaskid"],
    }


def _floats(values: pd.Series) -> np.ndarray:
    """Numbers from text, each the nearest to it (pandas' own readers may be a last place off)."""
    return np.array([float(value) for value in values])


def _rows(values: pd.Series, names) -> np.ndarray:
    return values.map({name: row for row, name in enumerate(names)}).to_numpy(np.int64)


# --- the file beside ------------------------------------------------------------------------------


def _grid(stream: Stream) -> dict:
    """Sites, replicas and the rest of a stream that is no job's own."""
    catalogue = stream.catalogue
    sites = {f.name: getattr(catalogue, f.name) for f in fields(Catalogue)}
    row, site = np.nonzero(stream.jobs.replicas)
    first = np.searchsorted(row, np.arange(1, len(stream.jobs.replicas)))
    return {
        "duration": stream.duration,
        "scale": stream.scale,
        "formats": list(stream.formats),
        "labels": {
            name: {"codes": column.codes.tolist(), "categories": column.categories.tolist()}
            for name, column in ((name, stream.labels[name].cat) for name in LABELS)
        },
        "sites": {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in sites.items()},
        "replicas": [part.tolist() for part in np.split(site, first)],
    }


def _catalogue(rest: dict) -> Catalogue:
    sites = {
        name: np.array(part) if isinstance(part, list) and name not in ("names", "cloud") else part
        for name, part in rest["sites"].items()
    }
    return Catalogue(**sites)


def _replicas(holders: list[list[int]], n_sites: int) -> np.ndarray:
    """Sites by data set as a table of truths, bool (D, S)."""
    replicas = np.zeros((len(holders), n_sites), bool)
    row = np.repeat(np.arange(len(holders)), [len(sites) for sites in holders])
    replicas[row, np.concatenate([np.array(sites, int) for sites in holders])] = True
    return replicas


_KINDS = {"swf": (_to_swf, _from_swf), "cgsim": (_to_cgsim, _from_cgsim)}


def _check_names(what: str, names: tuple[str, ...]) -> None:
    for name in names:
        if any(unicodedata.category(letter) in UNWRITABLE for letter in name):
            raise ValueError(f"a {what} must have a name without control characters, got {name!r}")


def _known(kind: str):
    if kind not in _KINDS:
        raise ValueError(f"unknown format {kind!r}; known: {', '.join(_KINDS)}")
    return _KINDS[kind]


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _beside_of(path: Path) -> dict:
    beside = _beside(path)
    try:
        rest = json.loads(_bytes(beside))
    except ValueError as error:
        raise ValueError(f"{path} needs the JSON file written with it: {error}") from error
    if not isinstance(rest, dict) or "sha256" not in rest:
        raise ValueError(f"{beside} must be the JSON file written with {path}, got another")
    return rest


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} must be a readable file: {error}") from error


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
