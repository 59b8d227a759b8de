"""The tables of README.md, of docs/ and of the results folder, rendered from committed results.

Fills PAGES: between the marks `<!-- NAME -->` and `<!-- end -->` goes the table of
results/NAME.json, or one of PARTS (`targets` is made of all results of `benchmarks.speed`,
`surrogates` of the cards of the bundled pools, `assumptions` of the constants of the code). Renders
results/policies.md and results/calibration.md as a whole. Nothing is computed again.

    python -m benchmarks.report.readme
"""

import json
import os
import re
from pathlib import Path

from benchmarks import (
    anomalies,
    bound,
    calibrate,
    calibration,
    load,
    ppo,
    pretrain,
    sampler,
    sensitivity,
    tasks,
    transfer,
    untouched,
)
from benchmarks.inputs.arguments import command, command_parser
from benchmarks.inputs.places import RESULTS, ROOT
from benchmarks.table1 import markdown as table1

from . import assumptions, comparison, targets
from .provenance import write_text

README = ROOT / "README.md"
GUIDES = ("agent", "assumptions", "comparison", "surrogates")
PAGES = (README, RESULTS / "README.md", *(ROOT / "docs" / f"{name}.md" for name in GUIDES))
BLOCK = re.compile(r"<!-- (?P<name>[\w-]+) -->\n.*?<!-- end -->", re.DOTALL)


def main(argv: list[str] | None = None) -> None:
    """Render all pages."""
    command_parser("report.readme", __doc__).parse_args(argv)
    for page in PAGES:
        print(write_text(page, render(page.read_text(encoding="utf-8"), page)).name)
    for name, to_markdown in WHOLE_PAGES.items():
        print(write_text(RESULTS / f"{name}.md", to_markdown(_result(name))).name)


def render(text: str, page: Path = README) -> str:
    """`text` of a page with every marked block filled from the result of its name."""
    return BLOCK.sub(lambda block: _filled(block["name"], page), text)


def _filled(name: str, page: Path) -> str:
    if name in PARTS:
        return f"<!-- {name} -->\n{PARTS[name]().strip()}\n<!-- end -->"
    file, _, part = name.partition("--")
    result = _result(file)
    table = TABLES[file.split("-")[0] + (f"--{part}" if part else "")](result)
    return f"<!-- {name} -->\n{table.strip()}\n\n{_source(file, result, page)}\n<!-- end -->"


def _result(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _source(name: str, result: dict, page: Path) -> str:
    """Where the numbers come from and how to make them again."""
    file = RESULTS / f"{name}.json"
    made = f"`{result['command']}`, seed {_seeds(result['seed'])}"
    link = Path(os.path.relpath(file, page.parent)).as_posix()
    words = f"[{file.relative_to(ROOT).as_posix()}]({link})"
    return f"Made by {made}; numbers, versions and processor in {words}."


def _seeds(seed: int | list[int]) -> str:
    if isinstance(seed, int):
        return str(seed)
    is_run = len(seed) > 1 and seed == list(range(seed[0], seed[-1] + 1))
    return f"{seed[0]} to {seed[-1]}" if is_run else ", ".join(map(str, seed))


def _fidelity(result: dict) -> str:
    return _headless(table1.to_markdown(result))


def _fidelity_rows(result: dict) -> str:
    return _headless(table1.rows(result))


def _headless(text: str) -> str:
    """Without its heading; the page has its own."""
    return text.split("\n", 1)[1]


def _agents(result: dict) -> str:
    return ppo.to_markdown(result["policies"])


def _tasks(result: dict) -> str:
    return tasks.to_markdown(result["rows"])


TABLES = {
    "fidelity": _fidelity,
    "fidelity--rows": _fidelity_rows,
    "ppo": _agents,
    "frontier": _agents,
    "policies": comparison.readme_text,
    "transfer": transfer.to_markdown,
    "sensitivity": sensitivity.to_markdown,
    "anomalies": anomalies.to_markdown,
    "sampler": sampler.to_markdown,
    "bound": bound.to_markdown,
    "untouched": untouched.to_markdown,
    "load": load.to_markdown,
    "calibrate": calibrate.to_markdown,
    "tasks": _tasks,
}

"""By the first word of a result's name; `--rows` of one is the table alone."""
PARTS = {
    "targets": targets.table,
    "surrogates": pretrain.table,
    "assumptions": assumptions.table,
}
"""Tables made of more than one result, or of none."""
WHOLE_PAGES = {"policies": comparison.full_text, "calibration": calibration.to_markdown}
"""Pages beside the result of the same name."""

if __name__ == "__main__":
    command(main)
