"""Workloads by name, file, table or generator."""

import numpy as np
import pytest

from pandaenv import workload
from pandaenv.workload import Synthetic, Trace
from tests.pandaenv.workload.burst_records import CATALOGUE, burst_records, same_bytes


def test_a_pool_may_be_a_file(records, tmp_path):
    path = tmp_path / "pool.parquet"
    records.to_parquet(path)
    by_file = Synthetic(path).stream(CATALOGUE, rate=700, load=0.6)
    assert same_bytes(by_file, Synthetic(records).stream(CATALOGUE, rate=700, load=0.6))


def test_make_knows_names_tables_and_workloads(records):
    assert isinstance(workload.make("reference"), workload.Reference)
    assert isinstance(workload.make(records), Trace)
    trace = Trace(records)
    assert workload.make(trace) is trace


def test_unknown_workloads_are_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown workload 'nope'; known: reference, tabddpm"):
        workload.make("nope")
    for which in (3, np.zeros((4, 9)), None):
        kind = type(which).__name__
        with pytest.raises(ValueError, match=f"needs a table, a file or a generator, got {kind}"):
            workload.make(which)
    broken = tmp_path / "pool.parquet"
    broken.write_bytes(b"no table")
    with pytest.raises(ValueError, match="must be a table of job records"):
        Synthetic(broken).stream(CATALOGUE, rate=700, load=0.6)


def test_a_folder_of_ingested_records_is_a_workload(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    burst_records(days=7, rate=200).to_parquet(folder / "records.parquet")
    of_file = workload.make(folder / "records.parquet")
    assert workload.make(str(folder)).records.equals(of_file.records)
