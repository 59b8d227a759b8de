"""How far a number is from its floor, in three grades: good, fair, bad.

In: a number, its floor and the other numbers of the floor. Out: a grade, by the rule that stands
with the number in its `Measure`. The bounds are conventions of this project for reading a page at
a glance. No number depends on them.
"""

from collections.abc import Callable
from typing import NamedTuple

Distance = Callable[[float, float, dict], float]  # value, floor, all floors -> distance


class Rule(NamedTuple):
    """A distance from the floor, and the largest distance that is still good or fair."""

    distance: Distance
    good: float
    fair: float

    def grade(self, value: float, floor: float, floors: dict) -> str:
        """ "good", "fair" or "bad"."""
        distance = self.distance(value, floor, floors)
        return "good" if distance <= self.good else "fair" if distance <= self.fair else "bad"


def times(value: float, floor: float, floors: dict) -> float:
    """How many times the floor; infinite for a positive value over a floor of 0."""
    return value / floor if floor > 0 else (0.0 if value <= 0 else float("inf"))


def factor(value: float, floor: float, floors: dict) -> float:
    """The factor between value and floor, whichever is larger."""
    least, most = sorted((value, floor))
    if least == most:
        return 1.0
    return most / least if least > 0 else float("inf")


def above(value: float, floor: float, floors: dict) -> float:
    """How much more than the floor."""
    return value - floor


def below(value: float, floor: float, floors: dict) -> float:
    """How much less than the floor."""
    return floor - value


def apart(value: float, floor: float, floors: dict) -> float:
    """Absolute difference from the floor."""
    return abs(value - floor)


def relative(value: float, floor: float, floors: dict) -> float:
    """Absolute difference over the size of the floor; for numbers of either sign."""
    return abs(value - floor) / abs(floor) if floor else (0.0 if value == 0 else float("inf"))


def plain(value: float, floor: float, floors: dict) -> float:
    """The value itself, whatever the floor."""
    return value


def error(value: float, floor: float, floors: dict) -> float:
    """A difference of errors over the error of the regressor that was trained on train rows."""
    return times(value, floors["MLEF"] - floor, floors)
