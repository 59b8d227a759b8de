"""Comparison of policies over loads and scenarios: tables of all cells, and a verdict.

In: episodes by cell (`benchmarks.play.cells`), or the result made of them. Out: rows for the
result, and Markdown.
"""

import pandas as pd

from .intervals import excludes_zero, interval, reduction, summary, table, to_markdown

SHOWN = {"load": 0.6, "scenario": "normal"}
"""The cell that is shown where there is room for one."""
PANDA, GREEDY, ORACLE = "panda_analysis", "greedy", "greedy_true"
"""PanDA's analysis rule; the earliest expected finish; the same by the true work, which no broker
knows."""


def cell_tables(
    cells: dict[tuple[float, str], pd.DataFrame], against: str = "random"
) -> list[dict]:
    """For each cell the summary, with `panda` and `greedy`: reductions of flow time against these.

    Where episodes have a bound, a cell has it as `bound`, and as `bounds` window by window.
    """
    found = []
    for (load, scenario), episodes in cells.items():
        rows = summary(episodes, against)
        for key, name in (("panda", PANDA), ("greedy", GREEDY)):
            if name in episodes["policy"].unique():
                for row in rows:
                    row[key] = reduction(episodes, row["policy"], name)
        found.append({"load": load, "scenario": scenario, "policies": rows, **_bounds(episodes)})
    return found


def _bounds(episodes: pd.DataFrame) -> dict:
    """The bound of the worlds, if there is one."""
    if "bound" not in episodes:
        return {}
    bounds = episodes.groupby("window")["bound"].mean()
    return {"bound": interval(bounds), "bounds": bounds.tolist()}


def verdict(found: list[dict], name: str = ORACLE) -> dict | None:
    """In how many cells the flow that `name` saves excludes 0, and where it does not."""
    rows = [
        (cell, row["saved"])
        for cell in found
        for row in cell["policies"]
        if row["policy"] == name and row["saved"] is not None
    ]
    if not rows:
        return None
    not_clear = [
        {"load": cell["load"], "scenario": cell["scenario"]}
        for cell, gain in rows
        if not (excludes_zero(gain) and gain["low"] > 0)
    ]
    return {"policy": name, "cells": len(rows), "not_clear": not_clear}


def full_text(result: dict) -> str:
    """All cells as tables, the verdict first."""
    parts = ["# Policies without training", sentence(result)]
    parts += [f"## Flow time / m at load {cell_shown(result)['load']:g}", overview(result)]
    for cell in result["cells"]:
        parts += [f"## Load {cell['load']:g}, {cell['scenario']}", to_markdown(cell["policies"])]
    return "\n\n".join(parts) + "\n"


def sentence(result: dict) -> str:
    """What the verdict says."""
    found = result["verdict"]
    if found is None:
        return "Nobody knew the true work."
    n = found["cells"] - len(found["not_clear"])
    names = [f"load {c['load']:g}, {c['scenario']}" for c in found["not_clear"]]
    where = f"; not in {'; '.join(names)}" if names else ""
    return (
        "Greedy with the true work beats random, both 95 % intervals of the paired difference "
        f"above 0, in {n} of {found['cells']} cells (load x scenario){where}."
    )


def readme_text(result: dict) -> str:
    """What README shows: the cell shown, the other scenarios, the verdict."""
    head = "Load {load:g}, scenario `{scenario}`:".format(**cell_shown(result))
    return "\n\n".join(
        [
            head,
            to_markdown(rows_shown(result)),
            f"Flow time / m at load {cell_shown(result)['load']:g} in all scenarios:",
            overview(result),
            f'{sentence(result)} `greedy_estimate` is `greedy` with `reveal="estimate"`.',
        ]
    )


def rows_shown(result: dict) -> list[dict]:
    """The rows of the cell shown."""
    return cell_shown(result)["policies"]


def cell_shown(result: dict) -> dict:
    """The cell shown, or the first one."""
    cells = result["cells"]
    return next((cell for cell in cells if SHOWN.items() <= cell.items()), cells[0])


def overview(result: dict) -> str:
    """Flow time over m of each policy at the load shown: a column a scenario."""
    load = cell_shown(result)["load"]
    columns = {
        cell["scenario"]: {row["policy"]: row["flow"]["mean"] for row in cell["policies"]}
        for cell in result["cells"]
        if cell["load"] == load
    }
    names = [row["policy"] for row in rows_shown(result)]
    lines = [[who, *(f"{column[who]:.3f}" for column in columns.values())] for who in names]
    return table(["policy", *columns], lines)
