"""Real tables prepared once, against which any number of synthetic tables is scored alike.

In: train, synthetic and holdout tables of one schema. Out: a `Report`. The holdout is cut in two
disjoint halves: one plays the synthetic table (the real floor), the other tests, for floor and
models alike, and every table is drawn down to one n, because most of these metrics depend on n.

A table may be the path of a Parquet file. One with more rows than `in_memory` stays on disk: the
groups of `groups.EXACT` are then computed from all its rows by passes over the file, the others
from `in_memory` rows drawn with the seed, and the report's `sizes` say so.
"""

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from functools import cached_property, partial
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from metrics.meanings import DEFAULT, GROUPS
from metrics.report import Report, Score

from . import (
    association,
    columns,
    efficacy,
    finished,
    groups,
    membership,
    privacy,
    streaming,
    temporal,
)

Table = pd.DataFrame | Path | str  # a path is that of a Parquet file
IN_MEMORY = 2_000_000  # rows
MAX_SEED = 2**32  # of scikit-learn
BAR = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}, about {remaining} left"

PAPER = efficacy.Regressor()
SMALL = efficacy.Classifier()
LABELS = ("jobstatus", "computingsite")  # categoricals the classifiers predict


def evaluate(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    target: str | None = "workload",
    labels: Iterable[str] | None = None,
    seed: int = 0,
    only: Iterable[str] | None = None,
    n_seeds: int = 3,
    regressor: efficacy.Regressor = PAPER,
    classifier: efficacy.Classifier = SMALL,
    in_memory: int = IN_MEMORY,
    resume: Path | str | None = None,
    progress: bool = False,
) -> Report:
    """Score a synthetic table against the train table it was learned from and unseen real rows.

    Columns that the synthetic table has beyond those of train, such as the stages of a job log, are
    not looked at.

    Args:
        target: numerical column that the regressor of diff-MLEF predicts; None leaves that out.
        labels: categorical columns that the classifiers of "MLE" predict; `jobstatus` and
            `computingsite` by default, where the table has them.
        only: some of `metrics.meanings.GROUPS`; all but the slow "MLE" and the secondary learning
            rate by default, and "temporal" only for a table with `creationtime`.
        n_seeds: runs of the stochastic metrics, whose mean and standard deviation are reported.
        regressor, classifier: of diff-MLEF (the paper's by default) and of MLE.
        in_memory: rows beyond which a table given as a path of a Parquet file stays on disk.
        resume: folder for what is finished, group by group; the same call goes on from there.
        progress: show a bar on stderr with the group being measured and the time left.

    Raises: ValueError in one sentence for tables that cannot be compared.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sites = ["BNL", "CERN"] * 150
        >>> real = pd.DataFrame({"workload": rng.lognormal(size=300), "site": sites})
        >>> report = evaluate(real[:100], real[100:150], real[150:], only=["WD", "JSD"])
        >>> list(report.table1().index)
        ['synthetic', 'floor']
    """
    train = streaming.opened(train, in_memory, "train")
    synthetic = columns.like(train, streaming.opened(synthetic, in_memory, "synthetic"))
    columns.check(synthetic, "synthetic")
    judge = Judge(
        train,
        holdout,
        target=target,
        labels=labels,
        seed=seed,
        only=only,
        n_seeds=n_seeds,
        n_max=len(synthetic),
        regressor=regressor,
        classifier=classifier,
        in_memory=in_memory,
        resume=resume,
    )
    return judge.report(synthetic, progress=progress)


