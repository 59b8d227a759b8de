"""Scores synthetic tables against real tables that are prepared once.

In: train, synthetic and holdout tables of one schema. Out: a `Report`. The holdout is cut in two
disjoint halves. One is the held-out baseline: it is scored like a synthetic table, and its score is
the floor. The other half is the test table, for floor and models alike. Every table is drawn down
to one n, because most metrics depend on n.

A table may be the path of a Parquet file. One with more rows than `in_memory` stays on disk.
Measures that are exact then read all its rows in passes over the file. The others take `in_memory`
rows drawn with the seed, and the report's `sizes` say so.
"""

import math
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from tqdm import tqdm

from . import association, efficacy, frames, privacy, streaming, streams
from .checkpoints import Checkpoints, digest
from .comparisons import Cache, Comparison
from .measures import Measure
from .registry import MEASURES
from .report import Report
from .scores import Score
from .settings import Settings

Table: TypeAlias = pd.DataFrame | frames.OnDisk | Path | str  # a path is that of a Parquet file
BAR = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}, about {remaining} left"


def evaluate(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    n_seeds: int = 3,
    progress: bool = False,
    **settings: Any,
) -> Report:
    """Score a synthetic table against the train table it was learned from and unseen real rows.

    Columns of the synthetic table that train lacks, such as the stages of a job log, are ignored.
    Where train and holdout have `creationtime`, `task` and `dataset`, the last two say which rows
    belong together: the measure "streams" reads them from whole tables, no other measure does.
    Dates count as days; a missing category is a category, a missing number the median of its column
    beside a truth that says so.

    Args:
        n_seeds: runs of the stochastic metrics, whose mean and standard deviation are reported.
        progress: show a bar on stderr with the measure being taken and the time left.
        settings: the other fields of `metrics.settings.Settings`: target, labels, seed, only,
            regressor, classifier, in_memory, resume.

    Raises: ValueError in one sentence for tables that cannot be compared.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sites = ["BNL", "CERN"] * 150
        >>> real = pd.DataFrame({"workload": rng.lognormal(size=300), "site": sites})
        >>> report = evaluate(real[:100], real[100:150], real[150:], only=["WD", "JSD"])
        >>> list(report.table1().index)
        ['synthetic', 'floor']
    """
    checked = Settings(n_seeds=n_seeds, **settings)
    train = streaming.open_table(train, checked.in_memory, "train")
    synthetic = streaming.open_table(synthetic, checked.in_memory, "synthetic")
    synthetic = frames.without_extra_columns(train, synthetic)
    evaluator = Evaluator(train, holdout, n_max=len(synthetic), n_seeds=n_seeds, **settings)
    return evaluator.report(synthetic, progress=progress)


