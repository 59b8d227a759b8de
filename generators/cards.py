"""The card of a saved generator: what it learned, with what options, and how it is loaded.

In: a fitted generator. Out: the text of README.md, the same for the same seed and versions. It
names columns and options, but no category, no number of a row and no file.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

from foundations.pages import card, markdown
from foundations.versions import versions

if TYPE_CHECKING:
    from .base import Generator
    from .layout import Column

FILE = "README.md"
LIBRARIES = ("pandaenv", "torch", "numpy", "pandas", "safetensors")


def model_card(model: Generator, digest: str) -> str:
    """The card of a fitted generator whose weights have this SHA-256."""
    tags = ["tabular", "synthetic-data", model.name]
    parts = [
        f"# {model.name}",
        _sentence(model),
        "It draws synthetic rows like those it learned:",
        _code(model),
        f"## Columns\n\n{_columns(model)}",
        f"## Options\n\n{_options(model)}",
        f"## Made with\n\n{_made_with()}- weights: SHA-256 `{digest}`\n",
    ]
    return card({"library_name": "pandaenv", "tags": tags}, "\n\n".join(parts))


def _sentence(model: Generator) -> str:
    rows = "a table" if model.rows_ is None else f"{model.rows_:,} rows"
    steps = f" in {model.n_steps_:,} steps" if model.n_steps_ else ""
    seed = "" if model.seed_ is None else f", with seed {model.seed_}"
    return f"A generator of tabular data that learned {rows}{steps}{seed}."


def _code(model: Generator) -> str:
    ours = type(model).__module__.partition(".")[0] == __package__
    loader = "generators" if ours else type(model).__name__
    lines = ["import generators", ""] if ours else []
    lines += [f'model = {loader}.load("FOLDER")  # where this file lies']
    return "\n".join(["```python", *lines, "rows = model.sample(1_000, seed=0)", "```"])


def _columns(model: Generator) -> str:
    """The columns as they came, those with missing values said so."""
    plain = {c.name: c for c in model.layout_.columns}
    rows = {name: _kind(column) for name, column in plain.items()}
    for special in model.view_.specials:
        if special.flag is not None:
            del rows[special.flag]
        gaps = ", some missing" if special.flag or special.missing else ""
        kind = rows.get(special.name, "")
        rows[special.name] = (kind if special.kind == "category" else special.kind) + gaps
    return markdown(["column", "kind"], [*rows.items(), *model.more_columns().items()])


def _kind(column: Column) -> str:
    return "number" if column.numerical else f"category, {len(column.categories):,} levels"


def _options(model: Generator) -> str:
    chosen = {f.name: getattr(model.config, f.name) for f in fields(model.config)}
    rows = [[f"`{name}`", f"`{json.dumps(value)}`"] for name, value in chosen.items()]
    return markdown(["option", "value"], rows)


def _made_with() -> str:
    return "".join(f"- {name} {number}\n" for name, number in versions(LIBRARIES).items())
