"""TabDDPM: Modelling Tabular Data with Diffusion Models.

Kotelnikov, Baranchuk, Rubachev & Babenko (2023), arXiv 2209.15421. `TabDDPM(process=...)` gives the
model of one of two processes, each a folder beside this file:

- "masked" (the default, ours): columns are hidden and restored.
- "uniform": the paper's Gaussian diffusion of numbers and multinomial one of categories, with our
  defaults; `preset="paper"` sets all options as published.

DIFF: the surrogate paper (arXiv 2410.07940) calls TabDDPM a latent diffusion; its cited model has
no latent space, and neither has ours. The target column is diffused like any other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from generators.base import Generator

DEFAULT = "masked"
OF_OLD = "uniform"  # process of the paper, and of models saved before there was a choice


class TabDDPM(Generator):
    """Diffusion over a mixed table.

    Args:
        config: a `MaskedConfig` or a `UniformConfig`; its process is the model's.
        options: `process`, `preset`, and fields of the configuration of that process.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"x": [0.1, 0.2, 0.9] * 50, "site": ["a", "a", "b"] * 50})
        >>> model = TabDDPM(d_trunk=32).fit(table, steps=20, progress=False)
        >>> model.sample(2, seed=0).shape
        (2, 2)
        >>> model.sample(2, seed=0, where={"site": "a", "x": (0.5, 1.0)})["x"].tolist()
        [0.9, 0.9]
    """

    name = "tabddpm"
    n_rows_: int
    processes: ClassVar[dict[str, type[TabDDPM]]] = {}

    def __init_subclass__(cls, process: str | None = None, **options: Any):
        super().__init_subclass__(**options)
        if process is not None:
            TabDDPM.processes[process] = cls
        if process == DEFAULT:
            TabDDPM.Config = cls.Config

    def __new__(cls, config: Any = None, **options: Any) -> TabDDPM:
        if cls is not TabDDPM:
            return super().__new__(cls)
        paper = OF_OLD if options.get("preset") == "paper" else DEFAULT
        process = options.get("process", getattr(config, "process", paper))
        if process not in cls.processes:
            known = " or ".join(sorted(cls.processes))
            raise ValueError(f"process must be {known}, got {process!r}")
        return super().__new__(cls.processes[process])

    @classmethod
    def _revive(cls, card: dict, arrays: dict[str, np.ndarray]) -> TabDDPM:
        process = card["config"].get("process", OF_OLD)
        kind = cls.processes[process]
        if not issubclass(kind, cls):
            raise ValueError(f"it is of the process {process!r}")
        return super(TabDDPM, kind)._revive(card, arrays)

    if TYPE_CHECKING:  # `TabDDPM(...)` makes a model of a process, which has these
        _fit: Any
        _sample: Any
        _to_arrays: Any
        _from_arrays: Any

    def anomaly_score(self, table: pd.DataFrame) -> np.ndarray:
        """How badly each row fits what was learned, (n,); high is anomalous."""
        raise NotImplementedError

    def outside(self, numbers: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Score (n,) of what was never seen, and numbers and codes brought back to what was.

        A category never seen, and a number outside the seen range, add log(rows fitted); a number
        also adds how many ranges it lies outside.
        """
        low, high = (
            np.array([getattr(c, end) for c in self.layout_.numericals]) for end in ("low", "high")
        )
        inside = np.clip(numbers, low, high)
        ranges = np.abs(numbers - inside) / np.where(high > low, high - low, 1.0)
        unseen = (ranges > 0).sum(1) + (codes < 0).sum(1)
        return unseen * math.log(self.n_rows_ + 1) + ranges.sum(1), inside, codes.clip(0)
