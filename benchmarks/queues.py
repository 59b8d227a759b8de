"""The queue test: does a stream make jobs wait as the trace does?

In: two grouped tables. Out: the waits of each, from submission to the first start, when PanDA's
rule places its jobs on one catalogue of sites scaled to one load, and numbers that compare them.
`metrics` knows no simulator, so the measure is handed into an evaluation:
`metrics.registry.MEASURES["queues"] = queues.QUEUES`, then `evaluate(..., only=[..., "queues"])`.
"""

import numpy as np
import pandas as pd

from foundations.units import HOUR_S
from metrics.comparisons import Comparison
from metrics.grades import Rule, factor, times
from metrics.measures import POSITIVE, Measure, Number
from metrics.scores import Score
from metrics.streams import at_one_rate
from metrics.temporal import ratio
from pandaenv.replay import replay

SITES, LOAD = 40, 0.6
QUANTILES = (50, 75, 90, 95, 99)


def waits(table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Hours that each job waited for its first start, and its site; of the jobs that started.

    Args:
        table: a grouped table, see `schema.GROUPS`.
    """
    log = replay(table, SITES, load=LOAD, placed_by="panda_analysis", seed=seed)
    wait = (log["first_start"] - log["submit"]) / HOUR_S
    found = pd.DataFrame({"site": log["computingsite"], "wait": wait})
    return found[wait.notna()]


def compare(trace: pd.DataFrame, stream: pd.DataFrame) -> dict[str, float]:
    """Numbers of the waits of a stream against those of the trace, both as `waits` returns them."""
    here, there = stream["wait"].to_numpy(), trace["wait"].to_numpy()
    values = {"wait mean": ratio(float(here.mean()), float(there.mean()))}
    for q in QUANTILES:
        values[f"wait {q}%"] = ratio(*(float(np.percentile(w, q)) for w in (here, there)))
    by_site = [t.groupby("site", observed=False)["wait"].mean().fillna(0) for t in (trace, stream)]
    share = trace["site"].value_counts(normalize=True).reindex(by_site[0].index).to_numpy()
    apart = float(np.sum(share * (by_site[1] - by_site[0]).abs().to_numpy()))
    return values | {"wait by site": ratio(apart, float(there.mean()))}


def score_queues(comparison: Comparison) -> Score:
    """The measure "queues"; NaN for a table without groups."""
    pair = comparison.once(at_one_rate)
    if pair is None:
        return Score({number.name: float("nan") for number in QUEUES.numbers})
    return Score(compare(*(waits(one.table, seed=comparison.real.seed) for one in pair)))


def _quantile(q: int) -> Number:
    return Number(
        f"wait {q}%",
        "floor",
        POSITIVE,
        f"{q} % quantile of its waits under PanDA's rule over that of the trace",
        "near 1",
        "this project",
        Rule(factor, 1.1, 1.3),
    )


QUEUES = Measure(
    "queues",
    score_queues,
    (
        Number(
            "wait mean",
            "floor",
            POSITIVE,
            "mean of its waits under PanDA's rule over that of the trace",
            "near 1",
            "this project",
            Rule(factor, 1.1, 1.3),
        ),
        *map(_quantile, QUANTILES),
        Number(
            "wait by site",
            "lower",
            POSITIVE,
            "mean over jobs of the difference of the mean wait at their site, over the mean wait",
            "near 0",
            "this project",
            Rule(times, 2, 10),
        ),
    ),
    seconds=10.0,
    exact=True,
    needs="groups",
    default=False,
)
