"""The command `pandaenv`: from raw dumps to records, to a fitted generator, to rows and scores.

In: files named on the command line. Out: files, and a few lines on stdout. Errors that the user can
correct are one sentence on stderr and exit code 1. Heavy libraries load with the command that needs
them.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import gymnasium as gym
import typer

from foundations import checks, files
from foundations.errors import one_sentence
from foundations.objects import accepted, with_methods
from foundations.versions import version

if TYPE_CHECKING:
    import pandas as pd

    from foundations.parquet import Dataset
    from metrics.streaming import Stored
    from pandaenv.policies import Policy

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold rows of a dump
)

DATA = Path(__file__).parent / "data"
"""Folder of the bundled generators, by name."""
LIBRARIES = ("torch", "numpy", "pandas", "gymnasium", "duckdb", "h5py")
EPISODE = (
    "{policy} seed {seed}: return {return:.1f}, flow {flow:.3f}, "
    "limit violations {violations:.4f} per job, {jobs:,} jobs"
)
Seed = Annotated[int, typer.Option(min=0, help="Random seed; the same seed gives the same result.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Device = Annotated[
    str, typer.Option(help="cpu, cuda or cuda:N; auto is an accelerator if there is one.")
]

Dumps = Annotated[
    list[Path],
    typer.Argument(help="Raw PanDA dumps: CSV, Parquet or JSON, files or pipes, zipped or not"),
]
Unknown = Annotated[
    bool,
    typer.Option("--allow-unknown", help="Keep rows of no known project, prodstep or format."),
]
Groups = Annotated[
    bool,
    typer.Option("--groups", help="Keep which rows share a task and a data set, as numbers."),
]
AllAnalysis = Annotated[
    bool, typer.Option("--all-analysis", help="Rows without a label are user analysis.")
]
SiteNames = Annotated[
    Path | None, typer.Option(help="CSV of your own site names: name, site and power.")
]
Encoding = Annotated[str | None, typer.Option(help="Encoding of text files, UTF-8 by default.")]
InMemory = Annotated[
    int, typer.Option(min=1, help="Rows beyond which a Parquet table stays on disk.")
]
Renames = Annotated[
    Path | None, typer.Option(help="TOML or JSON file: by column, old names and new ones.")
]
Rare = Annotated[int, typer.Option(min=1, help="Levels of fewer rows become the level unknown.")]
Check = Annotated[
    bool, typer.Option("--check", help="Only say what would be kept and why not the rest.")
]


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class JobFormat(StrEnum):
    """Job files that other simulators read."""

    SWF = "swf"
    CGSIM = "cgsim"


class Split(StrEnum):
    """How test rows are chosen."""

    RANDOM = "random"
    TIME = "time"
    TASK = "task"


def _say_version(wanted: bool) -> None:
    from . import __version__

    if wanted:
        typer.echo(f"pandaenv {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Synthetic job records, their fidelity, and an environment for brokering jobs."""


@app.command()
@one_sentence()
def ingest(
    dumps: Dumps,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the records, train and test rows, and the row counts."),
    ] = None,
    split: Annotated[
        Split, typer.Option(help="Test rows: a random 20 %, the latest 20 %, or whole tasks.")
    ] = Split.RANDOM,
    seed: Seed = 0,
    allow_unknown: Unknown = False,
    all_analysis: AllAnalysis = False,
    sites: SiteNames = None,
    rare: Rare = 5,
    encoding: Encoding = None,
    check: Check = False,
    groups: Groups = False,
    renames: Renames = None,
    as_json: AsJson = False,
) -> None:
    """Turn raw PanDA dumps into job records, 80 % for training and 20 % for testing.

    A dump has the columns jobstatus, computingsite, creationtime, cpuconsumptiontime,
    ninputdatafiles, inputfilebytes, one of prodsourcelabel and jobname, one of corecount and
    actualcorecount, and one of proddblock, inputfiletype, destinationdblock and jobname, in any
    order and letter case. Other columns are not read. Names of users and jobs are never written.
    What changed over the months, as categories that came and went, stands in cascade.json.

    --groups needs jeditaskid and proddblock; its numbers are new in every run, whatever the seed.
    """
    from . import records

    asked: dict[str, Any] = {"allow_unknown": allow_unknown, "all_analysis": all_analysis}
    asked |= {"sites": sites, "encoding": encoding}
    if check:
        typer.echo(records.check(dumps, as_json=as_json, **asked))
    elif out is None:
        raise ValueError("ingest needs --out FOLDER for its files, or --check to write none")
    else:
        asked |= {"split": split.value, "seed": seed, "rare": rare}
        asked |= {"groups": groups, "renames": renames}
        cascade = records.ingest(dumps, out, **asked)
        typer.echo(cascade.to_json() if as_json else cascade, nl=not as_json)


