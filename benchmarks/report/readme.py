"""The tables of README.md and results/README.md, rendered from the committed results.

In: both with pairs of marks, `<!-- NAME -->` and `<!-- end -->`, and `results/NAME.json`. Out: both
with the table of each result between its marks; `targets` is of all results of `benchmarks.speed`,
`surrogates` of the cards of the bundled pools.

    python -m benchmarks.report.readme
"""

import argparse
import json
import re

from benchmarks import fidelity, load, policies, ppo, pretrain, tasks, transfer
from benchmarks.inputs.arguments import command
from benchmarks.inputs.places import RESULTS, ROOT

from . import targets
from .provenance import write_text

PAGES = (ROOT / "README.md", RESULTS / "README.md")
BLOCK = re.compile(r"<!-- (?P<name>[\w-]+) -->\n.*?<!-- end -->", re.DOTALL)


def main(argv: list[str] | None = None) -> None:
    """Render the pages anew."""
    argparse.ArgumentParser("python -m benchmarks.report.readme", description=__doc__).parse_args(
        argv
    )
    for page in PAGES:
        print(write_text(page, render(page.read_text(encoding="utf-8"))).name)


def render(text: str) -> str:
    """`text` with every marked block filled from the result of its name."""
    return BLOCK.sub(lambda block: _filled(block["name"]), text)


def _filled(name: str) -> str:
    if name in PAGELESS:
        return f"<!-- {name} -->\n{PAGELESS[name]().strip()}\n<!-- end -->"
    result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    table = TABLES[name.split("-")[0]](result)
    return f"<!-- {name} -->\n{table.strip()}\n\n{_source(name, result)}\n<!-- end -->"


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
    return fidelity.text(result).split("\n", 1)[1]  # the heading is README's own


def _policies(result: dict) -> str:
    many_cells = "cells" in result
    return policies.page(result) if many_cells else policies.to_markdown(result["policies"])


def _agents(result: dict) -> str:
    return ppo.to_markdown(result["policies"])


def _tasks(result: dict) -> str:
    return tasks.to_markdown(result["rows"])


TABLES = {
    "fidelity": _fidelity,
    "ppo": _agents,
    "frontier": _agents,
    "policies": _policies,
    "transfer": transfer.to_markdown,
    "load": load.to_markdown,
    "tasks": _tasks,
}

PAGELESS = {"targets": targets.table, "surrogates": pretrain.table}
"""Tables of more than one result."""

if __name__ == "__main__":
    command(main)
