"""Dumps of every format, layout and name, and damaged ones."""

import gzip
import io
import json
import os
import threading
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


def test_comments_and_blank_lines_may_stand_before_the_header(tmp_path):
    text = "\n# made on Monday\n\n" + RAW.to_csv(index=False)
    (tmp_path / "dump.csv").write_text(text, encoding="utf-8")
    assert dropped(ingest(tmp_path / "dump.csv", tmp_path / "out")) == DROPPED


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_letters_of_other_encodings_cost_no_row(encoding, tmp_path):
    text = RAW.assign(produsername="José").to_csv(index=False)
    (tmp_path / "dump.csv").write_bytes(text.encode(encoding))
    expected = {r: n for r, n in DROPPED.items() if r != "computingsite no site name"}
    found = dropped(ingest(tmp_path / "dump.csv", tmp_path / "out"))
    assert found["computingsite no site name"] == 2 and expected.items() <= found.items()


def test_an_encoding_may_be_named_and_one_that_is_none_is_refused(tmp_path):
    (tmp_path / "dump.csv").write_bytes(RAW.to_csv(index=False).encode("utf-16-le"))
    assert dropped(ingest(tmp_path / "dump.csv", tmp_path / "out", encoding="utf-16-le")) == DROPPED
    for name in ("no-such", "base64"):
        with pytest.raises(ValueError, match=f"unknown encoding '{name}'"):
            ingest(tmp_path / "dump.csv", tmp_path / "out", encoding=name)


@pytest.mark.parametrize("name", ["dump.csv", "dump.csv.gz", "dump.json"])
def test_a_pipe_is_read_as_a_file_is(name, tmp_path):
    content = write_dump(RAW, tmp_path / name).read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    assert dropped(ingest(tmp_path / "pipe", tmp_path / "out")) == DROPPED
    writer.join()


def test_links_that_lead_nowhere_are_called_so(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileNotFoundError, match="loop is a link that leads nowhere"):
        ingest(tmp_path / "loop", tmp_path / "out")


def documents(jobs: list[dict]) -> dict[str, str]:
    """The forms in which JSON jobs come."""
    lines = "\n".join(map(json.dumps, jobs))
    return {
        "lines": lines,
        "lines with an end": lines + "\n",
        "data": json.dumps({"total": 3, "data": jobs}),
        "jobs": json.dumps({"jobs": jobs, "data": []}),
        "list": json.dumps(jobs),
    }


@pytest.mark.parametrize("form", documents([]))
def test_every_form_of_json_holds_the_same_jobs(form, tmp_path):
    (tmp_path / "dump.json").write_text(documents(RAW.to_dict("records"))[form])
    assert dropped(ingest(tmp_path / "dump.json", tmp_path / "out")) == DROPPED


def test_one_job_by_itself_is_a_dump(tmp_path):
    job = raw_table(REAL).to_dict("records")[0]
    for indent in (None, 2):
        (tmp_path / "dump.json").write_text(json.dumps(job, indent=indent))
        assert ingest(tmp_path / "dump.json", tmp_path / "out").stages[-1].kept == 1


# --- times ---------------------------------------------------------------------------------------

TIMES = {
    "1709514123": "2024-03-04 01:02:03",
    "1709514123.5": "2024-03-04 01:02:03.5",
    "1.709514123e9": "2024-03-04 01:02:03",
    "1709514123250": "2024-03-04 01:02:03.25",
    "1709514123250000": "2024-03-04 01:02:03.25",
    "04-MAR-24 01.02.03.250000 AM": "2024-03-04 01:02:03.25",
    "04-mar-24 01.02.03 PM": "2024-03-04 13:02:03",
    "04-MAR-24": "2024-03-04",
    "2024-03-04 01:02:03,250": "2024-03-04 01:02:03.25",
    "2024-03-04T01:02:03+02:00": "2024-03-03 23:02:03",
    "2024-03-04": "2024-03-04",
    "Mon, 04 Mar 2024 01:02:03 GMT": "2024-03-04 01:02:03",
    "20240304T010203": "2024-03-04 01:02:03",
    "20240304T010203Z": "2024-03-04 01:02:03",
    "20240304": "2024-03-04",
    "04/03/2024 01:02": "2024-03-04 01:02:00",
}


def test_times_are_read_in_every_form_that_archives_have(tmp_path):
    raw = raw_table(random_records(len(TIMES))).assign(creationtime=list(TIMES))
    raw["ninputdatafiles"] = [str(i + 1) for i in range(len(TIMES))]
    cascade = ingest_raw(raw, tmp_path)
    table = read(tmp_path / "out/records.parquet").sort_values("ninputdatafiles")
    origin = pd.Timestamp(cascade.origin).tz_localize(None)
    found = (origin + pd.to_timedelta(table["creationtime"], unit="D")).dt.round("ms")
    assert found.tolist() == [pd.Timestamp(t) for t in TIMES.values()]


def test_dates_with_the_month_first_are_refused_since_half_of_them_would_pass(tmp_path):
    raw = raw_table(REAL.head(2)).assign(creationtime=["03/04/2024", "03/14/2024"])
    with pytest.raises(ValueError, match="day/month/year, 1 have the month first"):
        ingest_raw(raw, tmp_path)


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
