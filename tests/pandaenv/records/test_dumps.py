"""Dumps of every format, layout and name, and damaged ones."""

import gzip
import io
import json
import traceback

import pandas as pd
import pytest

from pandaenv.records import ingest, read
from tests.pandaenv.records.raw_dump import (
    assert_no_secret,
    dropped,
    in_order,
    ingest_raw,
    random_records,
    raw_table,
    with_bad_rows,
    write_dump,
)

pytest.importorskip("duckdb")
REAL = random_records(300)
RAW, DROPPED = with_bad_rows(raw_table(REAL))


# --- layouts -------------------------------------------------------------------------------------


def test_column_order_and_letter_case_do_not_matter(tmp_path):
    raw = RAW.sample(frac=1, axis=1, random_state=0).rename(columns=lambda c: f" {c.title()} ")
    raw['we"ird, "na"me'] = "zzuser"
    for name in ("dump.csv", "dump.parquet", "dump.json"):
        assert dropped(ingest(write_dump(raw, tmp_path / name), tmp_path / "out")) == DROPPED


def test_lines_may_end_in_different_ways_and_a_short_one_is_counted(tmp_path):
    lines = RAW.to_csv(index=False).split("\n")[:-1]
    ended = "".join(line + ("\r\n" if i % 3 else "\n") for i, line in enumerate(lines))
    (tmp_path / "dump.csv").write_text(ended + "17,short line\n", encoding="utf-8", newline="")
    found = dropped(ingest(tmp_path / "dump.csv", tmp_path / "out"))
    assert found == DROPPED | {"unreadable line": 1}


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_line_ends_and_a_byte_order_mark_are_read(delimiter, tmp_path):
    text = RAW.to_csv(index=False, sep=delimiter, lineterminator="\r\n")
    (tmp_path / "dump.txt").write_text("\ufeff" + text, encoding="utf-8", newline="")
    assert dropped(ingest(tmp_path / "dump.txt", tmp_path / "out")) == DROPPED


@pytest.mark.parametrize("name", ["x'; drop table.csv", 'a "b".csv', "[a]*?.csv", "k=v.csv"])
def test_no_file_name_is_read_as_sql_or_as_a_pattern(name, tmp_path):
    folder = tmp_path / "year=2024; --"
    folder.mkdir()
    assert dropped(ingest(write_dump(RAW, folder / name), folder / "out")) == DROPPED


def test_native_parquet_types_and_time_zones_are_understood(tmp_path):
    raw = raw_table(REAL)
    moment = pd.to_datetime(raw["creationtime"]).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    whole = ["pandaid", "corecount", "ninputdatafiles", "inputfilebytes"]
    typed = raw.assign(creationtime=moment, cpuconsumptiontime=raw["cpuconsumptiontime"].map(float))
    ingest_raw(typed.astype(dict.fromkeys(whole, "int64")), tmp_path)
    pd.testing.assert_frame_equal(
        read(tmp_path / "out/records.parquet"), in_order(REAL), rtol=1e-12
    )


# --- files that are no dump -----------------------------------------------------------------------


def damaged_dumps() -> dict[str, bytes]:
    """Files that are no dump or broken ones, full of secrets."""
    csv = RAW.to_csv(index=False).encode()
    parquet = io.BytesIO()
    RAW.to_parquet(parquet, index=False)
    text = json.dumps({"jobs": RAW.to_dict("records")}).encode()
    return {
        "empty": b"",
        "blank": b" \n\n",
        "binary": b"\x7fELF\0zzuser" * 50,
        "headerless.csv": b"\n".join(csv.splitlines()[1:]),
        "prose.txt": b"zzuser wrote to zzjob about 9876543\n" * 3,
        "quote.csv": b'"zzuser' * 100_000,
        "twice.csv": csv.replace(b"starttime", b"JobStatus", 1),
        "lacking.csv": RAW.drop(columns="jobstatus").to_csv(index=False).encode(),
        "cut.parquet": parquet.getvalue()[: len(parquet.getvalue()) // 2],
        "garbled.parquet": parquet.getvalue().replace(b"zzuser", b"\xff\xfe\xff\xff\xff\xff"),
        "cut.csv.gz": gzip.compress(csv)[:-2000],
        "cut.json": text[: len(text) // 2],
        "text.json": b'{"zzuser": "9876543"}',
        "list.json": b'[{"produsername": "zzuser"}]',
        "numbers.json": b"[1, 2, 3]",
        "after.json": text + b" zzuser",
        "twice.json": text.replace(b'"starttime"', b'"JobStatus"', 1),
        "comma.json": b'{"jobs": [{"a": 1} zzuser {"a": 2}]}',
        "deep.json": b"[" * 100_000,
        "header.csv": csv.splitlines()[0] + b"\n",
        "managed.csv": csv.replace(b",user,", b",zzuser,"),
    }


@pytest.mark.parametrize("name", damaged_dumps())
def test_a_file_that_is_no_dump_ends_in_one_clear_sentence(name, tmp_path, capfd):
    path = tmp_path / name
    path.write_bytes(damaged_dumps()[name])
    with pytest.raises(ValueError) as error:
        ingest(path, tmp_path / "new/out")
    message = str(error.value)
    assert len(message) < 400 and "\n" not in message
    shown = "".join(traceback.format_exception(error.value))
    assert_no_secret(message, shown.replace(str(path), ""), *capfd.readouterr())
    assert [p.name for p in tmp_path.iterdir()] == [name]
