"""The tables of README.md and of the results folder, rendered from the committed results.

Fills README.md and results/README.md: between the marks `<!-- NAME -->` and `<!-- end -->` goes the
table of results/NAME.json (`targets` is made of all results of `benchmarks.speed`, `surrogates` of
the cards of the bundled pools). Renders results/policies.md and results/calibration.md as a whole.
Nothing is computed again.

    python -m benchmarks.report.readme
"""

import json
import re

from benchmarks import calibration, load, ppo, pretrain, tasks, transfer
from benchmarks.inputs.arguments import command, command_parser
from benchmarks.inputs.places import RESULTS, ROOT
from benchmarks.table1 import markdown as table1

from . import comparison, targets
from .provenance import write_text

PAGES = (ROOT / "README.md", RESULTS / "README.md")
BLOCK = re.compile(r"<!-- (?P<name>[\w-]+) -->\n.*?<!-- end -->", re.DOTALL)


def main(argv: list[str] | None = None) -> None:
    """Render all pages."""
    command_parser("report.readme", __doc__).parse_args(argv)
    for page in PAGES:
        print(write_text(page, render(page.read_text(encoding="utf-8"))).name)
    for name, to_markdown in WHOLE_PAGES.items():
        print(write_text(RESULTS / f"{name}.md", to_markdown(_result(name))).name)


def render(text: str) -> str:
    """`text` with every marked block filled from the result of its name."""
    return BLOCK.sub(lambda block: _filled(block["name"]), text)


def _filled(name: str) -> str:
    if name in COMBINED:
        return f"<!-- {name} -->\n{COMBINED[name]().strip()}\n<!-- end -->"
    result = _result(name)
    table = TABLES[name.split("-")[0]](result)
    return f"<!-- {name} -->\n{table.strip()}\n\n{_source(name, result)}\n<!-- end -->"


def _result(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _source(name: str, result: dict) -> str:
    """Where the numbers come from and how to make them again."""
    file = f"benchmarks/results/{name}.json"
    made = f"`{result['command']}`, seed {_seeds(result['seed'])}"
    return f"Made by {made}; numbers, versions and processor in [{file}]({file})."


def _seeds(seed: int | list[int]) -> str:
    if isinstance(seed, int):
        return str(seed)
    is_run = len(seed) > 1 and seed == list(range(seed[0], seed[-1] + 1))
    return f"{seed[0]} to {seed[-1]}" if is_run else ", ".join(map(str, seed))


def _fidelity(result: dict) -> str:
    return table1.to_markdown(result).split("\n", 1)[1]  # the heading is README's own


def _agents(result: dict) -> str:
    return ppo.to_markdown(result["policies"])


def _tasks(result: dict) -> str:
    return tasks.to_markdown(result["rows"])


TABLES = {
    "fidelity": _fidelity,
    "ppo": _agents,
    "frontier": _agents,
    "policies": comparison.readme_text,
    "transfer": transfer.to_markdown,
    "load": load.to_markdown,
    "tasks": _tasks,
}

COMBINED = {"targets": targets.table, "surrogates": pretrain.table}
"""Tables made of more than one result."""
WHOLE_PAGES = {"policies": comparison.full_text, "calibration": calibration.to_markdown}
"""Pages beside the result of the same name."""

if __name__ == "__main__":
    command(main)
