"""Generators and policies that a command names: built-in ones, saved ones, and your own objects.

In: a name such as `tabar` or `greedy`, `module:attribute` for an object of your own, or the folder
of a saved one. Out: the object, checked before any work, and what tells it from others, so that
finished work is found again only for the same object. A generator of your own needs `fit(table)`
and `sample(n)`; further arguments (seed, budget, steps, progress, checkpoint) are passed where its
methods take them. A policy needs `reset` and `act`, or `reset` and `act_all`
(`pandaenv.policies.Policy`).
"""

from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

import generators
from foundations import files
from foundations.objects import accepted, named, source_digest
from pandaenv import agents, policies

POLICY_METHODS = ("reset", ("act", "act_all"))
GENERATOR_HELP = f"{', '.join(generators.names())}, module:attribute, or the folder of a saved one"
POLICY_HELP = f"{', '.join(policies.names())}, module:attribute, or the folder of a trained agent"


class Policy(NamedTuple):
    """A policy, the name it has in tables, and what distinguishes it from others."""

    name: str
    policy: Any
    identity: tuple


class SavedGenerator:
    """A saved generator as a candidate: it keeps what it has learned and is not trained again."""

    def __init__(self, folder: str):
        self.model = generators.load(folder)
        self.digest = files.digest(Path(folder) / "generator.json")

    def fit(self, table: pd.DataFrame) -> "SavedGenerator":
        """Check that the model knows the table's columns; raise a ValueError if not."""
        known = [column.name for column in self.model.layout_.columns]
        if known != list(table):
            raise ValueError(f"the saved {self.model.name} has the columns {known}, not {[*table]}")
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def generator(name: str, **config: Any) -> Any:
    """A generator by name, `module:attribute` or folder.

    Args:
        config: options of the constructor; a saved generator takes none.

    Raises:
        ValueError: there is no such generator, or the object lacks `fit` or `sample`.
    """
    if name not in generators.names() and Path(name).is_dir():
        return SavedGenerator(name)
    return generators.make(name, **config)


def policy(name: str) -> Policy:
    """A policy by name, `module:attribute` or folder.

    Raises:
        ValueError: there is no such policy, or the object lacks methods.
    """
    if ":" in name:
        found = named(name, POLICY_METHODS)
        return Policy(name, found, (name, source_digest(found)))
    if name not in policies.names() and Path(name).is_dir():
        return agent(Path(name))
    return Policy(name, policies.make(name), (name,))


def agent(folder: Path) -> Policy:
    """A trained agent, known by the hash of its weights."""
    found = agents.load(folder)
    return Policy(folder.name, found, (folder.name, files.digest(folder / agents.WEIGHTS)))


def label(name: str) -> str:
    """The name in tables and of files: of a folder its last part."""
    return name if ":" in name else Path(name).resolve().name


def settings(model: Any) -> dict[str, Any]:
    """The configuration of a generator and, for your own objects, a hash of their source file."""
    config = getattr(model, "config", None)
    found = asdict(config) if is_dataclass(config) else {"model": repr(model)}
    if isinstance(model, SavedGenerator):
        return found | {"saved": model.digest}
    if type(model).__module__.partition(".")[0] == "generators":
        return found
    if type(model).__repr__ is object.__repr__:  # it would name a place in memory
        found = found | {"model": type(model).__qualname__}
    return found | {"source": source_digest(model)}


def fit(model: Any, table: pd.DataFrame, **arguments: Any) -> None:
    """Fit a generator with those of the arguments that its `fit` takes."""
    model.fit(table, **accepted(model.fit, arguments))


def sample(model: Any, n: int, **arguments: Any) -> pd.DataFrame:
    """Draw n rows with those of the arguments that the generator's `sample` takes."""
    return model.sample(n, **accepted(model.sample, arguments))
