"""The reference workload: same bytes by seed, the published laws, and structure worth learning."""

import hashlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from metrics.detection import c2st
from pandaenv import reference, schema, sites
from pandaenv.reference import background, work

DAYS = 28


def digest(frame: pd.DataFrame) -> str:
    return hashlib.sha256(pd.util.hash_pandas_object(frame).to_numpy().tobytes()).hexdigest()


@pytest.fixture(scope="module")
def records() -> pd.DataFrame:
    return reference.records(days=DAYS, seed=0, rate=5_500)


@pytest.fixture(scope="module")
def truth() -> reference.Tasks:
    return reference.tasks(days=DAYS, seed=0, rate=5_500)


def test_records_keep_the_schema_exactly(records):
    assert tuple(records.columns) == schema.COLUMNS
    part = reference.records(days=2, rate=1_000)
    pd.testing.assert_frame_equal(schema.check(part), part)


def test_groups_are_the_true_tasks_and_data_sets_behind_the_same_records(records, truth):
    grouped = reference.records(days=DAYS, seed=0, rate=5_500, groups=True)
    assert digest(grouped[list(schema.COLUMNS)]) == digest(records)
    pd.testing.assert_frame_equal(grouped[["task", "dataset"]], truth.jobs[["task", "dataset"]])
    pd.testing.assert_frame_equal(schema.check(grouped, groups=True), grouped)


@pytest.mark.parametrize(("days", "rate"), [(1, 10), (1, 333.3), (2, 5_000), (3, 100.0)])
def test_the_number_of_records_is_days_times_rate(days, rate):
    frame = reference.records(days=days, rate=rate, seed=1)
    assert len(frame) == round(days * rate)
    assert frame["creationtime"].between(0, days, inclusive="left").all()


def test_records_are_ordered_in_time_on_whole_seconds(records):
    second = records["creationtime"].to_numpy() * 86_400
    assert (np.diff(second) >= 0).all()
    np.testing.assert_allclose(second, np.rint(second), atol=1e-4)
    assert records.index.equals(pd.RangeIndex(len(records)))


def test_same_seed_same_bytes_and_another_seed_others():
    frames = [reference.records(days=3, seed=s, rate=500) for s in (4, 5, 4)]
    assert digest(frames[0]) == digest(frames[2]) != digest(frames[1])


def test_another_process_makes_the_same_bytes():
    code = (
        "import hashlib, pandas as pd; from pandaenv import reference;"
        "h = pd.util.hash_pandas_object(reference.records(days=2, seed=3, rate=500));"
        "print(hashlib.sha256(h.to_numpy().tobytes()).hexdigest())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == digest(reference.records(days=2, seed=3, rate=500))


def test_a_changed_table_does_not_change_the_next_one():
    first = reference.records(days=1, seed=2, rate=300)
    first["workload"] = 0.0
    truth = reference.tasks(days=1, seed=2, rate=300)
    truth.jobs["task"] = -1
    assert (reference.records(days=1, seed=2, rate=300)["workload"] > 0).all()
    assert (reference.tasks(days=1, seed=2, rate=300).jobs["task"] >= 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"days": 0}, "days must be a whole number between 1 and 3650, got 0"),
        ({"days": 1.5}, "days must be a whole number between 1 and 3650, got 1.5"),
        ({"seed": -1}, "seed must be a whole number of at least 0 .*, got -1"),
        ({"rate": 0}, "rate must be between 10 and 1e7 jobs a day, got 0"),
        ({"rate": float("nan")}, "rate must be between 10 and 1e7 jobs a day, got nan"),
        ({"rate": "much"}, "rate must be between 10 and 1e7 jobs a day, got 'much'"),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        reference.records(**arguments)


def test_truth_stands_beside_every_record(records, truth):
    jobs = truth.jobs
    assert len(jobs) == len(records)
    assert (jobs.groupby("task")[["dataset", "user", "cores", "work_class"]].nunique() == 1).all(
        axis=None
    )
    assert set(jobs["cores"]) == {1, 8} and set(jobs["work_class"]) == {0, 1, 2}
    formats = records[["project", "prodstep", "datatype"]].astype(str)
    assert (formats.groupby(jobs["dataset"]).nunique() == 1).all(axis=None)
    assert truth.replicas.shape == (jobs["dataset"].max() + 1, len(truth.sites))
    assert truth.replicas.any(axis=1).all()


def test_jobs_go_where_a_replica_is(records, truth):
    row = {name: i for i, name in enumerate(truth.sites)}
    site = records["computingsite"].map(row).astype(int)
    assert truth.replicas[truth.jobs["dataset"], site].mean() > 0.98


def test_special_queues_take_only_their_kind_of_task(records, truth):
    is_short = records["computingsite"].astype(str).str.endswith("_SHORT")
    assert is_short.any() and (truth.jobs["work_class"][is_short.to_numpy()] == 0).all()


