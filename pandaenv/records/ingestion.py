"""The way from raw PanDA dumps to job records.

In: dumps of PanDA's job table (CSV, Parquet, JSON, zipped or not), larger than memory if need be.
Out: a folder with the nine columns of `schema`, filtered in the order of Park et al. (2024),
Fig. 3(b), split into train and test, and with the counts of kept and dropped rows at each stage.

Personal data stay inside: user names, job names and ids enter the query engine and are never
spilled in clear. Nothing but the nine columns leaves it, and text leaves it only if it is a word of
the vocabulary or the name of a site that the catalogue or the user's table has.

Where groups are asked for, two numbers a row leave it as well: which rows share a task, and which a
data set. Tasks are numbered from 0 in an order that a secret of this run draws, and so are data
sets; the secret is forgotten. A number says nothing about the id, and another run gives another.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from foundations import checks
from pandaenv.sites import AliasTable, read_aliases

from . import cascade, classification, dumps, engine, folder, levels, outputs
from . import renames as names
from .cascade import Cascade
from .classification import Leniency
from .first_bytes import check_encoding, what_is_there
from .inspection import describe, find
from .splits import SPLITS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Files = str | Path | Sequence[str | Path]


def ingest(
    files: Files,
    out: str | Path,
    *,
    split: str = "random",
    seed: int = 0,
    allow_unknown: bool = False,
    all_analysis: bool = False,
    sites: str | Path | None = None,
    rare: int = levels.RARE,
    encoding: str | None = None,
    groups: bool = False,
    renames: str | Path | None = None,
) -> Cascade:
    """Turn raw PanDA dumps into `records`, `train` and `test.parquet` and `cascade.json` in `out`.

    A record is kept if it is (1) user analysis, (2) in a final state, (3) with a DAOD for input and
    (4) complete and valid. Rows are sorted by time; the same rows give the same bytes, but for the
    numbers of groups, which are new in every run. All four files appear, or none.

    Args:
        split, seed: "random" (80 % train, as in the paper), "time" or "task", see `splits.split`.
        allow_unknown, all_analysis, groups: keep more, see `classification.Leniency`.
        sites, renames: files of your own names of sites (`pandaenv.sites.read_aliases`), and of old
            names of any column with their new ones (`renames`).
        rare: levels of fewer rows become `unknown`, at least 1.
        encoding: of text files; UTF-8 by default, or UTF-16 where the first bytes say so.
    Raises:
        ValueError: a file is no dump or damaged, none of its rows is kept, a wrong name.
        FileNotFoundError, ImportError: a dump, or the extra `ingest`, is not there.
    """
    engine.load()
    paths, out = _check_dumps(files), Path(out)
    folder.check_target(out, paths)
    _check_split(split, groups)
    checks.whole("rare", rare, least=1)
    leniency = Leniency(allow_unknown, all_analysis, groups)
    aliases, new_names = _aliases(sites), names.read(renames)
    with folder.workspace(out) as work:
        with _kept(paths, work, leniency, aliases, encoding, new_names) as (connection, result):
            cascade.check_kept(result)
            levels.drop_rare(connection, rare, result)
            outputs.write(connection, work, result, split, seed, groups)
        folder.publish(work, out)
    return result


def check(
    files: Files,
    *,
    allow_unknown: bool = False,
    all_analysis: bool = False,
    sites: str | Path | None = None,
    encoding: str | None = None,
    as_json: bool = False,
) -> str:
    """Say in about ten lines what dumps hold, what of it `ingest` would keep and why not the rest.

    Nothing is written. Other arguments and errors are those of `ingest`.

    Args:
        as_json: a JSON object of the counts instead.
    """
    paths, aliases = _check_dumps(files), _aliases(sites)
    leniency = Leniency(allow_unknown, all_analysis)
    with TemporaryDirectory(prefix="pandaenv-") as work:
        with _kept(paths, Path(work), leniency, aliases, encoding) as (connection, result):
            found = find(connection, result, len(paths))
            return json.dumps(found, indent=1) if as_json else describe(found)


@contextmanager
def _kept(
    paths: list[Path],
    work: Path,
    leniency: Leniency,
    aliases: AliasTable,
    encoding: str | None,
    new_names: names.Renames | None = None,
) -> Iterator[tuple[DuckDBPyConnection, Cascade]]:
    """A connection with the tables `kept`, its sites named, and `power`; and what led to it."""
    duckdb = engine.load()
    check_encoding(encoding)
    with engine.connect(duckdb, work) as connection:
        classification.prepare(connection, leniency.groups)
        n_unreadable = sum(
            dumps.stage(duckdb, connection, path, leniency, encoding) for path in paths
        )
        with engine.plain_engine_errors(duckdb, "the staged records"):
            result = cascade.count(connection, n_unreadable)
            result.renamed = names.apply(connection, new_names or {})
            levels.name_sites(connection, aliases, result)
            result.default_power = outputs.add_power(connection, aliases.power)
            yield connection, result


def _check_split(split: str, groups: bool) -> None:
    checks.known("split", split, SPLITS)
    if split == "task" and not groups:
        raise ValueError("a split by task needs groups, got groups=False")


def _aliases(path: str | Path | None) -> AliasTable:
    return AliasTable() if path is None else read_aliases(path)


def _check_dumps(files: Files) -> list[Path]:
    paths = [Path(files)] if isinstance(files, str | os.PathLike) else [Path(f) for f in files]
    if not paths:
        raise ValueError("ingest needs at least one dump, got none")
    for path in paths:
        if not (path.is_file() or path.is_fifo()):
            raise FileNotFoundError(f"a dump must be a file; {path} {what_is_there(path)}")
    return [path.absolute() if path.is_fifo() else path.resolve() for path in paths]
