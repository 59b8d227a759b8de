"""How a surrogate of the past fits the future, month by month.

Each generator learns the first 80 % of the records in time and draws rows; these are compared with
the real rows of each month after that, a month being 28 days from the end of the training span. The
floor beside each score is that of as many real rows of the training span: what the past itself is
worth as a picture of that month. Dates would tell past from future at once, so a creation time
counts by its place in the week. Writes months as rows of a JSON file.

    python -m benchmarks.future --data reference --generators tabar tabddpm
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import metrics
from benchmarks.inputs import candidates, splits
from benchmarks.inputs.arguments import add_device_option, command, command_parser, positive, whole
from benchmarks.inputs.places import RESULTS
from benchmarks.report.provenance import provenance, write_json
from pandaenv import records

DAYS = "creationtime"
MONTH = 28  # days
SCORES = {
    "WD": metrics.wd,
    "JSD": metrics.jsd,
    "diff-CORR": metrics.diff_corr,
    "C2ST": metrics.c2st,
}
FEWEST = 100  # rows a month must have to be scored


def score(real: pd.DataFrame, rows: pd.DataFrame) -> dict[str, float]:
    """The main numbers of rows against the real rows of a month, 0 (C2ST: 0.5) where alike."""
    a, b = (table.assign(**{DAYS: table[DAYS] % 7}) for table in (real, rows))
    return {name: float(number(a, b)) for name, number in SCORES.items()}


def months(future: pd.DataFrame, start: float) -> list[pd.DataFrame]:
    """The rows of each 28 days from `start` on; a last part of fewer days counts as one."""
    place = ((future[DAYS] - start) // MONTH).astype(int).clip(lower=0)
    return [future[place == m] for m in range(int(place.max()) + 1)]


def rows_of(
    past: pd.DataFrame, future: pd.DataFrame, samples: dict[str, pd.DataFrame], n: int, seed: int
) -> list[dict]:
    """A row for each month: its number, its real rows, the floor, and the scores by generator."""
    out = []
    floor_rows = past.sample(min(n, len(past)), random_state=seed)
    for number, real in enumerate(months(future, past[DAYS].max()), 1):
        row: dict = {"month": number, "rows": len(real)}
        if len(real) >= FEWEST:
            real = real.sample(min(n, len(real)), random_state=seed)
            row["floor"] = score(real, floor_rows)
            row |= {name: score(real, rows) for name, rows in samples.items()}
        out.append(row)
    return out


def run(options: argparse.Namespace) -> dict:
    """Learn the past with each generator and score its rows against each month of the future."""
    made = {candidates.label(name): candidates.generator(name) for name in options.generators}
    past, future = _table(options)
    samples = {}
    for name, model in made.items():
        candidates.fit(
            model,
            past,
            seed=options.seed,
            budget=options.budget,
            progress=not options.quiet,
            device=options.device,
        )
        samples[name] = candidates.sample(model, options.n, seed=options.seed)
    found = rows_of(past, future, samples, options.n, options.seed)
    return {"train_rows": len(past), "train_days": float(past[DAYS].max()), "months": found}


def _table(options: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Past and future rows; ValueError for a table without a creation time."""
    data = splits.read(options.data, days=options.days, seed=options.seed)
    table = pd.concat([data.train, data.test], ignore_index=True)
    if DAYS not in table:
        raise ValueError(f"{options.data} must have the column {DAYS}, got {list(table)}")
    if options.rows is not None and options.rows < len(table):
        drawn = np.random.default_rng(options.seed).choice(len(table), options.rows, replace=False)
        table = table.iloc[np.sort(drawn)]
    past, future = records.split(table, by="time")
    return past.reset_index(drop=True), future.reset_index(drop=True)


def to_markdown(result: dict) -> str:
    """A line for each month and score: floor, then generators."""
    rows = [row for row in result["months"] if "floor" in row]
    names = [key for key in (rows[0] if rows else {}) if key not in ("month", "rows")]
    lines = [
        "| month | rows | score | " + " | ".join(names) + " |",
        "|--:|--:|:--|" + "--:|" * len(names),
    ]
    for row in rows:
        for one in SCORES:
            numbers = " | ".join(f"{row[name][one]:.4f}" for name in names)
            lines.append(f"| {row['month']} | {row['rows']:,} | {one} | {numbers} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("future", __doc__)
    add = parser.add_argument
    add("--data", default=splits.REFERENCE, help="'reference', a table file or a folder of ingest")
    add("--days", type=whole(7), default=420, help="of the reference workload")
    add("--rows", type=whole(1000), help="drawn at random from the whole span (default: all)")
    add("--generators", nargs="+", default=["tabddpm", "tabar"], help=candidates.GENERATOR_HELP)
    add("--budget", type=positive, default=60.0, help="seconds of training for each generator")
    add("--n", type=whole(FEWEST), default=6_250, help="rows compared in each month")
    add("--seed", type=int, default=0)
    add("--out", type=Path, default=RESULTS / "future.json", help="JSON file to write")
    add("--quiet", action="store_true", help="show no progress")
    add_device_option(parser)
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Score, print and write."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    result = run(options)
    made = provenance("benchmarks.future", arguments, options.seed)
    write_json(options.out, result | made)
    print(to_markdown(result))


if __name__ == "__main__":
    command(main)
