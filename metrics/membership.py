"""Can an attacker who holds the synthetic table find out which records were in train?

In: known members (train rows), known non-members (unseen rows of the same origin), the synthetic
table, and reference rows: other unseen rows the attacker is granted. Out: the area under the ROC
curve of two attacks, 0.5 where they learn nothing, and the true-positive rate of the first at a
false-positive rate of 1 %. Source: the density ratio p_synthetic / p_reference is the attack DOMIAS
of van Breugel et al. (2023, arXiv 2302.12580), here with nearest-neighbour densities; the distance
to the closest synthetic row is that of Chen et al. (2020, arXiv 1909.03935); true positives at few
false ones follow Carlini et al. (2022, arXiv 2112.03570). Distances are those of `metrics.density`.

The closest-row density in d dimensions is proportional to 1 / r^d, so ranking rows by the ratio of
densities is ranking them by r_reference / r_synthetic, whatever d is.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from foundations import checks

from . import bootstrap, density, temporal
from .comparisons import Comparison
from .detection import auc
from .grades import Rule, above
from .measures import SHARE, Measure, Number
from .scores import Score

CAP = 50_000  # rows of each table
FALSE_ALARMS = 0.01
NAMES = ("membership AUC", "membership AUC distance", "membership found")


class Attack(NamedTuple):
    """Scores of members and non-members, high for suspected members.

    Shapes: is_member (m,) of 0 and 1; ratio (m,) in -1..1; distance (m,) <= 0.
    """

    is_member: np.ndarray
    ratio: np.ndarray
    distance: np.ndarray

    def values(self) -> dict[str, float]:
        """The numbers of the suite by name."""
        if self.is_member.size == 0:
            return dict.fromkeys(NAMES, float("nan"))
        y = self.is_member
        numbers = auc(y, self.ratio), auc(y, self.distance), true_positive_rate(y, self.ratio)
        return dict(zip(NAMES, numbers, strict=True))


def attack(
    members: pd.DataFrame,
    others: pd.DataFrame,
    synthetic: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    embedding: pd.DataFrame | None = None,
) -> Attack:
    """Attack rows whose membership is known; empty where there are no rows to attack with.

    Args:
        reference: unseen real rows, none of them among `others` or behind `synthetic`.
        embedding: table that fixes the distances, `reference` by default (the attacker has no
            train table).
    """
    if min(len(members), len(others), len(reference)) == 0:
        nothing = np.empty(0)
        return Attack(nothing, nothing, nothing)
    base = reference if embedding is None else embedding
    asked, made, unseen = density.embed(
        base, pd.concat([members, others], ignore_index=True), synthetic, reference
    )
    near, far = (p.index().query(asked.numbers, asked.codes)[0][:, 0] for p in (made, unseen))
    total = near + far
    ratio = np.divide(far - near, total, out=np.zeros_like(total), where=total > 0)
    return Attack(np.repeat([1, 0], [len(members), len(others)]), ratio, -near)


def true_positive_rate(y: np.ndarray, score: np.ndarray) -> float:
    """Share of members above the score that at most 1 % of the non-members exceed."""
    alarm = np.quantile(score[y == 0], 1 - FALSE_ALARMS, method="higher")
    return float(np.mean(score[y == 1] > alarm))


def attack_rows(
    train: pd.DataFrame, test: pd.DataFrame, *, seed: int = 0, most: int | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(members, others, reference): halves of the test rows, and as many members as others.

    `most` bounds the rows of each. Train and test must come from one random split, else the attack
    only separates their times.
    """
    rng = np.random.default_rng(checks.seed(seed))
    order = rng.permutation(len(test))[: None if most is None else 2 * most]
    half = len(order) // 2
    others, reference = test.iloc[order[:half]], test.iloc[order[half:]]
    return train.iloc[rng.permutation(len(train))[: len(others)]], others, reference


def score_membership(comparison: Comparison) -> Score:
    """The measure "membership"."""
    real, score = comparison.real, Score()
    made = real.subsample(comparison.large_rows, CAP)
    known = [attack_rows(real.train_rows, real.test_rows, seed=s, most=CAP) for s in real.seeds]
    runs = [attack(members, others, made, reference) for members, others, reference in known]
    for name in NAMES:
        score.add_runs(name, [run.values()[name] for run in runs])
    first, block = runs[0], np.concatenate([temporal.day_blocks(table) for table in known[0][:2]])
    if len(first.ratio):
        for name, guess in zip(NAMES, (first.ratio, first.distance), strict=False):
            score.interval[name] = bootstrap.auc_interval(
                first.is_member, guess, block, seed=real.seed
            )
    return score


MEMBERSHIP = Measure(
    "membership",
    score_membership,
    (
        Number(
            "membership AUC", "floor", SHARE,
            "AUC of an attacker who holds it and other real rows, and separates train records from "
            "unseen ones; 0.5 cannot",
            "0.5", "density ratio, van Breugel et al. 2023, arXiv 2302.12580",
            Rule(above, 0.02, 0.05),
        ),
        Number(
            "membership AUC distance", "floor", SHARE,
            "AUC of an attacker who uses the distance to its closest row alone",
            "0.5", "Chen et al. 2020, arXiv 1909.03935",
            Rule(above, 0.02, 0.05),
        ),
        Number(
            "membership found", "floor", SHARE,
            "true-positive rate of the first attacker at a false-positive rate of 1 %",
            "0.01", "Carlini et al. 2022, arXiv 2112.03570",
            Rule(above, 0.01, 0.05),
        ),
    ),
    seconds=1.0,
    cap=CAP,
    rows="n_mlef",
)  # fmt: skip
