"""Popularity: how well can the use of each data set be foretold, and does a surrogate teach it?

Every Monday, for each data set known by then, predicts the jobs that will read it in the next week
and in the next four, from what was known: recency, frequency by jobs and by tasks, age and format.
CatBoost learns on one stream and is tested on another, once the log of 1 + jobs and once their mean
(a Tweedie loss), because few data sets have most of the jobs and the two rank them differently.
Beside it stand rules that learn nothing (last week's use) or one number (exponential decay, its
days chosen on the stream learned from). Teachers are a draw of the reference, its rows gathered
into tasks by the heuristic, and any grouped Parquet file of a surrogate. All are tested on another
draw of the reference, and what the reference teaches is tested on each of them. Writes
results/popularity.json and prints a table:

| number | meaning | best |
|---|---|---|
| captured | jobs on the tenth of data sets predicted highest, over those on the best tenth | 1 |
| AUC | chance that a data set that will be used is predicted above one that will not | 1 |
| error | root mean squared error of log(1 + jobs) | 0 |

    python -m benchmarks.popularity [--days 84] [--rate 11000] [--streams FILE ...] [--out FILE]
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.inputs.arguments import command, command_parser, new_file, positive, whole
from benchmarks.inputs.places import RESULTS
from benchmarks.report.intervals import table
from benchmarks.report.provenance import provenance, write_json
from benchmarks.streams import gathered
from metrics.detection import auc
from metrics.report import plain, show
from pandaenv import records, reference

HORIZONS = {"week": 7, "month": 28}  # days
WINDOWS = (1, 7, 28)  # days of use that are told apart
LEAST_PAST = 28  # days before the first prediction
DECAYS = (2.0, 4.0, 8.0, 16.0, 32.0)  # days
TOP = 10  # the predicted tenth
FORMAT = ("datatype", "project")
ITERATIONS, DEPTH, LEARNING_RATE = 200, 4, 0.05
LOSSES = {"log": "RMSE", "mean": "Tweedie:variance_power=1.5"}


@dataclass(frozen=True)
class Uses:
    """Jobs and tasks by data set and day, (D, days) each, and the format of each data set."""

    jobs: np.ndarray
    tasks: np.ndarray
    format: pd.DataFrame

    @classmethod
    def of(cls, grouped: pd.DataFrame) -> "Uses":
        """Of a grouped table, whose days are counted from that of its first row's Monday."""
        grouped = grouped.sort_values("creationtime", kind="stable")
        day = np.floor(grouped["creationtime"]).to_numpy(np.int64)
        day -= day[0] // 7 * 7
        dataset, _ = pd.factorize(grouped["dataset"])
        shape = (dataset.max() + 1, int(day.max()) + 1)
        place = dataset * shape[1] + day
        is_read = ~grouped.duplicated(["task", "dataset"]).to_numpy()
        jobs, tasks = (
            np.bincount(p, minlength=shape[0] * shape[1]).reshape(shape).astype(float)
            for p in (place, place[is_read])
        )
        first = ~pd.Series(dataset).duplicated().to_numpy()
        return cls(jobs, tasks, grouped.loc[first, list(FORMAT)].astype(str).reset_index(drop=True))

    def mondays(self, horizon: int) -> range:
        """Days on which there is a past to learn from and a future to predict."""
        return range(LEAST_PAST, self.jobs.shape[1] - horizon + 1, 7)


def examples(uses: Uses, day: int, horizon: int) -> tuple[pd.DataFrame, np.ndarray]:
    """What is known on a day of each data set used before, and the jobs that will read it.

    Shapes: one row a known data set; (known,). The frame's index is the number of the data set.
    """
    known = np.flatnonzero(uses.jobs[:, :day].any(axis=1))
    jobs, tasks = uses.jobs[known, :day], uses.tasks[known, :day]
    is_used = jobs > 0
    told = {"age": day - is_used.argmax(axis=1), "recency": 1 + is_used[:, ::-1].argmax(axis=1)}
    for name, count in (("jobs", jobs), ("tasks", tasks)):
        told |= {f"{name} {w}d": np.log1p(count[:, -w:].sum(axis=1)) for w in WINDOWS}
        told[f"{name} ever"] = np.log1p(count.sum(axis=1))
    frame = pd.DataFrame(told, index=known).astype(float)
    frame[list(FORMAT)] = uses.format.iloc[known].to_numpy()
    return frame, uses.jobs[known, day : day + horizon].sum(axis=1)


def learn(uses: Uses, horizon: int, kind: str, seed: int) -> Callable[[pd.DataFrame], np.ndarray]:
    """What CatBoost made of all Mondays of a stream: jobs foretold, of what is known.

    kind: "log" or "mean", what of the jobs it learns.
    """
    from catboost import CatBoostRegressor

    parts = [examples(uses, day, horizon) for day in uses.mondays(horizon)]
    model = CatBoostRegressor(
        iterations=ITERATIONS,
        depth=DEPTH,
        learning_rate=LEARNING_RATE,
        loss_function=LOSSES[kind],
        cat_features=list(FORMAT),
        random_seed=seed,
        verbose=False,
        allow_writing_files=False,
        thread_count=1,
    )
    jobs = np.concatenate([y for _, y in parts])
    if (jobs == jobs[0]).all():  # a stream in which nothing is used again
        return lambda known: np.full(len(known), jobs[0])
    model.fit(pd.concat([x for x, _ in parts]), np.log1p(jobs) if kind == "log" else jobs)

    def foretell(known: pd.DataFrame) -> np.ndarray:
        raw = model.predict(known, prediction_type="RawFormulaVal")
        return np.expm1(np.maximum(raw, 0)) if kind == "log" else np.exp(raw)

    return foretell


