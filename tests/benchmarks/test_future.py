"""benchmarks.future: the past, as learned and as it was, against each month after it."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import future
from pandaenv import reference


@pytest.fixture(scope="module")
def table():
    return reference.records(days=140, seed=0, rate=40)


def test_months_are_28_days_and_hold_every_row_once(table):
    late = table[table["creationtime"] > 60.0]
    found = future.months(late, 60.0)
    assert sum(map(len, found)) == len(late) and len(found) == 3
    for number, rows in enumerate(found):
        days = rows["creationtime"] - 60.0
        assert days.min() >= 28 * number and days.max() < 28 * (number + 1)


def test_the_future_itself_scores_best_and_a_changed_past_worst(table):
    past, late = table[table["creationtime"] < 112], table[table["creationtime"] >= 112]
    other = past.assign(workload=past["workload"] * 50)
    samples = {"itself": late, "other": other.sample(800, random_state=0)}
    (row,) = future.rows_of(past, late, samples, 800, 0)
    assert row["itself"]["WD"] <= row["floor"]["WD"] + 0.01 < row["other"]["WD"]
    assert row["itself"]["C2ST"] < 0.6 < row["floor"]["C2ST"]  # of few tasks any two months differ


def test_a_date_does_not_tell_the_past_from_the_future(table):
    rows = table.iloc[:600]
    again = rows.assign(creationtime=rows["creationtime"] + 7 * 20)
    found = future.score(rows, again)
    assert found["C2ST"] < 0.6 and found["WD"] < 1e-9


def test_the_command_writes_a_row_for_each_month(tmp_path, table, capsys):
    table.to_parquet(tmp_path / "t.parquet", index=False)
    words = ["--data", tmp_path / "t.parquet", "--generators", "smote", "--n", 300, "--quiet"]
    future.main([str(word) for word in [*words, "--out", tmp_path / "f.json"]])
    result = json.loads((tmp_path / "f.json").read_text())
    assert [row["month"] for row in result["months"]] == [1]
    assert set(result["months"][0]["smote"]) == set(future.SCORES)
    assert capsys.readouterr().out.count("\n") == 2 + len(future.SCORES)
    pd.DataFrame({"x": np.arange(50.0)}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="must have the column creationtime"):
        future.main(["--data", str(tmp_path / "x.parquet"), "--out", str(tmp_path / "g.json")])
    assert not (tmp_path / "g.json").exists()
