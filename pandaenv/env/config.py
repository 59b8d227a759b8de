"""A placement task in one object: its jobs, its sites, its load, and how placements are judged.

In: the arguments of `gym.make`. Out: a `TaskConfig`, frozen and checked. It is the key by which
environments share what is slow to prepare, it goes into JSON and comes back, and it is what data
sets and benchmarks keep of an environment.

    config = TaskConfig(sites="tier1", rate=2_000, episode_jobs=2_000)
    env = gym.make("PandaSiteAllocation-v0", **config.arguments())
    TaskConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from foundations import checks, tables
from foundations.units import HOUR_S
from pandaenv import background as backgrounds
from pandaenv import scenarios
from pandaenv.background import BACKGROUNDS, Background
from pandaenv.scenarios import SCENARIOS, Scenario
from pandaenv.sites import Catalogue
from pandaenv.workload import file_identity
from pandaenv.workload.stream import N_WINDOWS

from .decisions import DECIDED
from .measures import MEASURES, RELATIVE

WAIT_LIMIT_S = 30 * HOUR_S
BYTE_LIMIT = 1.2e10
"""Limits on queue wait and on bytes moved, set so that PanDA's analysis rule breaks one of them in
2-5 % of steps on the bundled workload, by both ids (`benchmarks.load` measures the shares)."""
OBSERVATIONS = ("flat", "dict")
COSTS = ("count", "binary")
REVEALED = (None, "estimate")

STREAM = ("workload", "sites", "rate", "load", "workload_seed", "background")
"""What the stream of jobs and the scaled grid depend on."""
PREPARED = (*STREAM, "episode_jobs", "split", "warmup_days", "reveal", "backfill", "windows")
"""What windows and their warm-up depend on; the rest only judges placements."""
LATER = {"windows": None, "decide": "job", "information_delay": 0.0}
"""Fields that tasks of old do not have, and their defaults."""


@dataclass(frozen=True, eq=False)
class TaskConfig:
    """What makes a task. The card of `PandaSiteAllocationEnv` explains every field.

    Two are equal if they make the same task: tables are compared by content, files by path and by
    when they were written.

    Raises:
        ValueError: a value out of its range, in one sentence. What only a file or a table can tell
            is checked when the task is prepared.
    """

    workload: Any = "tabddpm"
    sites: int | str | Path | Iterable[str] | Catalogue = 40
    rate: float | None = 5_500
    load: float | None = 0.6
    episode_jobs: int = 5_500
    split: str = "train"
    observation: str = "flat"
    reward: str = "flow_time"
    cost: str = "count"
    scenario: str | Scenario | Mapping = "normal"
    wait_limit: float = WAIT_LIMIT_S
    byte_limit: float = BYTE_LIMIT
    warmup_days: float = 3.0
    workload_seed: int = 0
    reveal: str | None = None
    backfill: bool = False
    background: str | Background | Mapping = "none"
    candidates: int | None = None
    windows: int | None = None
    decide: str = "job"
    information_delay: float = 0.0

    def __post_init__(self) -> None:
        checks.known("split", self.split, N_WINDOWS)
        checks.known("observation", self.observation, OBSERVATIONS)
        checks.known("reward", self.reward, MEASURES)
        checks.known("cost", self.cost, COSTS)
        checks.known("reveal", self.reveal, REVEALED)
        checks.known("decide", self.decide, DECIDED)
        checks.seed(self.workload_seed, "workload_seed")
        checks.whole("episode_jobs", self.episode_jobs, least=1)
        if self.candidates is not None:
            checks.whole("candidates", self.candidates, least=1)
        for name in ("warmup_days", "information_delay"):
            checks.number(name, getattr(self, name), least=0)
        if self.decide == "task" and self.reward == RELATIVE:
            raise ValueError("decide must be 'job' with reward='relative', got 'task'")
        if self.windows is not None:
            checks.whole("windows", self.windows, least=1)
        for name in ("rate", "load"):
            if getattr(self, name) is not None:
                checks.positive(name, getattr(self, name))
        for name in ("wait_limit", "byte_limit"):
            limit = getattr(self, name)
            checks.require(checks.is_number(limit) and limit >= 0, name, "at least 0", limit)
        self._keep(
            sites=_as_tuple(self.sites),
            scenario=scenarios.make(self.scenario),
            background=backgrounds.make(self.background),
            backfill=checks.truth("backfill", self.backfill),
        )

    def _keep(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def key(self, names: Iterable[str] | None = None) -> tuple:
        """The fields of these names (all of them by default), comparable and mostly hashable."""
        names = [field.name for field in fields(self)] if names is None else names
        return tuple(_comparable(getattr(self, name)) for name in names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskConfig) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def to_json(self) -> dict[str, Any]:
        """All fields in words that JSON has; those in LATER only where they are not the default.

        So a task that was written down before there was a choice reads the same today.

        Raises:
            ValueError: workload or sites are objects and not names or files.
        """
        told = {field.name: plain(getattr(self, field.name)) for field in fields(self)}
        for name, default in LATER.items():
            if told[name] == default:
                del told[name]
        scenario = scenarios.make(self.scenario)  # it is one already
        told["scenario"] = _name_in(SCENARIOS, scenario) or asdict(scenario)
        others = backgrounds.make(self.background)  # and so is this
        told["background"] = _name_in(BACKGROUNDS, others) or asdict(others)
        for name in ("workload", "sites"):
            if not isinstance(told[name], str | int | list):
                kind = type(told[name]).__name__
                raise ValueError(f"{name} must be a name or a file to go into JSON, got a {kind}")
        return told

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> TaskConfig:
        """The inverse of `to_json`."""
        return cls(**told)

    def arguments(self) -> dict[str, Any]:
        """The fields that differ from their defaults: what `gym.make` needs to make this task."""
        compared = zip(fields(self), self.key(), TaskConfig().key(), strict=True)
        differ = {field.name: getattr(self, field.name) for field, a, b in compared if a != b}
        for name, known in (("scenario", SCENARIOS), ("background", BACKGROUNDS)):
            if name in differ:
                differ[name] = _name_in(known, differ[name]) or differ[name]
        return differ


def plain(value: Any) -> Any:
    """A value in words that JSON has; one that it has no word for stays as it is.

    A path becomes text, an array, a tuple or a set a list, a number of numpy one of Python.
    """
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def _as_tuple(sites: Any) -> Any:
    """Lists, sets and arrays of names as a tuple, so that they can be a key."""
    if isinstance(sites, list | tuple | set | frozenset | np.ndarray | pd.Series):
        return tuple(plain(np.asarray(sites) if isinstance(sites, pd.Series) else sites))
    return sites


def _comparable(value: Any) -> Any:
    """A value that is equal to another if the task is the same."""
    if isinstance(value, pd.DataFrame):
        return tables.digest(value), repr(value.dtypes.to_dict())
    if isinstance(value, bool):
        return "bool", value  # True is no 1
    return value, file_identity(value)


def _name_in(known: Mapping[str, Any], value: Any) -> str | None:
    return next((name for name, one in known.items() if one == value), None)
