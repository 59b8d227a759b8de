"""Streams against the truth: planted defects, the heuristic that gathers rows, and surrogates.

Parts the tasks of reference records at random into train, holdout and honest thirds of one rate,
anew for each seed. Scores by `metrics.streams` and by the queue test (`benchmarks.queues`) against
train: the holdout (the floor), the honest third, the honest third with one planted defect at a
time, the rows of train gathered into tasks as the rows of a surrogate are, and these rows as they
are. A stream of a surrogate is scored on the first cut: `--write-train FILE` writes the third to
learn from, `--streams FILE` takes grouped Parquet files. Writes results/streams.json and
docs/streams.md. Exits with 1 where a number misses a defect that it is meant to detect.

    python -m benchmarks.streams [--days 56] [--rate 11000] [--seeds 4] [--streams FILE ...]
"""

import argparse
import sys
from pathlib import Path
from statistics import mean

import numpy as np
import pandas as pd

from benchmarks import defects, queues
from benchmarks.inputs.arguments import command, command_parser, new_file, positive, whole
from benchmarks.inputs.places import RESULTS, ROOT
from benchmarks.report import provenance
from benchmarks.report.intervals import table
from foundations.units import DAY_S
from metrics import Evaluator
from metrics.registry import MEASURES, all_numbers
from metrics.report import plain, show
from pandaenv import records, reference, schema, sites
from pandaenv.workload import Synthetic

GROUPS = ("streams", "queues")


# --- what is planted ------------------------------------------------------------------------------


