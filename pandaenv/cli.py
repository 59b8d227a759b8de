"""The command `pandaenv`: from raw dumps to records, to a fitted generator, to rows and scores.

In: files named on the command line. Out: files, and a few lines on stdout. What the user did wrong
ends with exit code 1 and one sentence on stderr; heavy libraries load with the command that needs
them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from foundations import files

app = typer.Typer(
    help="Surrogate job records, their fidelity, and an environment for brokering jobs.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold rows of a dump
    add_completion=False,
)

DATA = Path(__file__).parent / "data"  # the bundled surrogates lie here, by name
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same result.")]


class JobFormat(StrEnum):
    """Files that other simulators read."""

    SWF = "swf"
    CGSIM = "cgsim"


class Split(StrEnum):
    """How records part into train and test."""

    RANDOM = "random"
    TIME = "time"


@app.command()
def ingest(
    dumps: Annotated[
        list[Path], typer.Argument(help="Raw PanDA dumps: CSV, CSV.gz, Parquet or BigPanDA JSON.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the records, both parts, the cascade.")],
    split: Annotated[Split, typer.Option(help="How test rows are chosen.")] = Split.RANDOM,
    seed: Seed = 0,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Keep rows without project or prodstep.")
    ] = False,
) -> None:
    """Turn raw PanDA dumps into job records, split 80 to 20.

    A dump has the columns prodsourcelabel, jobstatus, computingsite, creationtime,
    cpuconsumptiontime, ninputdatafiles, inputfilebytes, one of corecount and actualcorecount, and
    one of proddblock, inputfiletype, destinationdblock and jobname, in any order and letter case.
    Others are skipped unread; names of users and jobs never leave it.
    """
    from . import records

    with _one_sentence():
        cascade = records.ingest(
            dumps, out, split=split.value, seed=seed, allow_unknown=allow_unknown
        )
        typer.echo(cascade)


@app.command()
def fit(
    table: Annotated[Path, typer.Argument(help="Record table, or a folder written by ingest.")],
    out: Annotated[Path, typer.Option(help="Folder for the fitted generator.")],
    generator: Annotated[str, typer.Option(help="Name of the generator.")] = "tabddpm",
    budget: Annotated[
        float | None, typer.Option(help="Seconds of training; by default the generator's steps.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps, instead.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="File to resume from.")] = None,
    seed: Seed = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Fit a generator to a record table."""
    import generators
    from generators.base import check_target

    with _one_sentence():
        if budget is not None and steps is not None:
            raise ValueError(f"give --budget or --steps, not both: got {budget:g} and {steps}")
        model = generators.make(generator)
        train = _read(table, "train.parquet")
        check_target(out)
        with _stopped_fit(checkpoint):
            model.fit(
                train,
                seed=seed,
                budget=budget,
                steps=steps,
                progress=not quiet,
                checkpoint=checkpoint,
            )
        model.save(out)
        if os.environ.get("RANK", "0") == "0":  # torchrun starts several of these
            done = f"{generator}: {len(train):,} rows, {model.n_steps_:,} steps, saved in {out}"
            typer.echo(done)


@app.command()
def sample(
    model: Annotated[
        Path, typer.Argument(help="Folder of a fitted generator, or the name of a bundled one.")
    ],
    n: Annotated[int, typer.Argument(min=1, help="Number of rows.")],
    out: Annotated[Path, typer.Option(help="Parquet or CSV file for the rows.")],
    seed: Seed = 0,
) -> None:
    """Draw rows from a fitted generator."""
    import generators

    from . import records

    with _one_sentence():
        _check_rows_file(out)
        bundled = DATA / model.name
        is_whole = (bundled / "generator.json").is_file()
        is_bundled = str(model) == model.name and is_whole and not model.exists()
        rows = generators.load(bundled if is_bundled else model).sample(n, seed=seed)
        typer.echo(f"{len(rows):,} rows in {records.write(rows, out)}")