def test_workload_is_whole_cpu_seconds_at_the_speed_of_the_site(records, truth):
    grid = sites.catalogue("all")
    power = records["computingsite"].map(dict(zip(grid.names, grid.power, strict=True)))
    cpu_s = records["workload"] / power.astype(float) / truth.jobs["cores"]
    assert (cpu_s > 0.5).all()
    np.testing.assert_allclose(cpu_s, np.rint(cpu_s), rtol=1e-9)


def test_the_same_files_have_the_same_bytes_in_every_task(records, truth):
    """Jobs of a data set read by one file each repeat their bytes when the set is read again."""
    one = records["ninputdatafiles"] == 1
    seen = pd.DataFrame({"d": truth.jobs["dataset"], "t": truth.jobs["task"]})[one]
    seen["bytes"] = records["inputfilebytes"][one]
    repeated = seen.groupby(["d", "bytes"])["t"].nunique()
    assert (repeated > 1).sum() > 100


def test_bytes_are_capped_in_a_spike(records):
    assert records["inputfilebytes"].max() == 100_000_000_000
    assert 0.002 < (records["inputfilebytes"] == 100_000_000_000).mean() < 0.05


def test_jobs_that_never_ran_and_early_failures_are_short(records):
    work = np.log10(records["workload"]).groupby(records["jobstatus"], observed=True)
    assert work.median()["closed"] < work.median()["finished"] - 1
    assert work.quantile(0.25)["failed"] < work.quantile(0.25)["finished"] - 0.5


def test_arrivals_are_clumped_and_follow_day_and_week(records):
    t = records["creationtime"].to_numpy()
    day = np.bincount(t.astype(int), minlength=DAYS)
    assert day[6::7].mean() < 0.85 * day.mean()
    hourly = np.bincount((t * 24).astype(int), minlength=DAYS * 24)
    assert hourly.var() / hourly.mean() > 10
    by_hour = hourly.reshape(-1, 24).sum(0)
    assert by_hour[12:18].sum() > 1.2 * by_hour[0:6].sum()


def test_work_has_three_modes_and_grows_with_bytes():
    frame = reference.records(days=60, seed=1, rate=2_000)
    table = reference.calibration(frame).set_index(["quantity", "statistic"])["measured"]
    assert table["log10 CPU s histogram", "distance"] < 0.08
    assert table["log bytes, log CPU", "corr"] == pytest.approx(0.56, abs=0.08)


def test_levels_are_read_off_the_three_modes_in_order():
    log_work, mode = work._read_modes(np.linspace(0.0005, 0.9995, 1_000))
    assert (np.diff(log_work) > 0).all() and (np.diff(mode) >= 0).all()
    share = np.bincount(mode) / 1_000
    np.testing.assert_allclose(share, work.WORK_MODES[:, 0], atol=0.002)


def test_the_background_grid_loses_no_job():
    rng = np.random.default_rng(0)
    queued, running, ended = rng.integers(0, 50, 4) * 1.0, np.zeros(4), 0.0
    finished, failed, slots = np.zeros(4), np.zeros(4), np.array([1.0, 5.0, 20.0, 100.0])
    load, none = background.Load(running, queued, finished, failed), np.zeros(4, bool)
    queues = background.Queues(
        slots, np.full(4, 3_600.0), np.full(4, 0.1), np.ones(4), np.zeros(4), none, none
    )
    there = queued.sum()
    for _ in range(50):
        finished[:], failed[:] = 0.0, 0.0  # so that these count what ends in this step
        background._advance(load, queues, 600.0)
        ended += finished.sum() + failed.sum()
        assert (running <= slots + 1e-9).all() and (queued >= 0).all() and (running >= 0).all()
    assert queued.sum() + running.sum() + ended == pytest.approx(there)


def test_columns_shuffled_apart_are_told_from_the_real_ones():
    rng = np.random.default_rng(0)
    frame = reference.records(days=150, seed=0, rate=500)
    part = frame.sample(2 * 6_000, random_state=0)
    real, other = part.iloc[::2], part.iloc[1::2]
    shuffled = pd.DataFrame({c: other[c].array[rng.permutation(len(other))] for c in other})
    assert c2st(real, shuffled, n_folds=2) > 0.9
    assert c2st(real, other, n_folds=2) == pytest.approx(0.5, abs=0.03)


@pytest.mark.slow
def test_the_full_workload_meets_the_published_figures():
    frame = reference.records()
    assert len(frame) == 1_650_000
    table = reference.calibration(frame, reference.tasks()).set_index(["quantity", "statistic"])
    assert table["fits"].mean() > 0.85
    counts = {c: frame[c].nunique() for c in schema.CATEGORICAL}
    assert counts["computingsite"] > 130 and counts["datatype"] > 100
    assert counts["project"] > 15 and counts["prodstep"] == 4 and counts["jobstatus"] == 4
    assert frame["computingsite"].mode()[0] == "BNL-ATLAS"
    assert frame["datatype"].mode()[0] == "DAOD_PHYS"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_seeds_meet_the_published_figures_too(seed):
    frame = reference.records(seed=seed)
    table = reference.calibration(frame, reference.tasks(seed=seed))
    assert table["fits"].mean() > 0.8
