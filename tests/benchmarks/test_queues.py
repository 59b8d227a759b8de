"""benchmarks.queues: numbers by hand, and a stream that queues as itself."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import queues
from benchmarks.streams import thirds
from metrics import evaluate
from metrics.registry import MEASURES
from pandaenv import reference, schema
from pandaenv.replay import replay

GROUPED = reference.records(days=7, seed=2, rate=600, groups=True)


def waited(**by_site) -> pd.DataFrame:
    rows = [(site, wait) for site, waits in by_site.items() for wait in waits]
    table = pd.DataFrame(rows, columns=["site", "wait"])
    return table.assign(site=pd.Categorical(table["site"], ["BNL", "CERN", "PIC"]))


def test_numbers_by_hand():
    trace = waited(BNL=[1.0, 2.0, 3.0], CERN=[10.0])
    found = queues.compare(trace, waited(BNL=[2.0, 4.0, 6.0], PIC=[20.0]))
    assert found.pop("wait mean") == 2
    # 3 of 4 jobs at BNL, 2 h more there; 1 of 4 at CERN, 10 h less; over 4 h.
    assert found.pop("wait by site") == (0.75 * 2 + 0.25 * 10) / 4
    assert set(found.values()) == {2}
    still = queues.compare(trace, waited(BNL=[0.0, 0.0, 6.0]))
    assert still["wait 50%"] == 0 and np.isnan(
        queues.compare(waited(BNL=[0.0]), trace)["wait mean"]
    )


def test_waits_are_those_of_a_replay_of_the_true_tasks():
    names = {"task": "jeditaskid", "dataset": "proddblock"}
    log = replay(GROUPED.rename(columns=names), 40, load=0.6, placed_by="panda_analysis", seed=1)
    expected = ((log["first_start"] - log["submit"]) / 3_600).dropna()
    found = queues.waits(GROUPED, seed=1)
    np.testing.assert_array_equal(found["wait"], expected)
    assert (found["wait"] >= 0).all() and len(found) > 0.9 * len(GROUPED)
    renumbered = GROUPED.assign(task=GROUPED["task"] * 7 + 1, dataset=GROUPED["dataset"] + 9)
    pd.testing.assert_frame_equal(queues.waits(renumbered, seed=1), found)


def test_it_is_handed_into_an_evaluation():
    train, holdout, other = thirds(GROUPED, 0)
    MEASURES["queues"] = queues.QUEUES
    try:
        found = evaluate(train, train, holdout, only=["queues"], target=None, n_seeds=1)
        without = evaluate(
            train, other[list(schema.COLUMNS)], holdout, only=["queues"], target=None, n_seeds=1
        )
        assert "| wait by site |" in found.to_markdown()
    finally:
        del MEASURES["queues"]
    assert found.synthetic.values["wait mean"] == pytest.approx(1, abs=0.3)
    assert np.isfinite(found.floor.values["wait mean"])
    assert np.isnan(list(without.synthetic.values.values())).all()
