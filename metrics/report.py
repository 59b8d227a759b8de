"""A synthetic table's scores, each beside the score real rows get in its place.

Out: `Report`, which writes itself as JSON, as Markdown and as Table I, and the small functions that
turn numbers into text. `metrics.judge` fills it, `metrics.meanings` says what each number is.
"""

import json
import math
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd

from metrics.meanings import MEANINGS, TABLE_1, Meaning

from . import efficacy

__all__ = [
    "MEANINGS",
    "Meaning",
    "Report",
    "Score",
    "TABLE_1",
    "markdown",
    "plain",
    "show",
]


@dataclass
class Score:
    """What one table in the synthetic table's place got.

    values: by the names of `MEANINGS`, NaN where undefined. spread: standard deviation over seeds,
    where there were several. interval: 95 %, bootstrapped over blocks. columns: WD, JSD, tails and
    the classifiers by column.
    """

    values: dict[str, float]
    spread: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    columns: dict[str, dict[str, float]] = field(default_factory=dict)
    association: pd.DataFrame | None = None

    def add(self, part: "Score") -> None:
        """Take over the numbers of another group."""
        for name in ("values", "spread", "interval", "columns"):
            getattr(self, name).update(getattr(part, name))
        if part.association is not None:
            self.association = part.association


@dataclass(frozen=True)
class Report:
    """Scores of a synthetic table and their real floor, with the sizes they belong to.

    sizes: rows scored by each group of numbers, n where it is not listed.
    """

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
    sizes: dict[str, int] = field(default_factory=dict)

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
            [
                name,
                self._cell(name),
                show(self.floor.values[name]),
                MEANINGS[name].better,
                MEANINGS[name].words,
            ]
            for name in self.synthetic.values
        ]
        return markdown(head, rows)

    def _cell(self, name: str) -> str:
        """The value, with its 95 % interval where it has one."""
        value = show(self.synthetic.values[name])
        if name not in self.synthetic.interval:
            return value
        low, high = self.synthetic.interval[name]
        return f"{value} ({show(low)} to {show(high)})"


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
