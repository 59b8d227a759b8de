"""The scores of a synthetic table, each beside its floor, the score of a held-out baseline.

In: two scores and the sizes they belong to, from `metrics.evaluation`. Out: a `Report` as JSON, as
Markdown and as Table I, and the small functions that turn numbers into text.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from foundations.pages import markdown

from .efficacy import Regressor
from .registry import TABLE_1, all_numbers
from .scores import Score


@dataclass(frozen=True)
class Report:
    """Scores of a synthetic table and of the held-out baseline, with the sizes they belong to.

    n, n_mlef, n_train, n_holdout: rows scored, rows the regressors were trained on, rows of train
    and holdout. dcr_test: mean distance of the test half to train. association: matrix of train.
    sizes: rows scored by each measure.
    """

    synthetic: Score
    floor: Score
    n: int
    n_mlef: int
    n_train: int
    n_holdout: int
    target: str | None
    transform: str | None
    regressor: Regressor
    seed: int
    n_seeds: int
    dcr_test: float
    association: pd.DataFrame
    sizes: dict[str, int] = field(default_factory=dict)

    def table1(self) -> pd.DataFrame:
        """The five columns of Table I for the synthetic table and for the held-out baseline."""
        scores = (self.synthetic.values, self.floor.values)
        rows = [{name: values.get(name, math.nan) for name in TABLE_1} for values in scores]
        return pd.DataFrame(rows, index=["synthetic", "floor"])

    def to_json(self) -> str:
        """Everything in the report as JSON; undefined numbers are null."""
        return json.dumps(plain(asdict(self)), indent=1, allow_nan=False, ensure_ascii=False)

    def to_markdown(self) -> str:
        """All numbers with their floors and meanings as a Markdown table."""
        head = ["metric", "synthetic", "floor", "better", "meaning"]
        known = all_numbers()
        rows = [
            [name, self._cell(name), show(real), known[name].better, known[name].meaning]
            for name, real in self.floor.values.items()
        ]
        return markdown(head, rows)

    def _cell(self, name: str) -> str:
        """The value, with its 95 % interval where it has one."""
        value = show(self.synthetic.values[name])
        if name not in self.synthetic.interval:
            return value
        low, high = self.synthetic.interval[name]
        return f"{value} ({show(low)} to {show(high)})"


def plain(value: Any) -> Any:
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
