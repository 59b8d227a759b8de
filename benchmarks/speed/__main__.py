"""How fast the parts are, as ratios to peers and plain restatements measured in the same run.

In: areas. Out: one file an area, `speed-AREA.json`, with every time, size and ratio, and the
command, versions and processor. Times depend on the machine; the ratios travel.

    python -m benchmarks.speed [--only generators metrics env] [--out DIR]
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.inputs.arguments import command
from benchmarks.inputs.places import RESULTS
from benchmarks.report.provenance import provenance, write_json

AREAS = {
    "agents": ("ppo",),
    "env": ("env", "replay"),
    "generators": ("tabddpm", "gan", "smote", "tabar"),
    "metrics": ("neighbours", "metrics"),
}  # modules benchmarks.speed.NAME, each with measure(seed) -> dict


def main(arguments: list[str] | None = None) -> None:
    """Measure the areas asked for; write and print each as it is done."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    for area in options.only:
        measured = {part: _measure(part, options.seed) for part in AREAS[area]}
        made = provenance("benchmarks.speed", ["--only", area], options.seed)
        print(write_json(options.out / f"speed-{area}.json", {"measured": measured} | made).name)


def _measure(part: str, seed: int) -> dict:
    print(f"measuring {part}", file=sys.stderr)
    return import_module(f"benchmarks.speed.{part}").measure(seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.speed", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=AREAS,
        default=list(AREAS),
        metavar="AREA",
        help=f"some of: {', '.join(AREAS)}",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder to write")
    return parser


if __name__ == "__main__":
    command(main)
