"""Raw PanDA dumps made from record tables, with one bad row of every kind, for trying `ingest`.

In: a record table. Out: a table in the layout of PanDA's job archive whose good rows are those
records, and files of it in every format. User names, job names and ids carry words of `SECRETS`,
none of which may ever come out again.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd

from pandaenv import records, schema, sites
from pandaenv.records.cascade import Cascade

SECRETS = ("zzuser", "zzjob", "9876543", "8765432")
"""Words in every user name, job name, pandaid and jeditaskid of a dump."""
ORIGIN = pd.Timestamp("2024-01-01")  # a Monday

# (changes to a good row, reason it is dropped for)
BAD_ROWS = [
    ({"prodsourcelabel": ""}, "prodsourcelabel missing"),
    ({"prodsourcelabel": "managed"}, "not user analysis"),
    ({"prodsourcelabel": "zzuser"}, "not user analysis"),
    ({"jobstatus": ""}, "jobstatus missing"),
    ({"jobstatus": "running"}, "jobstatus not final"),
    ({"jobstatus": "zzuser 9876543"}, "jobstatus unknown"),
    ({"proddblock": "user.zzuser.mine.DAOD_PHYS.v1.x"}, "input is a private data set"),
    (
        {"proddblock": "", "inputfiletype": "", "inputfileproject": "", "destinationdblock": ""},
        "input data set missing",
    ),
    (
        {"proddblock": "zzjob.x", "inputfiletype": "", "destinationdblock": ""},
        "input data set not readable",
    ),
    ({"proddblock": "mc20_13TeV.410470.ttbar.recon.AOD.r1_p1"}, "input not a DAOD"),
    (
        {"proddblock": "mc20_13TeV.410470.ttbar.deriv.DAOD_ZZUSER.p1"},
        "input a DAOD of no known format",
    ),
    (
        {
            "proddblock": "zzuser.1.x.deriv.DAOD_PHYS.p1",
            "inputfileproject": "zzuser",
            "destinationdblock": "",
        },
        "project missing",
    ),
    (
        {"proddblock": "mc20_13TeV.1.x.zzuser.DAOD_PHYS.p1", "destinationdblock": ""},
        "prodstep missing",
    ),
    ({"computingsite": "NULL"}, "computingsite missing"),
    ({"computingsite": "zzuser, 9876543"}, "computingsite no site name"),
    ({"computingsite": "zzuser", "produsername": "zzuser"}, "computingsite no site name"),
    ({"computingsite": "ZZUSER", "produsername": "zzuser"}, "computingsite no site name"),
    ({"computingsite": "User.zzuser.zzjob.v1/"}, "computingsite no site name"),
    ({"creationtime": ""}, "creationtime missing"),
    ({"creationtime": "zzuser at noon"}, "creationtime no date"),
    ({"creationtime": "01/02/24 at noon"}, "creationtime no date"),
    ({"creationtime": "2024-02-30 00:00:00"}, "creationtime no date"),
    ({"creationtime": "infinity"}, "creationtime no date"),
    ({"creationtime": "-infinity"}, "creationtime no date"),
    ({"creationtime": "1970-01-01 00:00:00"}, "creationtime not in 2005-2099"),
    ({"corecount": "", "actualcorecount": ""}, "corecount missing"),
    ({"corecount": "0", "actualcorecount": "0"}, "corecount missing"),
    ({"actualcorecount": "1.5"}, "corecount not a whole number in 1-512"),
    ({"actualcorecount": "-8"}, "corecount not a whole number in 1-512"),
    ({"actualcorecount": "zzuser"}, "corecount not a whole number in 1-512"),
    ({"cpuconsumptiontime": "nan"}, "cpuconsumptiontime missing"),
    ({"cpuconsumptiontime": "inf"}, "cpuconsumptiontime not a number in 0-1e+09 s"),
    ({"cpuconsumptiontime": "-1"}, "cpuconsumptiontime not a number in 0-1e+09 s"),
    ({"cpuconsumptiontime": "zzjob"}, "cpuconsumptiontime not a number in 0-1e+09 s"),
    ({"ninputdatafiles": "0"}, "ninputdatafiles missing"),
    ({"ninputdatafiles": "2.5"}, "ninputdatafiles not a positive whole number"),
    ({"ninputdatafiles": "8765432x"}, "ninputdatafiles not a positive whole number"),
    ({"inputfilebytes": ""}, "inputfilebytes missing"),
    ({"inputfilebytes": "-5"}, "inputfilebytes not a positive whole number"),
    ({"inputfilebytes": "1e400"}, "inputfilebytes not a positive whole number"),
]
BAD_FOR_GROUPS = [
    ({"jeditaskid": ""}, "jeditaskid missing"),
    ({"jeditaskid": "0"}, "jeditaskid missing"),
    ({"proddblock": ""}, "proddblock missing"),
]
"""Bad where groups are kept; the format of the last is told by another column."""
UNREADABLE_LINES = [  # of a CSV
    b"zzuser,9876543,too,few",
    b",".join([b"zzuser"] * 60),
    b'"zzjob"zz,9876543' + b"," * 27,
    b'zzuser,"zzjob' + b"," * 27,
]


def random_records(n: int, seed: int = 0) -> pd.DataFrame:
    """A small record table without structure, but with every status and an unknown site."""
    rng = np.random.default_rng(seed)
    names = [*sites.catalogue(12).names, "unknown"]
    days = np.sort(rng.uniform(0, 14, n))
    days[0] = 0.25  # the first record is on the Monday from which time counts
    return schema.check(
        pd.DataFrame(
            {
                "creationtime": np.sort(np.round(days * 86_400)) / 86_400,
                "ninputdatafiles": rng.integers(1, 50, n),
                "inputfilebytes": rng.integers(1, 10**11, n),
                "workload": rng.lognormal(10, 2, n),
                "computingsite": rng.choice(names, n),
                "project": rng.choice(["mc20_13TeV", "data18_13TeV", "mc23_13p6TeV"], n),
                "prodstep": rng.choice(["deriv", "PhysCont", "merge"], n),
                "datatype": rng.choice(["DAOD_PHYS", "DAOD_PHYSLITE", "DAOD_HIGG2D1"], n),
                "jobstatus": rng.choice(schema.STATUSES, n, p=[0.7, 0.2, 0.06, 0.04]),
            }
        )
    )


def raw_table(records: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The records as rows of PanDA's job archive, every value text. Shape: (n, 29)."""
    rng = np.random.default_rng(seed)
    n = len(records)
    number = pd.Series(np.arange(n)).astype(str)
    site = records["computingsite"].astype(str).reset_index(drop=True)
    catalogue = sites.catalogue("all")
    power = dict(zip(catalogue.names, catalogue.power, strict=True))
    per_core = {s: power.get(sites.resolve(s), sites.DEFAULT_POWER) for s in site.unique()}
    cores = np.where(rng.random(n) < 0.03, 8, 1)
    cpu = records["workload"].to_numpy() / (cores * site.map(per_core).to_numpy(float))
    project, prodstep, datatype = (
        records[c].astype(str).reset_index(drop=True) for c in ("project", "prodstep", "datatype")
    )
    moment = ORIGIN + pd.to_timedelta(np.round(records["creationtime"] * 86_400e6), unit="us")
    time = pd.Series(moment.to_numpy()).dt.strftime("%Y-%m-%d %H:%M:%S.%f")
    dataset = project + ".410470.ttbar_zz." + prodstep + "." + datatype + ".e6337_s3681_p5980"
    user = pd.Series(rng.integers(0, 50, n)).astype(str).radd("zzuser")
    return pd.DataFrame(
        {
            "pandaid": number.str.zfill(9).radd("9876543"),
            "jeditaskid": number.str.zfill(6).radd("8765432"),
            "prodsourcelabel": "user",
            "produsername": user,
            "jobname": "user." + user + ".zzjob" + number + ".lib.v1/",
            "jobstatus": records["jobstatus"].astype(str).to_numpy(),
            "computingsite": site,
            "creationtime": time,
            "starttime": time,
            "endtime": time,
            "modificationtime": time,
            "corecount": pd.Series(cores).astype(str),
            "actualcorecount": pd.Series(cores).astype(str),
            "cpuconsumptiontime": pd.Series(cpu).map(repr),
            "hs06sec": "1000",
            "cpu_eff": "0.9",
            "job_walltime": "4000",
            "job_queuetime": "300",
            "proddblock": dataset,
            "destinationdblock": "user." + user + ".zzjob." + datatype + "." + prodstep + "/",
            "inputfileproject": project,
            "inputfiletype": datatype,
            "ninputdatafiles": records["ninputdatafiles"].astype(str).to_numpy(),
            "inputfilebytes": records["inputfilebytes"].astype(str).to_numpy(),
            "noutputdatafiles": "2",
            "outputfilebytes": "1000000",
            "transfertype": "",
            "piloterrorcode": "0",
            "exeerrorcode": "0",
        }
    )


