"""benchmarks.transfer: halves of whole tasks; numbers that tell a good source from a bad one."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import transfer


def flow(order, noise=0.01, windows=6):
    rng = np.random.default_rng(0)
    means = np.array(order, float)
    return pd.DataFrame(
        means + noise * rng.normal(size=(windows, len(means))),
        columns=["a", "b", "c", "d"][: len(means)],
    )


def test_the_trace_itself_is_a_perfect_source():
    found = transfer.compared(flow([1, 2, 3, 4]), flow([1, 2, 3, 4]))
    assert found["tau"]["value"] == 1 and found["regret"]["value"] == 0
    assert found["gap"]["value"] == 0 and found["best"] == "a"


def test_a_source_that_turns_the_order_round_costs_all_there_is_to_lose():
    found = transfer.compared(flow([1, 2, 3, 4]), flow([4, 3, 2, 1]))
    assert found["tau"]["value"] == -1 and found["best"] == "d"
    assert found["regret"]["value"] == pytest.approx(3, abs=0.05)
    assert found["tau"]["low"] <= found["tau"]["value"] <= found["tau"]["high"]


def test_columns_in_another_order_are_the_same_source():
    trace = flow([1, 3, 2, 4])
    assert transfer.compared(trace, trace[["d", "b", "a", "c"]])["tau"]["value"] == 1


def test_a_task_lies_whole_in_one_half():
    table = transfer.recorded(days=8, seed=3)
    first, second = transfer.halves(table, 0)
    assert len(first) + len(second) == len(table)
    assert not set(first["jeditaskid"]) & set(second["jeditaskid"])
    assert 0.3 < len(first) / len(table) < 0.7
    assert len(transfer.without_tasks(first).columns) == 9


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--generators gan", "unknown generator 'gan'"),
        ("--policies random nobody", "unknown policy 'nobody'"),
        ("--policies random greedy_true --agents", "must be ranked, got ['random']"),
        ("--agents nowhere", "nowhere"),
        ("--seeds 0", "--seeds must be above 0 and finite, got 0"),
        ("--budget nan", "--budget must be above 0 and finite, got nan"),
        ("--sites nowhere", "sites must be"),
        ("--days 3", "whole week"),
        ("--trainings -1", "--trainings must not be negative, got -1"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(words, sentence, tmp_path, capsys):
    kept = ["--kept", str(tmp_path / "kept"), "--out", str(tmp_path / "t.json")]
    assert transfer.main([*words.split(), *kept]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and sentence in said
    assert not (tmp_path / "t.json").exists()


@pytest.mark.slow
def test_the_command_ranks_policies_and_goes_on_where_it_stopped(tmp_path):
    words = [
        "--generators",
        "smote",
        "--policies",
        "random",
        "least_loaded",
        "--days",
        "21",
        "--rows",
        "2000",
        "--sites",
        "tier1",
        "--rate",
        "2000",
        "--jobs",
        "200",
        "--seeds",
        "2",
        "--trainings",
        "1",
        "--steps",
        "200",
        "--threads",
        "1",
        "--agents",
        "--kept",
        str(tmp_path / "kept"),
        "--out",
        str(tmp_path / "t.json"),
    ]
    transfer.main(words)
    found = json.loads((tmp_path / "t.json").read_text())
    assert [row["source"] for row in found["sources"]] == ["real half", "rows alone", "smote"]
    agents = {row["source"]: row for row in found["taught"]}
    assert set(agents) == {"trace", "real half", "rows alone", "smote"}
    assert set(agents["smote"]["against"]) == {"random"}
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.*")}
    transfer.main(words)
    assert json.loads((tmp_path / "t.json").read_text())["flow"] == found["flow"]
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.*")}
    assert again == finished  # nothing is played or learned again
    words[words.index("--kept") + 1] = str(tmp_path / "shared")
    transfer.main([*words, "--engine", "processes", "--workers", "2"])
    shared = json.loads((tmp_path / "t.json").read_text())
    assert shared["flow"] == found["flow"] and shared["taught"] == found["taught"]
