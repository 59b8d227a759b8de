"""The way from raw PanDA dumps to job records.

In: dumps of PanDA's job table (CSV, CSV.gz, Parquet, BigPanDA JSON), larger than memory if need be.
Out: a folder with the nine columns of `schema`, filtered in the order of Park et al. (2024),
Fig. 3(b), split into train and test, and with the counts of kept and dropped rows at each stage.

Personal data stay inside: user names, job names and ids enter the query engine and are never
spilled in clear. Nothing but the nine columns leaves it, and text leaves it only if it is a word of
the vocabulary or looks like the name of a site.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from foundations import checks

from . import cascade, classification, dumps, engine, folder, outputs
from .cascade import Cascade
from .splits import SPLITS


def ingest(
    files: str | Path | Sequence[str | Path],
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
        ValueError: a file is no dump or is damaged, or none of its rows is kept.
        FileNotFoundError: a dump does not exist.
        ImportError: the extra `ingest` is missing.
    """
    duckdb = engine.load()
    paths, out = _check_dumps(files), Path(out)
    folder.check_target(out, paths)
    checks.known("split", split, SPLITS)
    with folder.workspace(out) as work, engine.connect(duckdb, work) as connection:
        classification.prepare(connection)
        n_unreadable = sum(dumps.stage(duckdb, connection, path, allow_unknown) for path in paths)
        with engine.plain_engine_errors(duckdb, "the staged records"):
            result = cascade.count(connection, n_unreadable)
            cascade.check_some_kept(result)
            outputs.write(connection, work, result, split, seed)
        folder.publish(work, out)
    return result


def _check_dumps(files: str | Path | Sequence[str | Path]) -> list[Path]:
    paths = [Path(files)] if isinstance(files, str | os.PathLike) else [Path(f) for f in files]
    if not paths:
        raise ValueError("ingest needs at least one dump, got none")
    for path in paths:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise FileNotFoundError(f"a dump must be a file; {path} {what}")
    return [path.resolve() for path in paths]
