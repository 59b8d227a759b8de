"""What a fitted generator is made of as named arrays, the form in which it is saved, and back.

In: dataclasses of arrays and numbers, one for each column, or a network. Out: a dict of arrays
whose names begin with a prefix, and the inverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import numpy as np

if TYPE_CHECKING:
    from torch import nn

Part = TypeVar("Part")


def pack_columns(prefix: str, columns: Sequence[Any]) -> dict[str, np.ndarray]:
    """Arrays `PREFIX.NUMBER.FIELD` of dataclasses, one for each column."""
    return {
        f"{prefix}.{j}.{f.name}": np.asarray(getattr(column, f.name))
        for j, column in enumerate(columns)
        for f in fields(column)
    }


def unpack_columns(
    kind: type[Part], prefix: str, arrays: dict[str, np.ndarray], n_columns: int
) -> tuple[Part, ...]:
    """Inverse of `pack_columns`; a field that is no array becomes a number again.

    Raises: KeyError where an array is missing.
    """
    types, columns = get_type_hints(kind), []
    for j in range(n_columns):
        parts = {name: arrays[f"{prefix}.{j}.{name}"] for name in types}
        columns.append(
            kind(**{k: v if types[k] is np.ndarray else v.item() for k, v in parts.items()})
        )
    return tuple(columns)


def pack_weights(prefix: str, net: nn.Module | None) -> dict[str, np.ndarray]:
    """Arrays `PREFIX.NAME` of all weights; none where no column varies and there is no network."""
    if net is None:
        return {}
    from .devices import to_array  # torch takes a second to import

    return {f"{prefix}.{name}": to_array(value) for name, value in net.state_dict().items()}


def unpack_weights(prefix: str, net: nn.Module | None, arrays: dict[str, np.ndarray]) -> None:
    """Set the weights of a network; inverse of `pack_weights`.

    Raises: ValueError where there are weights and no network, RuntimeError where they do not fit.
    """
    from .devices import to_tensor

    start = f"{prefix}."
    weights = {
        k.removeprefix(start): to_tensor(v) for k, v in arrays.items() if k.startswith(start)
    }
    if net is not None:
        net.load_state_dict(weights)
    elif weights:
        raise ValueError("there are weights but no column that varies")
