"""Table I of Park et al. (2024, arXiv 2410.07940) on the reference workload or a table of yours.

Trains every generator on the same rows, samples from it and scores the samples against held-out
rows. Writes table1.json, table1.md, report.html, figures, models, samples and losses into the
folder --out and prints the table. Every score stands beside that of the held-out baseline: unseen
real rows scored as if they were synthetic. An interrupted run resumes where it stopped. A folder is
that of one run: other data or options need another one.
"""

import argparse
import json
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.inputs import candidates, splits
from benchmarks.inputs.arguments import add_device_option, command, command_parser
from benchmarks.inputs.engines import add_engine_options, engine
from benchmarks.report import claims, finished, provenance, repeats
from benchmarks.table1.markdown import to_markdown
from benchmarks.table1.profile import Profile
from benchmarks.table1.run import TableRun
from foundations.tables import is_numerical
from metrics import Evaluator, temporal
from metrics.report import plain


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if Table I was written, 1 with one sentence on stderr if not."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    try:
        if options.dry_run:
            print(json.dumps(resolved(options), indent=1))
            return 0
        result = run(options, arguments)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command resumes where this one was interrupted", file=sys.stderr)
        return 130
    print(to_markdown(result))
    return 0


def parser() -> argparse.ArgumentParser:
    """The arguments of this command."""
    made = command_parser("fidelity", __doc__)
    add = made.add_argument
    add(
        "--data",
        default=splits.REFERENCE,
        help="'reference', a CSV or Parquet file, or a folder written by `pandaenv ingest`",
    )
    add(
        "--profile",
        default="standard",
        help="smoke, standard (default), large, converged, paper, or a TOML file of your own",
    )
    add(
        "--generators",
        nargs="+",
        metavar="NAME",
        help=f"{candidates.GENERATOR_HELP} (default: all built-in ones)",
    )
    add("--budget", type=float, help="seconds of training for each generator")
    add_device_option(made)
    add("--target", help="numerical column to predict for diff-MLEF ('workload' if there is one)")
    add("--out", type=Path, help="folder to write (default: runs/fidelity-DATA-PROFILE)")
    add("--seed", type=int, default=0, help="of cut, training, sampling and scoring (default 0)")
    add(
        "--repeats",
        type=int,
        default=1,
        metavar="R",
        help="number of seeds, from --seed on, each with its own cut, training and scoring; "
        "the table shows their means (default 1)",
    )
    add("--dry-run", action="store_true", help="print the configuration and stop")
    add("--quiet", action="store_true", help="show no progress")
    add_engine_options(made)
    return made


def run(options: argparse.Namespace, arguments: list[str]) -> dict:
    """Do everything `options` ask for; return what table1.json holds."""
    profile = _profile(options)
    models = _models(options.generators, profile)
    seeds = [options.seed + r for r in range(options.repeats)]
    out, pooled = _out(options, profile), {"seed": seeds}  # one seed is claimed by its run itself
    if len(seeds) > 1:
        finished.check_run(out, pooled)
    if options.engine != "serial":
        named = options.generators or profile.rows()
        engine(options).run(_piece, [(options, seed, name) for seed in seeds for name in named])
    runs = prepared_runs(options)
    if len(seeds) > 1:
        finished.claim_run(out, pooled)
    results = [run.table(models) for run in runs]
    result = repeats.pooled(results, claims.check) if len(seeds) > 1 else results[0]
    made = provenance.provenance(
        "benchmarks.fidelity", arguments, seeds if len(seeds) > 1 else seeds[0]
    )
    runs[0].write(result | made, out)
    return result | made


def _piece(piece: tuple[argparse.Namespace, int, str]) -> None:
    """The row of one generator on one seed, left in the folder of the run."""
    options, seed, name = piece
    profile = _profile(options)
    run = _prepared(options, profile, seed, options.repeats > 1)
    run.table(_models([name], profile))


