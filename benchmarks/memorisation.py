"""Fidelity against memorisation: how much closer to the training rows better models come.

Trains variants of TabAR, SMOTE and TabDDPM, or generators that you name, on the reference workload,
with train and test rows of seeds that no published table uses. Writes memorisation.json and
memorisation.svg: for each variant, means over the seeds of C2ST, diff-MLEF, diff-CORR and JSD, and
beside them the share of rows closer to train than to unseen rows, the upper end of its 95 %
confidence interval, the AUC of a membership attack, and the share of exact copies. An interrupted
run resumes where it stopped.

    python -m benchmarks.memorisation [--seeds 10 11] [--rows 50000] [--kept DIR] [--out DIR]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from statistics import mean

import pandas as pd

import generators
from benchmarks.inputs import candidates, splits
from benchmarks.inputs.arguments import add_device_option, command, command_parser, whole
from benchmarks.inputs.engines import add_engine_options, engine
from benchmarks.inputs.places import RESULTS, RUNS
from benchmarks.report.finished import read_sealed, result_key, write_sealed
from benchmarks.report.provenance import provenance, versions, write_json, write_text
from metrics import Evaluator
from metrics.scores import Score

GROUPS = ("WD", "JSD", "diff-CORR", "DCR", "diff-MLEF", "C2ST", "membership")
SHOWN = (
    "WD",
    "JSD",
    "diff-CORR",
    "diff-MLEF",
    "C2ST",
    "closer to train",
    "membership AUC",
    "exact share",
    "DCR",
)
FEWEST = 500  # rows below which no variant learns anything

Variant = tuple[str, str, dict, int | None]
"""What is varied, generator, its options, optimizer steps."""
# The default stands at the head of each family.
VARIANTS: tuple[Variant, ...] = (
    *((f"TabAR, {n} steps", "tabar", {}, n) for n in (2400, 300, 600, 1200, 4800)),
    ("TabAR, dropout 0", "tabar", {"dropout": 0.0}, 2400),
    ("TabAR, dropout .3", "tabar", {"dropout": 0.3}, 2400),
    ("TabAR, weight decay .1", "tabar", {"weight_decay": 0.1}, 2400),
    ("TabAR, width 64", "tabar", {"d_trunk": 64, "d_head": 32}, 2400),
    ("TabAR, width 256", "tabar", {"d_trunk": 256, "d_head": 128}, 2400),
    ("TabAR, rate .012", "tabar", {"lr": 0.012}, 1200),
    ("TabAR, 32 coarse bins", "tabar", {"n_coarse": 32}, 2400),
    ("TabAR, values blurred over 64 rows", "tabar", {"blur": 64}, 2400),
    ("SMOTE, 5 neighbours", "smote", {}, None),
    ("SMOTE, 20 neighbours", "smote", {"k": 20}, None),
    ("TabDDPM, 1400 steps", "tabddpm", {"process": "uniform"}, 1400),
    *((f"TabDDPM masked, {n} steps", "tabddpm", {}, n) for n in (2000, 500, 1000, 4000)),
    ("TabDDPM masked, values blurred over 64 rows", "tabddpm", {"blur": 64}, 2000),
    ("TabDDPM masked, 30 % for validation", "tabddpm", {"validation": 0.3}, 2000),
    ("TabDDPM masked, any order alone", "tabddpm", {"shuffled": 1.0}, 2000),
    ("TabDDPM masked, width 256", "tabddpm", {"d_trunk": 256}, 2000),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if both files were written, 1 with one sentence on stderr if not."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    try:
        result = run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    made = provenance("benchmarks.memorisation", arguments, options.seeds)
    write_text(options.out / "memorisation.svg", draw(result))
    print(write_json(options.out / "memorisation.json", result | made).name)
    return 0


def run(options: argparse.Namespace) -> dict:
    """Train, sample and score every variant on every cut; what memorisation.json holds."""
    if min(options.seeds) < 0:
        raise ValueError(f"--seeds must not be negative, got {min(options.seeds)}")
    if options.rows < FEWEST:
        raise ValueError(f"--rows must be at least {FEWEST}, got {options.rows}")
    variants = [_as_it_is(name) for name in options.generators] or _chosen(options)
    if options.engine != "serial":
        pieces = [(seed, variant, options) for seed in options.seeds for variant in variants]
        engine(options).run(_piece, pieces)
    runs = {seed: _scores_of_seed(variants, seed, options) for seed in options.seeds}
    lines = [_line(words, [runs[s][words] for s in options.seeds]) for words, *_ in variants]
    return {
        "what": "fidelity and nearness to train of variants; means over the cuts of the seeds",
        "rows": options.rows,
        "n": options.holdout // 2,
        "floor": _line("real rows", [runs[s]["real rows"] for s in options.seeds]),
        "lines": lines,
        "runs": runs,
    }


def _chosen(options: argparse.Namespace) -> list[Variant]:
    """The variants asked for, each with its own number of steps or that of the command line."""
    return [
        (words, name, settings, own and (options.steps or own))
        for words, name, settings, own in VARIANTS
        if words in options.variants
    ]


def _as_it_is(name: str) -> Variant:
    """A generator with its own configuration; unknown ones are refused here, before the work."""
    candidates.generator(name)
    return candidates.label(name), name, {}, None


def _piece(piece: tuple[int, Variant, argparse.Namespace]) -> None:
    """One variant on the rows of one seed."""
    seed, variant, options = piece
    _scores_of_seed([variant], seed, options)


@lru_cache(maxsize=1)
def _cut(sizes: tuple[int, ...], seed: int) -> tuple[pd.DataFrame, Evaluator]:
    """Train rows and metrics of a seed, for rows, holdout, rows of diff-MLEF and days."""
    rows, holdout, mlef, days = sizes
    data = splits.read(splits.REFERENCE, days=days, seed=0)
    cut, extra = splits.subsample(data, rows, holdout, mlef - holdout // 2, seed)
    return cut.train, Evaluator(cut.train, cut.test, seed=seed, only=GROUPS, extra=extra)


def _sizes(options: argparse.Namespace) -> tuple[int, ...]:
    return options.rows, options.holdout, options.mlef, options.days


def _scores_of_seed(
    variants: Iterable[Variant], seed: int, options: argparse.Namespace
) -> dict[str, dict]:
    """Every variant on the rows of one seed, and the held-out baseline."""
    train, evaluator = _cut(_sizes(options), seed)
    floor = _finished_or("real rows", seed, options, lambda: _values(evaluator.floor))
    found = {"real rows": floor}
    for words, *variant in variants:
        found[words] = _finished_or(
            _identity(*variant),
            seed,
            options,
            lambda v=variant: _fit_and_score(evaluator, train, seed, *v, options.device),
        )
        print(f"seed {seed}: {words}: {_summary(found[words])}", file=sys.stderr)
    return found


def _identity(name: str, settings: dict, steps: int | None) -> str:
    """What distinguishes a variant from others; of an object of yours also its configuration."""
    if name in generators.names():
        return f"{name} {settings} {steps}"
    return f"{name} {candidates.settings(candidates.generator(name))} {steps}"


def _fit_and_score(
    evaluator: Evaluator,
    train: pd.DataFrame,
    seed: int,
    name: str,
    settings: dict,
    steps: int | None,
    device: str,
) -> dict:
    """One variant, trained, sampled and scored."""
    model = candidates.generator(name, **settings)
    candidates.fit(model, train, seed=seed, steps=steps, progress=False, device=device)
    sample = candidates.sample(model, max(evaluator.n, evaluator.n_mlef), seed=seed)
    score = _values(evaluator.score(sample))
    losses = getattr(model, "losses_", None)
    if losses is not None and "validation" in losses:
        score["validation nats"] = float(losses["validation"].iloc[1:].min())
    return score


def _values(score: Score) -> dict:
    return {name: score.values[name] for name in SHOWN} | {
        "upper bound": score.interval["closer to train"][1]
    }


def _finished_or(
    what: str, seed: int, options: argparse.Namespace, make: Callable[[], dict]
) -> dict:
    """The score that an earlier run of the same variant finished, else a new one."""
    parts = [what, seed, *_sizes(options), versions()]
    parts += [options.device] * (options.device != "cpu")
    path = options.kept / f"{result_key(parts, sort_keys=True)}.json"
    kept = read_sealed(path)
    if kept is not None:
        return kept["score"]
    score = make()
    write_sealed(path, {"score": score})
    return score


def _line(words: str, scores: list[dict]) -> dict:
    """Means over the cuts; the bound is the mean share and the mean half width above it."""
    return {"variant": words} | {key: mean(s[key] for s in scores) for key in scores[0]}


def _summary(score: dict) -> str:
    return ", ".join(f"{k} {score[k]:.4g}" for k in ("C2ST", "diff-MLEF", "closer to train"))


def draw(result: dict) -> str:
    """C2ST and diff-MLEF against the share closer to train, one dot for each variant, as SVG."""
    from matplotlib.figure import Figure

    from metrics import plots

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axis, key in zip(figure.subplots(1, 2), ("C2ST", "diff-MLEF"), strict=True):
        for name, colour in zip(_families(result["lines"]), cycle(plots.COLOURS), strict=False):
            dots = [row for row in result["lines"] if row["variant"].split(",")[0] == name]
            axis.scatter(
                [d["closer to train"] for d in dots],
                [d[key] for d in dots],
                color=colour,
                label=name,
                s=24,
            )
        floor = result["floor"]
        axis.scatter(
            [floor["closer to train"]], [floor[key]], color=plots.INK, marker="x", label="real rows"
        )
        axis.set_xlabel("rows closer to train than to unseen rows")
        axis.set_ylabel(key)
    figure.axes[1].legend(frameon=False)
    return plots.svg(figure)


def _families(lines: list[dict]) -> list[str]:
    """Names of the models, each once; what is varied stands behind a comma."""
    return list(dict.fromkeys(line["variant"].split(",")[0] for line in lines))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("memorisation", __doc__)
    add = parser.add_argument
    add("--seeds", nargs="+", type=int, default=[10, 11], help="of split, training and sampling")
    add("--rows", type=int, default=50_000, help="train rows (default %(default)s)")
    add("--holdout", type=whole(2), default=12_500, help="unseen rows (default %(default)s)")
    add("--mlef", type=whole(2), default=50_000, help="rows of diff-MLEF (default %(default)s)")
    add("--days", type=int, default=150, help="of the reference workload (default %(default)s)")
    names = [words for words, *_ in VARIANTS]
    add(
        "--variants",
        nargs="+",
        choices=names,
        default=names,
        metavar="VARIANT",
        help="default: all",
    )
    add("--steps", type=whole(1), help="of each learner, instead of its variant's own")
    add(
        "--generators",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"instead of the variants: {candidates.GENERATOR_HELP}",
    )
    add("--kept", type=Path, default=RUNS / "memorisation", help="folder of finished scores")
    add_device_option(parser)
    add("--out", type=Path, default=RESULTS, help="folder to write")
    add_engine_options(parser)
    return parser


if __name__ == "__main__":
    command(main)
