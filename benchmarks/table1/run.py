"""One run of Table I: generators learn, sample and are scored against the same held-out rows.

In: a profile, train and test rows, untrained generators by name. Out: a folder with table1.json,
table1.md, report.html, figures, models, samples and losses, which is that of one run: it is found
again, and gets rows of more generators, as long as data and configuration are the same.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.inputs import candidates
from benchmarks.inputs.splits import Split
from benchmarks.report import claims, provenance
from benchmarks.report.finished import claim_run, read_sealed, result_key, write_sealed
from foundations import tables
from foundations.files import whole
from metrics import Evaluator
from metrics.report import TABLE_1, Score, plain

from .markdown import to_markdown
from .profile import Profile
from .progress import Progress

PUBLISHED_STEPS = 30_000
"""Optimizer steps of the paper, sec. V.A."""
SHUFFLED = "independent"
"""Baseline: every column of the train rows shuffled by itself."""


class TableRun:
    """One table, scored for several generators; what is finished stays in the folder `out`.

    Args:
        split: train and test rows, cut to the profile's sizes.
        extra: real rows in neither, for the regressors of diff-MLEF.
        evaluator: the metrics, prepared on the rows of the split.
        quiet: no progress on stderr.
        device: where generators learn and draw.
    """

    def __init__(
        self,
        profile: Profile,
        split: Split,
        extra: pd.DataFrame,
        evaluator: Evaluator,
        out: Path,
        seed: int,
        quiet: bool = False,
        device: str = "cpu",
    ):
        self.profile, self.split, self.evaluator = profile, split, evaluator
        self.out, self.seed, self.quiet, self.device = out, seed, quiet, device
        self.digest = tables.digest(split.train, split.test, extra)[:16]
        self.n_sample = max(evaluator.n, evaluator.n_mlef)
        self.samples: dict[str, pd.DataFrame] = {}

    def table(self, models: dict[str, Any]) -> dict:
        """Rows of all generators, the held-out baseline, published rows and claims.

        Raises: ValueError where the folder holds another run.
        """
        claim_run(self.out, self._identity(models))
        self.progress = Progress(self._plan(models), self.quiet)
        floor = self._finished_or("floor", {}, self._floor)
        rows = [self._row_of(name, model) for name, model in models.items()]
        shuffled = self._finished_or(SHUFFLED, {}, self._shuffled)
        return plain(
            {
                "rows": rows,
                "floor": floor,
                "baselines": [shuffled],
                "published": claims.PUBLISHED,
                "claims": claims.check(rows),
                "config": self._config(models),
                "n_train": len(self.split.train),
                "n_holdout": len(self.split.test),
                "n_synthetic": self.evaluator.n,
                "dcr_test_to_train": self.evaluator.dcr_test,
                "n_mlef": self.evaluator.n_mlef if self.evaluator.settings.target else None,
            }
        )

    def write(self, result: dict, out: Path) -> None:
        """Write the tables, figures and the page; each file appears whole or not at all."""
        self.progress.start("report", f"drawing figures and report into {out}")
        from metrics.page import Page

        provenance.write_text(out / "table1.md", to_markdown(result))
        page = Page(
            result,
            self.evaluator.train,
            self.samples,
            self.evaluator.association,
            self._losses(),
            self.split.cascade,
            self.split.note,
        )
        for name, image in page.figures().items():
            provenance.write_text(out / "figures" / f"{name}.svg", image)
        provenance.write_text(out / "report.html", page.html())
        provenance.write_json(out / "table1.json", result)

    def _plan(self, models: dict[str, Any]) -> dict[str, float]:
        """Expected seconds of every step, measured on two cores at 2.5 GHz."""
        profile = self.profile
        score = (profile.n_mlef / 4_000 + 3 + self.evaluator.n / 2_000) * profile.n_seeds
        plan = {"floor": 2 * score}
        for name in models:
            fit = profile.budget or profile.steps_of(name) / 20
            plan |= {
                f"{name} fit": fit if name != "smote" else profile.n_train / 20_000,
                f"{name} sample": profile.n_mlef / 2_000 if name != "smote" else 1.0,
                f"{name} score": score,
            }
        return plan | {SHUFFLED: score, "report": 8.0}

    def _finished_or(self, name: str, settings: dict, make: Callable[[], dict]) -> dict:
        """The row that an earlier run of this data and configuration finished, else a new one."""
        found, path = self._key(name, settings), self._path("rows", name, ".json")
        kept = read_sealed(path)
        if kept is not None and kept.get("key") == found:
            self.progress.skip(name)
            return kept["row"]
        row = plain(make())
        write_sealed(path, {"key": found, "row": row})
        return row

    def _identity(self, models: dict[str, Any]) -> dict:
        """What makes this run another than one in the same folder; of generators those it has."""
        profile = plain(asdict(self.profile))
        own = profile.pop("generators")
        rows = {
            f"generator {name}": {"settings": candidates.settings(model)}
            | {k: v for k, v in own.get(name, {}).items() if k == "steps"}
            for name, model in models.items()
        }
        others = {
            "profile": profile.pop("name"),
            "seed": self.seed,
            "target": self.evaluator.settings.target,
            "device": self.device,
            "versions": provenance.versions(),
        }
        return others | profile | rows | {"data": self.digest}

    def _key(self, name: str, settings: dict) -> str:
        profile, target = plain(asdict(self.profile)), self.evaluator.settings.target
        versions = provenance.versions()
        rows = profile.pop("generators")  # those of others do not change this one
        steps = [rows[name]["steps"]] if "steps" in rows.get(name, {}) else []
        parts = [name, settings, profile, steps, self.digest, self.seed, target, versions]
        parts += [self.device] * (self.device != "cpu")
        return result_key(parts, sort_keys=True)

    def _path(self, folder: str, name: str, suffix: str = "") -> Path:
        return self.out / folder / f"{name.replace(':', '.')}{suffix}"

    def _floor(self) -> dict:
        split, n = self.split, self.evaluator.n
        sizes = f"{split.name}: {len(split.train):,} train rows, n = {n:,} scored"
        self.progress.start("floor", f"{sizes}; held-out baseline of real rows")
        return _row("real rows", self.evaluator.floor)

    def _row_of(self, name: str, model: Any) -> dict:
        sample = self._path("samples", name, ".parquet")
        if not sample.is_file():
            self._path("rows", name, ".json").unlink(missing_ok=True)
        settings = candidates.settings(model)
        row = self._finished_or(name, settings, lambda: self._fit_and_score(name, model, settings))
        if name not in self.samples:
            self.samples[name] = pd.read_parquet(sample)
        return row

    def _fit_and_score(self, name: str, model: Any, settings: dict) -> dict:
        """Train, sample and score one generator; sample, model and losses are saved on the way."""
        began = time.monotonic()
        checkpoint = self._fit(name, model, settings)
        fitted = time.monotonic()
        self.progress.start(f"{name} sample", f"{name}: drawing {self.n_sample:,} rows")
        sample = candidates.sample(model, self.n_sample, seed=self.seed)
        drawn = time.monotonic()
        self._save(name, model, sample)
        checkpoint.unlink(missing_ok=True)
        self.progress.start(f"{name} score", f"{name}: scoring")
        steps = getattr(model, "n_steps_", 0) or None
        return _row(name, self.evaluator.score(sample)) | {
            "fit_seconds": round(fitted - began, 3),
            "steps": steps,
            "sample_rows_per_s": round(self.n_sample / max(drawn - fitted, 1e-9), 1),
            "under_trained": steps is not None and steps < PUBLISHED_STEPS,
        }

    def _fit(self, name: str, model: Any, settings: dict) -> Path:
        """Train a generator; the checkpoint from which an interrupted training resumes."""
        profile = self.profile
        steps = profile.steps_of(name)
        amount = f"{steps:,} steps" if steps else f"{profile.budget:g} s"
        self.progress.start(f"{name} fit", f"{name}: learning {profile.n_train:,} rows ({amount})")
        checkpoint = self._path("models", f"{name}-{self._key(name, settings)}.checkpoint")
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        candidates.fit(
            model,
            self.split.train,
            seed=self.seed,
            budget=profile.budget,
            steps=steps,
            progress=not self.quiet,
            checkpoint=checkpoint,
            device=self.device,
        )
        return checkpoint

    def _save(self, name: str, model: Any, sample: pd.DataFrame) -> None:
        """Save model, sample and losses."""
        if hasattr(model, "save"):
            model.save(self._path("models", name))
        with whole(self._path("samples", name, ".parquet")) as draft:
            sample.to_parquet(draft, index=False)
        losses = getattr(model, "losses_", None)
        if losses is not None and len(losses):
            csv = losses.to_csv(index=False)
            provenance.write_text(self._path("losses", name, ".csv"), csv)
        self.samples[name] = sample

    def _shuffled(self) -> dict:
        self.progress.start(SHUFFLED, f"{SHUFFLED}: every column shuffled by itself")
        train, rng = self.split.train, np.random.default_rng([self.seed, 3])
        order = {name: rng.permutation(len(train)) for name in train}
        columns = {name: train[name].iloc[order[name]].array for name in train}
        return _row(SHUFFLED, self.evaluator.score(pd.DataFrame(columns).iloc[: self.n_sample]))

    def _config(self, models: dict[str, Any]) -> dict:
        options = asdict(self.profile)
        return (
            {"profile": options.pop("name")}
            | options
            | {
                "data": self.split.name,
                "data_hash": self.digest,
                "target": self.evaluator.settings.target,
                "transform": self.evaluator.transform,
                "generators": {name: candidates.settings(model) for name, model in models.items()},
                "published_steps": PUBLISHED_STEPS,
                "device": self.device,
            }
        )

    def _losses(self) -> dict[str, pd.DataFrame]:
        paths = {name: self._path("losses", name, ".csv") for name in self.samples}
        return {name: pd.read_csv(path) for name, path in paths.items() if path.is_file()}


def _row(name: str, score: Score) -> dict:
    """One row of the table: the five columns first, all other numbers behind them."""
    values = {column: score.values.get(column) for column in TABLE_1}
    extra = {
        f.name: getattr(score, f.name)
        for f in fields(score)
        if f.name != "values" and getattr(score, f.name) is not None
    }
    return {"model": name} | values | score.values | extra
