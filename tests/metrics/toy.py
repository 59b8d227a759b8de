"""A measure as a user would add it: this file, and one line in `metrics.registry`."""

from metrics.comparisons import Comparison
from metrics.grades import Rule, times
from metrics.measures import OURS, POSITIVE, Measure, Number
from metrics.scores import Score


def score_mean(comparison: Comparison) -> Score:
    """How far the mean of the column "bytes" is off."""
    gap = comparison.rows["bytes"].mean() - comparison.real.train_rows["bytes"].mean()
    return Score({"mean gap": abs(float(gap))})


MEAN_GAP = Measure(
    "mean gap",
    score_mean,
    (
        Number(
            "mean gap",
            "lower",
            POSITIVE,
            "difference of its mean from that of train",
            "falls as 1/√n",
            OURS,
            Rule(times, 2, 10),
        ),
    ),
    seconds=0.1,
)
