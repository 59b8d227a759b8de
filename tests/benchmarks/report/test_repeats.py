"""benchmarks.report.repeats: several seeds made one table."""

import math

import pytest
from scipy import stats

from benchmarks.report import repeats


def result(seed, ours, other, holds):
    rows = [
        {
            "model": "ours",
            "WD": ours,
            "C2ST": 0.5,
            "steps": 10 + seed,
            "under_trained": seed == 1,
            "spread": {},
            "interval": {"DCR": [0.0, float(seed)]},
            "columns": {"WD": {"a": ours}},
            "association": {"columns": ["a"], "values": [[float(seed)]]},
        },
        {
            "model": "other",
            "WD": other,
            "C2ST": None,
            "steps": None,
            "under_trained": False,
            "spread": {},
            "interval": {},
            "columns": {},
            "association": None,
        },
    ]
    return {
        "rows": rows,
        "floor": {"model": "real rows", "WD": 0.1 * seed},
        "baselines": [],
        "claims": [{"claim": "c", "holds": holds}],
        "dcr_test_to_train": None,
        "config": {"n": 1},
    }


@pytest.fixture
def pooled():
    results = [result(0, 1.0, 3.0, True), result(1, 2.0, 5.0, False), result(2, 3.0, 4.0, True)]
    return repeats.pooled(results, lambda rows: [{"claim": "c", "holds": True}])


def test_numbers_are_means_with_their_standard_deviation(pooled):
    ours = pooled["rows"][0]
    assert ours["WD"] == 2.0 and ours["spread"]["WD"] == 1.0 and ours["steps"] == 11
    assert ours["columns"] == {"WD": {"a": 2.0}} and ours["interval"] == {"DCR": [0.0, 1.0]}
    assert ours["association"] == {"columns": ["a"], "values": [[1.0]]}
    assert pooled["floor"]["WD"] == pytest.approx(0.1)


def test_a_row_is_under_trained_if_one_of_its_runs_is(pooled):
    assert [row["under_trained"] for row in pooled["rows"]] == [True, False]


def test_what_one_run_lacks_stays_undefined(pooled):
    assert pooled["rows"][1]["C2ST"] is None and "C2ST" not in pooled["rows"][1]["spread"]


def test_claims_say_on_how_many_seeds_they_hold(pooled):
    assert pooled["claims"] == [{"claim": "c", "holds": True, "seeds_held": 2}]


def test_leads_are_paired_by_seed(pooled):
    (lead, c2st) = pooled["leads"]
    gaps, half = lead["more"]["other"], stats.t.ppf(0.975, 2) * 1.0 / math.sqrt(3)
    assert lead["best"] == "ours" and c2st == {"metric": "C2ST", "best": "ours", "more": {}}
    assert gaps["mean"] == 2.0  # gaps 2, 3, 1
    assert gaps["low"] == pytest.approx(2 - half) and gaps["high"] == pytest.approx(2 + half)
