"""The folder that ingest writes: its names are those every reader of it uses."""

import pytest

from benchmarks.inputs import splits
from pandaenv import records, workload
from pandaenv.records import TEST, TRAIN, is_ingested, table_path
from tests.pandaenv.records.raw_dump import ingest_raw, random_records, raw_table

RAW = raw_table(random_records(60))


def test_a_folder_stands_for_the_table_that_is_asked_for(tmp_path):
    assert table_path(tmp_path, TRAIN) == tmp_path / TRAIN
    assert table_path(tmp_path / "mine.csv", TRAIN) == tmp_path / "mine.csv"


def test_all_readers_of_an_ingested_folder_find_its_tables(tmp_path):
    pytest.importorskip("duckdb")
    ingest_raw(RAW, tmp_path)
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == set(records.OUTPUTS)
    assert is_ingested(out / records.RECORDS) and not is_ingested(tmp_path / "dump.parquet")
    assert isinstance(workload.make(out), workload.Trace)
    read = splits.read(str(out), days=1, seed=0)
    for name, part in ((TRAIN, read.train), (TEST, read.test)):
        assert len(part) == len(records.read(table_path(out, name)))
    assert read.cascade["split"]["train"] == len(read.train)
