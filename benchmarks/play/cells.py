"""All policies in all cells: the same worlds for every policy, over loads and scenarios.

In: a task, loads, scenarios, names of policies, seeds. Out: episodes by cell.
The episodes of a policy in a cell are stored as soon as they are played, so an interrupted run
resumes there. So are the bounds by hindsight of the worlds of a cell (`pandaenv.hindsight`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd
from tqdm import tqdm

import pandaenv
from benchmarks.inputs import candidates
from benchmarks.inputs.engines import SERIAL, Engine
from benchmarks.report.finished import read_sealed_table, result_key, write_sealed_table
from foundations import files
from pandaenv.env.config import TaskConfig
from pandaenv.workload import BUNDLED

from .bounds import BOUND, bound_episodes
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
    engine: Engine = SERIAL,
    bound_steps: int = 0,
) -> Cells:
    """Play every policy in every cell; what is finished is stored in the folder `parts`.

    Args:
        task: what all cells share; load and scenario are set here.
        names: of policies, see `benchmarks.inputs.candidates`.
        bound_steps: of the bound of each world, which becomes the column `bound`; 0: no bounds.
    """
    names, seeds = list(names), list(seeds)
    cells = [(load, scenario) for load in loads for scenario in scenarios]
    pieces: list[Piece] = []
    for cell in cells:
        pieces += [Piece(task, *cell, name, seeds, parts) for name in names]
        pieces += [BoundPiece(task, *cell, BOUND, seeds, parts, bound_steps)] * (bound_steps > 0)
    if engine.name != "serial":
        left = [piece for piece in pieces if piece.kept() is None]
        engine.run(play_piece, left, quiet=not progress)
    found: dict = {}
    size = task.episode_jobs * len(seeds)
    with tqdm(total=size * len(pieces), unit="job", unit_scale=True, disable=not progress) as bar:
        for piece in pieces:
            bar.set_description(piece.name)
            rows = piece.kept()
            if rows is None:
                rows = play_piece(piece, bar.update)
            else:
                bar.total -= size
                bar.refresh()
            found.setdefault((piece.load, piece.scenario), []).append(rows)
    return {cell: _joined(tables, bound_steps > 0) for cell, tables in found.items()}


def _joined(parts: list[pd.DataFrame], has_bound: bool) -> pd.DataFrame:
    """The episodes of all policies in a cell; bounds, which come last, as a column of them."""
    if not has_bound:
        return pd.concat(parts, ignore_index=True)
    *played, bound = parts
    return pd.concat(played, ignore_index=True).merge(bound[["seed", BOUND]], "left", "seed")


@dataclass(frozen=True)
class Piece:
    """One policy in one cell, and the folder its episodes go to."""

    task: TaskConfig
    load: float
    scenario: str
    policy: str
    seeds: list[int]
    parts: Path

    @property
    def name(self) -> str:
        """What a person reads while it is played."""
        return f"load {self.load:g}, {self.scenario}, {_policy(self.policy).name}"

    @cached_property
    def path(self) -> Path:
        """The file of the episodes, named by all that they depend on."""
        one = _policy(self.policy)
        found = _key(self.own_task, self.seeds, *one.identity)
        return self.parts / f"{self.load:g}-{self.scenario}-{one.name}-{found}.csv"

    def kept(self) -> pd.DataFrame | None:
        """The episodes as an earlier run left them, None where they are not there."""
        return read_sealed_table(self.path)

    @property
    def own_task(self) -> TaskConfig:
        """The task of the cell, with what the environment reveals to this policy."""
        own = _reveals(_policy(self.policy).name)
        return replace(self.task, load=self.load, scenario=self.scenario, **own)

    def play(self, progress: Callable[[int], Any]) -> pd.DataFrame:
        """The episodes."""
        one = _policy(self.policy)
        return play_episodes(self.own_task, one.policy, self.seeds, progress).assign(
            policy=one.name
        )


@dataclass(frozen=True)
class BoundPiece(Piece):
    """The bounds of the worlds of a cell, in place of a policy."""

    n_steps: int

    @property
    def name(self) -> str:
        return f"load {self.load:g}, {self.scenario}, {self.policy}"

    @cached_property
    def path(self) -> Path:
        found = _key(self.own_task, self.seeds, BOUND, self.n_steps)
        return self.parts / f"{self.load:g}-{self.scenario}-{BOUND}-{found}.csv"

    @property
    def own_task(self) -> TaskConfig:
        return replace(self.task, load=self.load, scenario=self.scenario)

    def play(self, progress: Callable[[int], Any]) -> pd.DataFrame:
        return bound_episodes(self.own_task, self.seeds, self.n_steps, progress)


def play_piece(piece: Piece, progress: Callable[[int], Any] = lambda n: None) -> pd.DataFrame:
    """Play the episodes of a piece and write them; returns them as `Piece.kept` does."""
    return write_sealed_table(piece.path, piece.play(progress))


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
