"""What an evaluation is asked to do, checked before any table is read.

In: the keyword arguments of `evaluate`. Out: `Settings`, and the labels and measures that they mean
for a train table.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundations.checks import known, require, whole
from foundations.tables import is_numerical

from . import frames, temporal
from .efficacy import Classifier, Regressor
from .measures import Measure
from .registry import MEASURES, default

IN_MEMORY = 2_000_000  # rows
MAX_SEED = 2**32  # of scikit-learn
LABELS = ("jobstatus", "computingsite")  # categoricals the classifiers predict


@dataclass(frozen=True)
class Settings:
    """What to measure, and how.

    Args:
        target: numerical column that the regressor of diff-MLEF predicts; None leaves that out.
        labels: categorical columns that the classifiers of "MLE" predict; `jobstatus` and
            `computingsite` by default, where the table has them.
        seed: seed of all random choices, 0..2^32 - n_seeds.
        only: names of `metrics.registry.MEASURES`; all but the slow "MLE" and the secondary
            learning rate by default, "temporal" only for a table with `creationtime`, and "streams"
            only where train and holdout have the columns `task` and `dataset`, too.
        n_seeds: runs of the stochastic metrics, whose mean and standard deviation are reported.
        regressor, classifier: of diff-MLEF (the paper's by default) and of MLE.
        in_memory: rows beyond which a table given as the path of a Parquet file stays on disk.
        resume: folder that keeps the scores of each measure; the same call continues from there.

    Raises: ValueError in one sentence for a setting out of its range.
    """

    target: str | None = "workload"
    labels: Iterable[str] | None = None
    seed: int = 0
    only: Iterable[str] | None = None
    n_seeds: int = 1
    regressor: Regressor = Regressor()
    classifier: Classifier = Classifier()
    in_memory: int = IN_MEMORY
    resume: Path | str | None = None

    def __post_init__(self) -> None:
        whole("n_seeds", self.n_seeds, 1)
        whole("in_memory", self.in_memory, 1)
        whole("seed", self.seed, 0, MAX_SEED - self.n_seeds)
        for name, kind in (("regressor", Regressor), ("classifier", Classifier)):
            value = getattr(self, name)
            require(isinstance(value, kind), name, f"an efficacy.{kind.__name__}", value)
        require(isinstance(self.target, Hashable), "target", "one column name", self.target)
        for name in ("labels", "only"):
            object.__setattr__(self, name, _as_tuple(getattr(self, name)))
        for name in self.only or ():
            known("metric", name, MEASURES)

    def labels_of(self, train: Any) -> tuple[str, ...]:
        """The categorical columns of a train table that the classifiers predict."""
        categorical = frames.split(train)[1]
        if self.labels is None:
            return tuple(name for name in LABELS if name in categorical)
        for name in self.labels:
            if name not in categorical:
                raise ValueError(
                    f"labels must be categorical columns, got {name!r}; known: {categorical}"
                )
        return tuple(self.labels)

    def measures_for(self, train: Any, grouped: bool = False) -> tuple[Measure, ...]:
        """The measures to take, in the order of the registry; grouped: all real tables are."""
        self._check_target(train)
        wanted = default() if self.only is None else self.only
        if self.only is None and not temporal.has_days(train):
            wanted = [name for name in wanted if MEASURES[name].needs != "times"]
        if self.only is None and not grouped:
            wanted = [name for name in wanted if MEASURES[name].needs != "groups"]
        measures = [measure for name, measure in MEASURES.items() if name in wanted]
        needs = {measure.needs for measure in measures}
        if "times" in needs:
            temporal.check_days(train)
        if "groups" in needs and not grouped:
            raise ValueError(
                "streams needs creationtime, task and dataset in train and in holdout, "
                f"got {list(train.columns)} in train"
            )
        if "labels" in needs and not self.labels_of(train):
            raise ValueError("MLE needs labels, categorical columns to predict, got none")
        if self.target is None:
            measures = [measure for measure in measures if measure.needs != "target"]
        if not measures:
            raise ValueError(
                f"only must leave a group to measure, got {list(wanted)} and "
                f"target={self.target!r}; known: {', '.join(MEASURES)}"
            )
        return tuple(measures)

    def _check_target(self, train: Any) -> None:
        if self.target in train.columns and not is_numerical(train.dtypes[self.target]):
            raise ValueError(
                f"target must be a numerical column, got {self.target!r}; "
                f"classifiers take labels=[{self.target!r}]"
            )


def _as_tuple(names: Iterable[str] | None) -> tuple[str, ...] | None:
    """Distinct names in their order; one name alone is a tuple of one."""
    if names is None:
        return None
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
