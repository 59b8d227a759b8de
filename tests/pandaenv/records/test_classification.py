"""The filter's rules on whole dumps: where a data set is taken from, what is dropped, and why."""

import re

import numpy as np
import pytest

from pandaenv.records import nomenclature, read
from pandaenv.records.classification import MONTH_FIRST, RULES
from tests.pandaenv.records.raw_dump import (
    BAD_FOR_GROUPS,
    BAD_ROWS,
    dropped,
    ingest_raw,
    random_records,
    raw_table,
)

pytest.importorskip("duckdb")
REAL = random_records(60)


def test_every_rule_has_a_bad_row_that_breaks_it():
    refused = {MONTH_FIRST}  # no row of a dump with such a date is kept
    bad = BAD_ROWS + BAD_FOR_GROUPS
    assert {reason for _, reason in bad} | refused == {reason for _, reason, _ in RULES}


PLACES = [
    # proddblock, inputfileproject, inputfiletype, jobname, destinationdblock -> fields, source
    (
        ("mc20_13TeV:mc20_13TeV.1.x.deriv.DAOD_PHYS.p1/", "", "", "", ""),
        ("mc20_13TeV", "deriv", "DAOD_PHYS"),
        0,
    ),
    (
        ("", "mc20_13TeV", "DAOD_PHYS", "zz.deriv.DAOD_PHYS.x", ""),
        ("mc20_13TeV", "deriv", "DAOD_PHYS"),
        1,
    ),
    (
        ("", "", "", "user.zz.mc16_13TeV.3.y", "user.zz.merge.DAOD_TOPQ1.v2"),
        ("mc16_13TeV", "merge", "DAOD_TOPQ1"),
        2,
    ),
    (
        ("unreadable", "mc20_13TeV", "DAOD_PHYS", "", "zz_PhysCont_v1"),
        ("mc20_13TeV", "PhysCont", "DAOD_PHYS"),
        1,
    ),
    (
        ("zzproject.1.x.deriv.DAOD_PHYS.p1", "data18_13TeV", "AOD", "", ""),
        ("data18_13TeV", "deriv", "DAOD_PHYS"),
        0,
    ),
]
FIELDS = ["proddblock", "inputfileproject", "inputfiletype", "jobname", "destinationdblock"]


@pytest.mark.parametrize(("values", "fields", "source"), PLACES)
def test_the_data_set_is_taken_from_the_first_place_that_has_it(values, fields, source, tmp_path):
    raw = raw_table(REAL.head(3)).assign(**dict(zip(FIELDS, values, strict=True)))
    cascade = ingest_raw(raw, tmp_path)
    kept = read(tmp_path / "out/records.parquet")[["project", "prodstep", "datatype"]]
    assert set(kept.itertuples(index=False, name=None)) == {fields}
    assert list(cascade.sources.values()) == [3 * (i == source) for i in range(3)]


def test_a_missing_field_drops_the_row_or_becomes_unknown(tmp_path):
    raw = raw_table(REAL)
    first = raw.index < 10
    raw.loc[first, ["proddblock", "jobname", "destinationdblock"]] = ""
    strict = ingest_raw(raw, tmp_path)
    assert dropped(strict) == {"prodstep missing": 10} and strict.unknown == 0
    lenient = ingest_raw(raw, tmp_path, allow_unknown=True)
    assert dropped(lenient) == {} and lenient.unknown == 10
    assert (read(tmp_path / "out/records.parquet")["prodstep"] == "unknown").sum() == 10


def test_no_format_is_invented_where_the_input_is_not_known(tmp_path):
    raw = raw_table(REAL.head(5)).assign(**dict.fromkeys(FIELDS, ""))
    with pytest.raises(ValueError, match="nothing is kept of 5 rows.*5 input data set missing"):
        ingest_raw(raw, tmp_path, allow_unknown=True)


def test_the_engine_reads_names_as_the_python_rules_do(tmp_path):
    rng = np.random.default_rng(0)
    parts = [
        "mc20_13TeV",
        "alice",
        "deriv",
        "DAOD_PHYS",
        "AOD",
        "user",
        "x-1",
        "",
        "410470",
        "merge",
    ]
    names = [".".join(rng.choice(parts, rng.integers(4, 8))) for _ in range(400)]
    names += [f"mc20_13TeV:{n}/" for n in names[:100]]
    raw = raw_table(random_records(len(names))).assign(
        proddblock=names, inputfileproject="", inputfiletype="", jobname="", destinationdblock=names
    )
    raw["inputfilebytes"] = [str(i + 1) for i in range(len(names))]
    ingest_raw(raw, tmp_path)
    kept = read(tmp_path / "out/records.parquet").sort_values("inputfilebytes")
    expected = [(i + 1, *fields) for i, n in enumerate(names) if (fields := fields_of(n))]
    columns = ["inputfilebytes", "project", "prodstep", "datatype"]
    assert list(kept[columns].itertuples(index=False, name=None)) == expected


def fields_of(name: str) -> tuple[str, str, str] | None:
    """Fields by `nomenclature` of a row that has `name` for input and for output."""
    if nomenclature.is_private(name):
        return None
    words = nomenclature.find(name)
    project, prodstep, datatype = words.project, words.prodstep, words.datatype
    if re.match(nomenclature.NAME, name):
        parsed = nomenclature.parse(name)
        datatype = parsed.datatype
        project = _if_word(parsed.project, nomenclature.PROJECT) or project
        prodstep = _if_word(parsed.prodstep, nomenclature.PRODSTEP) or prodstep
    datatype = _if_word(datatype, nomenclature.DAOD)
    return (project, prodstep, datatype) if project and prodstep and datatype else None


def _if_word(text: str, pattern: str) -> str:
    return text if re.fullmatch(pattern, text) else ""
