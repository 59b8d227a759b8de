"""Every measure of the suite, in the order in which reports list them.

Out: `MEASURES` by name, and what is read off it: the names, the defaults, the numbers. A new
measure is one more line here.
"""

from collections.abc import Iterator

from . import (
    association,
    attacks,
    density,
    detection,
    efficacy,
    marginals,
    membership,
    privacy,
    streams,
    tails,
    temporal,
    utility,
)
from .measures import Measure, Number

TABLE_1 = ("WD", "JSD", "diff-CORR", "DCR", "diff-MLEF")  # the columns of Table I

MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        marginals.WD,
        marginals.JSD,
        association.DIFF_CORR,
        privacy.DCR,
        efficacy.DIFF_MLEF,
        detection.C2ST,
        privacy.NNDR,
        tails.TAILS,
        tails.VALIDITY,
        temporal.TEMPORAL,
        streams.STREAMS,
        density.DENSITY,
        membership.MEMBERSHIP,
        attacks.ATTACKS,
        efficacy.MLE,
        efficacy.DIFF_MLEF_SLOW,
        utility.UTILITY,
    )
}


def default() -> tuple[str, ...]:
    """Names of the measures that `evaluate` takes unasked."""
    return tuple(name for name, measure in MEASURES.items() if measure.default)


def listed() -> list[Measure]:
    """All measures in the order in which tables list them."""
    return list(_listed_after(None))


def _listed_after(name: str | None) -> Iterator[Measure]:
    for measure in MEASURES.values():
        if measure.listed_after == name:
            yield measure
            yield from _listed_after(measure.name)


def all_numbers() -> dict[str, Number]:
    """All numbers by name, in the order in which tables list them."""
    return {number.name: number for measure in listed() for number in measure.numbers}