def prepared_runs(options: argparse.Namespace) -> list[TableRun]:
    """A run for each seed, its data read and cut and its metrics prepared."""
    profile, several = _profile(options), options.repeats > 1
    seeds = range(options.seed, options.seed + options.repeats)
    return [_prepared(options, profile, seed, several) for seed in seeds]


def _prepared(options: argparse.Namespace, profile: Profile, seed: int, several: bool) -> TableRun:
    """The run of one seed, its data read and cut."""
    data = splits.read(options.data, days=profile.days, seed=options.seed)
    target = _target(options.target, data.train)
    profile = profile if target else replace(profile, n_mlef=0)
    profile = profile if temporal.DAYS in data.train else _timeless(profile)
    profile, cut, extra = _cut(profile, data, seed)
    evaluator = Evaluator(
        cut.train,
        cut.test,
        target=target,
        seed=seed,
        only=profile.metrics,
        n_seeds=profile.n_seeds,
        extra=extra,
    )
    out = _out(options, profile)
    out = out / f"seed-{seed}" if several else out
    return TableRun(profile, cut, extra, evaluator, out, seed, options.quiet, options.device)


def _timeless(profile: Profile) -> Profile:
    """The profile for a table without a creation time."""
    return replace(profile, metrics=tuple(m for m in profile.metrics if m != "temporal"))


def _out(options: argparse.Namespace, profile: Profile) -> Path:
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(options.data).stem) or "data"
    return options.out or Path("runs") / f"fidelity-{stem}-{profile.name}"


def resolved(options: argparse.Namespace) -> dict:
    """The configuration a run with these options would have, before any data is read."""
    profile = _profile(options)
    models = _models(options.generators, profile)
    settings = {name: candidates.settings(model) for name, model in models.items()}
    return plain(asdict(profile)) | {"generators": settings, "data": options.data}


def _profile(options: argparse.Namespace) -> Profile:
    profile = Profile.read(options.profile)
    if options.seed < 0:
        raise ValueError(f"--seed must not be negative, got {options.seed}")
    if options.repeats < 1:
        raise ValueError(f"--repeats must be at least 1, got {options.repeats}")
    if options.budget is None:
        return profile
    if not 0 < options.budget < float("inf"):
        raise ValueError(f"--budget must be positive seconds, got {options.budget:g}")
    return replace(profile, budget=options.budget, steps=None)


def _models(names: list[str] | None, profile: Profile) -> dict[str, Any]:
    """Untrained generators by label; an unknown name is refused before anything is done."""
    names = names or list(profile.rows())
    labels = [candidates.label(name) for name in names]
    if twice := [one for one in labels if labels.count(one) > 1]:
        raise ValueError(f"--generators must have different names, got {twice[0]!r} twice")
    options = [profile.options(name) for name in names]
    made = [candidates.generator(name, **own) for name, own in options]
    return dict(zip(labels, made, strict=True))


def _cut(
    profile: Profile, data: splits.Split, seed: int
) -> tuple[Profile, splits.Split, pd.DataFrame]:
    """The profile's numbers of rows, or as many as the table has, in the same proportions."""
    n_train = min(profile.n_train, len(data.train))
    n_holdout = min(profile.n_holdout, len(data.test))
    if n_holdout < 2:
        raise ValueError(
            f"{data.name}: too few rows, 10 are needed, got {len(data.train) + len(data.test)}"
        )
    n_extra = max(0, profile.n_mlef - n_holdout // 2)
    cut, extra = splits.subsample(data, n_train, n_holdout, n_extra, seed)
    n_mlef = min(profile.n_mlef, n_train, n_holdout // 2 + len(extra))
    return replace(profile, n_train=n_train, n_holdout=n_holdout, n_mlef=n_mlef), cut, extra


def _target(name: str | None, train: pd.DataFrame) -> str | None:
    if name is None:
        return "workload" if "workload" in train else None
    if name not in train:
        raise ValueError(f"--target must be a column, got {name!r}; known: {list(train.columns)}")
    if not is_numerical(train[name]):
        raise ValueError(f"--target must be a numerical column, got {name!r}")
    return name


if __name__ == "__main__":
    command(main)