@app.command("import")
@one_sentence()
def import_(
    trace: Annotated[
        Path, typer.Argument(help="Trace of another grid: SWF, GWF or CSV, zipped or not.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for records, train, test and sites.csv.")],
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of a CSV, such as time=submit; of time, run, cores, site, status, wait, "
            "files and bytes; repeatable."
        ),
    ] = None,
    sites: SiteNames = None,
    split: Annotated[
        Split, typer.Option(help="Test rows: a random 20 %, or the latest 20 %.")
    ] = Split.RANDOM,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Turn a job trace of another grid into records and a catalogue of its sites."""
    from . import records

    pairs = [text.partition("=") for text in column or ()]
    if any(not (sign and theirs) for _, sign, theirs in pairs):
        raise ValueError(f"a column is given as OURS=THEIRS, got {', '.join(column or ())}")
    columns = {ours: theirs for ours, _, theirs in pairs} if column else None
    read = records.import_trace(
        trace, out, columns=columns, sites=sites, split=split.value, seed=seed
    )
    dropped = {reason: n for reason, n in read.dropped.items() if n}
    if as_json:
        counts = {"read": read.n_read, "jobs": len(read.records), "sites": len(read.sites)}
        typer.echo(json.dumps(counts | {"dropped": dropped}, indent=1))
        return
    reasons = "".join(f"; {n:,} dropped: {reason}" for reason, n in dropped.items())
    typer.echo(
        f"{len(read.records):,} of {read.n_read:,} jobs at {len(read.sites):,} sites{reasons}"
    )


@app.command()
@one_sentence()
def fit(
    table: Annotated[
        Path,
        typer.Argument(help="Record table, a folder of ingest or of Parquet files, or a pattern."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the fitted generator.")],
    generator: Annotated[
        str, typer.Option(help="Name of the generator, or module:Class for one of your own.")
    ] = "tabddpm",
    budget: Annotated[
        float | None,
        typer.Option(help="Training time in seconds; by default, the generator's own steps."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps, instead of a time.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File that keeps the training state, to resume from.")
    ] = None,
    device: Device = "auto",
    in_memory: InMemory = 2_000_000,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Fit a generator to a record table, or to Parquet files of many years."""
    import generators
    from generators.base import check_target

    if budget is not None and steps is not None:
        raise ValueError(f"give --budget or --steps, not both: got {budget:g} and {steps}")
    model = with_methods(generator, generators.make(generator), ["save"])
    train = _to_learn(table, in_memory, model)
    check_target(out)
    training = {"budget": budget, "steps": steps, "checkpoint": checkpoint, "device": device}
    with _interrupted_fit(checkpoint):
        model.fit(train, **accepted(model.fit, {"seed": seed, "progress": not quiet, **training}))
    model.save(out)
    if os.environ.get("RANK", "0") == "0":  # torchrun starts several of these
        trained = f", {model.n_steps_:,} steps" if hasattr(model, "n_steps_") else ""
        typer.echo(f"{generator}: {len(train):,} rows{trained}, saved in {out}")


