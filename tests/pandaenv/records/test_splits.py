"""The split into train and test, at random and by time."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandaenv import schema
from pandaenv.records import TEST, TRAIN, read, split, table_path
from tests.pandaenv.records.raw_dump import ingest_raw, random_records, raw_table, with_bad_rows

REAL = random_records(300)


def test_the_files_split_is_the_functions_split(tmp_path):
    pytest.importorskip("duckdb")
    raw, _ = with_bad_rows(raw_table(REAL))
    for by in ("random", "time"):
        cascade = ingest_raw(raw, tmp_path, split=by, seed=7)
        whole = read(tmp_path / "out/records.parquet")
        for part, name in zip(split(whole, by=by, seed=7), (TRAIN, TEST), strict=True):
            saved = read(table_path(tmp_path / "out", name))
            pd.testing.assert_frame_equal(saved, schema.check(part.reset_index(drop=True)))
        assert (cascade.split["train"], cascade.split["test"]) == (240, 60)


@given(st.integers(1, 200), st.integers(0, 5), st.sampled_from(["random", "time"]))
def test_a_split_parts_the_rows_four_to_one(n, seed, by):
    train, test = split(REAL.head(n), by=by, seed=seed)
    assert len(test) == round(0.2 * n)
    assert sorted([*train.index, *test.index]) == list(range(n))
    again, _ = split(REAL.head(n), by=by, seed=seed)
    assert again.index.equals(train.index)


def test_a_time_split_tests_on_the_last_days():
    train, test = split(REAL.sample(frac=1, random_state=1), by="time")
    assert test["creationtime"].min() >= train["creationtime"].max()


@given(st.lists(st.integers(0, 9), min_size=2, max_size=80), st.integers(0, 5))
def test_a_split_by_task_parts_no_task_and_knows_no_numbers(task, seed):
    table = pd.DataFrame({"task": task})
    if len(set(task)) < 2:
        with pytest.raises(ValueError, match="needs at least two tasks, got 1"):
            split(table, by="task", seed=seed)
        return
    train, test = split(table, by="task", seed=seed)
    assert len(train) and len(test) and not set(train["task"]) & set(test["task"])
    assert sorted([*train.index, *test.index]) == list(range(len(task)))
    renumbered = table.assign(task=[(7 * t + 3) % 1_000_003 for t in task])
    assert split(renumbered, by="task", seed=seed)[1].index.equals(test.index)


def test_a_split_by_task_has_a_fifth_of_many_rows():
    task = np.random.default_rng(0).integers(0, 400, 4_000)
    assert len(split(pd.DataFrame({"task": task}), by="task")[1]) == pytest.approx(800, abs=10)


def test_a_split_by_task_needs_tasks():
    with pytest.raises(ValueError, match="needs a column 'task'"):
        split(REAL, by="task")
    with pytest.raises(ValueError, match="the task of every row, missing in row 2"):
        split(pd.DataFrame({"task": [1.0, 2.0, np.nan]}), by="task")


@pytest.mark.parametrize("seed", ["a", -1, 1.5, None, True, [1]])
def test_a_seed_of_a_split_is_a_whole_number(seed):
    table = pd.DataFrame({"creationtime": np.arange(10.0)})
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0 .*, got"):
        split(table, seed=seed)


def test_an_unknown_way_to_split_is_refused():
    with pytest.raises(ValueError, match="unknown split 'weekly'; known: random, time, task"):
        split(REAL, by="weekly")
