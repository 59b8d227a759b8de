"""All policies in all cells: the same worlds for every policy, over loads and scenarios.

In: a task, loads, scenarios, names of policies, seeds. Out: episodes by cell.
The episodes of a policy in a cell are stored as soon as they are played, so an interrupted run
resumes there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd
from tqdm import tqdm

import pandaenv
from benchmarks.inputs import candidates
from benchmarks.report.finished import result_key
from benchmarks.report.provenance import write_text
from foundations import files
from pandaenv.env.config import TaskConfig
from pandaenv.workload import BUNDLED

from .episodes import play_episodes

GREEDY_ESTIMATE = "greedy_estimate"
"""`greedy` where the environment reveals estimates of the work."""

Cells = dict[tuple[float, str], pd.DataFrame]
"""(load, scenario) -> episodes, one row each."""


def play_cells(
    task: TaskConfig,
    loads: Iterable[float],
    scenarios: Iterable[str],
    names: Iterable[str],
    seeds: Sequence[int],
    parts: Path,
    progress: bool = True,
) -> Cells:
    """Play every policy in every cell; what is finished is stored in the folder `parts`.

    Args:
        task: what all cells share; load and scenario are set here.
        names: of policies, see `benchmarks.inputs.candidates`.
    """
    chosen = [_policy(name) for name in names]
    cells = [(load, name, one) for load in loads for name in scenarios for one in chosen]
    found: dict = {}
    size = task.episode_jobs * len(seeds)
    with tqdm(total=size * len(cells), unit="job", unit_scale=True, disable=not progress) as bar:
        for load, scenario, one in cells:
            bar.set_description(f"load {load:g}, {scenario}, {one.name}")
            own = replace(task, load=load, scenario=scenario, **_reveals(one.name))
            name = f"{load:g}-{scenario}-{one.name}-{_key(own, seeds, *one.identity)}"
            path = parts / f"{name}.csv"
            if path.is_file():
                bar.total -= size
                bar.refresh()
            else:
                rows = play_episodes(own, one.policy, seeds, bar.update)
                write_text(path, rows.assign(policy=one.name).to_csv(index=False))
            found.setdefault((load, scenario), []).append(pd.read_csv(path))
    return {cell: pd.concat(rows, ignore_index=True) for cell, rows in found.items()}


def _policy(name: str) -> candidates.Policy:
    if name == GREEDY_ESTIMATE:
        return candidates.Policy(name, candidates.policy("greedy").policy, (name,))
    return candidates.policy(name)


def _reveals(name: str) -> dict[str, str]:
    return {"reveal": "estimate"} if name == GREEDY_ESTIMATE else {}


def _key(task: TaskConfig, *parts: Any) -> str:
    """A name for what the episodes depend on, the code of the environment included."""
    code = [code_digest(), numba.__version__, np.__version__]
    return result_key([*code, workload_digest(task.workload), task.to_json(), *parts])


def code_digest() -> str:
    """SHA-256 of the code of pandaenv."""
    return files.digest_of_all(sorted(Path(pandaenv.__file__).parent.rglob("*.py")))


def workload_digest(workload: str) -> str | None:
    """SHA-256 of a workload's records, None where they are not a file."""
    path = BUNDLED.get(workload) or Path(workload)
    return files.digest(path) if path.is_file() else None