@app.command()
@one_sentence()
def sample(
    model: Annotated[
        Path, typer.Argument(help="Folder of a fitted generator, or the name of a bundled one.")
    ],
    n: Annotated[int, typer.Argument(min=1, help="Number of rows.")],
    out: Annotated[Path, typer.Option(help="Parquet or CSV file for the rows.")],
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Draw synthetic rows from a fitted generator."""
    import generators

    from . import records

    _check_rows_file(out)
    rows = generators.load(_model_folder(model)).sample(n, seed=seed, device=device)
    typer.echo(f"{len(rows):,} rows in {records.write(rows, out)}")


@app.command()
@one_sentence()
def evaluate(
    train: Annotated[Path, typer.Argument(help="Table the generator was fitted to.")],
    synthetic: Annotated[Path, typer.Argument(help="Table the generator made.")],
    holdout: Annotated[Path, typer.Argument(help="Real rows not used for fitting.")],
    target: Annotated[str, typer.Option(help="Column the regressors predict.")] = "workload",
    only: Annotated[list[str] | None, typer.Option(help="Only this metric; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for all numbers.")] = None,
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each stochastic metric.")] = 3,
    in_memory: InMemory = 2_000_000,
    resume: Annotated[
        Path | None, typer.Option(help="Folder that keeps finished metrics, to resume from.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score a synthetic record table; each score stands beside that of the held-out real rows."""
    import metrics

    from . import records

    parts = ((train, records.TRAIN), (synthetic, records.RECORDS), (holdout, records.TEST))
    real, made, unseen = (_to_score(path, part, in_memory) for path, part in parts)
    report = metrics.evaluate(
        real,
        made,
        unseen,
        target=target,
        seed=seed,
        only=only or None,
        n_seeds=seeds,
        resume=resume,
        progress=not quiet,
    )
    typer.echo(report.to_json() if as_json else report.to_markdown())
    if out is not None:
        _write_text(out, report.to_json())


@app.command()
@one_sentence()
def play(
    env: Annotated[str, typer.Argument(help="Environment.")] = "PandaSiteAllocation-v0",
    policy: Annotated[str, typer.Option(help="Policy that places the jobs.")] = "panda_analysis",
    episodes: Annotated[int, typer.Option(min=1, help="Number of episodes.")] = 1,
    jobs: Annotated[int | None, typer.Option(min=1, help="Jobs per episode.")] = None,
    workload: Annotated[
        str | None, typer.Option(help="Name of a workload, or a file or folder with records.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Jobs per day.")] = None,
    load: Annotated[float | None, typer.Option(help="Offered work divided by capacity.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Let a policy place jobs; print return, mean flow time and limit violations per episode."""
    from . import policies

    checks.known("environment", env, _environments())
    broker = policies.make(policy)
    given = {"episode_jobs": jobs, "workload": workload, "rate": rate, "load": load}
    made = gym.make(env, **{k: v for k, v in given.items() if v is not None})
    found = []
    for episode_seed in range(seed, seed + episodes):
        found.append({"policy": policy, "seed": episode_seed} | _played(made, broker, episode_seed))
        if not as_json:
            typer.echo(EPISODE.format(**found[-1]))
    if as_json:
        typer.echo(json.dumps(found, indent=1))


@app.command()
@one_sentence()
def export(
    workload: Annotated[str, typer.Argument(help="tabddpm, reference, a file or a folder.")],
    out: Annotated[Path, typer.Option(help="File to write; FILE.json is written beside it.")],
    format: Annotated[JobFormat, typer.Option(help="Standard Workload Format, or CGSim's CSV.")],
    sites: Annotated[str, typer.Option(help="n largest, tier1, all, or a CSV file.")] = "40",
    rate: Annotated[float, typer.Option(help="Jobs per day.")] = 5_500,
    as_recorded: Annotated[
        bool,
        typer.Option("--as-recorded", help="Keep the recorded submission times; ignore --rate."),
    ] = False,
    load: Annotated[float, typer.Option(help="Offered work divided by capacity.")] = 0.6,
    seed: Seed = 0,
) -> None:
    """Write a workload, and the grid scaled to it, for another simulator."""
    from pandaenv.sites import catalogue
    from pandaenv.workload import exports

    from . import workload as workloads

    _check_file(out)
    grid = catalogue(int(sites) if sites.isdigit() else sites)
    stream = workloads.make(workload).stream(
        grid, rate=None if as_recorded else rate, load=load, seed=seed
    )
    file, beside = exports.write(stream, out, format.value)
    typer.echo(f"{len(stream.jobs):,} jobs in {file}, their grid in {beside}")


@app.command()
def info() -> None:
    """Print installed versions and the known names."""
    import generators
    import pandaenv

    from . import policies, sites

    known = {
        "pandaenv": pandaenv.__version__,
        **{library: version(library) or "not installed" for library in LIBRARIES},
        "environments": _environments(),
        "generators": list(generators.names()),
        "policies": list(policies.names()),
        "sites": sites.catalogue("all").n_sites,
    }
    typer.echo(json.dumps(known, indent=2))


def _to_learn(path: Path, in_memory: int, model: Any) -> "pd.DataFrame | Dataset":
    """The rows to learn, checked; those of a large data set stay on disk if the model can."""
    from . import records

    train = records.opened(path, records.TRAIN, in_memory)
    if hasattr(train, "batches"):
        records.check_rows(train)
        return train if hasattr(model, "learns_files") else train.frame()
    return train


def _to_score(path: Path, part: str, in_memory: int) -> "pd.DataFrame | Stored":
    """A record table; Parquet files of more rows than `in_memory` stay on disk."""
    from metrics.streaming import Stored

    from . import records

    table = records.opened(path, part, in_memory)
    return Stored(table) if hasattr(table, "batches") else table


@contextmanager
def _interrupted_fit(checkpoint: Path | None) -> Iterator[None]:
    """After Ctrl-C, say whether the training can be resumed."""
    try:
        yield
    except KeyboardInterrupt:
        is_kept = checkpoint is not None and checkpoint.exists()
        end = f"the same command goes on from {checkpoint}" if is_kept else "nothing is kept of it"
        typer.echo(f"stopped; {end}", err=True)
        raise typer.Exit(130) from None


def _model_folder(model: Path) -> Path:
    """The folder as given, or that of the bundled generator of this name."""
    bundled = DATA / model.name
    is_name = str(model) == model.name and not model.exists()
    return bundled if is_name and (bundled / "generator.json").is_file() else model


def _check_rows_file(path: Path) -> None:
    """Refuse a file that cannot hold rows, before they are drawn."""
    _check_file(path)
    if not path.name.lower().endswith((".parquet", ".csv", ".csv.gz")):
        raise ValueError(f"the output must end in .parquet, .csv or .csv.gz, got {path}")


def _check_file(path: Path) -> None:
    """Refuse a folder, or a file that cannot be written, before the work."""
    _check_no_folder(path)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        raise ValueError(f"cannot write {path}: {folder} is not writable")


def _check_no_folder(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"the output must be a file; {path} is a folder")


def _write_text(path: Path, text: str) -> None:
    _check_no_folder(path)
    files.write(path, text)


def _environments() -> list[str]:
    """Ids of the environments that importing pandaenv has registered."""
    return [name for name in gym.registry if name.startswith("PandaSiteAllocation")]


def _played(env: gym.Env, policy: "Policy", seed: int) -> dict[str, float]:
    """Play one episode; its return, mean flow time and limit violations per job."""
    from . import policies

    total, cost, n_jobs = 0.0, 0.0, 0
    for step in policies.steps(env, policy, seed):
        total, cost, n_jobs = total + float(step.reward), cost + step.info["cost"], n_jobs + 1
    return {"return": total, "flow": -total / n_jobs, "violations": cost / n_jobs, "jobs": n_jobs}


if __name__ == "__main__":
    app()
