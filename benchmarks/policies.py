"""How policies compare: all of them on the same worlds, over loads and scenarios.

In: an environment's settings, loads, scenarios, policies, seeds. Out: `policies.json`, a table of
means and paired differences for each load and scenario (`benchmarks.report.intervals` says how the
intervals come about); beside it the table as text, a figure, every episode (CSV) and the
leaderboard (`benchmarks.play.leaderboard`). A run that was stopped goes on where it stopped.

Return counts mean service times m: it is minus the summed normalised flow time of the jobs, so
`flow` = -return / jobs is the mean flow time of a job over m.

    python -m benchmarks.policies [--loads .5 .6 .7 .8] [--scenarios normal outage] [--seeds 24]
    python -m benchmarks.policies --mine module:Policy
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import gymnasium as gym
import numba
import numpy as np
import pandas as pd
from tqdm import tqdm

import pandaenv
from benchmarks.inputs.arguments import command, new_file, new_folder, positive, whole
from benchmarks.inputs.places import RESULTS
from benchmarks.play import leaderboard
from benchmarks.play.episodes import ENV_ID, contest, play
from benchmarks.report.intervals import (
    excludes_zero,
    saved,
    summary,
    table,
    to_markdown,
)
from benchmarks.report.provenance import provenance, write_json, write_text
from pandaenv import policies
from pandaenv.scenarios import SCENARIOS
from pandaenv.workload import BUNDLED

OUT = RESULTS / "policies.json"
PARTS = Path("runs") / "policies"
LOADS = (0.5, 0.6, 0.7, 0.8)
SHOWN = {"load": 0.6, "scenario": "normal"}
"""The cell that stands for all where there is room for one."""
TOLD = "greedy_estimate"
"""`greedy` where the environment reveals estimates."""
PANDA, ORACLE = "panda_analysis", "greedy_true"


def evaluate(contestants: dict, env: gym.Env, seeds, progress: bool = True) -> pd.DataFrame:
    """Play one episode for each policy and seed in one environment.

    Args:
        contestants: name -> policy, see `pandaenv.policies.Policy`.
        seeds: ints, the same for all policies.

    Returns:
        One row an episode: policy, seed, window and the measures of `benchmarks.play.episodes`.
    """
    pairs = [(name, int(seed)) for seed in seeds for name in contestants]
    rows = [
        {"policy": name, **play(env, contestants[name], seed)}
        for name, seed in tqdm(pairs, desc="episodes", disable=not progress)
    ]
    return pd.DataFrame(rows)


# --- all cells ------------------------------------------------------------------------------------


def run(settings: dict, loads, names, chosen, seeds, parts: Path, progress: bool = True) -> dict:
    """Play every policy in every cell; a cell's episodes are kept in `parts` once it is through.

    Args:
        settings: arguments of the environment but for load and scenario.
        names: of scenarios; chosen: of policies.

    Returns:
        (load, scenario) -> episodes, a row an episode.
    """
    cells = [(load, name, who) for load in loads for name in names for who in chosen]
    found: dict = {}
    size = settings["episode_jobs"] * len(seeds)
    total = size * len(cells)
    with tqdm(total=total, unit="job", unit_scale=True, disable=not progress) as bar:
        for load, name, who in cells:
            bar.set_description(f"load {load:g}, {name}, {who}")
            arguments = settings | {"load": load, "scenario": name} | _reveals(who)
            path = parts / f"{load:g}-{name}-{who}-{_key(arguments, seeds, who)}.csv"
            if path.is_file():
                bar.total -= size
                bar.refresh()
            else:
                rows = contest(arguments, _policy(who), seeds, bar.update)
                write_text(path, rows.assign(policy=who).to_csv(index=False))
            found.setdefault((load, name), []).append(pd.read_csv(path))
    return {cell: pd.concat(rows, ignore_index=True) for cell, rows in found.items()}


def _policy(name: str):
    return policies.make("greedy" if name == TOLD else name)


def _reveals(name: str) -> dict:
    return {"reveal": "estimate"} if name == TOLD else {}


def _key(settings: dict, *parts) -> str:
    """A name for what the episodes depend on, the code of the environment included."""
    made_of = [code(), numba.__version__, np.__version__, content(settings["workload"])]
    text = json.dumps([*made_of, settings, *parts], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code() -> str:
    """A hash of the package's code."""
    digest = hashlib.sha256()
    for path in sorted(Path(pandaenv.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def content(workload: str) -> str | None:
    """SHA-256 of a workload's records where they are a file."""
    path = BUNDLED.get(workload) or Path(workload)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


# --- what came out --------------------------------------------------------------------------------


def tables(cells: dict, against: str = "random") -> list[dict]:
    """For each cell the summary, with `panda`, the flow that PanDA's rule has more, paired."""
    found = []
    for (load, scenario), episodes in cells.items():
        rows = summary(episodes, against)
        if PANDA in episodes["policy"].unique():
            for row in rows:
                row["panda"] = saved(episodes, row["policy"], PANDA)
        found.append({"load": load, "scenario": scenario, "policies": rows})
    return found


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


def text(result: dict) -> str:
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


def page(result: dict) -> str:
    """What README shows: the cell that stands for all, the other scenarios, the verdict."""
    head = "Load {load:g}, scenario `{scenario}`:".format(**cell_shown(result))
    return "\n\n".join(
        [
            head,
            to_markdown(shown(result)),
            f"Flow time / m at load {cell_shown(result)['load']:g} in all scenarios:",
            overview(result),
            f'{sentence(result)} `{TOLD}` is `greedy` with `reveal="estimate"`.',
        ]
    )


def shown(result: dict) -> list[dict]:
    """The rows of the cell that stands for all."""
    return cell_shown(result)["policies"]


def cell_shown(result: dict) -> dict:
    """The cell that stands for all, or the first one."""
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
    names = [row["policy"] for row in shown(result)]
    lines = [[who, *(f"{column[who]:.3f}" for column in columns.values())] for who in names]
    return table(["policy", *columns], lines)


# --- the command ----------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> None:
    """Compare the built-in policies, or measure yours against the leaderboard."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    if args.mine:
        _check_mine(args)
        print(leaderboard.measure(args.mine, args.board, args.loads, args.scenarios))
        return
    settings = {
        "workload": args.workload,
        "sites": int(args.sites) if args.sites.isdigit() else args.sites,
        "rate": args.rate,
        "episode_jobs": args.jobs,
        "split": args.split,
    }
    seeds = list(range(args.seeds))
    chosen = args.policies or [*policies.names(), TOLD]
    loads, names = args.loads or LOADS, args.scenarios or list(SCENARIOS)
    cells = run(settings, loads, names, chosen, seeds, args.parts)
    found = tables(cells, against=chosen[0])
    result = {
        "env": {"id": ENV_ID, **settings, "workload": Path(args.workload).name},
        "verdict": verdict(found),
        "cells": found,
        **provenance("benchmarks.policies", argv, seeds),
        "pool_sha256": content(args.workload),
    }
    print(f"{to_markdown(shown(result))}\n\n{sentence(result)}")
    if args.out:
        for path in write(result, cells, args.out):
            print(path)


def _check_mine(args: argparse.Namespace) -> None:
    """Refuse what a frozen board does not leave to choose."""
    for name in ("workload", "sites", "rate", "jobs", "split", "seeds", "policies", "out", "parts"):
        if getattr(args, name) != _parser().get_default(name):
            raise ValueError(
                f"--mine plays the frozen worlds of the leaderboard, some of them by --loads and "
                f"--scenarios; it takes no --{name}"
            )


def write(result: dict, cells: dict, out: Path) -> list[Path]:
    """Write the result as JSON, as text, as a figure; the episodes; the leaderboard."""
    episodes = pd.concat(
        [rows.assign(load=load, scenario=name) for (load, name), rows in cells.items()]
    )
    front = ["load", "scenario", "policy"]
    episodes = episodes[[*front, *(c for c in episodes if c not in front)]]
    written = [
        write_json(out, result),
        write_text(out.with_suffix(".md"), text(result)),
        write_text(out.with_suffix(".csv"), episodes.to_csv(index=False, float_format="%.7g")),
        draw(result, out.with_suffix(".png")),
    ]
    if {PANDA, ORACLE} <= set(episodes["policy"]):
        board = leaderboard.freeze(result, episodes)
        name = "leaderboard.json" if out.name == OUT.name else f"{out.stem}-leaderboard.json"
        written.append(write_json(out.with_name(name), board))
    return written


def draw(result: dict, path: Path) -> Path:
    """Flow time saved against load, paired: one panel a scenario, one line a policy.

    Means by themselves vary with the windows far more than policies differ.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(cell["scenario"] for cell in result["cells"]))
    order = [row["policy"] for row in shown(result)]
    key, base = ("panda", PANDA) if "panda" in shown(result)[0] else ("saved", "the first policy")
    figure = Figure((2.6 * len(names) + 1.8, 4.0), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        cells = [cell for cell in result["cells"] if cell["scenario"] == name]
        loads = np.array([cell["load"] for cell in cells])
        for k, who in enumerate(order):
            found = [next(r[key] for r in c["policies"] if r["policy"] == who) for c in cells]
            if None in found:
                continue
            mean = np.array([f["mean"] for f in found])
            edges = [mean - [f["low"] for f in found], [f["high"] for f in found] - mean]
            axes.errorbar(
                loads + 0.005 * (k - len(order) / 2),
                mean,
                edges,
                label=who,
                color=f"C{k % 10}",
                marker="os^vD"[k % 5],
                markersize=3.5,
                linewidth=1,
                elinewidth=0.7,
            )
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(name, fontsize=10)
        axes.set_xticks(loads)
        axes.set_xlabel("load")
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.25)
    panels[0].set_ylabel(f"flow time / m less than {base}'s (95 %)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8, frameon=False)
    figure.savefig(path)
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policies", description=main.__doc__)
    parser.add_argument("--workload", default="tabddpm", help="name or file (default %(default)s)")
    parser.add_argument("--sites", default="40", help="number, name or CSV (default %(default)s)")
    parser.add_argument("--rate", type=positive, default=5_500, help="jobs a day")
    parser.add_argument("--loads", type=positive, nargs="+", help="default: .5 .6 .7 .8")
    parser.add_argument("--scenarios", nargs="+", choices=tuple(SCENARIOS), help="default: all")
    parser.add_argument("--jobs", type=whole(1), default=5_500, help="jobs of an episode")
    parser.add_argument("--split", default="test", help="train or test windows")
    parser.add_argument("--seeds", type=whole(1), default=24, help="episodes a policy in a cell")
    who = [*policies.names(), TOLD]
    parser.add_argument("--policies", nargs="+", choices=who, help="all; the first is the base")
    parser.add_argument("--out", type=new_file, default=OUT, help="JSON file to write")
    parser.add_argument("--parts", type=new_folder, default=PARTS, help="keeps finished cells")
    parser.add_argument("--mine", metavar="MODULE:POLICY", help="measure this policy instead")
    parser.add_argument("--board", type=Path, default=leaderboard.BOARD, help="leaderboard to use")
    return parser


if __name__ == "__main__":
    command(main)
