"""The task layer: what it gathers and moves, against the published numbers and by hand."""

import numpy as np
import pandas as pd
import pytest

from foundations.units import DAY_S, WEEK_S
from pandaenv import reference, sites
from pandaenv.workload import Reference, Synthetic, Trace
from pandaenv.workload.bursting import move_into_bursts
from pandaenv.workload.gathering import MAX_SITES, drop_rare_sites, gather

CATALOGUE = sites.catalogue(40)


@pytest.fixture(scope="module")
def rows():
    """The bundled pool: rows of a surrogate, independent of each other."""
    return Synthetic().records


@pytest.fixture(scope="module")
def arrived(rows):
    return Synthetic(rows).arrivals(CATALOGUE, np.random.default_rng(1))


def dispersion(time, hours):
    """(F - 1) / mean of counts, written out."""
    count = np.bincount(((time - time.min()) // (hours * 3600)).astype(int))[:-1]
    return (count.var(ddof=1) / count.mean() - 1) / count.mean()


def test_tasks_have_the_published_size_and_data_sets_the_published_popularity(rows, arrived):
    own = arrived[1]
    size = np.bincount(own.task)
    assert size.min() >= 1 and abs(size.mean() / 142 - 1) < 0.05
    sets = np.sort(np.bincount(own.dataset))[::-1]
    top = {share: sets[: len(sets) // share].sum() / len(rows) for share in (100, 10)}
    assert abs(top[100] - 0.15) < 0.05 and abs(top[10] - 0.63) < 0.08
    used = pd.Series(own.site).groupby(own.dataset).nunique()
    assert abs((used == 1).mean() - 0.65) < 0.12 and abs(used.mean() - 1.56) < 0.25
    assert used.max() <= MAX_SITES


def test_a_task_reads_one_data_set_of_one_format(rows, arrived):
    own = arrived[1]
    assert pd.Series(own.dataset).groupby(own.task).nunique().max() == 1
    assert rows["datatype"].groupby(own.dataset).nunique().max() == 1
    assert set(np.diff(np.unique(own.task))) == {1} == set(np.diff(np.unique(own.dataset)))
    per_set = own.task.max() / own.dataset.max()
    assert 1.1 < per_set < 1.4


def test_rows_of_a_task_are_alike(rows, arrived):
    own = arrived[1]
    is_run = (rows["jobstatus"] == "finished").to_numpy()
    for name in ("inputfilebytes", "workload"):
        value = np.log10(rows[name].clip(lower=1))[is_run]
        inside = value.groupby(own.task[is_run]).transform("mean")
        by_format = value.groupby(rows["datatype"][is_run], observed=True).transform("mean")
        assert np.var(value - inside) < 0.9 * np.var(value - by_format)
    failed = pd.Series(~is_run).groupby(own.task).agg(["mean", "size"])
    large = failed[failed["size"] >= 100]["mean"]
    assert (large > 0.6).mean() < 0.02  # failures are no tasks of their own


def test_jobs_of_a_task_come_in_a_burst(rows, arrived):
    time, own = arrived
    length = pd.Series(time).groupby(own.task).agg(np.ptp)[np.bincount(own.task) >= 30]
    before = (rows["creationtime"] * DAY_S).groupby(own.task).agg(np.ptp)
    assert length.median() < 12 * 3600 < DAY_S < before[length.index].median()


def test_moving_clumps_hours_and_days_and_keeps_the_profile_of_the_week(rows, arrived):
    time, own = arrived
    recorded = rows["creationtime"].to_numpy() * DAY_S
    assert len(time) == len(recorded)
    assert recorded.min() - 3600 <= time.min() and time.max() <= recorded.max() + 3600
    for hours in (1, 6):
        assert dispersion(time, hours) > 2 * dispersion(recorded, hours)
    size = np.bincount(own.task)
    for part, n in ((DAY_S, 24), (WEEK_S, 7)):
        share = [np.bincount((t % part * n / part).astype(int)) / len(t) for t in (time, recorded)]
        noise = np.sqrt((size**2).sum() / n) / size.sum()  # whole tasks fall here or there
        assert np.abs(share[0] - share[1]).max() < 4 * noise


def test_the_profile_is_kept_without_bias_over_many_draws(rows):
    """Averaged over draws the hour profile comes back, not a smeared one."""
    recorded = rows["creationtime"].to_numpy() * DAY_S
    task = gather(rows, np.zeros(len(rows), int), np.random.default_rng(0)).task
    hour = np.zeros(24)
    for seed in range(12):
        time = move_into_bursts(recorded, task, np.random.default_rng(seed))
        hour += np.bincount((time % DAY_S // 3600).astype(int), minlength=24) / len(time) / 12
    before = np.bincount((recorded % DAY_S // 3600).astype(int), minlength=24) / len(recorded)
    strength = [np.abs(np.exp(2j * np.pi * np.arange(24) / 24) @ p) for p in (hour, before)]
    assert 0.85 < strength[0] / strength[1] < 1.15


def test_same_seed_same_tasks_and_another_seed_others(rows):
    one, two, other = (
        Synthetic(rows).arrivals(CATALOGUE, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert one[0].tobytes() == two[0].tobytes()
    assert one[1].task.tobytes() == two[1].task.tobytes()
    assert one[1].task.tobytes() != other[1].task.tobytes()


@pytest.mark.parametrize("n", [1, 2, 50])
def test_few_rows_are_tasks_too(rows, n):
    time, own = Synthetic(rows[:n]).arrivals(CATALOGUE, np.random.default_rng(0))
    assert len(time) == n and own.task.min() == own.dataset.min() == 0
    assert np.isfinite(time).all()


def test_sites_that_a_format_hardly_names_count_as_unknown():
    format_ = np.repeat([0, 1], [2_000, 100])
    site = np.r_[np.zeros(1_985), np.full(15, 3), np.zeros(98), np.full(2, 3)].astype(int)
    kept = drop_rare_sites(format_, site)
    assert (kept[1_985:2_000] == -1).all()  # 15 of 2,000: fewer than 20 and than 2 %
    assert (np.delete(kept, np.s_[1_985:2_000]) == np.delete(site, np.s_[1_985:2_000])).all()


# Replicas


def test_replicas_are_4_4_on_average_and_at_every_site_where_a_job_ran(rows):
    jobs = Synthetic(rows).stream(CATALOGUE, rate=2_000, load=0.6).jobs
    count = jobs.replicas.sum(axis=1)
    assert jobs.replicas[jobs.dataset, jobs.site].all()
    assert abs(count.mean() - 4.4) < 0.4 and np.median(count) in (3, 4) and count.max() <= 21
    assert (count[:, None] > 0).all()


# Tasks that are known


def test_the_reference_keeps_its_true_tasks_data_sets_cores_and_replicas():
    workload = Reference(days=7, seed=4, rate=11_000)
    truth = reference.tasks(7, 4, 11_000)
    grid = sites.catalogue("all")
    jobs = workload.stream(grid, rate=None, load=0.6).jobs
    order = np.argsort(workload.records["creationtime"].to_numpy(), kind="stable")
    told = truth.jobs.iloc[order]
    pairs = pd.DataFrame({"task": jobs.task, "true": told["task"].to_numpy()}).drop_duplicates()
    assert len(pairs) == pairs["task"].nunique() == pairs["true"].nunique()
    assert np.array_equal(jobs.cores, told["cores"])
    held = truth.replicas[told["dataset"].to_numpy()]
    assert (jobs.replicas[jobs.dataset] >= held).all()
    sets = np.unique(jobs.dataset, return_index=True)[1]
    is_site = [sites.resolve_queue(n) == n for n in truth.sites]
    true_count = held[:, is_site].sum(axis=1)
    assert abs(true_count[sets].mean() / 4.4 - 1) < 0.1
    few = workload.stream(sites.catalogue("tier1"), rate=None, load=0.6).jobs
    assert few.replicas.sum(axis=1).mean() > 4  # those outside the catalogue lie elsewhere


def test_recorded_tasks_data_sets_and_cores_are_taken_as_told(rows):
    few = rows[:3_000].assign(
        jeditaskid=np.arange(3_000) // 10 + 17, corecount=np.where(np.arange(3_000) < 50, 4, 1)
    )
    jobs = Trace(few).stream(CATALOGUE, rate=None, load=0.6).jobs
    order = np.argsort(few["creationtime"].to_numpy(), kind="stable")
    assert np.array_equal(jobs.task, (np.arange(3_000) // 10)[order])
    assert np.array_equal(jobs.dataset, jobs.task)
    assert np.array_equal(jobs.cores, few["corecount"].to_numpy()[order])
    assert np.array_equal(jobs.time, few["creationtime"].to_numpy()[order] * DAY_S)
    named = few.drop(columns="jeditaskid").assign(proddblock=np.where(few.index < 9, "a", "b"))
    assert len(Trace(named).stream(CATALOGUE, rate=None, load=0.6).jobs.replicas) == 2


def test_core_counts_are_taken_as_told_without_tasks_too(rows):
    few = rows[:3_000].assign(corecount=np.arange(3_000) % 16 + 1)
    jobs = Trace(few).stream(CATALOGUE, rate=None, load=0.6).jobs
    order = np.argsort(few["creationtime"].to_numpy(), kind="stable")
    assert np.array_equal(jobs.cores, few["corecount"].to_numpy()[order])
    untold = Trace(rows[:3_000]).stream(CATALOGUE, rate=None, load=0.6).jobs
    assert np.array_equal(jobs.task, untold.task)


def test_tasks_and_cores_may_be_of_any_type_that_tells_them_apart(rows):
    few = rows[:300]
    number = np.arange(300) // 10
    plain = few.assign(jeditaskid=number, corecount=8)
    same = few.assign(jeditaskid=pd.Categorical(number.astype(str)), corecount=["8"] * 300)
    one, other = (Trace(t).stream(CATALOGUE, rate=None, load=0.6).jobs for t in (plain, same))
    assert np.array_equal(one.task, other.task) and np.array_equal(one.cores, other.cores)
    for odd, message in (
        ({"jeditaskid": [[1]] * 300}, "jeditaskid must hold single values"),
        ({"corecount": [True] * 300}, "corecount must be a whole number .*, got True in row 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Trace(few.assign(**odd)).stream(CATALOGUE, rate=None, load=0.6)


@pytest.mark.parametrize(
    "column, value, message",
    [
        ("jeditaskid", None, "jeditaskid must be there for every record, not so in row 3"),
        ("corecount", 0, "corecount must be a whole number of at least 1 and less .*, got 0"),
        ("corecount", 1.5, "corecount must be a whole number of at least 1 and .* got 1.5 in"),
        ("corecount", np.inf, "corecount must be a whole number of at least 1 and .*, got inf"),
        ("corecount", 2.0**31, r"less than 2\^31, got 2147483648.0 in row 3"),
    ],
)
@pytest.mark.parametrize("has_tasks", [True, False])
def test_told_tasks_and_cores_must_be_whole(rows, column, value, message, has_tasks):
    table = rows[:10].assign(jeditaskid=1.0, corecount=1.0)
    table.loc[3, column] = value
    if not has_tasks and column != "jeditaskid":
        table = table.drop(columns="jeditaskid")
    with pytest.raises(ValueError, match=message):
        Trace(table).stream(CATALOGUE, rate=None, load=0.6)