def grouped_records(n: int, seed: int = 0) -> pd.DataFrame:
    """Random records in tasks of about ten rows, each of which reads one of few data sets."""
    table, rng = random_records(n, seed), np.random.default_rng(seed)
    task = rng.integers(0, max(1, n // 10), n)
    return table.assign(task=task, dataset=task % 7)


def grouped_dump(records: pd.DataFrame) -> pd.DataFrame:
    """Rows of PanDA's archive whose ids of tasks and names of data sets say the groups."""
    number = records["dataset"].astype(str).str.zfill(6)
    name = records["project"].astype(str) + "." + number + ".zzjob."
    name += records["prodstep"].astype(str) + "." + records["datatype"].astype(str) + ".p5980"
    # The same data set in three spellings.
    around = [("", ""), ("mc20_13TeV:", ""), ("", "/")]
    spelt = [around[i % 3][0] + n + around[i % 3][1] for i, n in enumerate(name)]
    task = records["task"].astype(str).str.zfill(6).radd("8765432")
    return raw_table(records).assign(jeditaskid=task.to_numpy(), proddblock=spelt)


def with_bad_rows(raw: pd.DataFrame, each: int = 1) -> tuple[pd.DataFrame, dict[str, int]]:
    """The dump and `each` bad rows of every kind, repeated jobs too; how many go for what."""
    good = raw.iloc[0].to_dict()
    bad = pd.DataFrame([{**good, **changes} for changes, _ in BAD_ROWS])
    counts = pd.Series([reason for _, reason in BAD_ROWS]).value_counts() * each
    mixed = pd.concat([raw, *[bad] * each, raw.iloc[[1]], raw.iloc[[1]]], ignore_index=True)
    mixed = mixed.sample(frac=1, random_state=0, ignore_index=True)
    return mixed, {**counts.to_dict(), "the same job again": 2}


def write_dump(raw: pd.DataFrame, path: Path, garbage: bool = False) -> Path:
    """Write a dump in the format of the file's name, with lines nobody can read where CSV is."""
    if path.name.endswith(".parquet"):
        raw.to_parquet(path, index=False)
    elif path.name.endswith(("json", "json.gz")):
        _write_json(raw, path, garbage)
    else:
        text = raw.to_csv(index=False).encode()
        if garbage:
            text += b"\n".join(UNREADABLE_LINES) + b"\n"
        path.write_bytes(gzip.compress(text, 1) if path.name.endswith("gz") else text)
    return path


def _write_json(raw: pd.DataFrame, path: Path, garbage: bool) -> None:
    """BigPanDA's answer: a summary, the jobs with numbers and nulls, counts of errors."""
    opened = gzip.open if path.name.endswith("gz") else open
    numbers = ["pandaid", "corecount", "ninputdatafiles"]
    with opened(path, "wt", encoding="utf-8") as handle:
        handle.write('{"selectionsummary": [{"field": "produsername", "list": []}], "jobs": [')
        handle.write('["zzuser"], 9876543, ' if garbage else "")
        for i, row in enumerate(raw.to_dict("records")):
            job = {k: int(v) if k in numbers and v.isdigit() else v or None for k, v in row.items()}
            handle.write((", " if i else "") + json.dumps(job))
        handle.write('], "errsByCount": []}\n')


# What tests ask of an ingest


def dropped(cascade: Cascade) -> dict[str, int]:
    return {r: n for stage in cascade.stages for r, n in stage.dropped.items() if n}


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(list(schema.COLUMNS), ignore_index=True)


def assert_no_secret(*texts: str) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in text


def ingest_raw(raw: pd.DataFrame, folder, rare=1, **options):
    dump = write_dump(raw, folder / "dump.parquet")
    return records.ingest(dump, folder / "out", rare=rare, **options)
