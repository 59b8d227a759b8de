"""Records become a stream at a rate and a load, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foundations.units import DAY_S, WEEK_S
from pandaenv import schema, sites, workload
from pandaenv.workload import Synthetic, Trace
from tests.pandaenv.workload.burst_records import CATALOGUE, same_bytes


class Resampler:
    """A generator from outside: it returns rows of its table."""

    def __init__(self, table):
        self.table = table

    def sample(self, n: int, *, seed: int) -> pd.DataFrame:
        return self.table.sample(n, random_state=seed, ignore_index=True)


SOURCES = {
    "trace": lambda records: Trace(records),
    "pool": lambda records: Synthetic(records),
    "generator": lambda records: Synthetic(Resampler(records), n=40_000),
    "reference": lambda records: workload.Reference(days=14, seed=3),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("rate, load", [(300, 0.6), (2_000, 0.9), (1_100, 1.1)])
def test_every_source_meets_its_rate_and_load(records, source, rate, load):
    stream = SOURCES[source](records).stream(CATALOGUE, rate=rate, load=load, seed=1)
    assert abs(stream.rate / rate - 1) < 0.02
    counted = len(stream.jobs) / stream.duration * DAY_S
    offered = stream.jobs.work.sum() / stream.duration
    done = (stream.catalogue.cores * stream.catalogue.power).sum()
    assert counted == stream.rate
    assert abs(offered / done / load - 1) < 1e-3
    assert abs(stream.realised_load / load - 1) < 1e-3
    assert stream.duration % WEEK_S == 0 and stream.jobs.time[-1] < stream.duration


def test_without_a_load_the_catalogue_comes_back_as_it_is(records):
    scaled, plain = (
        Trace(records).stream(CATALOGUE, rate=300, load=load, seed=1) for load in (0.6, None)
    )
    assert plain.catalogue is CATALOGUE and plain.scale == 1
    assert plain.jobs.time.tobytes() == scaled.jobs.time.tobytes()


def test_each_job_has_a_replica_at_its_recorded_site(stream):
    jobs = stream.jobs
    assert jobs.replicas[jobs.dataset, jobs.site].all()
    assert np.all(np.bincount(jobs.dataset) > 0)


def test_replica_counts_are_skewed_with_mean_4_4(records):
    grid = sites.catalogue("all")
    replicas = Trace(records).stream(grid, rate=1_400, load=0.6).jobs.replicas
    count = replicas.sum(axis=1)
    assert abs(count.mean() - 4.4) < 0.15
    assert np.median(count) == 4 and 15 < count.max() <= 21


def test_replicas_are_capped_by_the_number_of_sites(records):
    grid = CATALOGUE.take([0, 1, 2])
    replicas = Trace(records).stream(grid, rate=1_400, load=0.6).jobs.replicas
    assert replicas.sum(axis=1).max() == 3


def test_larger_disks_hold_more_data_sets_and_empty_disks_none(records):
    disk = CATALOGUE.disk.copy()
    disk[3] = 0.0
    grid = replace(CATALOGUE, disk=disk)
    jobs = Trace(records).stream(grid, rate=1_400, load=0.6).jobs
    held = jobs.replicas.mean(axis=0)
    assert np.corrcoef(disk, held)[0, 1] > 0.6
    assert jobs.replicas[:, 3].sum() == np.unique(jobs.dataset[jobs.site == 3]).size


def test_queue_names_find_their_site_and_strangers_are_drawn_by_disk(records):
    names = records["computingsite"].astype(str)
    bnl = records[names == "ANALY_BNL_LONG"].reset_index(drop=True)
    jobs = Trace(bnl).stream(CATALOGUE, rate=None, load=0.6).jobs
    assert set(jobs.site) == {CATALOGUE.index("BNL-ATLAS")}
    stranger = records[names == "Nowhere_T3"].reset_index(drop=True)
    jobs = Trace(stranger).stream(CATALOGUE, rate=None, load=0.6).jobs
    first = np.unique(jobs.dataset, return_index=True)[1]
    share = np.bincount(jobs.site[first], minlength=CATALOGUE.n_sites) / len(first)
    assert np.abs(share - CATALOGUE.disk / CATALOGUE.disk.sum()).max() < 0.05


def test_core_counts_come_by_task(stream):
    jobs = stream.jobs
    assert set(jobs.cores) == {1, 8}
    assert abs((jobs.cores == 8).mean() - 0.03) < 1e-3
    eight = np.bincount(jobs.task, jobs.cores == 8) / np.bincount(jobs.task)
    assert ((eight > 0) & (eight < 1)).sum() <= 1


def test_records_keep_their_values(records):
    stream = Trace(records).stream(CATALOGUE, rate=None, load=0.6)
    order = np.argsort(records["creationtime"].to_numpy(), kind="stable")
    assert np.array_equal(stream.jobs.nbytes, records["inputfilebytes"].to_numpy()[order])
    status = np.array(schema.STATUSES)[stream.jobs.status]
    assert np.array_equal(status, records["jobstatus"].to_numpy()[order])
    form = np.array(stream.formats)[stream.jobs.format]
    assert np.array_equal(form, records["datatype"].to_numpy()[order])
    work = records["workload"].to_numpy()[order]
    assert np.array_equal(stream.jobs.work, np.maximum(work, 1.0))


def test_formats_are_numbered_by_frequency(records):
    stream = Trace(records).stream(CATALOGUE, rate=None, load=0.6)
    assert (np.diff(np.bincount(stream.jobs.format)) <= 0).all()


def test_order_of_records_does_not_matter_to_time(records):
    shuffled = records.sample(frac=1, random_state=0)
    one = Trace(shuffled).stream(CATALOGUE, rate=None, load=0.6)
    two = Trace(records).stream(CATALOGUE, rate=None, load=0.6)
    assert np.array_equal(one.jobs.time, two.jobs.time)


def test_same_seed_same_bytes_and_other_seed_other_jobs(records):
    def make(seed):
        return Trace(records).stream(CATALOGUE, rate=700, load=0.6, seed=seed)

    assert same_bytes(make(5), make(5))
    assert not same_bytes(make(5), make(6))


def test_load_changes_the_grid_and_not_the_jobs(records):
    light, heavy = (Trace(records).stream(CATALOGUE, rate=700, load=x) for x in (0.5, 1.0))
    assert same_bytes(replace(light, catalogue=heavy.catalogue), heavy)
    assert light.catalogue.cores.sum() > heavy.catalogue.cores.sum()


def test_records_are_not_changed(records):
    before = records.copy(deep=True)
    Trace(records).stream(CATALOGUE, rate=700, load=0.6)
    assert before.equals(records)


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "5", True])
@pytest.mark.parametrize("name", ["rate", "load"])
def test_rate_and_load_must_be_positive(records, name, value):
    arguments = {"rate": 700, "load": 0.6, name: value}
    with pytest.raises(ValueError, match=f"^{name} must be positive and finite, got "):
        Trace(records).stream(CATALOGUE, **arguments)


def test_no_work_counts_as_little_and_endless_work_is_refused(records):
    idle = Trace(records.assign(workload=0.0)).stream(CATALOGUE, rate=700, load=0.6)
    assert (idle.jobs.work == 1.0).all() and idle.realised_load == pytest.approx(0.6, abs=6e-4)
    with pytest.raises(schema.SchemaError, match="workload: .* are infinite"):
        Trace(records.assign(workload=np.inf))


def test_empty_and_foreign_tables_are_refused(records):
    with pytest.raises(schema.SchemaError, match="at least one row"):
        Trace(records.iloc[:0])
    with pytest.raises(schema.SchemaError, match="needs the columns"):
        Synthetic(pd.DataFrame({"x": [1.0]})).stream(CATALOGUE, rate=700, load=0.6)


@pytest.mark.parametrize("seed", [None, -1, 1.5, "0", True])
def test_a_seed_must_be_a_whole_number(records, seed):
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0 .*, got"):
        Trace(records).stream(CATALOGUE, rate=700, load=0.6, seed=seed)
