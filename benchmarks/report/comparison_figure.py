"""Figure of a comparison of policies: reduction of flow time against load, a panel a scenario.

In: the result of `benchmarks.policies`. Out: an image file.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .comparison import PANDA, rows_shown


def draw(result: dict, path: Path) -> Path:
    """Draw paired reductions with 95 % confidence intervals, one line for each policy.

    Means by themselves vary with the windows far more than policies differ.
    """
    names = list(dict.fromkeys(cell["scenario"] for cell in result["cells"]))
    policies = [row["policy"] for row in rows_shown(result)]
    is_against_panda = "panda" in rows_shown(result)[0]
    key, base = ("panda", PANDA) if is_against_panda else ("saved", "the first policy")
    figure = Figure((2.6 * len(names) + 1.8, 4.0), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        cells = [cell for cell in result["cells"] if cell["scenario"] == name]
        _lines(axes, cells, policies, key)
        _decorate(axes, name, [cell["load"] for cell in cells])
    panels[0].set_ylabel(f"reduction of flow time / m\nvs {base} (95 % CI)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8, frameon=False)
    figure.savefig(path)
    return path


def _lines(axes: Axes, cells: list[dict], policies: list[str], key: str) -> None:
    loads = np.array([cell["load"] for cell in cells])
    for k, policy in enumerate(policies):
        found = [next(r[key] for r in c["policies"] if r["policy"] == policy) for c in cells]
        if None in found:
            continue
        mean = np.array([f["mean"] for f in found])
        edges = [mean - [f["low"] for f in found], [f["high"] for f in found] - mean]
        axes.errorbar(
            loads + 0.005 * (k - len(policies) / 2),
            mean,
            edges,
            label=policy,
            color=f"C{k % 10}",
            marker="os^vD"[k % 5],
            markersize=3.5,
            linewidth=1,
            elinewidth=0.7,
        )


def _decorate(axes: Axes, title: str, loads: list[float]) -> None:
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_title(title, fontsize=10)
    axes.set_xticks(loads)
    axes.set_xlabel("load")
    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.25)
