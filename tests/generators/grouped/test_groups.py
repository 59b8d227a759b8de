"""generators.grouped.groups: who belongs together, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from generators.grouped.groups import Groups, Names, most_frequent, numbered

RNG = np.random.default_rng(1)


def test_rows_stand_by_group_and_time_and_groups_by_their_first_rows():
    time, group = RNG.random(500).round(2), RNG.integers(0, 40, 500)
    found = Groups.of(time, group, RNG.integers(0, 9, 500))
    assert sorted(found.rows) == list(range(500)) and found.size.sum() == 500
    starts = []
    for a, b in zip(found.first[:-1], found.first[1:], strict=True):
        rows = found.rows[a:b]
        assert len(set(group[rows])) == 1 and (np.diff(time[rows]) >= 0).all()
        starts.append(time[rows[0]])
    assert (np.diff(starts) >= 0).all() and len(starts) == len(set(group))


def test_the_group_before_is_the_last_that_read_the_data_set():
    dataset = np.array([3, 1, 3, 3, 1, 0])
    found = Groups(np.arange(6), np.arange(7), dataset).before()
    assert found.tolist() == [-1, -1, 0, 2, 1, -1]


def test_the_most_frequent_code_is_that_of_pandas():
    group, code = RNG.integers(0, 50, 900), RNG.integers(0, 5, 900)
    mode = pd.Series(code).groupby(group).agg(lambda x: x.mode()[0])
    found = most_frequent(group, code, 50)
    assert (found[mode.index] == mode).all()


def test_names_that_say_too_little_are_refused():
    rows = pd.DataFrame({"task": [1, None, 2], "half": [0.5, 1, 2]})
    with pytest.raises(ValueError, match=r"task: every row must name its own, 1 of 3 .* row 1"):
        numbered(rows, "task")
    with pytest.raises(ValueError, match="half: must hold whole numbers or strings, got float64"):
        numbered(rows, "half")
    with pytest.raises(ValueError, match="a grouped table needs the column 'job', got"):
        Names.of(rows, "job", None)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "Int32", "object", "str", "category"])
def test_a_sample_names_groups_as_the_table_did(dtype):
    values = ["b", "a", "b"] if dtype in ("object", "str", "category") else [7, 3, 7]
    table = pd.DataFrame({"t": [0.0, 1.0, 2.0], "task": pd.Series(values).astype(dtype)})
    names = Names.of(table, "task", "dataset")
    out = names.added(table[["t"]].copy(), np.array([5, 2, 5]), np.zeros(3, np.int64))
    assert list(out) == ["t", "task"]
    assert out["task"].astype(str).tolist() == ["0", "1", "0"]
    assert dtype == "category" or out["task"].dtype == table["task"].dtype