class Evaluator(Cache):
    """Real tables prepared once, so that many synthetic tables are scored against them alike.

    Args:
        train, holdout: the rows a generator learned from, and unseen rows of the same origin.
        extra: more unseen real rows. They only enlarge the held-out baseline of the measures that
            use n_mlef rows, so that models can use more rows there, too.
        n_max: rows a synthetic table will have, which caps n and n_mlef.
        settings: the fields of `metrics.settings.Settings`.

    Attributes: n and n_mlef, the rows of a synthetic table that are scored and that train the
    regressors; train, test and baseline, the real tables; transform, that of the target.
    """

    def __init__(
        self,
        train: Table,
        holdout: Table,
        *,
        extra: pd.DataFrame | None = None,
        n_max: int | None = None,
        **settings: Any,
    ):
        self.settings = s = Settings(**settings)
        train, holdout = (
            streaming.open_table(table, s.in_memory, what)
            for table, what in ((train, "train"), (holdout, "holdout"))
        )
        self.stream, self.other_stream = _streams(train, holdout)
        train, holdout = streams.without_groups(train), streams.without_groups(holdout)
        self.view = frames.view_of(train)
        train, holdout, extra = (
            frames.plain(self.view, table) for table in (train, holdout, extra)
        )
        self.train = frames.check(train, "train")
        holdout = frames.aligned(train, holdout, "holdout")
        self.labels = s.labels_of(train)
        self.measures = s.measures_for(train, grouped=self.stream is not None)
        self.n_holdout = len(holdout)
        half, self.test = _halves(holdout, s.seed)
        self.n = min(len(half), n_max or len(holdout))
        self.baseline = _enlarged(half, extra, train)
        self.n_mlef = min(len(train), len(self.baseline), n_max or len(train))
        self.transform = None
        if s.target is not None and any(measure.needs == "target" for measure in self.measures):
            self.transform = efficacy.transform_for(train, self.test, s.target)
        self.checkpoints = Checkpoints(
            s.resume, self.train, holdout, extra, n_max, s.target, self.labels, s.seed, s.n_seeds,
            s.regressor, s.classifier, s.in_memory,
        )  # fmt: skip

    def report(self, synthetic: Table, *, progress: bool = False) -> Report:
        """Score a table and set the floor beside it."""
        seconds = 2 * sum(measure.seconds for measure in self.measures)
        with tqdm(total=seconds, disable=not progress, leave=False, bar_format=BAR) as bar:
            score = self.score(synthetic, _Progress(bar, "synthetic"))
            if "floor" not in vars(self):
                notify = _Progress(bar, "real rows")
                self.floor = self._score(self.baseline, notify, self.other_stream)
        return Report(
            score,
            self.floor,
            self.n,
            self.n_mlef,
            len(self.train),
            self.n_holdout,
            self.settings.target,
            self.transform,
            self.settings.regressor,
            self.settings.seed,
            self.settings.n_seeds,
            self.dcr_test,
            self.association,
            self.sizes,
        )

    def score(self, table: Table, notify: Callable[[str], None] = lambda name: None) -> Score:
        """Score a table of at least n rows, n_mlef where a measure needs them.

        notify: called with the name of each measure before it is taken.
        """
        table = streaming.open_table(table, self.settings.in_memory, "synthetic")
        is_read = any(m.needs == "groups" for m in self.measures) and streams.is_grouped(table)
        stream = streams.Stream.of(table, "synthetic") if is_read else None
        table = streams.without_groups(table)
        return self._score(frames.plain(self.view, table), notify, stream)

    def _score(
        self,
        table: Any,
        notify: Callable[[str], None] = lambda name: None,
        stream: streams.Stream | None = None,
    ) -> Score:
        table = frames.aligned(
            self.train, frames.without_extra_columns(self.train, table), "synthetic"
        )
        need = max([self.n, *(self._n_of(measure) for measure in self.measures)])
        if len(table) < need:
            raise ValueError(f"synthetic must have at least {need} rows, got {len(table)}")
        order = np.random.default_rng([self.settings.seed, 1]).permutation(len(table))
        rows, large = (streaming.take(table, order[:n]) for n in (self.n, self.n_mlef))
        comparison, score = Comparison(rows, large, self, stream), Score()
        key = self._key(table, stream)
        for measure in self.measures:
            notify(measure.name)
            compute = partial(measure.function, comparison)
            score.add(self.checkpoints.score(measure.name, key, compute))
        return score

    def _key(self, table: Any, stream: streams.Stream | None) -> str:
        """What a kept score belongs to; "" where none is kept."""
        if not self.checkpoints:
            return ""
        parts = [one for one in (self.stream, self.other_stream, stream) if one is not None]
        return " ".join([digest(table), *(digest(one.groups) for one in parts)])

    @cached_property
    def floor(self) -> Score:
        """The score of the held-out baseline; as a stream, of the whole holdout."""
        return self._score(self.baseline, stream=self.other_stream)

    @property
    def association(self) -> pd.DataFrame:
        """The association matrix of train."""
        return self.once(association.of_train)

    @cached_property
    def dcr_test(self) -> float:
        """Mean distance of the test half to train, NaN unless DCR is asked for."""
        if not self.takes("DCR"):
            return math.nan
        compute = partial(privacy.dcr_of_test, self)
        return self.checkpoints.score("DCR of the test half", "", compute).values["DCR"]

    @property
    def sizes(self) -> dict[str, int]:
        """Rows of the synthetic table each measure scores, and of train where not all are held."""
        out = {measure.name: self._size_of(measure) for measure in self.measures}
        if isinstance(self.train, frames.OnDisk):
            out["train held"] = len(self.train_rows)
        return out

    def _size_of(self, measure: Measure) -> int:
        n = self._n_of(measure)
        return min(n, n if measure.exact else self.settings.in_memory, measure.cap or n)

    def _n_of(self, measure: Measure) -> int:
        return self.n_mlef if measure.rows == "n_mlef" else self.n

    def takes(self, name: str) -> bool:
        """Whether a measure is taken."""
        return any(measure.name == name for measure in self.measures)

    @cached_property
    def train_rows(self) -> pd.DataFrame:
        """Train in memory, at most `in_memory` rows of it."""
        return self.in_memory(self.train)

    @cached_property
    def test_rows(self) -> pd.DataFrame:
        """The test half in memory, at most `in_memory` rows of it."""
        return self.in_memory(self.test)

    def in_memory(self, table: pd.DataFrame | frames.OnDisk) -> pd.DataFrame:
        """The table in memory; a larger one drawn down to `in_memory` rows."""
        return streaming.in_memory(table, self.settings.in_memory, self.seed)

    @property
    def seed(self) -> int:
        return self.settings.seed

    @property
    def seeds(self) -> range:
        """Seeds of the runs of a stochastic metric."""
        return range(self.seed, self.seed + self.settings.n_seeds)

    def subsample(self, table: pd.DataFrame, most: int) -> pd.DataFrame:
        """At most `most` rows of a table, drawn with the seed."""
        if len(table) <= most:
            return table
        return table.iloc[np.random.default_rng([self.seed, 4]).permutation(len(table))[:most]]

    def train_sample(self, n: int) -> pd.DataFrame:
        """At most n train rows, drawn with the seed."""
        order = np.random.default_rng([self.seed, 2]).permutation(len(self.train_rows))
        return self.train_rows.iloc[order[:n]]


