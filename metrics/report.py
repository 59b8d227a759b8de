"""A synthetic table's scores, each beside the score real rows get in its place.

In: train, synthetic and holdout tables of one schema. Out: a `Report`. The holdout is cut in two
disjoint halves: one plays the synthetic table (the real floor), the other tests, for floor and
models alike, and every table is drawn down to one n, because most of these metrics depend on n.
`MEANINGS` says in words what each number is.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from metrics import association, columns, detection, efficacy, marginals, privacy

TABLE_1 = ("WD", "JSD", "diff-CORR", "DCR", "diff-MLEF")
GROUPS = (*TABLE_1, "C2ST", "diff-MLEF lr 0.1")
DEFAULT = GROUPS[:-1]
PAPER = efficacy.Regressor()
DAYS = "creationtime"  # column in days whose whole part is the block of the bootstrap


@dataclass(frozen=True)
class Meaning:
    """What a number says: the better direction ("lower", "higher", "floor"), range and words.

    "floor" marks numbers that are best at the value real rows get, neither below nor above.
    """

    better: str
    range: str
    words: str


MEANINGS = {
    "WD": Meaning("lower", "0..", "how far each number is off, in parts of its range"),
    "WD/sd": Meaning("lower", "0..", "the same in standard deviations"),
    "WD log": Meaning("lower", "0..", "the same on a logarithmic scale, for heavy tails"),
    "JSD": Meaning("lower", "0..1", "how far the shares of the categories are off, in bits"),
    "JSD root": Meaning("lower", "0..1", "its square root, a distance"),
    "diff-CORR": Meaning("lower", "0..2", "how far the dependence of pairs of columns is off"),
    "diff-CORR MAE": Meaning("lower", "0..2", "the same as a mean absolute difference"),
    "diff-CORR Frobenius": Meaning("lower", "0..", "the same as a Frobenius norm"),
    "diff-CORR L2": Meaning("lower", "0..", "the same as a mean L2 norm of the rows"),
    "DCR": Meaning("floor", "0..", "mean distance to the closest train record"),
    "DCR median": Meaning("floor", "0..", "its median"),
    "DCR 5%": Meaning("floor", "0..", "its 5 % quantile"),
    "exact share": Meaning("floor", "0..1", "share of rows that copy a train record exactly"),
    "closer to train": Meaning("floor", "0..1", "share nearer to train than to unseen rows"),
    "diff-MLEF": Meaning("lower", "..", "how much worse a regressor trained on it predicts"),
    "MLEF": Meaning("lower", "0..", "mean squared error of that regressor on real rows"),
    "diff-MLEF lr 0.1": Meaning("lower", "..", "diff-MLEF with a learning rate of 0.1"),
    "C2ST": Meaning("lower", "0.5..1", "how well a classifier tells it from real rows (AUC)"),
}


@dataclass
class Score:
    """What one table in the synthetic table's place got.

    values: by the names of `MEANINGS`, NaN where undefined. spread: standard deviation over seeds,
    where there were several. interval: 95 %, bootstrapped over blocks. columns: WD, JSD by column.
    """

    values: dict[str, float]
    spread: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    columns: dict[str, dict[str, float]] = field(default_factory=dict)
    association: pd.DataFrame | None = None


@dataclass(frozen=True)
class Report:
    """Scores of a synthetic table and their real floor, with the sizes they belong to."""

    synthetic: Score
    floor: Score
    n: int
    n_mlef: int
    n_train: int
    n_holdout: int
    target: str | None
    transform: str | None
    regressor: efficacy.Regressor
    seed: int
    n_seeds: int
    dcr_test: float
    association: pd.DataFrame

    def table1(self) -> pd.DataFrame:
        """The five columns of Table I for the synthetic table and for real rows in its place."""
        scores = (self.synthetic.values, self.floor.values)
        rows = [{name: values.get(name, math.nan) for name in TABLE_1} for values in scores]
        return pd.DataFrame(rows, index=["synthetic", "floor"])

    def to_json(self) -> str:
        """Everything in the report as JSON; undefined numbers are null."""
        return json.dumps(plain(asdict(self)), indent=1, allow_nan=False, ensure_ascii=False)

    def to_markdown(self) -> str:
        """All numbers with their floors and meanings as a Markdown table."""
        head = ["metric", "synthetic", "floor", "better", "meaning"]
        rows = [
            [name, show(value), show(self.floor.values[name]), MEANINGS[name].better,
             MEANINGS[name].words]
            for name, value in self.synthetic.values.items()
        ]  # fmt: skip
        return markdown(head, rows)


def evaluate(
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    target: str | None = "workload",
    seed: int = 0,
    only: Iterable[str] | None = None,
    n_seeds: int = 1,
    regressor: efficacy.Regressor = PAPER,
) -> Report:
    """Score a synthetic table against the train table it was learned from and unseen real rows.

    Args:
        target: numerical column that the regressor of diff-MLEF predicts; None leaves that out.
        only: some of `GROUPS`; all but the secondary learning rate by default.
        n_seeds: runs of the stochastic metrics, whose mean and standard deviation are reported.
        regressor: of diff-MLEF; the paper's by default.

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
    judge = Judge(train, holdout, target=target, seed=seed, only=only, n_seeds=n_seeds,
                  n_max=len(synthetic), regressor=regressor)  # fmt: skip
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
        seed: int = 0,
        only: Iterable[str] | None = None,
        n_seeds: int = 1,
        extra: pd.DataFrame | None = None,
        n_max: int | None = None,
        regressor: efficacy.Regressor = PAPER,
    ):
        self.train = columns.check(train, "train")
        holdout = columns.aligned(train, holdout, "holdout")
        self.only = _groups(only, target)
        self.target, self.seed, self.n_seeds = target, seed, n_seeds
        self.regressor = regressor
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
            self.dcr_test, self.association,
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
        return float(self._closest.distance(self.test).mean())

    def score(self, table: pd.DataFrame, say: Callable[[str], None] = lambda group: None) -> Score:
        """Score a table of at least n (for diff-MLEF n_mlef) rows; `say` hears of each metric."""
        table = columns.aligned(self.train, table, "synthetic")
        need = max(self.n, self.n_mlef if self.transform else 0)
        if len(table) < need:
            raise ValueError(f"synthetic must have at least {need} rows, got {len(table)}")
        order = np.random.default_rng([self.seed, 1]).permutation(len(table))
        few, many = (table.iloc[order[:n]] for n in (self.n, self.n_mlef))
        score = Score({})
        for group in self.only:
            say(group)
            self._measures[group](self, many if group.startswith("diff-MLEF") else few, score)
        return score

    def _wd(self, table: pd.DataFrame, score: Score) -> None:
        per_column = marginals.numerical(self.train, table)
        score.values.update(_means(per_column))
        score.columns["WD"] = per_column["WD"].to_dict()

    def _jsd(self, table: pd.DataFrame, score: Score) -> None:
        per_column = marginals.categorical(self.train, table)
        score.values.update(_means(per_column))
        score.columns["JSD"] = per_column["JSD"].to_dict()

    def _corr(self, table: pd.DataFrame, score: Score) -> None:
        matrix = association.association(table)
        score.values.update(association.matrix_difference(self.association, matrix))
        score.association = matrix

    def _dcr(self, table: pd.DataFrame, score: Score) -> None:
        distance = self._closest.distance(table)[:, 0]
        nearer = privacy.nearer(*self._matched, table)
        score.values.update({
            "DCR": float(distance.mean()),
            "DCR median": float(np.median(distance)),
            "DCR 5%": float(np.quantile(distance, 0.05)),
            "exact share": float(np.mean(distance == 0)),
            "closer to train": float(nearer.mean()),
        })  # fmt: skip
        block = np.floor(table[DAYS].to_numpy(float)) if DAYS in table else np.arange(len(table))
        for name, values in (("DCR", distance), ("closer to train", nearer)):
            score.interval[name] = privacy.block_interval(values, block, seed=self.seed)

    def _c2st(self, table: pd.DataFrame, score: Score) -> None:
        runs = [detection.c2st(self.test, table, seed=s) for s in self._seeds]
        _put(score, "C2ST", runs)

    def _mlef(self, table: pd.DataFrame, score: Score) -> None:
        runs = self._mlef_runs(table, self.regressor)
        _put(score, "MLEF", runs)
        _put(score, "diff-MLEF", runs - self._mlef_real)

    def _mlef_slow(self, table: pd.DataFrame, score: Score) -> None:
        runs = self._mlef_runs(table, replace(self.regressor, learning_rate=0.1))
        _put(score, "diff-MLEF lr 0.1", runs - self._mlef_real_slow)

    def _mlef_runs(self, table: pd.DataFrame, regressor: efficacy.Regressor) -> np.ndarray:
        return np.array([
            efficacy.mlef(
                table, self.test, self.target, self.transform, seed=s, regressor=regressor
            )
            for s in self._seeds
        ])  # fmt: skip

    _measures = {
        "WD": _wd, "JSD": _jsd, "diff-CORR": _corr, "DCR": _dcr, "diff-MLEF": _mlef,
        "C2ST": _c2st, "diff-MLEF lr 0.1": _mlef_slow,
    }  # fmt: skip

    @property
    def _seeds(self) -> range:
        return range(self.seed, self.seed + self.n_seeds)

    @cached_property
    def _closest(self) -> privacy.Closest:
        return privacy.Closest(self.train)

    @cached_property
    def _matched(self) -> tuple[privacy.Closest, privacy.Closest]:
        return privacy.matched(self.train, self.test, seed=self.seed)

    @cached_property
    def _mlef_real(self) -> np.ndarray:
        return self._mlef_runs(self._train_sample, self.regressor)

    @cached_property
    def _mlef_real_slow(self) -> np.ndarray:
        return self._mlef_runs(self._train_sample, replace(self.regressor, learning_rate=0.1))

    @property
    def _train_sample(self) -> pd.DataFrame:
        order = np.random.default_rng([self.seed, 2]).permutation(len(self.train))
        return self.train.iloc[order[: self.n_mlef]]


