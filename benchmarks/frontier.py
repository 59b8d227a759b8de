"""Flow time against cost: what agents with a cost limit give up, beside all other policies.

Draws the result of `benchmarks.ppo` on configs/frontier.toml: a mark for each policy, with the
confidence interval of its cost over the test windows. A line joins the agents with a cost limit, in
the order of their limits.

    python -m benchmarks.ppo --config benchmarks/configs/frontier.toml
    python -m benchmarks.frontier
"""

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from benchmarks.inputs.arguments import command, command_parser, new_file
from benchmarks.inputs.places import RESULTS

PLACES = (
    ((5, 3), "left"), ((-5, 3), "right"), ((5, -9), "left"), ((-5, -9), "right"),
    ((0, 12), "center"), ((0, -18), "center"),
)  # fmt: skip
"""Where a name may stand from its point, and the end of it that is nearest."""
RESULT = RESULTS / "frontier.json"


def main(argv: list[str] | None = None) -> None:
    """Draw the figure of return against cost."""
    args = _parser().parse_args(argv)
    result = json.loads(args.result.read_text(encoding="utf-8"))
    if not held_to_a_limit(result):
        raise ValueError(f"{args.result} must be of agents with a cost_limit, it has none")
    draw(result).savefig(args.out or args.result.with_suffix(".svg"), metadata={"Date": None})


def draw(result: dict) -> Figure:
    """The figure of a result."""
    figure = Figure(figsize=(7.5, 6.5), layout="constrained")
    axes = figure.add_subplot(xlabel="limit violations per job", ylabel="flow time of a job / m")
    axes.set_title("Down and to the left is better", fontsize=10)
    rows = {row["policy"]: row for row in result["policies"]}
    for name, row in rows.items():
        learned = name in result["config"]["agents"]
        x, y = row["cost"], row["flow"]
        axes.errorbar(
            x["mean"],
            y["mean"],
            xerr=_bar(x),
            fmt="o" if learned else "s",
            ms=5,
            elinewidth=0.7,
            color="tab:red" if learned else "0.45",
        )
    line = held(result)
    axes.plot(*zip(*line, strict=True), color="tab:red", lw=0.8)
    axes.set_xscale("log")
    axes.set_xlim(right=1.7 * axes.get_xlim()[1])  # room for names
    _name(axes, {name: (row["cost"]["mean"], row["flow"]["mean"]) for name, row in rows.items()})
    return figure


def _name(axes, points: dict[str, tuple[float, float]]) -> None:
    """Write each name beside its point, in the first of PLACES where nothing stands yet."""
    axes.figure.draw_without_rendering()  # so that data have their place on the page
    taken = [
        Bbox.from_bounds(x - 4, y - 4, 8, 8)
        for x, y in axes.transData.transform(list(points.values()))
    ]
    for name, point in sorted(points.items(), key=lambda item: -item[1][1]):
        for place, side in PLACES:
            text = axes.annotate(
                name, point, xytext=place, textcoords="offset points", fontsize=7, ha=side
            )
            box = text.get_window_extent()
            if (place, side) == PLACES[-1] or not any(box.overlaps(other) for other in taken):
                break
            text.remove()
        taken.append(box)


def held_to_a_limit(result) -> dict[str, float]:
    """Agents with a limit on their costs, and the limit."""
    agents = result.get("config", {}).get("agents", {}) if isinstance(result, dict) else {}
    return {name: own["cost_limit"] for name, own in agents.items() if "cost_limit" in own}


def held(result: dict) -> list[tuple[float, float]]:
    """(cost, flow) of the agents held to a limit, lowest limit first."""
    limits = held_to_a_limit(result)
    rows = {row["policy"]: row for row in result["policies"]}
    found = [(rows[name]["cost"]["mean"], rows[name]["flow"]["mean"]) for name in limits]
    return [point for _, point in sorted(zip(limits.values(), found, strict=True))]


def _bar(found: dict) -> list[list[float]]:
    """Lengths of the interval to both sides, as matplotlib takes them."""
    return [[found["mean"] - found["low"]], [found["high"] - found["mean"]]]


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("frontier", __doc__)
    parser.add_argument("--result", type=Path, default=RESULT, help="JSON file of benchmarks.ppo")
    parser.add_argument("--out", type=new_file, help="figure (default: beside it, .svg)")
    return parser


if __name__ == "__main__":
    command(main)
