"""metrics.streams: slow plain twins, laws, and planted defects that a number must see."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import evaluate, streams
from metrics.streams import Stream, compare, earlier_at_most, fano, popularity, stack_distances
from pandaenv import records


def made(n_tasks: int, seed: int, days: float = 28.0) -> pd.DataFrame:
    """Tasks of about eight rows, ten minutes apart, that read Zipf's data sets at a few sites."""
    rng = np.random.default_rng(seed)
    size = rng.geometric(1 / 8, n_tasks)
    task = np.repeat(np.arange(n_tasks), size)
    start = rng.uniform(0, days - 1, n_tasks)[task]
    gap = rng.exponential(10 / 1440, len(task))
    later = np.cumsum(gap) - (np.cumsum(gap) - gap)[np.cumsum(size) - size][task]
    dataset = np.minimum(rng.zipf(1.6, n_tasks), 500)[task]
    table = pd.DataFrame(
        {
            "creationtime": np.minimum(start + later, days - 1e-6),
            "workload": rng.lognormal(8, 2, n_tasks)[task] * rng.lognormal(0, 0.2, len(task)),
            "computingsite": pd.Categorical((dataset + rng.integers(0, 3, len(task))) % 20),
            "datatype": pd.Categorical(np.array(["AOD", "DAOD_PHYS", "ESD"])[dataset % 3]),
            "task": task,
            "dataset": dataset,
        }
    )
    table["computingsite"] = table["computingsite"].cat.rename_categories(lambda c: f"SITE_{c}")
    return table.sort_values("creationtime", kind="stable", ignore_index=True)


FIRST, SECOND = made(800, 1), made(800, 2)
FEW_DAYS = made(90, 3, 2.0), made(90, 4, 2.0)
"""Few hours and tasks, which classifiers tell apart in no time."""


def stream(table: pd.DataFrame) -> Stream:
    return Stream.of(table, "it")


# --- twins ----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 6), max_size=40))
def test_stack_distances_are_those_counted_one_by_one(reads):
    expected, seen = [], []
    for read in reads:
        since = seen[len(seen) - seen[::-1].index(read) :] if read in seen else None
        expected.append(np.inf if since is None else len(set(since)))
        seen.append(read)
    assert stack_distances(np.array(reads, int)).tolist() == expected


@given(st.lists(st.integers(-1, 9), max_size=40))
def test_earlier_values_are_counted_as_a_double_loop_does(values):
    expected = [sum(v <= value for v in values[:i]) for i, value in enumerate(values)]
    assert earlier_at_most(np.array(values, int)).tolist() == expected


def test_gaps_and_sizes_are_those_of_each_task_by_itself():
    found = stream(SECOND.sample(frac=1, random_state=0))
    times = [np.sort(t["creationtime"].to_numpy()) for _, t in SECOND.groupby("task")]
    assert sorted(found.size) == sorted(map(len, times))
    inside = np.concatenate([np.diff(t) for t in times])
    np.testing.assert_array_equal(np.sort(found.gaps_inside), np.sort(inside))
    starts = sorted(t[0] for t in times)
    np.testing.assert_array_equal(found.gaps_between, [b - a for a, b in pairwise(starts)])


def test_reads_are_the_pairs_of_task_and_data_set_in_order_of_time():
    seen, expected = set(), []
    for task, dataset in SECOND[["task", "dataset"]].itertuples(index=False):
        if (task, dataset) not in seen:
            seen.add((task, dataset))
            expected.append(dataset)
    assert stream(SECOND).reads.tolist() == pd.factorize(np.array(expected))[0].tolist()


def test_shares_of_variance_are_the_sums_of_squares_written_out():
    found, task = streams.task_shares(stream(SECOND)), SECOND["task"]
    rank = SECOND["workload"].rank()
    between = sum(len(g) * (g.mean() - rank.mean()) ** 2 for _, g in rank.groupby(task))
    assert found["workload"] == pytest.approx(between / ((rank - rank.mean()) ** 2).sum())
    marks = pd.get_dummies(SECOND["computingsite"].astype(str)).astype(float)
    inside = sum(((g - g.mean()) ** 2).to_numpy().sum() for _, g in marks.groupby(task))
    whole = ((marks - marks.mean()) ** 2).to_numpy().sum()
    assert found["computingsite"] == pytest.approx(1 - inside / whole)
    assert list(found) == [name for name in SECOND if name not in streams.GROUPS]