def _groups(only: Iterable[str] | None, target: str | None) -> tuple[str, ...]:
    wanted = tuple(DEFAULT if only is None else dict.fromkeys(only))
    unknown = [name for name in wanted if name not in GROUPS]
    if unknown:
        raise ValueError(f"unknown metric {unknown[0]!r}; known: {', '.join(GROUPS)}")
    return tuple(g for g in GROUPS if g in wanted and (target is not None or "MLEF" not in g))


def _halves(holdout: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    if len(holdout) < 2:
        raise ValueError(f"holdout must have at least 2 rows to be halved, got {len(holdout)}")
    order = np.random.default_rng([seed, 0]).permutation(len(holdout))
    half = len(holdout) // 2
    return holdout.iloc[order[:half]], holdout.iloc[order[half:]]


def _means(per_column: pd.DataFrame) -> dict[str, float]:
    return {name: float(per_column[name].mean()) for name in per_column}


def _put(score: Score, name: str, runs: Iterable[float]) -> None:
    runs = np.asarray(runs, float)
    score.values[name] = float(runs.mean())
    if len(runs) > 1:
        score.spread[name] = float(runs.std(ddof=1))


def plain(value):
    """A nest of dicts, lists, tables and numbers as JSON knows them; NaN becomes null."""
    if isinstance(value, pd.DataFrame):
        names = [str(name) for name in value.columns]
        return {"columns": names, "values": plain(value.to_numpy().tolist())}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def show(value: float | None, digits: int = 3) -> str:
    """A number for reading: three significant digits, a dash where undefined."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    return f"{value:.{digits}g}" if 1e-4 <= abs(value) < 1e4 else f"{value:.{digits - 1}e}"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"
