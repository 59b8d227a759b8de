"""Record tables written to files and read back, and what is refused."""

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pandaenv import schema
from pandaenv.records import check_rows, opened, read, write
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


def test_a_table_is_read_in_every_form_that_ingest_takes(tmp_path):
    text = REAL.to_csv(index=False)
    forms = {
        "case.csv": text.replace("creationtime", " CreationTime").encode(),
        "semicolons.csv": text.replace(",", ";").encode(),
        "zipped.csv": gzip.compress(text.encode()),
        "utf16.csv": text.encode("utf-16"),
        "blank.csv": ("\n" + text).encode(),
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        pd.testing.assert_frame_equal(read(tmp_path / name), REAL)


def test_columns_of_types_that_nobody_needs_do_not_stop_the_reading(tmp_path):
    write(REAL, tmp_path / "plain.parquet")
    arrow = pd.read_parquet(tmp_path / "plain.parquet", dtype_backend="pyarrow")
    pd.testing.assert_frame_equal(schema.check(arrow), REAL)
    lists = pd.Series([["a"]] * len(REAL), dtype=pd.ArrowDtype(pa.list_(pa.string())))
    arrow.assign(f=lists).to_parquet(tmp_path / "odd.parquet")
    pd.testing.assert_frame_equal(read(tmp_path / "odd.parquet"), REAL)


def test_columns_beyond_the_nine_are_read_where_they_are_asked_for(tmp_path):
    write(REAL.assign(corecount=8, other=1), tmp_path / "more.parquet")
    table = read(tmp_path / "more.parquet", also=("corecount", "jeditaskid"))
    assert list(table) == [*schema.COLUMNS, "corecount"] and set(table["corecount"]) == {8}


def test_numbers_of_any_dtype_are_written_and_what_has_no_type_is_named(tmp_path):
    table = pd.DataFrame(
        {
            "sparse": pd.Series(pd.arrays.SparseArray([0, 1])),
            "long": np.array([0.5, 1], np.longdouble),
            "big endian": np.array([0.5, 1], ">f8"),
        }
    )
    written = pd.read_parquet(write(table, tmp_path / "a.parquet"))
    assert written.to_numpy().tolist() == [[0, 0.5, 0.5], [1, 1, 1]]
    mixed = table.assign(c=pd.Series([1, "1"], dtype=object))
    with pytest.raises(ValueError, match="one type a column, c cannot be written.*in .csv"):
        write(mixed, tmp_path / "b.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_a_large_table_is_opened_where_it_lies(tmp_path):
    for i, rows in enumerate((REAL[:100], REAL[100:])):
        write(rows, tmp_path / "years" / f"{i}.parquet")
    small = opened(tmp_path / "years", "train.parquet", in_memory=300)
    pd.testing.assert_frame_equal(small, REAL.reset_index(drop=True))
    large = opened(tmp_path / "years" / "*.parquet", "train.parquet", in_memory=299)
    assert len(check_rows(large)) == 300 and len(large.files) == 2
    write(REAL.assign(workload=-1.0), tmp_path / "years" / "2.parquet")
    with pytest.raises(SchemaError, match="workload: 300 of 300 rows are below 0"):
        check_rows(opened(tmp_path / "years", "train.parquet", in_memory=299))