def decayed(uses: Uses, day: int, horizon: int, days: float) -> np.ndarray:
    """(D,) jobs foretold if use fades by e in so many days, at the rate of the weighted past."""
    weight = np.exp(-np.arange(day)[::-1] / days)
    return uses.jobs[:, :day] @ (weight / weight.sum()) * horizon


def best_decay(uses: Uses, horizon: int) -> float:
    """The days of decay that capture most on a stream."""
    found = {}
    for days in DECAYS:

        def rule(x, day, days=days):
            return decayed(uses, day, horizon, days)[x.index]

        scores = scored(uses, horizon, rule)
        found[days] = scores["captured"]
    return max(found, key=found.get)


def scored(uses: Uses, horizon: int, predict) -> dict[str, float]:
    """Means over the Mondays of a stream; predict(known, day) gives jobs, (known,)."""
    found = []
    for day in uses.mondays(horizon):
        x, jobs = examples(uses, day, horizon)
        foretold = predict(x, day)
        found.append(score(foretold, jobs))
    return pd.DataFrame(found).mean().to_dict()


def score(foretold: np.ndarray, jobs: np.ndarray) -> dict[str, float]:
    """One Monday's numbers; `captured` and `AUC` are NaN where nothing, or all, is used."""
    n = max(1, len(jobs) * TOP // 100)
    best = np.sort(jobs)[::-1][:n].sum()
    top = jobs[np.argsort(-foretold, kind="stable")[:n]].sum()
    is_used = (jobs > 0).astype(int)
    return {
        "captured": float(top / best) if best > 0 else float("nan"),
        "AUC": auc(is_used, foretold) if 0 < is_used.sum() < len(jobs) else float("nan"),
        "error": float(np.sqrt(np.mean((np.log1p(foretold) - np.log1p(jobs)) ** 2))),
        "used": float(is_used.mean()),
    }


class Taught:
    """What a stream teaches about the use of data sets in so many days."""

    def __init__(self, teacher: Uses, horizon: int, seed: int):
        self.learned = {kind: learn(teacher, horizon, kind, seed) for kind in LOSSES}
        self.days, self.horizon = best_decay(teacher, horizon), horizon

    def test(self, pupil: Uses) -> dict[str, dict[str, float]]:
        """Numbers on a stream of each way to foretell."""
        horizon, days = self.horizon, self.days
        ways = {
            "CatBoost, log": lambda x, day: self.learned["log"](x),
            "CatBoost, mean": lambda x, day: self.learned["mean"](x),
            "exponential decay": lambda x, day: decayed(pupil, day, horizon, days)[x.index],
            "last week": lambda x, day: (
                pupil.jobs[x.index, day - 7 : day].sum(axis=1) * horizon / 7
            ),
        }
        return {name: scored(pupil, horizon, way) for name, way in ways.items()}


# --- the command ----------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    surrogates = {path.stem: records.read(path, groups=True) for path in options.streams}
    result = {"rows": plain(run(options, surrogates)), "days": options.days, "rate": options.rate}
    result |= provenance("benchmarks.popularity", arguments, list(_seeds(options)))
    write_json(options.out, result)
    print(to_markdown(result["rows"]))


def run(options: argparse.Namespace, surrogates: dict[str, pd.DataFrame]) -> list[dict]:
    """One row a teacher, a stream tested on, a horizon and a way to foretell."""
    first, second = (
        reference.records(options.days, seed, options.rate, groups=True) for seed in _seeds(options)
    )
    test, teachers = Uses.of(second), {"reference": first, "rows gathered": gathered(first, 0)}
    uses = {name: Uses.of(found) for name, found in (teachers | surrogates).items()}
    check(uses)
    own = {name: found for name, found in uses.items() if name != "reference"}
    rows = []
    for horizon, days in HORIZONS.items():
        for teacher, found in uses.items():
            print(f"{horizon}: {teacher}", file=sys.stderr)
            taught = Taught(found, days, options.seed)
            pupils = {"another reference": test} | (own if teacher == "reference" else {})
            for pupil, stream in pupils.items():
                head = {"learned from": teacher, "tested on": pupil, "horizon": horizon}
                rows += [head | {"way": w} | numbers for w, numbers in taught.test(stream).items()]
    return rows


def check(uses: dict[str, Uses]) -> None:
    """Refuse a stream in which no month can be foretold."""
    need = LEAST_PAST + max(HORIZONS.values())
    for name, found in uses.items():
        if found.jobs.shape[1] < need:
            raise ValueError(
                f"a stream must last at least {need} days, got {found.jobs.shape[1]} in {name}"
            )


def to_markdown(rows: list[dict]) -> str:
    """The rows as a table."""
    names = ("learned from", "tested on", "horizon", "way")
    lines = [[*(r[n] for n in names), *(show(r[k]) for k in _NUMBERS)] for r in rows]
    return table([*names, *_NUMBERS], lines)


_NUMBERS = ("captured", "AUC", "error", "used")


def _seeds(options: argparse.Namespace) -> tuple[int, int]:
    """Of the reference that teaches and of the one that tests."""
    return options.seed, options.seed + 1


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("popularity", __doc__)
    add = parser.add_argument
    add("--days", type=whole(LEAST_PAST + 28), default=84, help="of each reference")
    add("--rate", type=positive, default=reference.RATE, help="jobs a day")
    add("--seed", type=whole(0), default=11, help="of the reference that teaches; +1 tests")
    add("--streams", nargs="*", type=Path, default=[], metavar="FILE", help="grouped tables")
    add("--out", type=new_file, default=RESULTS / "popularity.json", help="file to write")
    return parser


if __name__ == "__main__":
    command(main)