class Judge:
    """Real tables prepared once, so that many synthetic tables are scored against them alike.

    Args:
        extra: more unseen real rows; with them the floor of diff-MLEF (and so all models) can use
            more rows than half of the holdout.
        n_max: rows a synthetic table will have, which caps n and n_mlef.
        in_memory, resume: see `evaluate`.
    """

    def __init__(
        self,
        train: Table,
        holdout: Table,
        *,
        target: str | None = "workload",
        labels: Iterable[str] | None = None,
        seed: int = 0,
        only: Iterable[str] | None = None,
        n_seeds: int = 1,
        extra: pd.DataFrame | None = None,
        n_max: int | None = None,
        regressor: efficacy.Regressor = PAPER,
        classifier: efficacy.Classifier = SMALL,
        in_memory: int = IN_MEMORY,
        resume: Path | str | None = None,
    ):
        _check_settings(n_seeds, in_memory, seed, regressor, classifier)
        train, holdout = (
            streaming.opened(t, in_memory, what)
            for t, what in ((train, "train"), (holdout, "holdout"))
        )
        self.train = columns.check(train, "train")
        holdout = columns.aligned(train, holdout, "holdout")
        self.in_memory = in_memory
        self.labels = _labels(train, labels)
        self.only = _groups(only, train, target, self.labels)
        self.target, self.seed, self.n_seeds = target, seed, n_seeds
        self.regressor, self.classifier = regressor, classifier
        self.n_holdout = len(holdout)
        self.stand_in, self.test = _halves(holdout, seed)
        self.n = min(len(self.stand_in), n_max or len(holdout))
        if extra is not None and len(extra):
            extra = columns.aligned(train, extra, "extra")
            if isinstance(self.stand_in, columns.OnDisk):
                raise ValueError("extra rows need a holdout in memory, got one on disk")
            self.stand_in = pd.concat([self.stand_in, extra], ignore_index=True)
        self.n_mlef = min(len(train), len(self.stand_in), n_max or len(train))
        self.transform = None
        if any(g.startswith("diff-MLEF") for g in self.only):
            self.transform = efficacy.transform_for(train, self.test, target)
        self.finished = finished.Finished(
            resume,
            self.train,
            holdout,
            extra,
            n_max,
            target,
            self.labels,
            seed,
            n_seeds,
            regressor,
            classifier,
            in_memory,
        )

    def report(self, synthetic: Table, *, progress: bool = False) -> Report:
        """Score a table and set its real floor beside it."""
        seconds = 2 * sum(groups.SECONDS[group] for group in self.only)
        with tqdm(total=seconds, disable=not progress, leave=False, bar_format=BAR) as bar:
            score = self.score(synthetic, Told(bar, "synthetic"))
            if "floor" not in vars(self):
                self.floor = self.score(self.stand_in, Told(bar, "real rows"))
        return Report(
            score,
            self.floor,
            self.n,
            self.n_mlef,
            len(self.train),
            self.n_holdout,
            self.target,
            self.transform,
            self.regressor,
            self.seed,
            self.n_seeds,
            self.dcr_test,
            self.association,
            self.sizes,
        )

    @cached_property
    def floor(self) -> Score:
        """The score of real rows in the synthetic table's place."""
        return self.score(self.stand_in)

    @cached_property
    def association(self) -> pd.DataFrame:
        return association.association(self.train)

    @cached_property
    def dcr_test(self) -> float:
        """Mean distance of the test half to train, NaN unless DCR is asked for."""
        if "DCR" not in self.only:
            return math.nan
        kept = self.finished.score("DCR of the test half", "", self._dcr_test)
        return kept.values["DCR"]

    def _dcr_test(self) -> Score:
        return Score({"DCR": float(self.closest.distance(self.test_rows).mean())})

    @property
    def sizes(self) -> dict[str, int]:
        """Rows of the synthetic table each group scores, and of train where not all are held."""
        out = {}
        for group in self.only:
            n = self.n_mlef if group in groups.MANY else self.n
            most = n if group in groups.EXACT else self.in_memory
            out[group] = min(n, most, groups.CAPS.get(group, n))
        if isinstance(self.train, columns.OnDisk):
            out["train held"] = len(self.train_rows)
        return out

    def score(self, table: Table, say: Callable[[str], None] = lambda group: None) -> Score:
        """Score a table of at least n (for diff-MLEF n_mlef) rows; `say` hears of each group."""
        table = columns.like(self.train, streaming.opened(table, self.in_memory, "synthetic"))
        table = columns.aligned(self.train, table, "synthetic")
        need = max(self.n, self.n_mlef if set(groups.MANY) & set(self.only) else 0)
        if len(table) < need:
            raise ValueError(f"synthetic must have at least {need} rows, got {len(table)}")
        order = np.random.default_rng([self.seed, 1]).permutation(len(table))
        few, many = (streaming.take(table, order[:n]) for n in (self.n, self.n_mlef))
        case, score = groups.Case(few, many, self), Score({})
        key = finished.digest(table) if self.finished else ""
        for group in self.only:
            say(group)
            score.add(self.finished.score(group, key, partial(self._measure, group, case)))
        return score

    def _measure(self, group: str, case: groups.Case) -> Score:
        score = Score({})
        groups.MEASURES[group](self, case, score)
        return score

    def held(self, table: Table) -> pd.DataFrame:
        """The table in memory; a larger one drawn down to `in_memory` rows."""
        return streaming.held(table, self.in_memory, self.seed)

    @cached_property
    def train_rows(self) -> pd.DataFrame:
        return self.held(self.train)

    @cached_property
    def test_rows(self) -> pd.DataFrame:
        return self.held(self.test)

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + self.n_seeds)

    def draw(self, table: pd.DataFrame, group: str) -> pd.DataFrame:
        """The table, drawn down to what the group takes at most."""
        most = groups.CAPS[group]
        if len(table) <= most:
            return table
        return table.iloc[np.random.default_rng([self.seed, 4]).permutation(len(table))[:most]]

    @cached_property
    def closest(self) -> privacy.Closest:
        return privacy.Closest(self.train_rows)

    @cached_property
    def matched(self) -> tuple[privacy.Closest, privacy.Closest]:
        if len(self.train_rows) == len(self.test_rows):  # then train itself is the match
            return self.closest, privacy.Closest(self.test_rows, self.closest.scale)
        return privacy.matched(self.train_rows, self.test_rows, seed=self.seed)

    def mlef(self, table: pd.DataFrame, regressor: efficacy.Regressor) -> np.ndarray:
        """(n_seeds,) error of the regressor trained on `table`."""
        return np.array(
            [
                efficacy.mlef(
                    table, self.test_rows, self.target, self.transform, seed=s, regressor=regressor
                )
                for s in self.seeds
            ]
        )

    @cached_property
    def mlef_real(self) -> np.ndarray:
        return self.mlef(self._train_sample(self.n_mlef), self.regressor)

    @cached_property
    def mlef_real_slow(self) -> np.ndarray:
        slow = replace(self.regressor, learning_rate=0.1)
        return self.mlef(self._train_sample(self.n_mlef), slow)

    def cast(self, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Members, non-members and the reference rows of one attack."""
        most = groups.CAPS["membership"]
        return membership.cast(self.train_rows, self.test_rows, seed=seed, most=most)

    def attack(self, made: pd.DataFrame, seed: int) -> membership.Attack:
        members, others, reference = self.cast(seed)
        return membership.attack(members, others, made, reference)

    def skill_real(self, label: str) -> np.ndarray:
        """(n_seeds, 2) skill of the classifier of `label` trained on as many train rows."""
        if label not in self._skills:
            real = self._train_sample(self.sizes["MLE"])
            self._skills[label] = np.array(
                [
                    efficacy.skill(real, self.test_rows, label, seed=s, classifier=self.classifier)
                    for s in self.seeds
                ]
            )
        return self._skills[label]

    @cached_property
    def _skills(self) -> dict[str, np.ndarray]:
        return {}

    def _train_sample(self, n: int) -> pd.DataFrame:
        order = np.random.default_rng([self.seed, 2]).permutation(len(self.train_rows))
        return self.train_rows.iloc[order[:n]]


def _check_settings(n_seeds, in_memory, seed, regressor, classifier) -> None:
    for name, value in (("n_seeds", n_seeds), ("in_memory", in_memory)):
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a positive whole number, got {name}={value!r}")
    if not isinstance(seed, Integral) or not 0 <= seed <= MAX_SEED - n_seeds:
        raise ValueError(f"seed must be a whole number in 0..2**32 - n_seeds, got seed={seed!r}")
    for name, value, kind in (
        ("regressor", regressor, efficacy.Regressor),
        ("classifier", classifier, efficacy.Classifier),
    ):
        if not isinstance(value, kind):
            raise ValueError(f"{name} must be an efficacy.{kind.__name__}, got {value!r}")


def _groups(only, train, target: str | None, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The groups to measure; those that make no sense for the table are left out by default."""
    only = (only,) if isinstance(only, str) else only
    wanted = tuple(DEFAULT if only is None else dict.fromkeys(only))
    unknown = [name for name in wanted if name not in GROUPS]
    if unknown:
        raise ValueError(f"unknown metric {unknown[0]!r}; known: {', '.join(GROUPS)}")
    if only is None and not temporal.has_days(train):
        wanted = tuple(name for name in wanted if name != "temporal")
    if "temporal" in wanted:
        temporal.check_days(train)
    if "MLE" in wanted and not labels:
        raise ValueError("MLE needs labels, categorical columns to predict, got none")
    if target is not None and not isinstance(target, Hashable):
        raise ValueError(f"target must be one column name, got {target!r}")
    if target in train.columns and not columns.is_numerical(train.dtypes[target]):
        raise ValueError(
            f"target must be a numerical column, got {target!r}; "
            f"classifiers take labels=[{target!r}]"
        )
    out = tuple(g for g in GROUPS if g in wanted and (target is not None or "MLEF" not in g))
    if not out:
        raise ValueError(
            f"only must leave a group to measure, got {list(wanted)} and "
            f"target={target!r}; known: {', '.join(GROUPS)}"
        )
    return out


def _labels(train, labels: Iterable[str] | None) -> tuple[str, ...]:
    categorical = columns.split(train)[1]
    if labels is None:
        return tuple(name for name in LABELS if name in categorical)
    labels = (labels,) if isinstance(labels, str) else tuple(labels)
    for name in labels:
        if name not in categorical:
            raise ValueError(
                f"labels must be categorical columns, got {name!r}; known: {categorical}"
            )
    return labels


def _halves(holdout: Table, seed: int) -> tuple[Table, Table]:
    if len(holdout) < 2:
        raise ValueError(f"holdout must have at least 2 rows to be halved, got {len(holdout)}")
    order = np.random.default_rng([seed, 0]).permutation(len(holdout))
    half = len(holdout) // 2
    return streaming.take(holdout, order[:half]), streaming.take(holdout, order[half:])


class Told:
    """Moves a bar on by what the group before was expected to take."""

    def __init__(self, bar: tqdm, what: str):
        self.bar, self.what, self.last = bar, what, 0.0

    def __call__(self, group: str) -> None:
        self.bar.set_description(f"{self.what}: {group}", refresh=False)
        self.bar.update(self.last)
        self.bar.refresh()
        self.last = groups.SECONDS[group]
