"""Dataclasses and networks as named arrays, and back."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from generators.arrays import pack_columns, pack_weights, unpack_columns, unpack_weights


@dataclass
class Part:
    values: np.ndarray
    n: int
    share: float


def test_columns_come_back_with_their_numbers_as_numbers():
    parts = [Part(np.arange(3.0), 2, 0.5), Part(np.ones(1), 1, 0.25)]
    arrays = {k: np.ascontiguousarray(v) for k, v in pack_columns("part", parts).items()}
    assert set(arrays) == {f"part.{j}.{name}" for j in (0, 1) for name in ("values", "n", "share")}
    for part, back in zip(parts, unpack_columns(Part, "part", arrays, 2), strict=True):
        assert (back.n, back.share) == (part.n, part.share) and type(back.n) is int
        np.testing.assert_array_equal(back.values, part.values)
    with pytest.raises(KeyError, match="part.2.values"):
        unpack_columns(Part, "part", arrays, 3)


def test_weights_come_back():
    one, other = nn.Linear(2, 3), nn.Linear(2, 3)
    unpack_weights("net", other, pack_weights("net", one) | {"else": np.zeros(1)})
    assert torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)


def test_weights_without_a_network_are_refused():
    assert pack_weights("net", None) == {}
    unpack_weights("net", None, {})
    with pytest.raises(ValueError, match="there are weights but no column that varies"):
        unpack_weights("net", None, pack_weights("net", nn.Linear(1, 1)))