@pytest.mark.parametrize("hours", [1, 6, 24, 168])
def test_fano_is_variance_over_mean_of_the_counts_written_out(hours):
    days = SECOND["creationtime"].to_numpy()
    count = np.histogram(days, np.arange(0, 28 * 24 + 1, hours) / 24)[0]
    assert fano(days, hours) == pytest.approx(count.var(ddof=1) / count.mean())


def test_levels_a_data_set_are_those_of_its_rows():
    expected = SECOND.groupby("dataset")["computingsite"].apply(lambda s: s.astype(str).nunique())
    found = streams.levels_a_set(stream(SECOND), "computingsite")
    assert sorted(found) == sorted(expected) and found.max() > 1


def test_popularity_by_hand():
    size = [round(1000 / k) for k in range(1, 101)]  # Zipf's law with slope -1
    found = popularity(np.random.default_rng(0).permutation(np.repeat(np.arange(100), size)))
    assert found.slope == pytest.approx(-1, abs=0.01)
    assert found.top_1 == 1000 / sum(size) and found.top_10 == sum(size[:10]) / sum(size)


def test_aggregates_and_hours_count_every_row():
    one = stream(SECOND)
    table = streams.aggregates(one)
    assert np.exp(table["size"]).sum() == pytest.approx(len(SECOND))
    log = np.log1p(SECOND["workload"])
    by_task = log.groupby(SECOND["task"], sort=False)
    np.testing.assert_allclose(table["workload"], by_task.mean())
    spread = by_task.std(ddof=0).to_numpy()
    np.testing.assert_allclose(table["workload spread"], spread, atol=1e-5)
    before = SECOND.drop_duplicates("task").groupby("dataset").cumcount()
    np.testing.assert_allclose(table["reads before"], np.log1p(before))
    hours = streams.hourly(one, {"datatype": SECOND["datatype"].unique()})
    assert len(hours) == 28 * 24 and hours["rows"].sum() == len(SECOND)
    formats = hours.filter(like="datatype")
    np.testing.assert_array_equal(formats.sum(axis=1), hours["rows"])


# --- laws -----------------------------------------------------------------------------------------


def test_a_stream_is_at_no_distance_from_itself_under_other_numbers_and_in_another_order():
    other = SECOND.assign(task=-3 * SECOND["task"] + 7, dataset=SECOND["dataset"] * 5 % 99_991)
    found = compare(stream(SECOND), stream(other.sample(frac=1, random_state=1))).values
    ratios = {name: found.pop(name) for name in list(found) if "counts" in name}
    assert set(ratios.values()) == {1} and found.pop("formats a set") == 1
    # rows of one second may change places, and with them the first row of a task
    assert {name: v for name, v in found.items() if v > 0.01} == {}


def test_thinning_keeps_tasks_whole_and_comes_near_the_rate():
    whole = stream(FIRST)
    thin = whole.thinned(whole.rate / 3, seed=0)
    assert thin.rate == pytest.approx(whole.rate / 3, rel=0.05)
    assert set(thin.size) <= set(whole.size) and len(thin) == thin.size.sum()
    assert whole.thinned(whole.rate, seed=0) is whole


@pytest.mark.parametrize("task", [range(len(SECOND)), [0] * len(SECOND)])
def test_one_row_a_task_and_one_task_in_all_are_scored(task):
    found = compare(stream(SECOND), stream(SECOND.assign(task=task))).values
    assert found["task size KS"] > 0.1
    is_nan = {name for name, value in found.items() if np.isnan(value)}
    one_row = {"gap in tasks KS"}
    assert is_nan == (one_row if len(set(task)) > 1 else {"gap of tasks KS"})


# --- defects --------------------------------------------------------------------------------------


def tasks_shuffled(table, rng):
    return table.assign(task=rng.permutation(table["task"]))


