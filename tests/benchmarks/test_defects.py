"""benchmarks.defects: planted defects are caught by the numbers meant to, honest rows are not."""

import json

import numpy as np
import pytest

from benchmarks import defects
from metrics.registry import all_numbers
from pandaenv import reference

FAST = {  # groups measured together: the defects they are for
    ("temporal", "validity", "JSD", "tails", "diff-CORR"): (
        "six hours late",
        "days shuffled",
        "bursts spread out",
        "rare levels dropped",
        "tails clipped",
        "half files",
        "independent columns",
    ),
    ("DCR", "NNDR", "membership"): ("train copy", "jittered train"),
    ("density",): ("one row in ten, ten times",),
}


@pytest.fixture(scope="module")
def records():
    return reference.records(days=30, seed=3, rate=2_000)


@pytest.fixture(scope="module")
def found(records):
    whole = {"floor": {}, "tables": {"honest rows": {}}}
    for only, names in FAST.items():
        part = defects.measure(records, n_train=6_000, n=1_500, seeds=3, only=only, defects=names)
        whole["floor"] |= part["floor"]
        for name, numbers in part["tables"].items():
            whole["tables"].setdefault(name, {}).update(numbers)
    return whole


@pytest.mark.parametrize("name", [name for names in FAST.values() for name in names])
def test_a_planted_defect_is_caught_by_a_number_meant_to(found, name):
    far = defects.distances(found)[name]
    caught = [m for m in defects.DEFECTS[name][2] if far.get(m, 0) > defects.LIMIT]
    assert caught


def test_honest_rows_stay_near_their_floor(found):
    """With three cuts a spread is often too small, so one number in twenty may stray."""
    far = list(defects.distances(found)["honest rows"].values())
    assert np.median(far) < 2 and np.mean(np.array(far) > defects.LIMIT) <= 0.05


def test_the_page_has_a_line_a_number_and_a_column_a_table(found):
    page = defects.to_markdown(
        found, {"command": "x", "n_train": 1, "records": 2, "n": 3, "seeds": 3}
    )
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + len(found["floor"])
    assert len({line.count("|") for line in lines}) == 1


def test_spreads_count_only_the_worse_side():
    assert defects._worse("C2ST", 0.2, 0.1) == pytest.approx(2)
    assert defects._worse("C2ST", -0.2, 0.1) == 0
    assert defects._worse("beta-recall", -0.2, 0.1) == pytest.approx(2)
    assert defects._worse("DCR", -0.2, 0.1) == pytest.approx(2)


def test_defects_keep_the_columns_and_the_number_of_rows(records):
    rng = np.random.default_rng(0)
    for name, (make, _, meant) in defects.DEFECTS.items():
        made = make(records.iloc[:4_000].reset_index(drop=True), 500, rng)
        assert len(made) == 500 and list(made) == list(records), name
        assert set(meant) <= set(all_numbers()), name
        assert made.notna().all().all(), name


def test_too_few_records_are_refused(records):
    with pytest.raises(ValueError, match="records must have at least 130 rows, got 100"):
        defects.measure(records[:100], n_train=100, n=10)


def test_the_published_table_is_that_of_the_results():
    result = json.loads((defects.ROOT / "benchmarks/results/defects.json").read_text())
    found = {
        "floor": _floats(result["floor"]),
        "tables": {name: _floats(numbers) for name, numbers in result["tables"].items()},
    }
    page = (defects.ROOT / "docs" / "defects.md").read_text()
    assert page == defects.to_markdown(found, result)
    assert result["missed"] == defects.missed(found)


def _floats(numbers):
    return {name: [np.nan if v is None else v for v in values] for name, values in numbers.items()}


@pytest.mark.slow
def test_the_published_numbers_come_out_again():
    """The quick groups at the published size: the same floors, and no defect missed."""
    only = ("JSD", "DCR", "NNDR", "tails", "validity", "temporal", "membership")
    found = defects.measure(
        reference.records(days=30, seed=3), n_train=20_000, n=4_000, seeds=5, only=only
    )
    assert defects.missed(found) == []
    result = json.loads((defects.ROOT / "benchmarks/results/defects.json").read_text())
    for name, values in found["floor"].items():
        assert values == pytest.approx(result["floor"][name], rel=1e-6, abs=1e-12), name


def test_a_number_that_never_moved_is_infinitely_far():
    assert defects._cell(1e8, "exact share", "train copy") == "<u>**∞**</u>"
    assert defects._cell(None, "WD", "train copy") == "–"
