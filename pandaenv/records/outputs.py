"""The files of an ingest: the kept rows sorted by time, their two parts, and the report.

In: the table `kept` of a connection, in core seconds rather than work. Out: four files in a folder
(see `folder`), written batch by batch, and the rest of the `Cascade`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from foundations.units import DAY_S
from pandaenv import schema, sites

from . import drift, folder
from .cascade import Cascade
from .splits import mark_test_rows, mark_test_tasks

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BATCH_ROWS = 131_072


def write(
    connection: DuckDBPyConnection,
    work: Path,
    cascade: Cascade,
    by: str,
    seed: int,
    groups: bool,
) -> None:
    """Write the sorted records, train, test and the cascade, which is completed on the way.

    The table `power` (see `add_power`) must be there.

    Args:
        by: "random", "time" or "task", see `splits.split`.
        seed: of the random splits.
        groups: write the columns `task` and `dataset`, too.
    """
    _number_groups(connection)
    cascade.drift = drift.report(connection)
    origin = origin_of(connection)
    cascade.origin = origin.isoformat() + "Z"
    n_rows = cascade.stages[-1].kept
    is_test = _test_rows(connection, n_rows, by, seed)
    n_test = int(is_test.sum())
    cascade.split = {"by": by, "seed": seed, "train": n_rows - n_test, "test": n_test}
    levels = {name: _levels(connection, name) for name in schema.CATEGORICAL}
    columns = _ARROW if groups else _NINE
    with _writers(work, columns) as (records, train, test):
        for i, batch in enumerate(_sorted_batches(connection, origin)):
            table = _record_table(batch, levels, columns)
            in_test = pa.array(is_test[i * BATCH_ROWS :][: len(table)])
            records.write_table(table)
            train.write_table(table.filter(pc.invert(in_test)))
            test.write_table(table.filter(in_test))
    (work / folder.CASCADE).write_text(cascade.to_json(), encoding="utf-8")


def add_power(connection: DuckDBPyConnection, declared: dict[str, float]) -> dict[str, float]:
    """Make the table `power` (site, GFLOP/s per core); return what got the default.

    Args:
        declared: power of sites that the user named.
    """
    known = sites.power_by_name(_levels(connection, "computingsite").to_pylist())
    known |= {name: power for name, power in declared.items() if name in known}
    rows = pa.table(
        {
            "computingsite": pa.array(list(known), pa.string()),
            "power": [sites.DEFAULT_POWER if p is None else p for p in known.values()],
            "is_default": [p is None for p in known.values()],
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


def _number_groups(connection: DuckDBPyConnection) -> None:
    """Make the tables `tasks` and `datasets` (key, number from 0), in the order of the keyed hash.

    The secret that keyed it is nowhere kept, so the order is one drawn at random.
    """
    for name in schema.GROUPS:
        connection.execute(
            f"CREATE TEMP TABLE {name}s AS SELECT {name} AS key, "
            f"row_number() OVER (ORDER BY {name}) - 1 AS number "
            f"FROM (SELECT DISTINCT {name} FROM kept)"
        )


def _test_rows(connection: DuckDBPyConnection, n: int, by: str, seed: int) -> np.ndarray:
    """Mark the test rows of the n sorted ones. Shape: (n,) bool."""
    if by != "task":
        return mark_test_rows(n, by, seed)
    task = connection.execute(f"SELECT task FROM ({_SORTED})", {"origin": 0}).fetchnumpy()["task"]
    return mark_test_tasks(np.asarray(task), seed)


def origin_of(connection: DuckDBPyConnection) -> pd.Timestamp:
    """The Monday 00:00 UTC on or before the first record."""
    first = pd.Timestamp(connection.execute("SELECT min(moment) FROM kept").fetchone()[0])
    return (first - pd.Timedelta(days=first.weekday())).normalize().as_unit("ns")


def _levels(connection: DuckDBPyConnection, name: str) -> pa.Array:
    rows = connection.execute(f"SELECT DISTINCT {name} FROM kept").fetchall()
    return pa.array(sorted(row[0] for row in rows), pa.string())


_ARROW = pa.schema(
    [
        (c.name, pa.dictionary(pa.int32(), pa.string()) if not c.is_numerical else c.dtype)
        for c in schema.SCHEMA + schema.GROUP_SCHEMA
    ]
)
_NINE = pa.schema([_ARROW.field(name) for name in schema.COLUMNS])


@contextmanager
def _writers(work: Path, columns: pa.Schema) -> Iterator[list[pq.ParquetWriter]]:
    writers = [pq.ParquetWriter(work / n, columns, compression="zstd") for n in folder.TABLES]
    try:
        yield writers
    finally:
        for writer in writers:
            writer.close()


_SORTED = """
SELECT epoch_us(moment) - $origin AS time_us, ninputdatafiles, inputfilebytes,
    core_seconds * power AS workload, computingsite, project, prodstep, datatype, jobstatus,
    tasks.number AS task, datasets.number AS dataset
FROM kept JOIN power USING (computingsite)
    JOIN tasks ON kept.task IS NOT DISTINCT FROM tasks.key
    JOIN datasets ON kept.dataset IS NOT DISTINCT FROM datasets.key
ORDER BY ALL"""


def _sorted_batches(connection: DuckDBPyConnection, origin: pd.Timestamp) -> Iterator[pa.Table]:
    """Tables of exactly `BATCH_ROWS` rows but for the last, however the engine cut its batches."""
    relation = connection.sql(_SORTED, params={"origin": origin.value // 1000})
    reader = pa.RecordBatchReader.from_stream(relation)
    held = reader.schema.empty_table()
    for batch in reader:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while len(held) >= BATCH_ROWS:
            yield held.slice(0, BATCH_ROWS)
            held = held.slice(BATCH_ROWS)
    if len(held):
        yield held


def _record_table(batch: pa.Table, levels: dict[str, pa.Array], names: pa.Schema) -> pa.Table:
    """A batch of the sorted query with the columns of `names`; categories coded by `levels`."""
    days = batch["time_us"].to_numpy() / (DAY_S * 1e6)
    columns = {"creationtime": pa.array(days)}
    columns |= {name: batch[name].combine_chunks() for name in schema.NUMERICAL[1:] + schema.GROUPS}
    for name in schema.CATEGORICAL:
        codes = pc.index_in(batch[name].combine_chunks(), value_set=levels[name])
        columns[name] = pa.DictionaryArray.from_arrays(codes, levels[name])
    return pa.table({name: columns[name] for name in names.names}, schema=names)
