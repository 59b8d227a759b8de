"""Several single-seed tables of one configuration made one: means, spreads and paired leads.

In: results as `benchmarks.fidelity` writes them, one a seed; each seed cuts, trains and scores
anew. Out: a result of the same shape whose numbers are means over the seeds. `spread` holds their
standard deviations, `interval` the mean edges, `runs` the single rows, and `leads` says, metric by
metric, how the best model stands to every other one on the same seeds.
"""

import math
from statistics import fmean, stdev

from scipy import stats

from metrics.registry import all_numbers

CONFIDENCE = 0.95
LEADERS = ("WD", "JSD", "diff-CORR", "diff-MLEF", "C2ST")  # lower is better in all of them


def pooled(results: list[dict], judge) -> dict:
    """One result of several; `judge(rows)` gives the claims of pooled rows. Seeds must differ."""
    first = results[0]
    rows = [_pool(runs) for runs in zip(*(result["rows"] for result in results), strict=True)]
    baselines = zip(*(result["baselines"] for result in results), strict=True)
    return first | {
        "rows": rows,
        "floor": _pool([result["floor"] for result in results]),
        "baselines": [_pool(runs) for runs in baselines],
        "claims": _claims(results, judge(rows)),
        "leads": leads(rows),
        "dcr_test_to_train": _mean([result["dcr_test_to_train"] for result in results]),
        "n_repeats": len(results),
    }


def leads(rows: list[dict]) -> list[dict]:
    """For each metric the model of the least mean, and what every other one has more, paired.

    `more` is the mean over seeds of (other - best) with its 95 % Student interval.
    """
    found = []
    for metric in LEADERS:
        runs = {row["model"]: [run.get(metric) for run in row["runs"]] for row in rows}
        runs = {name: values for name, values in runs.items() if None not in values}
        if runs:
            best = min(runs, key=lambda name: fmean(runs[name]))
            more = {other: _paired(runs[other], runs[best]) for other in runs if other != best}
            found.append({"metric": metric, "best": best, "more": more})
    return found


def _paired(left: list[float], right: list[float]) -> dict[str, float]:
    gaps = [a - b for a, b in zip(left, right, strict=True)]
    mean, n = fmean(gaps), len(gaps)
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * stdev(gaps) / math.sqrt(n)
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _pool(runs: tuple[dict, ...] | list[dict]) -> dict:
    """The mean of rows of one model."""
    first = runs[0]
    row = {key: _merge([run.get(key) for run in runs]) for key in first if key != "spread"}
    numbers = {key: [run.get(key) for run in runs] for key in all_numbers() if key in first}
    row["spread"] = {key: stdev(v) for key, v in numbers.items() if None not in v}
    row["runs"] = [{key: run.get(key) for key in (*numbers, "interval")} for run in runs]
    if "under_trained" in first:
        row["under_trained"] = any(run["under_trained"] for run in runs)
    return row


def _merge(values: list):
    """Mean of numbers, lists and dicts of them; what is no number must be the same in all."""
    first = values[0]
    if isinstance(first, dict):
        return {key: _merge([value[key] for value in values]) for key in first}
    if isinstance(first, list):
        return [_merge(list(parts)) for parts in zip(*values, strict=True)]
    return _mean(values) if _is_number(first) else first


def _mean(values: list) -> float | None:
    return None if None in values else fmean(values)


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _claims(results: list[dict], claims: list[dict]) -> list[dict]:
    """Claims of the means, each with the number of seeds on which it holds by itself."""
    held = [
        sum(result["claims"][i]["holds"] is True for result in results) for i in range(len(claims))
    ]
    return [claim | {"seeds_held": n} for claim, n in zip(claims, held, strict=True)]
