"""docs/metrics.md: every number of the suite, with its range, meaning, floor and source."""

from .measures import BETTER
from .registry import MEASURES, default, listed


def page() -> str:
    """The whole file: how to read a number, then the table."""
    return (
        "# What the fidelity suite measures\n\n"
        "This page is generated from the measures in `metrics` (`metrics.glossary.page()`). "
        "A report gives every number together with its floor, which is a held-out baseline: "
        "the same number for unseen real rows, at the same size. Most numbers depend on that "
        "size, so never compare across sizes. "
        'In the meanings, "it" and "its" mean the synthetic table. n is the number of rows '
        "compared; rows that come in bursts count for fewer. "
        "`evaluate(..., only=[...])` takes names of groups; all but "
        + " and ".join(f'"{name}"' for name in MEASURES if name not in default())
        + " are measured by default.\n\n"
        + table()
    )


def table() -> str:
    """The table as Markdown, one line a number."""
    lines = [
        "| number | group | better | range | meaning | real rows get | source |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for measure in listed():
        for n in measure.numbers:
            cells = (
                n.name, measure.name, BETTER[n.better], n.range, n.meaning, n.floor, n.source
            )  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
