"""The masked process of TabDDPM, its default: noise hides columns, the network restores them.

Austin et al. (2021), arXiv 2107.03006 (D3PM, absorbing states); Sahoo et al. (2024), arXiv
2406.07524 (MDLM: the bound is a mixture of plain cross-entropies); Shi et al. (2024), arXiv
2410.20626 (TabDiff: a schedule for each column of a mixed table). A row is C columns; each becomes
a category, or a coarse and a fine bin (`generators.bins`).

| symbol | in code | shape |
|---|---|---|
| x_u, a column; m, the mask | `Unit`; a column that adds nothing to `s` | |
| M, the columns masked at a time of the process | columns not `known` | |
| s_u, all that is known but for column u | `s` | (C, batch, d_trunk) |
| -log p(x) <= sum_u E_M [ -log p(x_u given x not in M) ], u in M | `MaskedNet.nll` | (batch, F) |

DIFF: TabDDPM replaces categories by uniform ones and adds Gaussian noise to numbers. Here both are
masked, because a replaced category looks like a true one and the network has to find out which are
not; the reference stays distinguishable after any training of that process (results/README).

DIFF: MDLM draws one time a row and weighs its terms by 1 / |M|. Here each column of a row is
predicted from the known ones among the others, whether it is masked or not. Every size of the known
set is then as likely as any other, all weights are 1, and each row teaches all of its columns.

DIFF: TabDiff learns the columns' schedules. Here half of a batch has each column masked at random,
so that a row can be completed from any of its columns, and half has the schedule in which rows are
drawn: one column after the other, by information.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from foundations import checks
from generators.devices import seeded, to_array, to_tensor
from generators.drawing import FREE, Limits, PartialRows, draw_given
from generators.fielded import FieldConfig, FieldGenerator
from generators.fields import Field, encode
from generators.layout import Layout, check_frame
from generators.likelihood import evaluate_nll
from generators.options import choice, positive, share, whole
from generators.plan import Plan
from generators.sources import Source

from ..model import TabDDPM
from .imputation import Imputation
from .network import MaskedNet
from .sampling import draw_columns

CHUNK = 8192  # rows sampled at once


@dataclass(frozen=True)
class MaskedConfig(FieldConfig):
    """Defaults as chosen on other tables than the published ones."""

    process: str = choice("masked")
    preset: str = choice("default")
    d_trunk: int = whole(128, least=1)
    d_head: int = whole(128, least=1)
    shuffled: float = share(0.5)  # of a batch: rows whose columns are masked in any order
    lr: float = positive(1e-2)


class MaskedTabDDPM(FieldGenerator, TabDDPM, process="masked"):
    """TabDDPM with the masked process."""

    Config = MaskedConfig

    def log_prob(self, table: pd.DataFrame) -> np.ndarray:
        """Log probability (n,) of each row, nats; a number counts as the cell it lies in.

        It is that of the order in which rows are drawn, so exactly that of `sample`. A category
        never seen or a number outside the seen range gives -inf.

        Raises:
            ValueError: a table without the fitted columns, or with missing values.
        """
        numbers, codes = self.split(table)
        outside, inside, seen = self.outside(numbers, codes)
        log_p = np.zeros(len(table))
        if self.net_:
            with self.here():
                x = to_tensor(encode(self.net_.fields, self.bins_, inside, seen))
                log_p = -to_array(evaluate_nll(self.net_, x).sum(1))
        return np.where(outside > 0, -np.inf, log_p)

    def anomaly_score(self, table: pd.DataFrame) -> np.ndarray:
        """Surprise (n,) of the most surprising column of each row; high is anomalous.

        A column's surprise is its negative log probability given all others, less what is expected
        of it. What was never seen adds to it as in `TabDDPM.outside`.
        """
        numbers, codes = self.split(table)
        outside, inside, seen = self.outside(numbers, codes)
        if not self.net_:
            return outside
        with self.here():
            x = to_tensor(encode(self.net_.fields, self.bins_, inside, seen))
            worst = [self.net_.surprise(part).amax(1) for part in x.split(CHUNK)]
        return outside + to_array(torch.cat(worst).double())

    def impute(self, table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
        """The fitted columns of a table, its missing values drawn given what each row holds.

        What is not missing stays as it is. Same seed, same bytes.

        Args:
            table: rows with the fitted columns; None, NaN and NA are missing.

        Returns:
            as many rows with the fitted columns and dtypes, under the table's index.

        Raises:
            ValueError: a table without the fitted columns, or a category never seen.
        """
        self._check_fitted()
        check_frame(table)
        with self.here():
            return Imputation(self).fill(table, seeded(int(checks.seed(seed))))

    def _fit_source(self, source: Source, plan: Plan) -> None:
        self.n_rows_ = source.n
        super()._fit_source(source, plan)

    def _to_arrays(self) -> dict[str, np.ndarray]:
        return super()._to_arrays() | {"n_rows": np.array([self.n_rows_])}

    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        self.n_rows_ = int(arrays["n_rows"][0])
        super()._from_arrays(layout, arrays)

    def _make_net(self, fields: list[Field]) -> MaskedNet:
        return MaskedNet(fields, self.config.d_trunk, self.config.d_head, self.config.shuffled)

    def draw_part(self, rows: PartialRows, part: list[int], rng: torch.Generator) -> PartialRows:
        """Rows with the fields `part` drawn, whole columns, given all that is known of them."""
        units = [u for u, unit in enumerate(self.net_.units) if unit.drawn[0] in part]
        return draw_columns(rows, self.net_, units, self.bins_, rng)

    def _draw(self, n: int, rng: torch.Generator, steps: int | None = None) -> list[PartialRows]:
        every = range(len(self.net_.units))
        sizes = [min(CHUNK, n - a) for a in range(0, n, CHUNK)]
        return [self._draw_columns(self.no_fields(m), every, rng, steps=steps) for m in sizes]

    def _draw_given(
        self, n: int, limits: Limits, rng: torch.Generator, steps: int | None = None
    ) -> list[PartialRows]:
        """The limited columns come first, then the rest."""
        units = self.net_.units
        first = [u for u, unit in enumerate(units) if set(unit.drawn) & set(limits.factor)]
        rest = [u for u in range(len(units)) if u not in first]
        return draw_given(
            n,
            lambda m: self._draw_columns(self.no_fields(m), first, rng, limits),
            lambda rows: self._draw_columns(rows, rest, rng, steps=steps),
            rng,
        )

    def _draw_columns(
        self,
        rows: PartialRows,
        units: Iterable[int],
        rng: torch.Generator,
        limits: Limits = FREE,
        steps: int | None = None,
    ) -> PartialRows:
        if steps is not None:
            checks.whole("steps", steps, least=1)
        return draw_columns(rows, self.net_, units, self.bins_, rng, limits, steps)
