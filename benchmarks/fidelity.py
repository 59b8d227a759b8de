"""Table I of Park et al. (2024, arXiv 2410.07940) on the reference workload or any table of yours.

In: `--data`, a profile of `benchmarks/configs`, names of generators. Out, in the folder `--out`:
table1.json, table1.md, report.html, figures, models, samples, losses; the table is printed. Every
number stands beside the one that unseen real rows get. A run that was stopped goes on where it
stopped: finished rows are kept as long as data and configuration are the same.
"""

import argparse
import hashlib
import json
import re
import sys
import time
import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

import generators
from benchmarks.inputs import splits
from benchmarks.inputs.arguments import command
from benchmarks.inputs.places import CONFIGS
from benchmarks.report import claims, provenance, repeats
from foundations import tables
from foundations.files import whole
from metrics import Judge, temporal
from metrics.columns import is_numerical
from metrics.report import TABLE_1, Score, markdown, plain, show

PUBLISHED_STEPS = 30_000  # optimizer steps of the paper, sec. V.A
SHUFFLED = "independent"  # baseline: every column of train shuffled by itself


@dataclass(frozen=True)
class Profile:
    """What one run does; the fields are those of `benchmarks/configs/fidelity-*.toml`."""

    name: str
    n_train: int
    n_holdout: int  # rows of both halves
    n_mlef: int  # rows the regressors are trained on
    days: int = 150  # of the reference workload
    budget: float | None = None  # seconds of training for each learner
    steps: int | None = None  # optimizer steps, instead of a budget
    n_seeds: int = 1  # runs of the stochastic metrics
    metrics: tuple[str, ...] = TABLE_1
    generators: dict[str, dict] = field(default_factory=dict)  # options by name

    @classmethod
    def read(cls, name: str) -> "Profile":
        """Read a profile by name; a ValueError names those there are."""
        known = sorted(p.stem.removeprefix("fidelity-") for p in CONFIGS.glob("fidelity-*.toml"))
        if name not in known:
            raise ValueError(f"unknown profile {name!r}; known: {', '.join(known)}")
        options = tomllib.loads((CONFIGS / f"fidelity-{name}.toml").read_text())
        return cls(name, **options | {"metrics": tuple(options["metrics"])})


