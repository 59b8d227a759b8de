"""Speed of generators, metrics, environments and agents, relative to peers in the same run.

Measures each area beside other libraries and plain implementations. Writes one file for each area,
speed-AREA.json, with all times, sizes and ratios, and the command, versions and processor. Times
depend on the machine; ratios carry over.

    python -m benchmarks.speed [--only generators metrics env years] [--out DIR]

The area `device` needs nothing but what the generators need.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.inputs.arguments import command, command_parser
from benchmarks.inputs.places import RESULTS
from benchmarks.report.provenance import provenance, write_json

AREAS = {
    "agents": ("ppo",),
    "device": ("device",),
    "env": ("env", "replay"),
    "generators": ("tabddpm", "gan", "smote", "tabar"),
    "metrics": ("neighbours", "metrics"),
    "years": ("years",),
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
    parser = command_parser("speed", __doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=AREAS,
        default=list(AREAS),
        metavar="AREA",
        help=f"some of: {', '.join(AREAS)}",
    )
    parser.add_argument("--seed", type=int, default=0, help="of tables and models")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder to write")
    return parser


if __name__ == "__main__":
    command(main)