def tasks_shuffled(honest: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The numbers of tasks shuffled over the rows: right sizes, nothing shared."""
    return honest.assign(task=rng.permutation(honest["task"]))


def gaps_doubled(honest: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Tasks that start when they should and take twice as long, within the days there are."""
    start = honest.groupby("task")["creationtime"].transform("min")
    end = np.nextafter(np.ceil(honest["creationtime"].max()), 0)
    return _sorted(honest.assign(creationtime=(2 * honest["creationtime"] - start).clip(upper=end)))


def starts_spread_out(honest: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Tasks moved whole to a time drawn evenly: no day, no week, no campaign."""
    start = honest.groupby("task")["creationtime"].transform("min")
    days = int(np.ceil(honest["creationtime"].max()))
    moved = pd.Series(rng.uniform(0, days, honest["task"].max() + 1))[honest["task"]].to_numpy()
    return _sorted(honest.assign(creationtime=(moved + honest["creationtime"] - start) % days))


def sizes_levelled(honest: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Large tasks cut into tasks of at most 100 rows."""
    piece = honest.groupby("task").cumcount() // 100
    return honest.assign(task=honest["task"] * 1_000 + piece)


def popularity_flattened(honest: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Every task reads a data set of its format drawn evenly."""
    first = honest.drop_duplicates("task")
    drawn = first.groupby("datatype", observed=True)["dataset"].transform(
        lambda sets: rng.choice(sets.unique(), len(sets))
    )
    of_task = pd.Series(drawn.to_numpy(), index=first["task"])
    return honest.assign(dataset=of_task[honest["task"]].to_numpy())


def reuse_shuffled(honest: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The data sets of tasks in another order: right popularity, no memory."""
    first = honest.drop_duplicates("task")
    of_task = pd.Series(rng.permutation(first["dataset"]), index=first["task"])
    return honest.assign(dataset=of_task[honest["task"]].to_numpy())


def rows_strewn(honest: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """All times shuffled over the rows: right hours in all, tasks torn apart."""
    return _sorted(honest.assign(creationtime=rng.permutation(honest["creationtime"])))


DEFECTS = {  # name: (how it is made, the numbers meant to catch it)
    "tasks shuffled": (tasks_shuffled, ("gap in tasks KS", "task share", "task C2ST")),
    "gaps doubled": (gaps_doubled, ("gap in tasks KS",)),
    "starts spread out": (starts_spread_out, ("gap of tasks KS", "task C2ST")),
    "sizes levelled": (sizes_levelled, ("task size KS",)),
    "popularity flattened": (popularity_flattened, ("top 10 % share", "reuse KS")),
    "reuse shuffled": (reuse_shuffled, ("reuse KS",)),
    "rows strewn": (rows_strewn, ("gap in tasks KS", "hour C2ST", "wait 75%")),
}


# --- what the rows of a surrogate become without groups -------------------------------------------


def gathered(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Rows put into tasks by the heuristic of `pandaenv.workload.gathering`."""
    pool = Synthetic(rows[list(schema.COLUMNS)])
    seconds, tasks = pool.arrivals(sites.catalogue(queues.SITES), np.random.default_rng(seed))
    moved = {"creationtime": seconds / DAY_S, "task": tasks.task, "dataset": tasks.dataset}
    return _sorted(pool.records.assign(**moved))


def alone(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows as they are: each its own task, with a data set of its own."""
    return rows.assign(task=np.arange(len(rows)), dataset=np.arange(len(rows)))


def _sorted(found: pd.DataFrame) -> pd.DataFrame:
    return found.sort_values("creationtime", kind="stable", ignore_index=True)


# --- the measurement ------------------------------------------------------------------------------


def thirds(found: pd.DataFrame, seed: int) -> list[pd.DataFrame]:
    """Three tables of whole tasks, each task in any of them at even odds."""
    rng = np.random.default_rng([seed, 13])
    part = rng.integers(0, 3, int(found["task"].max()) + 1)[found["task"]]
    return [found[part == k].reset_index(drop=True) for k in range(3)]


def measure(found: pd.DataFrame, seeds: int, surrogates: dict[str, pd.DataFrame]) -> dict:
    """{"floor": {number: [one a seed]}, "tables": {name: {number: [one a seed]}}}."""
    floor: dict = {}
    tables: dict = {}
    for seed in range(seeds):
        train, holdout, honest = thirds(found, seed)
        evaluator = Evaluator(train, holdout, seed=seed, only=GROUPS, target=None)
        made = {"honest tasks": honest, "rows gathered": gathered(train, seed)}
        made |= {"rows as they are": alone(train)} | (surrogates if seed == 0 else {})
        for name, (plant, _) in DEFECTS.items():
            made[name] = plant(honest, np.random.default_rng([seed, 14]))
        _gather(floor, evaluator.floor.values)
        for name, stream in made.items():
            print(f"seed {seed}: {name}", file=sys.stderr)
            _gather(tables.setdefault(name, {}), evaluator.score(stream).values)
    return {"floor": floor, "tables": tables}


def _gather(into: dict, values: dict) -> None:
    for name, value in values.items():
        into.setdefault(name, []).append(value)


def missed(spreads: dict[str, dict[str, float]]) -> list[str]:
    """Sentences about planted defects that a number meant to catch them does not."""
    return [
        f"{name} is not caught by {number} ({spreads[name].get(number, 0.0):.1f} spreads)"
        for name, (_, numbers) in DEFECTS.items()
        for number in numbers
        if spreads[name].get(number, 0.0) <= defects.LIMIT
    ]


def to_markdown(found: dict, spreads: dict, result: dict) -> str:
    """docs/streams.md: the numbers of every stream, then how far the defects lie off."""
    planted = [name for name in found["tables"] if name in DEFECTS]
    others = [name for name in found["tables"] if name not in DEFECTS]
    numbers = [name for name in all_numbers() if name in found["floor"]]
    values = [
        [name, show(mean(found["floor"][name]))]
        + [show(mean(found["tables"][other][name])) for other in others]
        for name in numbers
    ]
    far = [
        [name] + [_spread(spreads[p].get(name), name in DEFECTS[p][1]) for p in planted]
        for name in numbers
    ]
    return "\n".join(
        [
            "# Streams against the truth",
            "",
            f"Made by `{result['command']}`: {result['records']:,} reference records, their tasks "
            f"parted into thirds on {result['seeds']} random cuts. What the numbers mean: "
            "[metrics](metrics.md); `wait` is the queue test, waits under PanDA's rule at load "
            f"{queues.LOAD:g} on {queues.SITES} sites over those of train. The floor is another "
            "third of the tasks, so it says what the truth itself gets. `rows gathered` are the "
            "real rows of train put into tasks by the heuristic, `rows as they are` have no tasks.",
            "",
            table(["number", "floor", *others], values),
            "",
            "Planted defects: spreads of the floor over the cuts by which the mean lies on the "
            f"worse side. Beyond {defects.LIMIT:g} (bold) it is caught; underlined are the numbers "
            "meant to catch it.",
            "",
            *(f"- **{name}**: {DEFECTS[name][0].__doc__}" for name in planted),
            "",
            table(["number", *planted], far),
            "",
        ]
    )


def _spread(value: float | None, is_meant: bool) -> str:
    text = "–" if value is None else "∞" if value > 1e5 else f"{value:.1f}"
    text = f"**{text}**" if value is not None and value > defects.LIMIT else text
    return f"<u>{text}</u>" if is_meant else text


# --- the command ----------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Measure and write; 1 where a defect was missed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    surrogates = {path.stem: records.read(path, groups=True) for path in options.streams}
    found = reference.records(options.days, options.seed, options.rate, groups=True)
    if options.write_train:
        records.write(thirds(found, 0)[0], options.write_train)
        return 0
    MEASURES[queues.QUEUES.name] = queues.QUEUES
    values = measure(found, options.seeds, surrogates)
    spreads = defects.distances(values)
    result = (
        plain(values)
        | {"spreads": plain(spreads), "missed": missed(spreads)}
        | {"records": len(found), "seeds": options.seeds}
        | provenance.provenance("benchmarks.streams", arguments, options.seed)
    )
    provenance.write_json(RESULTS / "streams.json", result)
    provenance.write_text(ROOT / "docs" / "streams.md", to_markdown(values, spreads, result))
    print("\n".join(result["missed"]) or "every defect is caught")
    return 1 if result["missed"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("streams", __doc__)
    add = parser.add_argument
    add("--days", type=whole(7), default=56, help="of the reference records")
    add("--rate", type=positive, default=reference.RATE, help="jobs a day")
    add("--seeds", type=whole(2), default=4, help="number of random cuts")
    add("--seed", type=whole(0), default=5, help="of the reference records")
    add("--streams", nargs="*", type=Path, default=[], metavar="FILE", help="grouped tables")
    add("--write-train", type=new_file, metavar="FILE", help="write what to learn from, and stop")
    return parser


if __name__ == "__main__":
    command(main)
