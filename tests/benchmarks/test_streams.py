"""benchmarks.streams: every planted defect is what it says, and the page tells what was missed."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import queues, streams
from benchmarks.streams import DEFECTS, alone, gathered, missed, thirds
from metrics.registry import MEASURES
from metrics.streams import Stream
from pandaenv import records, reference, schema

GROUPED = reference.records(days=14, seed=1, rate=700, groups=True)


def planted(name: str) -> pd.DataFrame:
    found = DEFECTS[name][0](GROUPED, np.random.default_rng(0))
    return schema.check(found, groups=True)


def sizes(table: pd.DataFrame) -> list[int]:
    return sorted(table.groupby("task").size())


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_keeps_the_rows_and_the_days(name):
    found = planted(name)
    assert len(found) == len(GROUPED) and found["creationtime"].is_monotonic_increasing
    assert found["creationtime"].between(0, 14, inclusive="left").all()
    for column in ("workload", "inputfilebytes"):
        assert sorted(found[column]) == sorted(GROUPED[column])
    known = {n.name for n in (*MEASURES["streams"].numbers, *queues.QUEUES.numbers)}
    assert set(DEFECTS[name][1]) <= known


def test_each_defect_is_the_one_it_says():
    real = Stream.of(GROUPED, "it")
    assert sizes(planted("tasks shuffled")) == sizes(GROUPED)
    assert max(sizes(planted("sizes levelled"))) == 100 < max(sizes(GROUPED))
    doubled = Stream.of(planted("gaps doubled"), "it")
    assert np.median(doubled.gaps_inside) == pytest.approx(2 * np.median(real.gaps_inside))
    moved = planted("starts spread out")
    assert sizes(moved) == sizes(GROUPED)
    flat = planted("popularity flattened").drop_duplicates("task")
    assert (flat.groupby("dataset")["datatype"].nunique() == 1).all()
    again = planted("reuse shuffled").drop_duplicates("task")["dataset"]
    assert sorted(again) == sorted(GROUPED.drop_duplicates("task")["dataset"])
    strewn = planted("rows strewn")
    np.testing.assert_array_equal(strewn["creationtime"], GROUPED["creationtime"])


def test_thirds_part_no_task_and_lose_no_row():
    parts = thirds(GROUPED, 3)
    tasks = [set(part["task"]) for part in parts]
    assert sum(map(len, parts)) == len(GROUPED)
    assert not (tasks[0] & tasks[1] or tasks[0] & tasks[2] or tasks[1] & tasks[2])


def test_gathered_rows_are_the_rows_in_tasks_of_the_heuristic():
    found = gathered(GROUPED, 0)
    schema.check(found, groups=True)
    assert sorted(found["workload"]) == sorted(GROUPED["workload"])
    assert 1 < found["task"].nunique() < len(found) / 10
    assert alone(GROUPED)["task"].is_unique


def test_a_number_that_stays_at_its_floor_misses_its_defect():
    spreads = {name: dict.fromkeys(numbers, 9.0) for name, (_, numbers) in DEFECTS.items()}
    assert missed(spreads) == []
    spreads["gaps doubled"]["gap in tasks KS"] = 1.0
    assert missed(spreads) == ["gaps doubled is not caught by gap in tasks KS (1.0 spreads)"]


def test_the_page_has_a_line_a_number_and_a_column_a_stream():
    values = {"task size KS": [0.1, 0.2], "reuse KS": [0.0, 0.1]}
    tables = {"honest tasks": values, "gaps doubled": values}
    spreads = {name: {"task size KS": 7.0, "reuse KS": 0.0} for name in tables}
    result = {"command": "python -m benchmarks.streams", "records": 10, "seeds": 2}
    page = streams.to_markdown({"floor": values, "tables": tables}, spreads, result)
    assert "| task size KS | 0.15 | 0.15 |" in page and "| task size KS | **7.0** |" in page
    assert "- **gaps doubled**: Tasks that start when they should" in page


def test_what_to_learn_from_is_the_first_third_of_the_first_cut(tmp_path):
    path = tmp_path / "train.parquet"
    assert streams.main(["--days", "7", "--rate", "100", "--write-train", str(path)]) == 0
    expected = thirds(reference.records(7, 5, 100, groups=True), 0)[0]
    found = records.read(path, groups=True)
    pd.testing.assert_frame_equal(found, schema.check(expected, groups=True))
