"""metrics.registry: a new measure is one file and one line, and is seen everywhere."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import defects
from metrics import evaluate, glossary, registry
from metrics.page import Page
from tests.metrics.toy import MEAN_GAP


def table(n, seed, size=1.0):
    rng = np.random.default_rng(seed)
    site = pd.Categorical(rng.choice(["BNL", "CERN"], n))
    return pd.DataFrame({"bytes": size * rng.lognormal(0, 1, n), "jobstatus": site})


@pytest.fixture
def with_toy():
    """The registry with one more line."""
    registry.MEASURES[MEAN_GAP.name] = MEAN_GAP
    yield
    del registry.MEASURES[MEAN_GAP.name]


def test_a_new_measure_is_taken_unasked_with_its_floor(with_toy):
    tables = table(300, 0), table(100, 1, size=9), table(200, 2)
    report = evaluate(*tables, target=None, n_seeds=1)
    assert report.synthetic.values["mean gap"] > 10 * report.floor.values["mean gap"] > 0
    assert report.sizes["mean gap"] == 100
    loaded = json.loads(report.to_json())
    assert loaded["floor"]["values"]["mean gap"] == report.floor.values["mean gap"]


def test_a_new_measure_has_a_line_in_every_table(with_toy):
    report = evaluate(table(300, 0), table(100, 1), table(200, 2), only="mean gap")
    assert list(report.synthetic.values) == ["mean gap"]
    assert "difference of its mean from that of train" in report.to_markdown()
    assert glossary.page().splitlines()[-1].startswith("| mean gap | mean gap | lower is better |")


def test_a_new_measure_is_graded_on_the_page(with_toy):
    assert registry.all_numbers()["mean gap"].grade({"mean gap": 9.0}, {"mean gap": 1.0}) == "fair"
    far = {"model": "far", "mean gap": 90.0, "under_trained": False}
    result = {"floor": {"mean gap": 1.0}, "rows": [far], "n_synthetic": 5_000}
    page = Page(result, table(9, 0), {}, pd.DataFrame(), {})
    assert page._groups() == {"mean gap": ["mean gap"]}
    assert page._picture() == {"mean gap": [{"good": 0, "fair": 0, "bad": 1}]}


def test_a_new_measure_is_held_against_planted_defects(with_toy):
    found = defects.measure(
        table(400, 3), n_train=100, n=50, seeds=2, only=("mean gap",), defects=("train copy",)
    )
    assert len(found["floor"]["mean gap"]) == 2
    assert set(defects.distances(found)["train copy"]) == {"mean gap"}


def test_the_registry_keeps_its_order_and_its_tables_theirs():
    assert tuple(registry.MEASURES)[:5] == registry.TABLE_1
    assert set(registry.TABLE_1) < set(registry.default())
    assert registry.default() == tuple(k for k, m in registry.MEASURES.items() if m.default)
    listed = [measure.name for measure in registry.listed()]
    assert listed.index("NNDR") == listed.index("DCR") + 1
    assert listed.index("diff-MLEF lr 0.1") == listed.index("diff-MLEF") + 1
