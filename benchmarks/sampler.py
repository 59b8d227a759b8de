"""How few steps sampling needs: a fitted TabDDPM of either process at several numbers of steps.

The uniform process is sampled by two rules, up to its 1000 steps. The masked one draws one column a
step and is then exact; in fewer steps several columns are drawn at once, as if they did not depend
on one another. The samples are scored against the rows of the split that `benchmarks.pretrain`
makes. Writes C2ST, WD, JSD and diff-CORR for each rule and number of steps, beside the held-out
baseline, and the rows sampled per second, to results/sampler.json.

    python -m benchmarks.sampler [--rows 6250] [--model DIR] [--steps 10 25 50] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

import generators
from benchmarks.inputs.arguments import (
    add_reference_options,
    command,
    command_parser,
    new_file,
    whole,
)
from benchmarks.inputs.places import RESULTS
from benchmarks.pretrain import BUNDLED
from benchmarks.report.intervals import table
from benchmarks.report.provenance import provenance, write_json
from generators.tabddpm import UniformTabDDPM
from metrics import Evaluator
from pandaenv import records, reference

OUT = RESULTS / "sampler.json"
METRICS = ("C2ST", "WD", "JSD", "diff-CORR")
UNIFORM = {"jumps": (10, 25, 50, 100, 250, 1000), "ancestral": (10, 25, 50, 100, 250, 1000)}
MASKED = {"columns": (1, 2, 3, 4, 5, 7, 9)}


def main(arguments: list[str] | None = None) -> None:
    """Sample by each rule and number of steps, score, write."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    model = generators.load(options.model)
    evaluator = evaluator_of(options)
    known = UNIFORM if isinstance(model, UniformTabDDPM) else MASKED
    lines = [
        line(model, evaluator, rule, steps, options)
        for rule in options.rules or known
        for steps in options.steps or known[rule]
    ]
    result = {
        "what": "one fitted model sampled at several numbers of steps, one thread",
        "model": {
            "process": "uniform" if known is UNIFORM else "masked",
            "n_steps": model.n_steps_,
            "fit_seconds": round(model.seconds_),
        },
        "n": options.rows,
        "floor": chosen(evaluator.floor.values),
        "lines": lines,
    }
    made = provenance("benchmarks.sampler", arguments, options.seed)
    print(write_json(options.out, result | made).name)


def evaluator_of(options: argparse.Namespace) -> Evaluator:
    """The metrics against the rows the bundled surrogate was trained on, at n = options.rows."""
    everything = reference.records(options.days, 0, options.rate)
    train, holdout = records.split(everything, seed=0)
    holdout = holdout.sample(2 * options.rows, random_state=options.seed, ignore_index=True)
    return Evaluator(
        train.reset_index(drop=True),
        holdout,
        target=None,
        only=METRICS,
        n_seeds=options.repeats,
        seed=options.seed,
    )


def line(model, evaluator: Evaluator, rule: str, steps: int, options: argparse.Namespace) -> dict:
    """Scores and speed of one rule at one number of steps."""
    began = time.perf_counter()
    by = {"sampler": rule} if rule in UNIFORM else {}
    rows = model.sample(options.rows, seed=options.seed, steps=steps, **by)
    per_s = options.rows / (time.perf_counter() - began)
    scores = chosen(evaluator.score(rows).values)
    print(rule, steps, scores, f"{per_s:.0f} rows/s", file=sys.stderr)
    return {"sampler": rule, "steps": steps, "rows_per_s": round(per_s, 1), **scores}


def to_markdown(result: dict) -> str:
    """One row for each rule and number of steps, and real rows."""
    floor = {"sampler": "real rows", "steps": "", "rows_per_s": None} | result["floor"]
    rows = [
        [row["sampler"], str(row["steps"]), *(f"{row[name]:.3g}" for name in METRICS)]
        for row in [*result["lines"], floor]
    ]
    return table(["sampler", "steps", *METRICS], rows)


def chosen(values: dict) -> dict:
    """Of all values of a score, those published here."""
    return {name: values[name] for name in METRICS}


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("sampler", __doc__)
    add_reference_options(parser)
    parser.add_argument("--model", type=Path, default=BUNDLED, help="folder of a saved TabDDPM")
    parser.add_argument("--rows", type=whole(2), default=6250, help="sampled (default %(default)s)")
    parser.add_argument(
        "--rules", nargs="+", choices=[*UNIFORM, *MASKED], help="default: those of its process"
    )
    parser.add_argument(
        "--steps", nargs="+", type=whole(1), help="numbers of sampling steps (default: a range)"
    )
    parser.add_argument("--repeats", type=whole(1), default=3, help="seeds of the classifier")
    parser.add_argument("--seed", type=whole(0), default=0, help="of the samples")
    parser.add_argument("--out", type=new_file, default=OUT, help="JSON file to write")
    return parser


if __name__ == "__main__":
    command(main)
