"""Workloads: rate, load, profile, replicas, windows, and what they refuse."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foundations.units import DAY_S, WEEK_S
from pandaenv import schema, sites, workload
from pandaenv.workload import Synthetic, Trace
from pandaenv.workload.scaling import share_slots

CATALOGUE = sites.catalogue("tier1")
HOUR_WEIGHT = 1 + 0.5 * np.sin(2 * np.pi * (np.arange(24) - 9) / 24)
DAY_WEIGHT = np.array([1.1, 1.2, 1.2, 1.1, 1.0, 0.7, 0.6])


def burst_records(days: int = 105, rate: float = 1_500, seed: int = 0) -> pd.DataFrame:
    """Records of tasks of about 20 jobs with a day and a week profile, and strange site names."""
    rng = np.random.default_rng(seed)
    profile = np.tile(np.outer(DAY_WEIGHT, HOUR_WEIGHT).ravel(), -(-days // 7))[: 24 * days]
    n_tasks = int(days * rate / 20)
    size = 1 + rng.geometric(1 / 19, n_tasks)
    task = np.repeat(np.arange(n_tasks), size)
    hour = rng.choice(24 * days, n_tasks, p=profile / profile.sum())[task]
    names = np.array([*CATALOGUE.names[:9], "ANALY_BNL_LONG", "MWT2", "Nowhere_T3"])
    site = rng.integers(len(names), size=n_tasks)[task]
    form = rng.geometric(0.3, n_tasks)[task]
    n = len(task)
    frame = pd.DataFrame(
        {
            "creationtime": (hour + rng.random(n)) / 24,
            "ninputdatafiles": rng.integers(1, 20, n),
            "inputfilebytes": rng.lognormal(22, 1.2, n).astype(np.int64),
            "workload": rng.lognormal(11, 1.5, n) * (rng.random(n) > 0.01),
            "computingsite": names[site],
            "project": "mc20_13TeV",
            "prodstep": "deriv",
            "datatype": np.array([f"DAOD_{k:02d}" for k in range(form.max() + 1)])[form],
            "jobstatus": np.array(schema.STATUSES)[rng.choice(4, n, p=[0.84, 0.11, 0.03, 0.02])],
        }
    )
    return schema.check(frame)


@pytest.fixture(scope="module")
def records() -> pd.DataFrame:
    return burst_records()


@pytest.fixture(scope="module")
def stream(records):
    return Trace(records).stream(CATALOGUE, rate=2_000, load=0.6)


def same_bytes(one, two) -> bool:
    names = one.jobs.__dataclass_fields__
    jobs = all(np.array_equal(getattr(one.jobs, n), getattr(two.jobs, n)) for n in names)
    arrays = ("cores", "power", "disk", "ingress", "link")
    grid = all(np.array_equal(getattr(one.catalogue, n), getattr(two.catalogue, n)) for n in arrays)
    return jobs and grid and one.duration == two.duration


SOURCES = {
    "trace": lambda records: Trace(records),
    "pool": lambda records: Synthetic(records),
    "generator": lambda records: Synthetic(Resampler(records), n=40_000),
    "reference": lambda records: workload.Reference(days=14, seed=3),
}


class Resampler:
    """A generator from outside: it returns rows of its table."""

    def __init__(self, table):
        self.table = table

    def sample(self, n: int, *, seed: int) -> pd.DataFrame:
        return self.table.sample(n, random_state=seed, ignore_index=True)


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


def test_a_slow_drift_over_the_records_does_not_become_one_over_the_stream(records):
    """Work falls by two thirds from the first week to the last: weeks are folded there and back."""
    week = np.floor(records["creationtime"] / 7)
    drifting = records.assign(workload=np.exp(-1.1 * week / 14) * 1e4)
    stream = Trace(drifting).stream(CATALOGUE, rate=3_100, load=0.6)
    n_weeks = round(stream.duration / WEEK_S)
    work = np.bincount((stream.jobs.time // WEEK_S).astype(int), stream.jobs.work)
    assert n_weeks == 7 and work.max() / work.min() < 1.25


def test_every_week_gets_the_same_rate_where_weeks_do_not_divide(records):
    stream = Trace(records).stream(CATALOGUE, rate=3_500, load=0.6)
    assert stream.duration == 6 * WEEK_S  # 15 weeks of 10,500 into weeks of 24,500
    per_week = np.bincount((stream.jobs.time // WEEK_S).astype(int))
    assert len(per_week) == 6
    assert per_week.max() / per_week.min() < 1.15


@pytest.mark.parametrize("rate", [400, 1_400, 4_000])
def test_weekday_and_hour_profile_survive_folding_and_thinning(records, rate):
    stream = Trace(records).stream(CATALOGUE, rate=rate, load=0.6)
    recorded = records["creationtime"].to_numpy() * DAY_S

    def share(time, n):
        return np.bincount((time % WEEK_S * n / WEEK_S).astype(int), minlength=n) / len(time)

    hours = [share(t % DAY_S * 7, 24) for t in (stream.jobs.time, recorded)]
    days = [share(t, 7) for t in (stream.jobs.time, recorded)]
    size = np.bincount(stream.jobs.task)
    for (after, before), n in ((hours, 24), (days, 7)):
        noise = np.sqrt((size**2).sum() / n) / size.sum()  # whole tasks come and go
        assert np.abs(after - before).max() < 4 * noise < 0.12


def test_each_day_is_thinned_by_the_same_share_but_for_one_task(records):
    stream = Trace(records).stream(CATALOGUE, rate=500, load=0.6)
    day = np.floor(records["creationtime"].to_numpy()).astype(int)
    task = Trace(records).arrivals(CATALOGUE, np.random.default_rng(0).spawn(6)[0])[1].task
    largest = pd.Series(day).groupby([day, task]).size().groupby(level=0).max().to_numpy()
    kept = np.bincount((stream.jobs.time // DAY_S).astype(int), minlength=105)
    expected = np.bincount(day) * len(stream.jobs) / len(records)
    assert (np.abs(kept - expected) <= largest + 1).all()


def test_bursts_survive_thinning(records):
    """Counts an hour are as clumped as before: jobs leave in bursts, not one by one."""

    def clumping(time, duration):
        count = np.bincount((time // 3600).astype(int), minlength=int(duration // 3600))
        return (count.var() / count.mean() - 1) / count.mean()

    stream = Trace(records).stream(CATALOGUE, rate=500, load=0.6)
    recorded = records["creationtime"].to_numpy() * DAY_S
    before, after = clumping(recorded, 15 * WEEK_S), clumping(stream.jobs.time, stream.duration)
    assert after > before
    assert np.bincount(stream.jobs.task).mean() > 10


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


# The grid


@pytest.mark.parametrize("n", [0, 104, 105, 1_000, 12_345])
def test_slots_are_shared_by_size_and_no_site_is_too_small(n):
    size = CATALOGUE.cores
    slots = share_slots(n, size)
    assert slots.sum() == max(n, 8 * len(size)) and slots.min() >= 8
    free = slots > 8
    if free.sum() > 1:
        ratio = slots[free] / size[free]
        assert np.abs(ratio / ratio.mean() - 1).max() < 1.01 / slots[free].min()


def test_a_site_keeps_its_disk_and_ingress_per_slot(stream):
    grid = stream.catalogue
    assert np.allclose(grid.disk / grid.cores, CATALOGUE.disk / CATALOGUE.cores)
    assert np.allclose(grid.ingress / grid.cores, CATALOGUE.ingress / CATALOGUE.cores)
    assert np.array_equal(grid.link, CATALOGUE.link)
    assert stream.scale == grid.cores.sum() / CATALOGUE.cores.sum()
    assert grid.names == CATALOGUE.names


def test_power_keeps_its_proportions(stream):
    ratio = stream.catalogue.power / CATALOGUE.power
    assert np.allclose(ratio, ratio[0]) and abs(ratio[0] - 1) < 0.2


# Windows


def test_windows_are_24_for_training_and_8_for_tests(stream):
    assert len(stream.windows("train", episode_jobs=2_000)) == 24
    assert len(stream.windows("test", episode_jobs=2_000)) == 8


def test_train_and_test_windows_share_no_week(stream):
    def weeks(split):
        time = stream.jobs.time
        windows = stream.windows(split, episode_jobs=2_000)
        return {int(t // WEEK_S) for w in windows for t in (time[w.first], time[w.stop - 1])}

    assert weeks("train") and weeks("test")
    assert max(weeks("train")) < min(weeks("test"))


@pytest.mark.parametrize("split", ["train", "test"])
def test_windows_hold_an_episode_after_three_warm_days(stream, split):
    time = stream.jobs.time
    for window in stream.windows(split, episode_jobs=2_000):
        assert window.stop - window.start == 2_000
        assert time[window.start] - time[window.first] <= 3 * DAY_S
        assert window.first == 0 or time[window.start] - time[window.first - 1] > 3 * DAY_S


def test_window_loads_are_published_and_scatter_about_the_load(stream):
    loads = stream.window_loads("train", episode_jobs=2_000)
    windows = stream.windows("train", episode_jobs=2_000)
    assert loads.tolist() == [w.load for w in windows]
    w, jobs, grid = windows[3], stream.jobs, stream.catalogue
    seconds = jobs.time[w.stop] - jobs.time[w.start]
    expected = jobs.work[w.start : w.stop].sum() / seconds / (grid.cores @ grid.power)
    assert loads[3] == pytest.approx(expected)
    assert 0.4 < loads.mean() < 0.8


def test_a_cut_keeps_its_jobs_and_their_replicas(stream):
    window = stream.windows("test", episode_jobs=2_000)[2]
    jobs = stream.cut(window)
    rows = slice(window.first, window.stop)
    assert np.array_equal(jobs.time, stream.jobs.time[rows])
    expected = stream.jobs.replicas[stream.jobs.dataset[rows]]
    assert np.array_equal(jobs.replicas[jobs.dataset], expected)
    assert len(jobs.replicas) == len(np.unique(stream.jobs.dataset[rows]))


# Names and files


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


# Bad input


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


def test_a_rate_beyond_the_records_is_refused(records):
    with pytest.raises(ValueError, match="rate must be at most .* got rate=1e"):
        Trace(records).stream(CATALOGUE, rate=1e9, load=0.6)


def test_folding_needs_a_whole_week(records):
    short = records[records["creationtime"] < 3]
    with pytest.raises(ValueError, match="must cover a whole week .* got 3.0 days; rate=None"):
        Trace(short).stream(CATALOGUE, rate=700, load=0.6)
    assert len(Trace(short).stream(CATALOGUE, rate=None, load=0.6).jobs) == len(short)


def test_one_moment_is_no_stream(records):
    with pytest.raises(ValueError, match="a stream must last, got 1 jobs"):
        Trace(records.iloc[:1]).stream(CATALOGUE, rate=None, load=0.6)


def test_empty_and_foreign_tables_are_refused(records):
    with pytest.raises(schema.SchemaError, match="at least one row"):
        Trace(records.iloc[:0])
    with pytest.raises(schema.SchemaError, match="needs the columns"):
        Synthetic(pd.DataFrame({"x": [1.0]})).stream(CATALOGUE, rate=700, load=0.6)


def test_a_pool_written_anew_is_read_anew(records, tmp_path):
    path = tmp_path / "pool.parquet"
    for factor in (1, 2):
        records.assign(workload=factor * records["workload"]).to_parquet(path)
        assert Synthetic(path).records["workload"].sum() == factor * records["workload"].sum()


def test_a_grid_beyond_all_bounds_is_refused(records):
    for changed, load in ((records, 1e-300), (records.assign(workload=1e300), 0.6)):
        with pytest.raises(ValueError, match=r"at most 1e\+09 slots"):
            Trace(changed).stream(CATALOGUE, rate=700, load=load)


@pytest.mark.parametrize("seed", [None, -1, 1.5, "0", True])
def test_a_seed_must_be_a_whole_number(records, seed):
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0, got"):
        Trace(records).stream(CATALOGUE, rate=700, load=0.6, seed=seed)


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


def test_unknown_splits_and_long_episodes_are_refused(stream):
    with pytest.raises(ValueError, match="unknown split 'dev'; known: train, test"):
        stream.windows("dev")
    with pytest.raises(
        ValueError, match="train part must hold 3 days of warm-up and 10000000 jobs"
    ):
        stream.windows("train", episode_jobs=10_000_000)
    with pytest.raises(
        ValueError, match="episode_jobs must be a whole number of at least 1, got 0"
    ):
        stream.windows("train", episode_jobs=0)
    with pytest.raises(ValueError, match="warmup_days must be at least 0 and finite, got nan"):
        stream.windows("train", warmup_days=np.nan)


def test_a_short_replay_is_cut_at_three_quarters(records):
    short = records[records["creationtime"] < 8]
    stream = Trace(short).stream(CATALOGUE, rate=None, load=0.6)
    border = stream.jobs.time[0] + 0.75 * stream.duration
    lengths = {"episode_jobs": 100, "warmup_days": 0.5}
    assert max(stream.jobs.time[w.stop - 1] for w in stream.windows("train", **lengths)) < border
    assert min(stream.jobs.time[w.first] for w in stream.windows("test", **lengths)) >= border


# The bundled pools


@pytest.mark.parametrize("name", sorted(workload.BUNDLED))
def test_a_bundled_pool_is_the_one_on_its_card_and_opens_by_name(name):
    pool = workload.BUNDLED[name]
    card = json.loads((pool.parent / "card.json").read_text())
    assert hashlib.sha256(pool.read_bytes()).hexdigest() == card["pool"]["sha256"]
    assert len(workload.make(name).records) == card["pool"]["rows"] == 330_000


def test_the_bundled_pool_spans_eight_weeks_at_the_default_rate():
    stream = Synthetic().stream(sites.catalogue(40), rate=5_500, load=0.6)
    assert stream.duration == 8 * WEEK_S
    assert abs(stream.rate / 5_500 - 1) < 0.02
    assert abs(stream.realised_load / 0.6 - 1) < 1e-3


def test_the_bundled_pool_is_read_when_asked_for_and_without_torch():
    code = (
        "import sys; from pandaenv import workload; pool = workload.make('tabddpm')\n"
        "assert 'records' not in vars(pool)\n"
        "assert len(pool.records) > 300_000 and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_of_ingested_records_is_a_workload(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    burst_records(days=7, rate=200).to_parquet(folder / "records.parquet")
    of_file = workload.make(folder / "records.parquet")
    assert workload.make(str(folder)).records.equals(of_file.records)