def gaps_doubled(table, rng):
    start = table.groupby("task")["creationtime"].transform("min")
    return table.assign(creationtime=2 * table["creationtime"] - start)


def popularity_flattened(table, rng):
    of_task = rng.integers(0, table["dataset"].nunique(), table["task"].max() + 1)
    return table.assign(dataset=of_task[table["task"]])


def starts_in_bursts(table, rng):
    start = table.groupby("task")["creationtime"].transform("min")
    return table.assign(creationtime=table["creationtime"] - start + np.floor(start))


def tasks_halved(table, rng):
    return table.assign(task=2 * table["task"] + rng.integers(0, 2, len(table)))


def sites_anywhere(table, rng):
    return table.assign(
        computingsite=table["computingsite"].array.take(rng.permutation(len(table)))
    )


@pytest.mark.parametrize(
    ("defect", "names"),
    [
        (tasks_shuffled, ("gap in tasks KS", "task share")),
        (gaps_doubled, ("gap in tasks KS",)),
        (popularity_flattened, ("popularity slope", "top 1 % share", "reuse KS")),
        (starts_in_bursts, ("gap of tasks KS", "counts 1h", "counts 6h")),
        (tasks_halved, ("task size KS", "gap in tasks KS")),
        (sites_anywhere, ("task share", "sites a set KS")),
    ],
)
def test_each_number_sees_the_defect_it_is_meant_to(defect, names):
    real = compare(stream(FIRST), stream(SECOND)).values
    bad = defect(SECOND, np.random.default_rng(5))
    found = compare(stream(FIRST), stream(bad)).values
    for name in names:
        best = 1.0 if "counts" in name else 0.0
        assert abs(found[name] - best) > 4 * abs(real[name] - best), name


def test_evaluate_scores_streams_beside_the_floor_of_another_draw():
    (first, second), rng = FEW_DAYS, np.random.default_rng(0)
    shuffled = second.assign(task=rng.permutation(second["task"]))
    report = evaluate(first, shuffled, second, only=["streams"], target=None, n_seeds=1)
    found, real = report.synthetic.values, report.floor.values
    assert found["task share"] > 5 * real["task share"]
    assert real["task C2ST"] < 0.6 < 0.9 < found["task C2ST"]
    assert set(report.synthetic.columns["task share"]) == set(second) - set(streams.GROUPS)
    assert "| task C2ST |" in report.to_markdown()


def test_groups_are_scored_by_no_other_measure_and_asked_for_where_there_are_none():
    first, second = FEW_DAYS
    train, holdout = records.split(first, by="task", seed=1)
    found = evaluate(train, second, holdout, only=["WD", "JSD"], n_seeds=1)
    nine = [table.drop(columns=["task", "dataset"]) for table in (train, second, holdout)]
    assert found.to_json() == evaluate(*nine, only=["WD", "JSD"], n_seeds=1).to_json()
    with pytest.raises(ValueError, match="streams needs creationtime, task and dataset in train"):
        evaluate(*nine, only=["streams"])
    ungrouped = evaluate(train, nine[1], holdout, only=["streams"], target=None, n_seeds=1)
    assert np.isnan(list(ungrouped.synthetic.values.values())).all()
    assert np.isfinite(ungrouped.floor.values["reuse KS"])


def test_a_group_with_missing_values_is_told():
    first, second = FEW_DAYS
    broken = second.assign(task=second["task"].where(second.index != second.index[4]))
    with pytest.raises(ValueError, match="synthetic: column 'task': 1 of .* missing, e.g. row 4"):
        evaluate(first, broken, second, only=["streams"], target=None)


def test_a_kept_score_is_not_that_of_the_same_rows_in_other_tasks(tmp_path):
    first, second = FEW_DAYS
    other = second.assign(task=0)
    kept = [
        evaluate(first, table, second, only=["streams"], target=None, resume=tmp_path, n_seeds=1)
        for table in (second, other, second)
    ]
    sizes = [report.synthetic.values["task size KS"] for report in kept]
    assert sizes[0] == sizes[2] != sizes[1]
