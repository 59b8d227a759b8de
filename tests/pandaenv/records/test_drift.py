"""records.drift and records.renames: what changed when, and old names given their new ones."""

import json

import pandas as pd
import pytest

from pandaenv import sites
from pandaenv.records import ingest, read
from tests.pandaenv.records.raw_dump import random_records, raw_table, write_dump

pytest.importorskip("duckdb")


OLD, STABLE, NEW = sites.catalogue(3).names


def dump(folder, old=OLD):
    """Three months of jobs, none in February, a site that is renamed and one that comes late."""
    raw = raw_table(random_records(60))
    raw["creationtime"] = ["2024-01-05 00:00:00"] * 30 + ["2024-03-10 00:00:00"] * 30
    raw["computingsite"] = [old] * 20 + [STABLE] * 30 + [NEW] * 10
    return write_dump(raw, folder / "dump.csv")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.toml", '[computingsite]\nOLD_SITE = "NEW_SITE"\nNEVER = "STABLE"'),
        ("names.json", '{"computingsite": {"OLD_SITE": "NEW_SITE", "NEVER": "STABLE"}}'),
    ],
)
def test_old_names_are_renamed_and_counted(name, text, tmp_path):
    text = text.replace("NEW_SITE", NEW).replace("STABLE", STABLE)
    (tmp_path / name).write_text(text)
    result = ingest(dump(tmp_path, "OLD_SITE"), tmp_path / "out", renames=tmp_path / name)
    assert result.renamed == {"computingsite": {"OLD_SITE": 20, "NEVER": 0}}
    found = read(tmp_path / "out/records.parquet")["computingsite"]
    assert found.value_counts().to_dict() == {NEW: 30, STABLE: 30}
    assert "computingsite: 1 of 2 old names renamed, 20 records" in str(result)


def test_the_report_says_what_changed_when(tmp_path):
    result = ingest(dump(tmp_path), tmp_path / "out")
    assert result.drift["months"] == {"2024-01": 30, "2024-02": 0, "2024-03": 30}
    assert result.drift["categories"]["computingsite"] == {
        NEW: {"first": "2024-03", "last": "2024-03", "records": 10},
        OLD: {"first": "2024-01", "last": "2024-01", "records": 20},
        STABLE: {"first": "2024-01", "last": "2024-03", "records": 30},
    }
    assert result.drift["unknown"] == {"project": [], "prodstep": []}
    text = str(result)
    assert "months: 2024-01 to 2024-03, without records: 1 ['2024-02']" in text
    assert "computingsite: 3 categories, 1 came, 1 went" in text
    assert json.loads((tmp_path / "out/cascade.json").read_text())["drift"] == result.drift


def test_months_in_which_a_column_is_empty_are_listed(tmp_path):
    raw = pd.read_csv(dump(tmp_path), dtype=str, keep_default_na=False)
    late = raw["creationtime"].str.startswith("2024-03")
    raw.loc[late, "proddblock"] = "zzjob.1.x.deriv.DAOD_PHYS.p1"
    raw.loc[late, ["inputfileproject", "destinationdblock", "jobname"]] = ""
    raw.to_csv(tmp_path / "late.csv", index=False)
    result = ingest(tmp_path / "late.csv", tmp_path / "out", allow_unknown=True)
    assert result.drift["unknown"] == {"project": ["2024-03"], "prodstep": []}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[site]\nA = 'B'", "a table must be one of computingsite, .*, got 'site'"),
        ("computingsite = 'B'", "computingsite must hold old = new names, got 'B'"),
        ("[computingsite]\nA = 3", "a new name must be one word, got 3"),
        ("[computingsite]\nA = 'B'\nB = 'C'", "'B' must not be both a new and an old name"),
        ("[computingsite", "no readable TOML or JSON file"),
    ],
)
def test_a_wrong_mapping_is_refused_before_any_work(text, message, tmp_path):
    (tmp_path / "names.toml").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        ingest(dump(tmp_path), tmp_path / "out", renames=tmp_path / "names.toml")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()
