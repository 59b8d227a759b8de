"""benchmarks.popularity: what is known on a day, by hand, and a future that can be foretold."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import popularity
from benchmarks.popularity import Uses, decayed, examples, score
from pandaenv import records, reference


def grouped(rows: list[tuple[float, int, int]]) -> pd.DataFrame:
    """Rows (day, task, data set) of one format each."""
    table = pd.DataFrame(rows, columns=["creationtime", "task", "dataset"])
    return table.assign(datatype="DAOD_PHYS", project="mc20_13TeV")


def weekly(days: int = 70) -> pd.DataFrame:
    """Data sets that are read every week, every day, or once."""
    rows, task = [], 0
    for dataset in range(30):
        often = {0: range(0, days, 7), 1: range(days)}.get(dataset % 3, [dataset % 14])
        for day in often:
            task += 1
            rows += [
                (day + 0.1 * k / 10 + 0.01 * dataset, task, dataset) for k in range(1 + dataset % 3)
            ]
    return grouped(rows).sort_values("creationtime", ignore_index=True)


def test_what_is_known_on_a_day_knows_nothing_of_later():
    rows = [(0.5, 0, 7), (0.6, 0, 7), (3.1, 1, 9), (20.2, 2, 7), (28.0, 3, 5), (30.5, 4, 7)]
    x, jobs = examples(Uses.of(grouped(rows)), 28, 7)
    assert x.index.tolist() == [0, 1] and jobs.tolist() == [1, 0]
    assert x["age"].tolist() == [28, 25] and x["recency"].tolist() == [8, 25]
    assert np.expm1(x["jobs ever"]).round(9).tolist() == [3, 1]
    assert np.expm1(x["tasks ever"]).round(9).tolist() == [2, 1]
    assert np.expm1(x["jobs 28d"]).round(9).tolist() == [3, 1] and not x["jobs 7d"].any()
    changed, _ = examples(Uses.of(grouped([*rows[:5], (29.0, 4, 9)])), 28, 7)
    pd.testing.assert_frame_equal(x, changed)


def test_decay_is_the_weighted_mean_of_the_days_before():
    uses = Uses.of(grouped([(0.0, 0, 1), (2.0, 1, 1), (2.5, 1, 1), (3.0, 2, 1)]))
    weight = np.exp([-2 / 4, -1 / 4, 0])
    expected = 7 * (weight @ [1, 0, 2]) / weight.sum()
    assert decayed(uses, 3, 7, 4.0) == pytest.approx([expected])


def test_the_score_by_hand():
    jobs = np.array([0.0] * 18 + [10, 30])
    assert score(jobs, jobs) == {"captured": 1, "AUC": 1, "error": 0, "used": 0.1}
    turned = score(-jobs + 30, jobs)
    assert turned["captured"] == 0 and turned["AUC"] == 0
    nothing = score(jobs, np.zeros(20))
    assert np.isnan([nothing["captured"], nothing["AUC"]]).all()


def test_a_future_that_repeats_itself_is_learned():
    uses = Uses.of(weekly())
    found = popularity.Taught(uses, 7, seed=0).test(uses)
    for way in ("CatBoost, log", "CatBoost, mean"):
        assert found[way]["captured"] > 0.95 and found[way]["AUC"] > 0.95
    assert found["CatBoost, log"]["error"] < 0.2 < found["exponential decay"]["error"] + 0.2


def test_the_command_learns_on_one_stream_and_tests_on_another(tmp_path):
    path = records.write(reference.records(63, 4, 100, groups=True), tmp_path / "made.parquet")
    words = ["--days", "63", "--rate", "150", "--streams", str(path)]
    popularity.main([*words, "--out", str(tmp_path / "p.json")])
    rows = json.loads((tmp_path / "p.json").read_text())["rows"]
    taught = {(row["learned from"], row["tested on"]) for row in rows}
    assert ("made", "another reference") in taught and ("reference", "made") in taught
    assert len(rows) == 2 * 5 * 4 and {row["horizon"] for row in rows} == {"week", "month"}


def test_a_stream_in_which_nothing_is_used_again_teaches_just_that():
    once = Uses.of(grouped([(day + 0.5, day, day) for day in range(70)]))
    foretell = popularity.learn(once, 7, "mean", seed=0)
    assert not foretell(examples(once, 28, 7)[0]).any()


def test_a_stream_too_short_for_a_month_is_told():
    with pytest.raises(ValueError, match="at least 56 days, got 14 in it"):
        popularity.check({"it": Uses.of(weekly(14))})