class Clock:
    """Says on stderr what is being done, how long it took so far and about how long it still takes.

    `plan` lists expected seconds of the steps to come; what is done corrects the rest.
    """

    def __init__(self, plan: dict[str, float], quiet: bool = False):
        self.left, self.quiet = dict(plan), quiet
        self.began = time.monotonic()
        self.expected = 0.0

    def start(self, step: str, words: str) -> None:
        """Announce a step and take it, and all before it, off the plan."""
        spent = time.monotonic() - self.began
        pace = max(0.5, spent / self.expected) if self.expected > 5 else 1.0
        left = pace * sum(self.left.values())
        self.expected += self.left.pop(step, 0.0)
        if not self.quiet:
            print(f"[{_clock(spent)}, about {_clock(left)} left] {words}", file=sys.stderr)

    def skip(self, name: str) -> None:
        """Take every step of a finished row off the plan."""
        self.left = {step: s for step, s in self.left.items() if step.split()[0] != name}
        if not self.quiet:
            print(f"{name}: kept from an earlier run", file=sys.stderr)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if Table I was written, 1 with one sentence on stderr if not."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    try:
        if options.dry_run:
            print(json.dumps(resolved(options), indent=1))
            return 0
        result = run(options, arguments)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on where this one was", file=sys.stderr)
        return 130
    print(text(result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.fidelity", description=__doc__)
    add = parser.add_argument
    add(
        "--data",
        default=splits.REFERENCE,
        help="'reference', a CSV or Parquet file, or a folder written by `pandaenv ingest`",
    )
    add("--profile", default="standard", help="smoke, standard (default), large, converged, paper")
    add("--generators", nargs="+", metavar="NAME", help="all known ones by default")
    add("--budget", type=float, help="seconds of training for each learner")
    add("--target", help="numerical column to predict for diff-MLEF ('workload' if there is one)")
    add("--out", type=Path, help="folder to write, runs/fidelity-DATA-PROFILE by default")
    add("--seed", type=int, default=0)
    add(
        "--repeats",
        type=int,
        default=1,
        metavar="R",
        help="seeds from --seed on, each with its own cut, training and scoring; means are printed",
    )
    add("--dry-run", action="store_true", help="print the resolved configuration and stop")
    add("--quiet", action="store_true", help="no progress on stderr")
    return parser


def run(options: argparse.Namespace, arguments: list[str]) -> dict:
    """Do everything `options` ask for; return what table1.json holds."""
    profile = _profile(options)
    models = _models(options.generators, profile)
    seeds = [options.seed + r for r in range(options.repeats)]
    works = [_work(options, profile, seed, len(seeds) > 1) for seed in seeds]
    results = [work.table(models) for work in works]
    result = repeats.pooled(results, claims.check) if len(seeds) > 1 else results[0]
    made = provenance.provenance(
        "benchmarks.fidelity", arguments, seeds if len(seeds) > 1 else seeds[0]
    )
    works[0].write(result | made, _out(options, profile))
    return result | made


def _work(options: argparse.Namespace, profile: Profile, seed: int, several: bool) -> "Run":
    """The table of one seed, its data read and cut."""
    data = splits.read(options.data, days=profile.days, seed=options.seed)
    target = _target(options.target, data.train)
    profile = profile if target else replace(profile, n_mlef=0)
    profile = profile if temporal.DAYS in data.train else _timeless(profile)
    profile, cut, extra = _cut(profile, data, seed)
    judge = Judge(
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
    return Run(profile, cut, extra, judge, out, seed, options.quiet)


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
    settings = {name: _settings(model) for name, model in models.items()}
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


def _models(names: list[str] | None, profile: Profile) -> dict[str, object]:
    """Untrained generators by name; an unknown name is refused before anything is done."""
    names = names or list(generators.names())
    return {name: generators.make(name, **profile.generators.get(name, {})) for name in names}


def _cut(profile: Profile, data: splits.Split, seed: int):
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


class Run:
    """One table judged for several models, with what is finished kept in `out`."""

    def __init__(self, profile, data, extra, judge: Judge, out: Path, seed: int, quiet: bool):
        self.profile, self.data, self.extra = profile, data, extra
        self.judge, self.out, self.seed, self.quiet = judge, out, seed, quiet
        self.digest = tables.digest(data.train, data.test, extra)[:16]
        self.samples: dict[str, pd.DataFrame] = {}

    def table(self, models: dict[str, object]) -> dict:
        """Rows of all models, floor, published rows and claims."""
        self.clock = Clock(self._plan(models), self.quiet)
        floor = self._kept("floor", {}, self._floor)
        rows = [self._model(name, model) for name, model in models.items()]
        shuffled = self._kept(SHUFFLED, {}, self._shuffled)
        return plain(
            {
                "rows": rows,
                "floor": floor,
                "baselines": [shuffled],
                "published": claims.PUBLISHED,
                "claims": claims.check(rows),
                "config": self._config(models),
                "n_train": len(self.data.train),
                "n_holdout": len(self.data.test),
                "n_synthetic": self.judge.n,
                "dcr_test_to_train": self.judge.dcr_test,
                "n_mlef": self.judge.n_mlef if self.judge.target else None,
            }
        )

    def write(self, result: dict, out: Path) -> None:
        """Write the tables, figures and the page; each appears whole or not at all."""
        self.clock.start("report", f"drawing figures and report into {out}")
        from metrics.page import Page

        provenance.write_text(out / "table1.md", text(result))
        page = Page(
            result,
            self.judge.train,
            self.samples,
            self.judge.association,
            self._losses(),
            self.data.cascade,
            self.data.note,
        )
        for name, image in page.figures().items():
            provenance.write_text(out / "figures" / f"{name}.svg", image)
        provenance.write_text(out / "report.html", page.html())
        provenance.write_json(out / "table1.json", result)

    def _model(self, name: str, model) -> dict:
        sample = self._place("samples", f"{name}.parquet")
        if not sample.is_file():
            (self.out / "rows" / f"{name}.json").unlink(missing_ok=True)
        row = self._kept(name, _settings(model), lambda: self._fit(name, model))
        if name not in self.samples:
            self.samples[name] = pd.read_parquet(sample)
        return row

    def _fit(self, name: str, model) -> dict:
        """Train, sample and score one model; everything but the row is kept on the way."""
        profile = self.profile
        amount = f"{profile.steps:,} steps" if profile.steps else f"{profile.budget:g} s"
        self.clock.start(f"{name} fit", f"{name}: learning {profile.n_train:,} rows ({amount})")
        checkpoint = self._place("models", f"{name}-{self._key(name, _settings(model))}.checkpoint")
        began = time.monotonic()
        model.fit(
            self.data.train,
            seed=self.seed,
            budget=profile.budget,
            steps=profile.steps,
            progress=not self.quiet,
            checkpoint=checkpoint,
        )
        fitted = time.monotonic()
        n = max(self.judge.n, self.judge.n_mlef)
        self.clock.start(f"{name} sample", f"{name}: drawing {n:,} rows")
        sample = model.sample(n, seed=self.seed)
        drawn = time.monotonic()
        self._keep(name, model, sample)
        checkpoint.unlink(missing_ok=True)
        self.clock.start(f"{name} score", f"{name}: scoring")
        steps = getattr(model, "n_steps_", 0) or None
        return _row(name, self.judge.score(sample)) | {
            "fit_seconds": round(fitted - began, 3),
            "steps": steps,
            "sample_rows_per_s": round(n / max(drawn - fitted, 1e-9), 1),
            "under_trained": steps is not None and steps < PUBLISHED_STEPS,
        }

    def _keep(self, name: str, model, sample: pd.DataFrame) -> None:
        """Save model, sample and losses."""
        if hasattr(model, "save"):
            model.save(self.out / "models" / name)
        with whole(self._place("samples", f"{name}.parquet")) as draft:
            sample.to_parquet(draft, index=False)
        losses = getattr(model, "losses_", None)
        if losses is not None and len(losses):
            csv = losses.to_csv(index=False)
            provenance.write_text(self.out / "losses" / f"{name}.csv", csv)
        self.samples[name] = sample

    def _losses(self) -> dict[str, pd.DataFrame]:
        paths = {name: self.out / "losses" / f"{name}.csv" for name in self.samples}
        return {name: pd.read_csv(path) for name, path in paths.items() if path.is_file()}

    def _floor(self) -> dict:
        self.clock.start("floor", f"{self._sizes()}; real rows in the synthetic table's place")
        return _row("real rows", self.judge.floor)

    def _shuffled(self) -> dict:
        self.clock.start(SHUFFLED, f"{SHUFFLED}: every column shuffled by itself")
        rng = np.random.default_rng([self.seed, 3])
        order = {name: rng.permutation(len(self.data.train)) for name in self.data.train}
        columns = {name: self.data.train[name].iloc[order[name]].array for name in self.data.train}
        n = max(self.judge.n, self.judge.n_mlef)
        return _row(SHUFFLED, self.judge.score(pd.DataFrame(columns).iloc[:n]))

    def _kept(self, name: str, settings: dict, make) -> dict:
        """The finished row of an earlier run of this data and configuration, else a new one."""
        key, path = self._key(name, settings), self.out / "rows" / f"{name}.json"
        kept = _finished(path, key)
        if kept:
            self.clock.skip(name)
            return kept
        row = plain(make())
        provenance.write_json(path, {"key": key, "row": row})
        return row

    def _key(self, name: str, settings: dict) -> str:
        profile = plain(asdict(self.profile))
        everything = [
            name,
            settings,
            profile,
            self.digest,
            self.seed,
            self.judge.target,
            provenance.versions(),
        ]
        text = json.dumps(everything, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _place(self, folder: str, name: str) -> Path:
        (self.out / folder).mkdir(parents=True, exist_ok=True)
        return self.out / folder / name

    def _config(self, models: dict[str, object]) -> dict:
        options = asdict(self.profile)
        return (
            {"profile": options.pop("name")}
            | options
            | {
                "data": self.data.name,
                "data_hash": self.digest,
                "target": self.judge.target,
                "transform": self.judge.transform,
                "generators": {name: _settings(model) for name, model in models.items()},
                "published_steps": PUBLISHED_STEPS,
            }
        )

    def _plan(self, models: dict[str, object]) -> dict[str, float]:
        """Expected seconds of every step, measured on two cores at 2.5 GHz."""
        profile = self.profile
        score = (profile.n_mlef / 4_000 + 3 + self.judge.n / 2_000) * profile.n_seeds
        fit = profile.budget or profile.steps / 20
        plan = {"floor": 2 * score}
        for name in models:
            plan |= {
                f"{name} fit": fit if name != "smote" else profile.n_train / 20_000,
                f"{name} sample": profile.n_mlef / 2_000 if name != "smote" else 1.0,
                f"{name} score": score,
            }
        return plan | {SHUFFLED: score, "report": 8.0}

    def _sizes(self) -> str:
        return f"{self.data.name}: {len(self.data.train):,} train rows, n = {self.judge.n:,} scored"


def _finished(path: Path, key: str) -> dict | None:
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return kept["row"] if kept["key"] == key else None


def _settings(model) -> dict:
    config = getattr(model, "config", None)
    return asdict(config) if is_dataclass(config) else {"model": repr(model)}


def _row(name: str, score: Score) -> dict:
    """One row of the table: the five columns first, all other numbers behind them."""
    values = {column: score.values.get(column) for column in TABLE_1}
    extra = {
        f.name: getattr(score, f.name)
        for f in fields(score)
        if f.name != "values" and getattr(score, f.name) is not None
    }
    return {"model": name} | values | score.values | extra


def text(result: dict) -> str:
    """Table I with floors, the published rows, claims and warnings, as Markdown."""
    attack = ["membership AUC"] if "membership AUC" in result["floor"] else []
    head = ["model", *TABLE_1, "C2ST", "closer to train", *attack, "steps", "fit s", "rows/s"]
    keys = ["model", *head[1:-2], "fit_seconds", "sample_rows_per_s"]
    rows = [*result["rows"], result["floor"], *result["baselines"]]
    published = [row | {"model": f"{row['model']} (published)"} for row in result["published"]]
    lines = [[_cell(row, key) for key in keys] for row in [*rows, *published]]
    parts = [
        _head(result),
        markdown(head, lines),
        _notes(result),
        _leads(result),
        _claims(result["claims"]),
    ]
    return "\n".join(part for part in parts if part)


def _cell(row: dict, key: str) -> str:
    value, spread = row.get(key), row.get("spread", {}).get(key)
    if key == "model":
        return value
    if key in ("steps", "sample_rows_per_s") and value is not None:
        return f"{value:,.0f}"
    return show(value) + ("" if spread is None else f" ± {show(spread, 2)}")


def _head(result: dict) -> str:
    config = result["config"]
    target = f", target {config['transform']}({config['target']})" if config["target"] else ""
    mlef = f" (diff-MLEF {result['n_mlef']:,})" if result["n_mlef"] else ""
    return (
        f"## Table I on {config['data']}, profile {config['profile']}\n\n"
        f"Trained on {result['n_train']:,} rows, scored at n = {result['n_synthetic']:,}{mlef} "
        f"against half of {result['n_holdout']:,} unseen rows{target}{_repeated(result)}.\n"
    )


def _repeated(result: dict) -> str:
    n = result.get("n_repeats", 1)
    return f"; mean ± standard deviation of {n} seeds" if n > 1 else ""


def _notes(result: dict) -> str:
    notes = [
        "Real rows: unseen records in the synthetic table's place, the floor of every column.",
        "The published formulas of WD and JSD are not stated: those columns do not compare.",
    ]
    for row in result["rows"]:
        if row["under_trained"]:
            steps = f"{row['steps']:,.0f} steps, published {PUBLISHED_STEPS:,}"
            notes.append(f"{row['model']} is under-trained: {steps}.")
    if result["config"]["target"] is None:
        notes.append("No --target was given, so diff-MLEF is left out.")
    return "".join(f"- {note}\n" for note in notes)


def _leads(result: dict) -> str:
    """The best model of each column, and those that its lead on these seeds does not tell apart."""
    lines = []
    for lead in result.get("leads", []):
        near = [name for name, gap in lead["more"].items() if gap["low"] <= 0]
        words = f"; not told apart from it (paired, 95 %): {', '.join(near)}" if near else ""
        lines.append(f"- {lead['metric']}: {lead['best']}{words}\n")
    return "Least mean over the seeds:\n\n" + "".join(lines) if lines else ""


def _claims(found: list[dict]) -> str:
    words = {True: "holds", False: "does not hold", None: "not run"}
    lines = [f"- {words[c['holds']]}: {c['claim']}" for c in found]
    numbers = [f" ({c['detail']})" if c["holds"] is not None else "" for c in found]
    return "The paper's claims:\n\n" + "".join(map("{}{}\n".format, lines, numbers))


if __name__ == "__main__":
    command(main)
