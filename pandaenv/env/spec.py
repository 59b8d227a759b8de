"""An environment's spec in words that JSON has, so that `spec.to_json()` brings it back.

In: the arguments somebody gave `gym.make`. Out: the same, where a path is text, an array, a tuple
or a set a list, and a number of numpy Python's own. What JSON has no word for stays as it is.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath

import numpy as np


def plain(spec):
    """The spec with plain arguments; None stays None."""
    if spec is None:
        return None
    return replace(spec, kwargs={name: _plain(value) for name, value in spec.kwargs.items()})


def _plain(value):
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


class Spoken:
    """Part of an environment: whatever spec it is given, it has it with plain arguments."""

    _spec = None

    @property
    def spec(self):
        """How `gym.make` made it, None for one made by its class."""
        return self._spec

    @spec.setter
    def spec(self, spec):
        self._spec = plain(spec)