@app.command()
def evaluate(
    train: Annotated[Path, typer.Argument(help="Table the generator learned from.")],
    synthetic: Annotated[Path, typer.Argument(help="Table it made.")],
    holdout: Annotated[Path, typer.Argument(help="Real rows it never saw.")],
    target: Annotated[str, typer.Option(help="Column the regressors predict.")] = "workload",
    only: Annotated[list[str] | None, typer.Option(help="Only this metric; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for all numbers.")] = None,
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of the stochastic metrics.")] = 3,
    resume: Annotated[Path | None, typer.Option(help="Folder to keep what is finished in.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Score a synthetic record table, every number beside the one real rows get."""
    import metrics

    with _one_sentence():
        real = _opened(train, "train.parquet")
        unseen = _opened(holdout, "test.parquet")
        rows = _opened(synthetic, "records.parquet")
        report = metrics.evaluate(
            real,
            rows,
            unseen,
            target=target,
            seed=seed,
            only=only or None,
            n_seeds=seeds,
            resume=resume,
            progress=not quiet,
        )
        typer.echo(report.to_markdown())
        if out is not None:
            _write_text(out, report.to_json())


@app.command()
def play(
    env: Annotated[str, typer.Argument(help="Environment.")] = "PandaSiteAllocation-v0",
    policy: Annotated[str, typer.Option(help="Policy that places the jobs.")] = "panda_analysis",
    episodes: Annotated[int, typer.Option(min=1, help="Number of episodes.")] = 1,
    jobs: Annotated[int | None, typer.Option(min=1, help="Jobs an episode.")] = None,
    workload: Annotated[str | None, typer.Option(help="Surrogate, file or folder.")] = None,
    rate: Annotated[float | None, typer.Option(help="Jobs a day.")] = None,
    load: Annotated[float | None, typer.Option(help="Offered work over capacity.")] = None,
    seed: Seed = 0,
) -> None:
    """Let a policy place jobs; print return, mean flow time and limits broken of each episode."""
    import gymnasium as gym

    import pandaenv  # noqa: F401  registers the environments

    from . import policies

    with _one_sentence():
        known = [name for name in gym.registry if name.startswith("PandaSiteAllocation")]
        if env not in known:
            raise ValueError(f"unknown environment {env!r}; known: {', '.join(known)}")
        broker = policies.make(policy)
        given = {"episode_jobs": jobs, "workload": workload, "rate": rate, "load": load}
        world = gym.make(env, **{k: v for k, v in given.items() if v is not None})
        for i in range(episodes):
            total, cost, n_jobs = _episode(world, broker, seed + i)
            typer.echo(
                f"{policy} seed {seed + i}: return {total:.1f}, flow {-total / n_jobs:.3f}, "
                f"limits broken {cost / n_jobs:.4f} per job, {n_jobs:,} jobs"
            )


def _episode(env, policy, seed: int) -> tuple[float, float, int]:
    """Play one episode; returns the sums of rewards and costs and the number of jobs."""
    from . import policies

    total, cost, n_jobs = 0.0, 0.0, 0
    for step in policies.steps(env, policy, seed):
        total, cost, n_jobs = total + float(step.reward), cost + step.info["cost"], n_jobs + 1
    return total, cost, n_jobs


@app.command()
def export(
    workload: Annotated[str, typer.Argument(help="tabddpm, reference, a file or a folder.")],
    out: Annotated[Path, typer.Option(help="File to write; FILE.json is written beside it.")],
    format: Annotated[JobFormat, typer.Option(help="Standard Workload Format, or CGSim's CSV.")],
    sites: Annotated[str, typer.Option(help="n largest, tier1, all, or a CSV file.")] = "40",
    rate: Annotated[float, typer.Option(help="Jobs a day.")] = 5_500,
    as_recorded: Annotated[
        bool, typer.Option("--as-recorded", help="Every record at its own time, whatever --rate.")
    ] = False,
    load: Annotated[float, typer.Option(help="Offered work over capacity.")] = 0.6,
    seed: Seed = 0,
) -> None:
    """Write a workload, and the grid scaled to it, for another simulator."""
    from pandaenv.sites import catalogue
    from pandaenv.workload import exports

    from . import workload as workloads

    with _one_sentence():
        _check_file(out)
        grid = catalogue(int(sites) if sites.isdigit() else sites)
        stream = workloads.make(workload).stream(
            grid, rate=None if as_recorded else rate, load=load, seed=seed
        )
        file, beside = exports.write(stream, out, format.value)
        typer.echo(f"{len(stream.jobs):,} jobs in {file}, their grid in {beside}")


@app.command()
def info() -> None:
    """Say what is installed and what the names may be."""
    from importlib.metadata import PackageNotFoundError, version

    import gymnasium as gym

    import generators
    import pandaenv

    from . import policies, sites

    def _version(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    packages = ("torch", "numpy", "pandas", "gymnasium", "duckdb", "h5py")
    known = {
        "pandaenv": pandaenv.__version__,
        **{name: _version(name) for name in packages},
        "environments": [i for i in gym.registry if i.startswith("PandaSiteAllocation")],
        "generators": list(generators.names()),
        "policies": list(policies.names()),
        "sites": sites.catalogue("all").n_sites,
    }
    typer.echo(json.dumps(known, indent=2))


def _read(path: Path, part: str):
    """Read a record table; of a folder written by ingest its `part`."""
    from . import records

    return records.read(path / part if path.is_dir() else path)


def _opened(path: Path, part: str):
    """The same, but a Parquet file too large for memory stays on disk."""
    from metrics import judge, streaming

    from . import schema

    file = path / part if path.is_dir() else path
    if streaming.exceeds(file, judge.IN_MEMORY):
        return streaming.Stored(file, schema.COLUMNS)
    return _read(path, part)


def _check_rows_file(path: Path) -> None:
    """Refuse a file for rows that cannot be written, before they are drawn."""
    _check_file(path)
    if not path.name.lower().endswith((".parquet", ".csv", ".csv.gz")):
        raise ValueError(f"the output must end in .parquet, .csv or .csv.gz, got {path}")


def _check_file(path: Path) -> None:
    """Refuse a folder, or a file where nobody may write, before the work."""
    if path.is_dir():
        raise ValueError(f"the output must be a file; {path} is a folder")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        raise ValueError(f"cannot write {path}: {folder} is not writable")


def _write_text(path: Path, text: str) -> None:
    if path.is_dir():
        raise ValueError(f"the output must be a file; {path} is a folder")
    files.write(path, text)


@contextmanager
def _stopped_fit(checkpoint: Path | None) -> Iterator[None]:
    """Say after Ctrl-C what of a training is kept."""
    try:
        yield
    except KeyboardInterrupt:
        kept = checkpoint is not None and checkpoint.exists()
        end = f"the same command goes on from {checkpoint}" if kept else "nothing is kept of it"
        typer.echo(f"stopped; {end}", err=True)
        raise typer.Exit(130) from None


@contextmanager
def _one_sentence() -> Iterator[None]:
    """End what the user can mend with its sentence on stderr and exit code 1, no traceback."""
    import gymnasium as gym

    try:
        yield
    except (ValueError, OSError, ImportError, gym.error.Error) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
