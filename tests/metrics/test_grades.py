"""metrics.grades: numbers graded by their distance from the floor."""

import math

import pytest

from metrics import grades
from metrics.registry import all_numbers

NUMBERS = all_numbers()
RULES = {name: number.rule for name, number in NUMBERS.items() if number.rule}


def test_the_bounds_of_every_rule_widen():
    assert RULES and all(rule.good < rule.fair for rule in RULES.values())


def test_the_floor_itself_is_graded_good():
    floor = dict.fromkeys(RULES, 0.3) | {"MLEF": 3.3, "diff-MLEF": 0.3}
    assert {NUMBERS[key].grade(floor, floor) for key in RULES} == {"good"}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("alpha-precision", 0.99, "good"),
        ("alpha-precision", 0.85, "fair"),
        ("beta-recall", 0.2, "bad"),
        ("dispersion 1h", -1.0, "bad"),
        ("membership AUC", 0.9, "bad"),
        ("membership AUC", 0.1, "good"),
        ("WD/sd", 5.0, ""),
        ("WD", None, ""),
    ],
)
def test_the_worse_side_alone_is_bad(key, value, expected):
    floor = dict.fromkeys(NUMBERS, 0.9) | {"dispersion 1h": 1.0, "membership AUC": 0.5}
    assert NUMBERS[key].grade({key: value}, floor) == expected


def test_without_a_floor_above_zero_only_nothing_is_near():
    assert grades.times(0.0, 0.0, {}) == 0.0 and grades.times(1e-9, 0.0, {}) == math.inf
    assert grades.relative(-0.2, -0.2, {}) == 0.0 and grades.relative(0.1, 0.0, {}) == math.inf
    assert grades.error(0.1, 0.0, {"MLEF": 0.0}) == math.inf
    assert grades.factor(0.0, 0.0, {}) == 1.0 and grades.factor(1.0, 0.0, {}) == math.inf
