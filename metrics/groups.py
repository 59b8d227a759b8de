"""The groups of numbers of the suite: how each one fills a score.

In: a `Judge`, which holds the real tables, and a `Case`, the table in the synthetic one's place.
Out: entries of a `Score`. `MEASURES` is the registry: a group by name to the function that measures
it; `metrics.meanings` says what its numbers mean.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

import numpy as np
import pandas as pd

from metrics.report import Score

from . import (
    association,
    bootstrap,
    density,
    detection,
    efficacy,
    marginals,
    membership,
    privacy,
    tails,
    temporal,
)

CAPS = {  # rows beyond which a group is measured on a seeded subsample, which the report states
    "C2ST": 50_000,
    "density": 20_000,
    "membership": 50_000,
    "MLE": 20_000,
}
MANY = ("diff-MLEF", "diff-MLEF lr 0.1", "membership")  # groups that want n_mlef rows
EXACT = ("WD", "JSD", "diff-CORR", "tails", "validity", "temporal")  # of tables on disk, too
SECONDS = {  # about what a group takes at n = 6,250, for the time left; shares are what counts
    "WD": 0.1, "JSD": 0.1, "diff-CORR": 0.2, "DCR": 0.5, "diff-MLEF": 8.0, "C2ST": 3.0,
    "NNDR": 0.3, "tails": 0.1, "validity": 0.2, "temporal": 0.1, "density": 1.0,
    "membership": 1.0, "MLE": 6.0, "diff-MLEF lr 0.1": 8.0,
}  # fmt: skip


class Case:
    """One table being scored: `few` has n rows, `many` n_mlef, perhaps on disk.

    `rows` and `more` are the same in memory, drawn down where they would be too many.
    """

    def __init__(self, few, many, judge):
        self.few, self.many, self.judge = few, many, judge

    @cached_property
    def rows(self) -> pd.DataFrame:
        return self.judge.held(self.few)

    @cached_property
    def more(self) -> pd.DataFrame:
        return self.judge.held(self.many)

    @cached_property
    def nearest(self) -> np.ndarray:
        """(n, 1 or 2) distances to the closest train records, shared by DCR and NNDR."""
        k = 2 if "NNDR" in self.judge.only else 1
        return self.judge.closest.distance(self.rows, k=k)

    @cached_property
    def blocks(self) -> np.ndarray:
        return blocks(self.rows)


def blocks(table: pd.DataFrame) -> np.ndarray:
    """(n,) day of each row, or its own number where the table has no creation time."""
    if not temporal.has_days(table):
        return np.arange(len(table))
    return np.floor(table[temporal.DAYS].to_numpy(float))


def _wd(judge, case: Case, score: Score) -> None:
    per_column = marginals.numerical(judge.train, case.few)
    score.values.update(_means(per_column))
    score.columns["WD"] = per_column["WD"].to_dict()


def _jsd(judge, case: Case, score: Score) -> None:
    per_column = marginals.categorical(judge.train, case.few)
    score.values.update(_means(per_column))
    score.columns["JSD"] = per_column["JSD"].to_dict()


def _corr(judge, case: Case, score: Score) -> None:
    matrix = association.association(case.few)
    score.values.update(association.matrix_difference(judge.association, matrix))
    score.association = matrix


def _dcr(judge, case: Case, score: Score) -> None:
    distance = case.nearest[:, 0]
    known = distance if judge.matched[0] is judge.closest else None
    nearer = privacy.nearer(*judge.matched, case.rows, known)
    score.values.update(
        {
            "DCR": float(distance.mean()),
            "DCR median": float(np.median(distance)),
            "DCR 5%": float(np.quantile(distance, 0.05)),
            "exact share": float(np.mean(distance == 0)),
            "closer to train": float(nearer.mean()),
        }
    )
    for name, values in (("DCR", distance), ("closer to train", nearer)):
        score.interval[name] = bootstrap.block_interval(values, case.blocks, seed=judge.seed)


def _nndr(judge, case: Case, score: Score) -> None:
    ratio = privacy.nndr(case.nearest)
    score.values["NNDR"] = float(ratio.mean())
    score.values["NNDR 5%"] = float(np.quantile(ratio, 0.05))
    score.interval["NNDR"] = bootstrap.block_interval(ratio, case.blocks, seed=judge.seed)


def _c2st(judge, case: Case, score: Score) -> None:
    real, made = judge.draw(judge.test_rows, "C2ST"), judge.draw(case.rows, "C2ST")
    runs = [detection.told_apart(real, made, seed=s) for s in judge.seeds]
    _put(score, "C2ST", [run.auc for run in runs])
    if np.isfinite(runs[0].auc):
        block = np.concatenate([blocks(real), blocks(made)])
        score.interval["C2ST"] = bootstrap.auc_interval(
            runs[0].is_synthetic, runs[0].rank, block, seed=judge.seed
        )


def _tails(judge, case: Case, score: Score) -> None:
    per_column = tails.tails(judge.train, case.few)
    score.values.update(_means(per_column))
    for name in per_column:
        score.columns[name] = per_column[name].to_dict()


def _validity(judge, case: Case, score: Score) -> None:
    score.values.update(tails.validity(judge.train, case.few))


def _temporal(judge, case: Case, score: Score) -> None:
    score.values.update(temporal.temporal(judge.train, case.few, seed=judge.seed))


def _density(judge, case: Case, score: Score) -> None:
    real, made = judge.draw(judge.test_rows, "density"), judge.draw(case.rows, "density")
    n = min(len(real), len(made))
    values = density.alpha_beta(judge.train_rows, real.iloc[:n], made.iloc[:n])
    score.values.update(zip(("alpha-precision", "beta-recall"), values, strict=True))


def _membership(judge, case: Case, score: Score) -> None:
    made = judge.draw(case.more, "membership")
    runs = [judge.attack(made, seed) for seed in judge.seeds]
    for name in membership.NAMES:
        _put(score, name, [run.values()[name] for run in runs])
    first, block = runs[0], np.concatenate([blocks(table) for table in judge.cast(judge.seed)[:2]])
    if len(first.ratio):
        for name, guess in zip(membership.NAMES, (first.ratio, first.distance), strict=False):
            score.interval[name] = bootstrap.auc_interval(
                first.is_member, guess, block, seed=judge.seed
            )


def _mle(judge, case: Case, score: Score) -> None:
    made = judge.draw(case.rows, "MLE")
    by_column = {}
    for label in judge.labels:
        runs = [
            efficacy.skill(made, judge.test_rows, label, seed=s, classifier=judge.classifier)
            for s in judge.seeds
        ]
        by_column[label] = np.array(runs) - judge.skill_real(label)
    for i, name in enumerate(("diff-accuracy", "diff-log-loss")):
        runs = np.mean([delta[:, i] for delta in by_column.values()], axis=0)
        _put(score, name, runs)
        score.columns[name] = {c: float(delta[:, i].mean()) for c, delta in by_column.items()}


def _mlef(judge, case: Case, score: Score) -> None:
    runs = judge.mlef(case.more, judge.regressor)
    _put(score, "MLEF", runs)
    _put(score, "diff-MLEF", runs - judge.mlef_real)


def _mlef_slow(judge, case: Case, score: Score) -> None:
    runs = judge.mlef(case.more, replace(judge.regressor, learning_rate=0.1))
    _put(score, "diff-MLEF lr 0.1", runs - judge.mlef_real_slow)


MEASURES = {
    "WD": _wd,
    "JSD": _jsd,
    "diff-CORR": _corr,
    "DCR": _dcr,
    "diff-MLEF": _mlef,
    "C2ST": _c2st,
    "NNDR": _nndr,
    "tails": _tails,
    "validity": _validity,
    "temporal": _temporal,
    "density": _density,
    "membership": _membership,
    "MLE": _mle,
    "diff-MLEF lr 0.1": _mlef_slow,
}


def _means(per_column: pd.DataFrame) -> dict[str, float]:
    return {name: float(per_column[name].mean()) for name in per_column}


def _put(score: Score, name: str, runs: Iterable[float]) -> None:
    runs = np.asarray(runs, float)
    score.values[name] = float(runs.mean())
    if len(runs) > 1:
        score.spread[name] = float(runs.std(ddof=1))
