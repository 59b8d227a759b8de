"""Surrogate generators: models that learn a mixed table and sample rows like it.

`make(name, **config)` gives an untrained one, `load(folder)` a saved one, `names()` what there is.
They take any `pandas.DataFrame` and know nothing of grids; objects of your own with `fit` and
`sample` are as good as a name wherever one is taken.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from foundations.objects import named

if TYPE_CHECKING:
    from .base import Generator

__all__ = ["load", "make", "names"]

REGISTRY = {
    "smote": "generators.smote:SMOTE",
    "tvae": "generators.tvae:TVAE",
    "ctabganplus": "generators.ctabganplus:CTABGANPlus",
    "tabddpm": "generators.tabddpm:TabDDPM",
    "tabar": "generators.tabar:TabAR",
}


STREAMS = {"grouped": "generators.grouped:Grouped"}
"""Generators of streams, which need a column of groups and one of times."""


def names() -> tuple[str, ...]:
    """Names `make` knows of generators of any table; it knows "grouped", too."""
    return tuple(REGISTRY)


def make(name: str, **config: Any) -> Generator:
    """An untrained generator, e.g. `make("tabddpm", preset="paper")`.

    Args:
        name: one of `names()`, "grouped", or `module:Class` for a class of your own with `fit` and
            `sample`.
        config: fields of its configuration to change; arguments of your own class.

    Raises: ValueError for an unknown name or option, or an option that breaks its rule.
    """
    if ":" in name:
        return named(name, ("fit", "sample"), **config)
    return _class(name)(**config)


def load(folder: str | os.PathLike) -> Generator:
    """The generator that `Generator.save` left in a folder; one that `make` knows.

    A class of your own loads by its own `load`: no file can make this function import code.

    Raises: FileNotFoundError where there is none, ValueError where it is damaged.
    """
    from .base import read_saved

    card, _ = read_saved(folder)
    return _class(card["generator"]).load(folder)


def _class(name: str) -> type[Generator]:
    known = REGISTRY | STREAMS
    if name not in known:
        raise ValueError(f"unknown generator {name!r}; known: {', '.join(known)}")
    module, _, attribute = known[name].partition(":")
    return getattr(import_module(module), attribute)
