"""Job records: made from raw PanDA dumps, read back from files, split into train and test.

In: dumps of PanDA's job table (CSV, CSV.gz, Parquet, BigPanDA JSON), larger than memory if need be.
Out: the nine columns of `schema`, filtered in the order of Park et al. (2024), Fig. 3(b), with what
was kept and dropped at each stage.

Personal data stay inside: user names, job names and ids enter the query engine, are never spilled
in clear, and nothing but the nine columns leaves it, text only if it is a word of the vocabulary or
looks like the name of a site.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from foundations import checks
from foundations.files import whole
from pandaenv import schema, sites

from . import cascade, dumps
from .cascade import Cascade

MEMORY_LIMIT = "1GB"  # of the query engine; beyond it sorts spill, encrypted, beside the output
MAX_THREADS = 4
BATCH_ROWS = 131_072
TEST_SHARE = 0.2
OUTPUTS = ("records.parquet", "train.parquet", "test.parquet", "cascade.json")


# --- ingest ---------------------------------------------------------------------------------------


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
        ValueError: a file is no dump, is damaged, or nothing of it is kept.
        FileNotFoundError: a dump does not exist.
        ImportError: the extra `ingest` is missing.
    """
    duckdb = _import_duckdb()
    paths = _check_files(files)
    out = _check_out(Path(out), paths)
    _check_split(split)
    with _workspace(out) as folder, _connect(duckdb, folder) as connection:
        n_unreadable = sum(dumps.add(duckdb, connection, path, allow_unknown) for path in paths)
        with dumps.rephrased(duckdb, "the staged records"):
            result = cascade.count(connection, n_unreadable)
            cascade.refuse_nothing(result)
            result.default_power = _add_power(connection)
            _write_outputs(connection, folder, result, split, seed)
        _publish(folder, out)
    return result


def _import_duckdb():
    try:
        import duckdb
    except ImportError as error:
        raise ImportError(
            "reading PanDA dumps needs DuckDB: pip install 'pandaenv[ingest]'"
        ) from error
    return duckdb


def _check_files(files: str | Path | Sequence[str | Path]) -> list[Path]:
    paths = [Path(files)] if isinstance(files, str | os.PathLike) else [Path(f) for f in files]
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
    folders = [out / name for name in OUTPUTS if (out / name).is_dir()]
    if folders:
        raise ValueError(f"the output must be a file; {folders[0]} is a folder")
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
        connection.execute("SET enable_progress_bar = false")  # it would go to stdout
        cascade.prepare(connection)
        yield connection


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


def _write_outputs(connection, folder: Path, result: Cascade, by: str, seed: int) -> None:
    """Write the sorted records and both parts, batch by batch, and then the cascade."""
    origin = _origin(connection)
    n_rows = result.stages[-1].kept
    is_test = _test_rows(n_rows, by, seed)
    result.origin = origin.isoformat() + "Z"
    n_test = int(is_test.sum())
    result.split = {"by": by, "seed": seed, "train": n_rows - n_test, "test": n_test}
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
    (folder / OUTPUTS[3]).write_text(result.to_json(), encoding="utf-8")


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
    """Move the finished files to their place; the cascade, which vouches for them, comes last.

    An old cascade goes first, so that it never stands beside files of another run.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / OUTPUTS[3]).unlink(missing_ok=True)
    for name in OUTPUTS:
        os.replace(folder / name, out / name)


# --- split ----------------------------------------------------------------------------------------


def split(
    records: pd.DataFrame, *, by: str = "random", seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a record table into train (80 %) and test (20 %), rows in their given order.

    Args:
        by: "random", or "time": no test record is older than a train record.
    """
    _check_split(by)
    checks.seed(seed)
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


# --- read and write -------------------------------------------------------------------------------


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
    with dumps.readable(path):
        head, _ = dumps.read_head(path, n_bytes=64)
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
    with whole(path) as draft:
        if draft.name.lower().endswith((".csv", ".csv.gz")):
            records.to_csv(draft, index=False)
        else:
            records.to_parquet(draft, index=False)
    return Path(path)
