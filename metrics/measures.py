"""What a measure of the suite is: a function of two tables, and the numbers that it returns.

A `Measure` stands beside its function, in the file of that function. `metrics.registry` lists all
of them. A new measure is one file and one line:

    def mean_gap(comparison: Comparison) -> Score: ...

    MEAN_GAP = Measure("mean gap", mean_gap, (Number("mean gap", "lower", ...),), seconds=0.1)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .comparisons import Comparison
from .grades import Rule
from .scores import Score

BETTER = {
    "lower": "lower is better",
    "higher": "higher is better",
    "floor": "best at the floor",
}

# Ranges, sources and floors that several numbers share.
SHARE, POSITIVE, ANY = "0 to 1", "0 or more", "any number"
PARK = "Park et al. 2024, arXiv 2410.07940"
OURS = "this project"
ROOT_N = "falls as 1/√n"


@dataclass(frozen=True)
class Number:
    """One number of a measure, and how to read it.

    name: its name in every report. better: "lower", "higher", or "floor" where the value of real
    rows is best and anything below or above it is worse. range: the values it can take. meaning:
    plain words; "it" and "its" mean the synthetic table. floor: what real rows get. source: the
    paper. rule: how it is graded, if at all.
    """

    name: str
    better: Literal["lower", "higher", "floor"]
    range: str
    meaning: str
    floor: str
    source: str
    rule: Rule | None = None

    def grade(self, row: dict, floors: dict) -> str:
        """ "good", "fair" or "bad" in a row of numbers; "" without a rule or a value."""
        value, floor = row.get(self.name), floors.get(self.name)
        if self.rule is None or value is None or floor is None:
            return ""
        return self.rule.grade(value, floor, floors)


@dataclass(frozen=True)
class Measure:
    """A function of a comparison, the numbers that it returns, and what it costs.

    seconds: about what it takes at n = 6,250; the progress bar needs the shares. cap: rows beyond
    which it takes a random subsample, which the report states. rows: whether it scores the n rows
    of every measure or the n_mlef rows of the regressors. exact: whether it reads tables on disk
    whole. needs: what it cannot do without. default: whether `evaluate` takes it unasked.
    listed_after: the measure it follows in tables, if not the one before it in the registry.
    """

    name: str
    function: Callable[[Comparison], Score]
    numbers: tuple[Number, ...]
    seconds: float
    cap: int | None = None
    rows: Literal["n", "n_mlef"] = "n"
    exact: bool = False
    needs: Literal["target", "labels", "times", "groups"] | None = None
    default: bool = True
    listed_after: str | None = None
