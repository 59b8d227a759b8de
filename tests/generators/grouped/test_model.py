"""generators.grouped.model: the contract of generators, streams, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import generators
from generators.grouped import Grouped
from generators.grouped.submodels import KINDS
from tests.generators.contracts import assert_like, stopping
from tests.generators.grouped.tables import grouped

SMALL = {"d_trunk": 16, "d_head": 8, "batch_size": 128}
NAMES = ["task", "dataset"]
TABLE = grouped()


def fit(table=TABLE, model="tabddpm", steps=3, **options):
    made = Grouped(model=model, **SMALL, **options)
    return made.fit(table, steps=steps, seed=3, progress=False)


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    return fit(model=request.param)


LARGE = grouped(600)


@pytest.fixture(scope="module")
def learned():
    return fit(LARGE, steps=200)


def assert_rows_like(sample, table, n):
    """What holds of every generator; times lie in the whole days of the table."""
    parts = [rows.drop(columns=["time", *NAMES], errors="ignore") for rows in (sample, table)]
    assert_like(*parts, n)
    days = np.floor(sample["time"])
    assert days.between(*np.floor([table["time"].min(), table["time"].max()])).all()


def test_it_holds_the_contract(fitted, tmp_path):
    sample = fitted.sample(300, seed=1)
    assert list(sample) == list(TABLE) and (sample.dtypes == TABLE.dtypes).all()
    assert_rows_like(sample, TABLE, 300)
    assert_rows_like(fitted.sample(0), TABLE, 0)
    pd.testing.assert_frame_equal(sample, fitted.sample(300, seed=1), check_exact=True)
    assert not sample.equals(fitted.sample(300, seed=2))
    again = fit(model=fitted.config.model).sample(300, seed=1)
    pd.testing.assert_frame_equal(sample, again, check_exact=True)
    loaded = generators.load(fitted.save(tmp_path))
    pd.testing.assert_frame_equal(sample, loaded.sample(300, seed=1), check_exact=True)
    again = loaded.save(tmp_path / "again")
    for path in again.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_the_table_stays_as_it_was():
    before = TABLE.copy(deep=True)
    fit(steps=1)
    pd.testing.assert_frame_equal(TABLE, before, check_exact=True)


@pytest.mark.parametrize("part", KINDS)
@pytest.mark.parametrize("at", [2, 7])
def test_killed_and_resumed_it_is_the_same(part, at, tmp_path, monkeypatch):
    """Stopped in the parent's steps, and in the child's."""
    whole = fit(model=part, steps=5).sample(100, seed=1)
    options = dict(steps=5, seed=3, progress=False, checkpoint=tmp_path / "run", every=0.0)
    with monkeypatch.context() as patch:
        patch.setitem(KINDS, part, stopping(KINDS[part], at, count=[]))
        with pytest.raises(KeyboardInterrupt):
            Grouped(model=part, **SMALL).fit(TABLE, **options)
    resumed = Grouped(model=part, **SMALL).fit(TABLE, **options)
    pd.testing.assert_frame_equal(resumed.sample(100, seed=1), whole, check_exact=True)


# --- streams --------------------------------------------------------------------------------------


def test_names_count_from_0_in_order_of_time(learned):
    sample = learned.sample(500, seed=4)
    assert sample["time"].is_monotonic_increasing
    for name in NAMES:
        first = sample[name].drop_duplicates().to_numpy()
        assert (first == np.arange(len(first))).all()
    assert (sample.groupby("task")["dataset"].nunique() == 1).all()
    assert (sample.groupby("task")["colour"].nunique() == 1).all()
    assert (sample.groupby("dataset")["colour"].nunique() == 1).all()


def test_a_stream_has_its_days_its_rate_and_its_start(learned):
    rate = len(LARGE) / 28
    for days, factor, start in ((28, 1.0, None), (10, 3.0, 5.5), (300, 1.0, 1_000)):
        stream = learned.sample(days=days, rate=rate * factor, start=start, seed=2)
        begin = start or 0
        assert stream["time"].min() >= begin and stream["time"].max() < begin + days
        assert len(stream) == pytest.approx(rate * factor * days, rel=0.35)
        sizes = stream.groupby("task").size()
        assert sizes.mean() == pytest.approx(LARGE.groupby("task").size().mean(), rel=0.35)


def test_times_lie_on_the_seconds_of_the_table(learned):
    second = learned.sample(days=30, start=100.0)["time"].to_numpy() * 86_400
    assert np.abs(second - np.rint(second)).max() < 1e-4


def test_what_a_group_shares_is_learned(learned):
    sample = learned.sample(3_000, seed=5)
    level = sample["level"].groupby(sample["task"])
    inside = ((sample["level"] - level.transform("mean")) ** 2).mean() / sample["level"].var()
    assert inside < 0.1  # true: 0.01
    gaps = sample.groupby("task")["time"].diff().dropna() * 86_400
    assert gaps.median() == pytest.approx(34, abs=15)
    sizes = sample.groupby("task").size()
    colour = sample.groupby("task")["colour"].first()
    assert sizes[colour == "blue"].mean() > 2 * sizes[colour == "red"].mean()


def test_rows_hold_what_is_asked_for(learned):
    where = {"colour": "red", "state": "bad", "time": (7, 14)}
    sample = learned.sample(40, seed=1, where=where)
    assert len(sample) == 40 and (sample[["colour", "state"]] == ["red", "bad"]).all().all()
    assert sample["time"].between(7, 14).all() and sample["time"].is_monotonic_increasing
    stream = learned.sample(days=28, seed=1, where={"colour": "red"})
    assert (stream["colour"] == "red").all() and len(stream) > 100


# --- other tables ---------------------------------------------------------------------------------


def test_the_order_of_rows_does_not_matter():
    """Times may run back inside a group: its rows are taken in order of time."""
    mixed = TABLE.drop_duplicates(["task", "time"]).sample(frac=1, random_state=0)
    ordered = mixed.sort_values("time")
    names = [fit(table, steps=2).sample(200, seed=1) for table in (mixed, ordered)]
    pd.testing.assert_frame_equal(*names, check_exact=True)


@pytest.mark.parametrize(
    ("what", "task"),
    [("one row a group", np.arange(200)), ("one group in all", np.zeros(200, np.int64))],
)
def test_groups_of_one_row_and_one_group_are_learned(what, task):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"time": np.sort(rng.random(200)) * 14, "x": rng.normal(size=200)})
    model = fit(table.assign(task=task), steps=2)
    sample = model.sample(150, seed=1)
    assert_rows_like(sample, table, 150)
    n_groups = sample["task"].nunique()  # one group that begins late is cut at the end
    assert n_groups == 150 if what == "one row a group" else n_groups <= 4


@pytest.mark.parametrize("n", [1, 2])
def test_a_table_of_a_row_or_two_is_learned(n):
    sample = fit(TABLE.iloc[:n], steps=1).sample(5, seed=1)
    assert len(sample) == 5 and set(sample["colour"]) <= set(TABLE["colour"].iloc[:n])


def test_dates_strings_gaps_and_no_data_sets():
    table = TABLE.drop(columns="dataset").rename(columns={"task": "order", "time": "when"})
    table["when"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(
        np.rint(table["when"] * 86_400), unit="s"
    )
    table["order"] = table["order"].astype(str)
    table["level"] = table["level"].where(np.arange(len(table)) % 5 > 0)
    model = fit(table, group="order")
    sample = model.sample(200, seed=1)
    assert (sample.dtypes == table.dtypes).all() and sample["level"].isna().any()
    later = model.sample(days=4, start="2031-05-05")["when"]
    assert later.min() >= pd.Timestamp("2031-05-05") and later.max() < pd.Timestamp("2031-05-09")
    assert (later.dt.microsecond == 0).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": None}, "task: every row must name its own, 1475 of 1475 are missing"),
        ({"dataset": np.nan}, "dataset: every row must name its own"),
        ({"task": 0.5}, "task: must hold whole numbers or strings, got float64"),
        ({"time": "now"}, "a grouped table needs a column of times, none of"),
    ],
)
def test_tables_that_say_too_little_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        fit(TABLE.assign(**change))


def test_missing_times_are_refused():
    with pytest.raises(ValueError, match="time: every row must have a time, some are missing"):
        fit(TABLE.assign(time=TABLE["time"].where(TABLE.index > 3)))
    with pytest.raises(ValueError, match="needs the column 'task', got"):
        fit(TABLE.drop(columns="task"))
    with pytest.raises(ValueError, match="needs a column of times, got"):
        fit(TABLE[["task"]])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n": 5, "days": 2}, "sample takes n, or days, rate and start of a stream, not both"),
        ({"n": -1}, "n must be a whole number"),
        ({"days": 0}, "days must be positive and finite"),
        ({"rate": -3.0}, "rate must be positive and finite"),
        ({"start": -1.0}, "start must not be before the first day learned from, 0 days"),
        ({"start": "noon"}, "start must be a day, got 'noon'"),
        ({"days": 3, "where": {"task": 1}}, "where takes the columns"),
        ({"n": 3, "where": {"colour": "green"}}, "'green' was not seen in training"),
        ({"days": 1e12}, "GiB"),
    ],
)
def test_streams_that_cannot_be_are_refused(learned, arguments, said):
    with pytest.raises(ValueError, match=said):
        learned.sample(**arguments)


def test_nothing_is_drawn_before_it_is_fitted():
    with pytest.raises(NotFittedError):
        Grouped().sample(3)
    with pytest.raises(ValueError, match="model must be tabddpm or tabar"):
        Grouped(model="tvae")


def test_a_damaged_model_is_refused(fitted, tmp_path):
    folder = fitted.save(tmp_path)
    (weights,) = folder.glob("weights-*")
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ValueError, match="no whole saved generator"):
        generators.load(folder)
