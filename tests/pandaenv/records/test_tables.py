"""Record tables written to files and read back, and what is refused."""

import pandas as pd
import pytest

from pandaenv import schema
from pandaenv.records import read, write
from pandaenv.schema import SchemaError
from tests.pandaenv.records.raw_dump import random_records

REAL = random_records(300)


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz"])
def test_written_records_are_read_back_exactly(name, tmp_path):
    odd = schema.check(REAL.assign(computingsite=["NA", *["None"] * (len(REAL) - 1)]))
    pd.testing.assert_frame_equal(read(write(odd, tmp_path / "deep" / name)), odd)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_a_grouped_table_is_read_with_or_without_its_groups(name, tmp_path):
    grouped = schema.check(REAL.assign(dataset=7, task=range(300)), groups=True)
    path = write(grouped, tmp_path / name)
    pd.testing.assert_frame_equal(read(path, groups=True), grouped)
    pd.testing.assert_frame_equal(read(path), REAL)
    with pytest.raises(SchemaError, match=f"{name}.*missing: task, dataset"):
        read(write(REAL, path), groups=True)
    write(grouped.assign(task=[None, *range(299)]), tmp_path / "b.csv")
    with pytest.raises(SchemaError, match=r"task: 1 of 300 rows are missing \(NaN\), e.g. row 0"):
        read(tmp_path / "b.csv", groups=True)


def test_read_says_what_is_wrong_and_where(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.csv does not exist"):
        read(tmp_path / "nothing.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="empty.csv.*empty"):
        read(tmp_path / "empty.csv")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(ValueError, match="cut.parquet: the Parquet file is damaged"):
        read(tmp_path / "cut.parquet")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(ValueError, match="ragged.csv: no readable CSV table"):
        read(tmp_path / "ragged.csv")
    write(REAL.assign(workload=-1.0), tmp_path / "negative.csv")
    with pytest.raises(SchemaError, match="negative.csv: workload: 300 of 300 rows are below 0"):
        read(tmp_path / "negative.csv")