def _streams(train: Any, holdout: Any) -> tuple[streams.Stream | None, streams.Stream | None]:
    """Both tables in order of time, with their groups; None where one has none."""
    if not (streams.is_grouped(train) and streams.is_grouped(holdout)):
        return None, None
    return streams.Stream.of(train, "train"), streams.Stream.of(holdout, "holdout")


def _halves(holdout: Any, seed: int) -> tuple[Any, Any]:
    if len(holdout) < 2:
        raise ValueError(f"holdout must have at least 2 rows to be halved, got {len(holdout)}")
    order = np.random.default_rng([seed, 0]).permutation(len(holdout))
    half = len(holdout) // 2
    return streaming.take(holdout, order[:half]), streaming.take(holdout, order[half:])


def _enlarged(half: Any, extra: pd.DataFrame | None, train: Any) -> Any:
    """Half of the holdout, with the extra real rows behind it."""
    if extra is None or not len(extra):
        return half
    extra = frames.aligned(train, extra, "extra")
    if isinstance(half, frames.OnDisk):
        raise ValueError("extra rows need a holdout in memory, got one on disk")
    return pd.concat([half, extra], ignore_index=True)


class _Progress:
    """Advances a bar by the time that the measure before was expected to take."""

    def __init__(self, bar: tqdm, what: str):
        self.bar, self.what, self.last = bar, what, 0.0

    def __call__(self, name: str) -> None:
        self.bar.set_description(f"{self.what}: {name}", refresh=False)
        self.bar.update(self.last)
        self.bar.refresh()
        self.last = MEASURES[name].seconds
