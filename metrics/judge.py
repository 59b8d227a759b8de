"""Real tables prepared once, against which any number of synthetic tables is scored alike.

In: train, synthetic and holdout tables of one schema. Out: a `Report`. The holdout is cut in two
disjoint halves: one plays the synthetic table (the real floor), the other tests, for floor and
models alike, and every table is drawn down to one n, because most of these metrics depend on n.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property

import numpy as np
import pandas as pd

from metrics import association, columns, efficacy, groups, membership, privacy, temporal
from metrics.meanings import DEFAULT, GROUPS
from metrics.report import Report, Score

PAPER = efficacy.Regressor()
SMALL = efficacy.Classifier()
LABELS = ("jobstatus", "computingsite")  # categoricals the classifiers predict


def evaluate(
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    target: str | None = "workload",
    labels: Iterable[str] | None = None,
    seed: int = 0,
    only: Iterable[str] | None = None,
    n_seeds: int = 3,
    regressor: efficacy.Regressor = PAPER,
    classifier: efficacy.Classifier = SMALL,
) -> Report:
    """Score a synthetic table against the train table it was learned from and unseen real rows.

    Args:
        target: numerical column that the regressor of diff-MLEF predicts; None leaves that out.
        labels: categorical columns that the classifiers of "MLE" predict; `jobstatus` and
            `computingsite` by default, where the table has them.
        only: some of `metrics.meanings.GROUPS`; all but the slow "MLE" and the secondary learning
            rate by default, and "temporal" only for a table with `creationtime`.
        n_seeds: runs of the stochastic metrics, whose mean and standard deviation are reported.
        regressor, classifier: of diff-MLEF (the paper's by default) and of MLE.

    Raises: ValueError in one sentence for tables that cannot be compared.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sites = ["BNL", "CERN"] * 150
        >>> real = pd.DataFrame({"workload": rng.lognormal(size=300), "site": sites})
        >>> report = evaluate(real[:100], real[100:150], real[150:], only=["WD", "JSD"])
        >>> list(report.table1().index)
        ['synthetic', 'floor']
    """
    columns.check(synthetic, "synthetic")
    judge = Judge(train, holdout, target=target, labels=labels, seed=seed, only=only,
                  n_seeds=n_seeds, n_max=len(synthetic), regressor=regressor,
                  classifier=classifier)  # fmt: skip
    return judge.report(synthetic)


class Judge:
    """Real tables prepared once, so that many synthetic tables are scored against them alike.

    Args:
        extra: more unseen real rows; with them the floor of diff-MLEF (and so all models) can use
            more rows than half of the holdout.
        n_max: rows a synthetic table will have, which caps n and n_mlef.
    """

    def __init__(
        self,
        train: pd.DataFrame,
        holdout: pd.DataFrame,
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
    ):
        self.train = columns.check(train, "train")
        holdout = columns.aligned(train, holdout, "holdout")
        self.labels = _labels(train, labels)
        self.only = _groups(only, train, target, self.labels)
        self.target, self.seed, self.n_seeds = target, seed, n_seeds
        self.regressor, self.classifier = regressor, classifier
        self.n_holdout = len(holdout)
        self.stand_in, self.test = _halves(holdout, seed)
        self.n = min(len(self.stand_in), n_max or len(holdout))
        if extra is not None and len(extra):
            extra = columns.aligned(train, extra, "extra")
            self.stand_in = pd.concat([self.stand_in, extra], ignore_index=True)
        self.n_mlef = min(len(train), len(self.stand_in), n_max or len(train))
        self.transform = None
        if any(g.startswith("diff-MLEF") for g in self.only):
            self.transform = efficacy.transform_for(train, self.test, target)

    def report(self, synthetic: pd.DataFrame) -> Report:
        """Score a table and set its real floor beside it."""
        return Report(
            self.score(synthetic), self.floor, self.n, self.n_mlef, len(self.train),
            self.n_holdout, self.target, self.transform, self.regressor, self.seed, self.n_seeds,
            self.dcr_test, self.association, self.sizes,
        )  # fmt: skip

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
        return float(self.closest.distance(self.test).mean())

    @property
    def sizes(self) -> dict[str, int]:
        """Rows of the synthetic table each group scores."""
        n = {group: self.n_mlef if group in groups.MANY else self.n for group in self.only}
        return {group: min(rows, groups.CAPS.get(group, rows)) for group, rows in n.items()}

    def score(self, table: pd.DataFrame, say: Callable[[str], None] = lambda group: None) -> Score:
        """Score a table of at least n (for diff-MLEF n_mlef) rows; `say` hears of each group."""
        table = columns.aligned(self.train, table, "synthetic")
        need = max(self.n, self.n_mlef if set(groups.MANY) & set(self.only) else 0)
        if len(table) < need:
            raise ValueError(f"synthetic must have at least {need} rows, got {len(table)}")
        order = np.random.default_rng([self.seed, 1]).permutation(len(table))
        case = groups.Case(*(table.iloc[order[:n]] for n in (self.n, self.n_mlef)), self)
        score = Score({})
        for group in self.only:
            say(group)
            groups.MEASURES[group](self, case, score)
        return score

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
        return privacy.Closest(self.train)

    @cached_property
    def matched(self) -> tuple[privacy.Closest, privacy.Closest]:
        return privacy.matched(self.train, self.test, seed=self.seed)

    def mlef(self, table: pd.DataFrame, regressor: efficacy.Regressor) -> np.ndarray:
        """(n_seeds,) error of the regressor trained on `table`."""
        return np.array([
            efficacy.mlef(
                table, self.test, self.target, self.transform, seed=s, regressor=regressor
            )
            for s in self.seeds
        ])  # fmt: skip

    @cached_property
    def mlef_real(self) -> np.ndarray:
        return self.mlef(self._train_sample(self.n_mlef), self.regressor)

    @cached_property
    def mlef_real_slow(self) -> np.ndarray:
        slow = replace(self.regressor, learning_rate=0.1)
        return self.mlef(self._train_sample(self.n_mlef), slow)

    def cast(self, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Members, non-members and the reference rows of one attack."""
        return membership.cast(self.train, self.test, seed=seed)

    def attack(self, made: pd.DataFrame, seed: int) -> membership.Attack:
        members, others, reference = self.cast(seed)
        return membership.attack(members, others, made, reference)

    def skill_real(self, label: str) -> np.ndarray:
        """(n_seeds, 2) skill of the classifier of `label` trained on as many train rows."""
        if label not in self._skills:
            real = self._train_sample(self.sizes["MLE"])
            self._skills[label] = np.array([
                efficacy.skill(real, self.test, label, seed=s, classifier=self.classifier)
                for s in self.seeds
            ])  # fmt: skip
        return self._skills[label]

    @cached_property
    def _skills(self) -> dict[str, np.ndarray]:
        return {}

    def _train_sample(self, n: int) -> pd.DataFrame:
        order = np.random.default_rng([self.seed, 2]).permutation(len(self.train))
        return self.train.iloc[order[:n]]


def _groups(only, train, target: str | None, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The groups to measure; those that make no sense for the table are left out by default."""
    wanted = tuple(DEFAULT if only is None else dict.fromkeys(only))
    unknown = [name for name in wanted if name not in GROUPS]
    if unknown:
        raise ValueError(f"unknown metric {unknown[0]!r}; known: {', '.join(GROUPS)}")
    if only is None and temporal.DAYS not in train.columns:
        wanted = tuple(name for name in wanted if name != "temporal")
    if "temporal" in wanted:
        temporal.check_days(train)
    if "MLE" in wanted and not labels:
        raise ValueError("MLE needs labels, categorical columns to predict, got none")
    if target in train.columns and not columns.is_numerical(train[target]):
        raise ValueError(
            f"target must be a numerical column, got {target!r}; "
            f"classifiers take labels=[{target!r}]"
        )
    return tuple(g for g in GROUPS if g in wanted and (target is not None or "MLEF" not in g))


def _labels(train, labels: Iterable[str] | None) -> tuple[str, ...]:
    categorical = columns.split(train)[1]
    if labels is None:
        return tuple(name for name in LABELS if name in categorical)
    labels = (labels,) if isinstance(labels, str) else tuple(labels)
    for name in labels:
        if name not in categorical:
            raise ValueError(f"labels must be categorical columns, got {name!r}; "
                             f"known: {categorical}")  # fmt: skip
    return labels


def _halves(holdout: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    if len(holdout) < 2:
        raise ValueError(f"holdout must have at least 2 rows to be halved, got {len(holdout)}")
    order = np.random.default_rng([seed, 0]).permutation(len(holdout))
    half = len(holdout) // 2
    return holdout.iloc[order[:half]], holdout.iloc[order[half:]]
