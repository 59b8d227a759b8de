"""One fidelity run as a page: verdict, tables, figures, and how to reproduce it.

In: what table1.json holds, the train table, a sample of each model, their losses and, where raw
records were filtered, the cascade. Out: one self-contained HTML file, readable on a phone and
printable, and the SVG texts in it. Every value that came from data is escaped.
"""

import base64
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import jinja2
import pandas as pd

from . import association, frames, plots, report, temporal, verdict
from .measures import BETTER
from .registry import TABLE_1, all_numbers, listed

FEW = 1000  # scored rows below which the order of the models may be due to chance


@dataclass
class Page:
    """One fidelity run as figures and as a page.

    result: what table1.json holds. samples and losses: by model. cascade: {"stages": [{"stage",
    "kept", "dropped": {reason: n}}]}; without one, `note` says where the rows come from.
    """

    result: dict
    train: pd.DataFrame
    samples: dict[str, pd.DataFrame]
    real: pd.DataFrame
    losses: dict[str, pd.DataFrame] = field(default_factory=dict)
    cascade: dict | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Dates are drawn as days, gaps as what stands for them."""
        named = self.samples
        self.train, self.real, *samples = frames.seen(self.train, self.real, *named.values())
        self.samples = dict(zip(named, samples, strict=True))

    def figures(self) -> dict[str, str]:
        """SVG text of every figure that can be drawn, by file name."""
        return self._figures

    @cached_property
    def _figures(self) -> dict[str, str]:
        numerical, categorical = frames.split(self.train)
        drawn = {
            "fig3b-cascade": self.cascade and plots.cascade(self.cascade),
            "fig4a-numericals": numerical and plots.numericals(self.train, self.samples),
            "fig4b-categories": categorical and plots.categories(self.train, self.samples),
            "fig5-associations": len(self.real) > 1
            and plots.associations(self.real, self._matrices()),
            "arrivals": temporal.DAYS in numerical and plots.arrivals(self.train, self.samples),
            "privacy": "closer to train" in self.result["floor"]
            and plots.privacy(self.result["rows"], self.result["floor"]),
            "losses": self.losses and plots.learning(self.losses),
        }
        return {name: plots.svg(figure) for name, figure in drawn.items() if figure}

    def _matrices(self) -> dict[str, pd.DataFrame]:
        n = self.result["n_synthetic"]
        return {
            name: association.association(table.iloc[:n]) for name, table in self.samples.items()
        }

    def html(self) -> str:
        """The page: verdict, Table I, figures, all numbers, how to reproduce it."""
        loader = jinja2.FileSystemLoader(Path(__file__).parent)
        environment = jinja2.Environment(
            loader=loader,
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["show"] = report.show
        images = {
            name: "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()
            for name, text in self.figures().items()
        }
        return environment.get_template("report.html.j2").render(
            result=self.result,
            images=images,
            note=self.note,
            grade=self._grade,
            table1=TABLE_1,
            numbers=all_numbers(),
            better=BETTER,
            groups=self._groups(),
            verdicts=verdict.sentences(self.result, self.real),
            picture=self._picture(),
            cautions=self._cautions(),
        )

    def _grade(self, row: dict, key: str) -> str:
        return verdict.grade(row, key, self.result["floor"])

    def _groups(self) -> dict[str, list[str]]:
        """Names of the numbers in the result, by measure."""
        floor = self.result["floor"]
        names = {m.name: [n.name for n in m.numbers if n.name in floor] for m in listed()}
        return {measure: found for measure, found in names.items() if found}

    def _picture(self) -> dict[str, list[dict[str, int]]]:
        """By measure, and by model, how many numbers are good, fair and bad."""
        rows = self.result["rows"]
        each = {
            measure: [verdict.counts(self.result, row, names) for row in rows]
            for measure, names in self._groups().items()
        }
        return {name: found for name, found in each.items() if any(map(_any, found))}

    def _cautions(self) -> list[str]:
        """Warnings where training was short or the rows are few."""
        young = [row["model"] for row in self.result["rows"] if row["under_trained"]]
        n, found = self.result["n_synthetic"], []
        if young:
            found.append(
                f"Under-trained here: {', '.join(young)}. The claims are about models "
                "trained this long, not about the methods at their best."
            )
        if n < FEW:
            found.append(
                f"Only {n:,} rows are scored: the order of the models may be due to chance."
            )
        return found


def _any(counts: dict[str, int]) -> bool:
    return any(counts.values())
