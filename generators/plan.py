"""How one `fit` is to run: everything that is not the model's own configuration.

In: the arguments of `Generator.fit`. Out: a `Plan`, with what tells this run from another.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from foundations import checks

Callback = Callable[[int, dict[str, float]], Any]
"""Told the steps made and the mean of each loss term since it was told before; true stops."""


@dataclass(frozen=True)
class Plan:
    """Seed, length, progress bar, checkpoint and callback of one run."""

    seed: int = 0
    budget: float | None = None  # seconds of wall clock
    steps: int | None = None  # optimizer steps; wins over budget
    progress: bool = True
    checkpoint: Path | None = None
    every: float = 30.0  # seconds between checkpoints
    began: float | None = None  # `time.monotonic()` from which a budget counts; None: the loop's
    callback: Callback | None = None
    key: dict[str, Any] = field(default_factory=dict)  # model, options, data: see `training.run`

    @classmethod
    def of(
        cls,
        seed: int,
        budget: float | None,
        steps: int | None,
        progress: bool,
        checkpoint: str | os.PathLike | None,
        every: float,
        callback: Callback | None = None,
    ) -> Plan:
        """The checked plan of a run that begins now; ValueError for a wrong argument."""
        if not (callback is None or callable(callback)):
            raise ValueError(f"callback must be a function of step and losses, got {callback!r}")
        return cls(
            int(checks.seed(seed)),
            None if budget is None else float(checks.positive("budget", budget)),
            None if steps is None else int(checks.whole("steps", steps, least=1)),
            bool(progress),
            None if checkpoint is None else Path(checkpoint),
            float(checks.number("every", every, least=0)),
            time.monotonic(),
            callback,
        )


def fingerprint(*arrays: np.ndarray) -> str:
    """Hash of arrays, to tell the data of one run from another's."""
    return digest(b"".join(digest(np.ascontiguousarray(a).tobytes()).encode() for a in arrays))


def digest(data: bytes) -> str:
    """BLAKE2b of bytes, 16 bytes long, as checkpoints carry it."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
