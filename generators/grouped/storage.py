"""A fitted grouped generator as named arrays, and back.

In: names, parts. Out: a dict of arrays: those of the parts, and one of the bytes of a JSON text
with what is no array. The inverse reads; it runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from foundations.plain import PlainView
from generators.arrays import pack_columns, unpack_columns
from generators.layout import Layout, as_tuples

from .arrivals import Arrivals
from .groups import Names
from .reuse import Reuse
from .rows import Shape
from .scale import Scale
from .stream import Learned
from .submodels import Submodel

PARTS = ("parent", "child")


def pack(names: Names, learned: Learned) -> dict[str, np.ndarray]:
    """Arrays of a fitted generator."""
    shape = {k: v for k, v in vars(learned.shape).items() if k != "scales"}
    models = {"parent": learned.parent.model, "child": learned.child.model}
    text = {
        "names": asdict(names),
        "shape": shape,
        "rows_a_day": learned.rows_a_day,
        **{part: model.layout_.to_json() for part, model in models.items()},
    }
    arrays = {"text": np.frombuffer(json.dumps(text).encode(), np.uint8)}
    arrays |= pack_columns("scale", learned.shape.scales)
    arrays |= pack_columns("arrivals", [learned.arrivals])
    arrays |= pack_columns("reuse", [learned.reuse] if learned.reuse is not None else [])
    for part, model in models.items():
        arrays |= {f"{part}.{name}": x for name, x in model._to_arrays().items()}
    return arrays


def unpack(
    layout: Layout,
    arrays: dict[str, np.ndarray],
    make: Callable[[Shape, bool], tuple[Submodel, Submodel]],
) -> tuple[Names, Learned]:
    """Inverse of `pack`; `make` gives the untrained submodels.

    Raises: KeyError, TypeError or ValueError where the arrays are not those of the layout.
    """
    text = json.loads(arrays["text"].tobytes().decode())
    scales = unpack_columns(Scale, "scale", arrays, len(text["shape"]["numbers"]))
    shape = Shape(**as_tuples(text["shape"]), scales=scales)
    if not _fits(shape, layout):
        raise ValueError("its parts are of other columns")
    reuse = unpack_columns(Reuse, "reuse", arrays, int("reuse.0.old" in arrays))
    parts = make(shape, bool(reuse))
    for name, part in zip(PARTS, parts, strict=True):
        inside = {k.removeprefix(f"{name}."): v for k, v in arrays.items() if k.startswith(name)}
        _revive(part.model, text[name], inside)
    (arrivals,) = unpack_columns(Arrivals, "arrivals", arrays, 1)
    names = Names(**as_tuples(text["names"]))
    return names, Learned(
        shape, arrivals, reuse[0] if reuse else None, *parts, float(text["rows_a_day"])
    )


def _fits(shape: Shape, layout: Layout) -> bool:
    """Whether a shape is of the columns of a layout."""
    numbers, codes = (shape.when, *shape.numbers), (*shape.shared, *shape.changing)
    found = sorted(numbers), sorted(codes)
    return found == (
        list(range(len(layout.numericals))),
        list(range(len(layout.categoricals))),
    )


def _revive(model: Any, columns: list[dict], arrays: dict[str, np.ndarray]) -> None:
    """Make an untrained submodel the one that was saved."""
    model.layout_, model.view_ = Layout.from_json(columns), PlainView()
    model.losses_, model.n_steps_, model.seconds_ = pd.DataFrame(), 0, 0.0
    model._from_arrays(model.layout_, arrays)
