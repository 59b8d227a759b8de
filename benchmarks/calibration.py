"""Calibration of the reference workload against published figures.

Measures every published figure on several seeds. Writes the values of the first seed, the range
over all seeds and the seconds of generation to results/calibration.json, and the same for readers
to results/calibration.md, figures that are missed included.

    python -m benchmarks.calibration [--days 150] [--seeds 5] [--out DIR]
"""

from __future__ import annotations

import argparse
import sys
import time

import pandas as pd

from benchmarks.inputs.arguments import (
    add_reference_options,
    command,
    command_parser,
    new_folder,
    whole,
)
from benchmarks.inputs.places import RESULTS
from benchmarks.report.provenance import provenance, write_json, write_text
from pandaenv import reference


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    result = measure(options.days, options.rate, range(options.seeds))
    result |= provenance("benchmarks.calibration", arguments, list(range(options.seeds)))
    write_json(options.out / "calibration.json", result)
    text = to_markdown(result)
    write_text(options.out / "calibration.md", text)
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("calibration", __doc__)
    add_reference_options(parser)
    parser.add_argument(
        "--seeds", type=whole(1), default=5, help="number of seeds, from 0 on (default %(default)s)"
    )
    parser.add_argument("--out", type=new_folder, default=RESULTS, help="folder to write")
    return parser


def measure(days: int, rate: float, seeds: range) -> dict:
    """Calibration rows of the first seed with the range over all seeds beside them."""
    if not len(seeds):
        raise ValueError("at least one seed is needed, got 0")
    reference.records(days=1, rate=100)  # kernels compile outside the clock
    tables, seconds = zip(*(_one(days, rate, seed) for seed in seeds), strict=True)
    values = pd.concat([t.set_index(["quantity", "statistic"])["measured"] for t in tables], axis=1)
    first = tables[0].set_index(["quantity", "statistic"])
    first = first.assign(low=values.min(axis=1), high=values.max(axis=1)).reset_index()
    return {
        "days": days,
        "rate": rate,
        "n_records": round(days * rate),
        "generation_seconds": [round(s, 2) for s in seconds],
        "n_figures": len(first),
        "n_fits": [int(t["fits"].sum()) for t in tables],
        "rows": first.to_dict("records"),
    }


def _one(days: int, rate: float, seed: int) -> tuple[pd.DataFrame, float]:
    start = time.perf_counter()
    records = reference.records(days=days, seed=seed, rate=rate)
    seconds = time.perf_counter() - start
    return reference.calibration(records, reference.tasks(days, seed, rate)), seconds


def to_markdown(result: dict) -> str:
    """The result as a page: what fits, what does not, where the figures come from."""
    fits = ", ".join(map(str, result["n_fits"]))
    lines = [
        "# Calibration of the reference workload",
        "",
        f"`{result['command']}`: {result['n_records']:,} records of {result['days']} days; "
        f"generated in {_span(result['generation_seconds'])} s a seed. Of "
        f"{result['n_figures']} published figures, within tolerance by seed: {fits}. Measured "
        "values are those of the first seed, the range is over all. Sources and tolerances are "
        "named in `pandaenv/reference/published.py`.",
        "",
        "| quantity | statistic | published | measured | range | fits |",
        "|---|---|--:|--:|--:|:-:|",
    ]
    return "\n".join([*lines, *map(_line, result["rows"]), ""])


def _line(row: dict) -> str:
    numbers = (
        f"{row['published']:.3g} | {row['measured']:.3g} | {row['low']:.3g} - {row['high']:.3g}"
    )
    return (
        f"| {row['quantity']} | {row['statistic']} | {numbers} | {'yes' if row['fits'] else 'no'} |"
    )


def _span(seconds: list[float]) -> str:
    low, high = min(seconds), max(seconds)
    return f"{low:.1f}" if low == high else f"{low:.1f}-{high:.1f}"


if __name__ == "__main__":
    command(main)
