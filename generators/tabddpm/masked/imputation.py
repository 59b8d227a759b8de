"""Missing values of a table, drawn given what each row holds.

In: a fitted masked model and a table of its columns. Out: the table with nothing missing. Any set
of columns may be known: that is what the masked process learns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from foundations.tables import is_numerical
from generators.conditions import Given, Rows
from generators.devices import to_array, to_tensor
from generators.drawing import Limits
from generators.fields import encode

from .sampling import draw_columns, reveal

if TYPE_CHECKING:
    from .model import MaskedTabDDPM


class Imputation:
    """How a model fills tables; its plain columns are those of `foundations.plain`."""

    def __init__(self, model: MaskedTabDDPM):
        self.model, self.layout, self.net = model, model.layout_, model.net_
        specials = model.view_.specials
        self.flags = {s.flag for s in specials if s.flag is not None}
        self.levels = {s.name: s.missing for s in specials if s.missing is not None}

    def fill(self, table: pd.DataFrame, rng: torch.Generator) -> pd.DataFrame:
        """The fitted columns with their dtypes, under the index of the table."""
        plain = self.model.view_.to_plain(table)
        numbers, codes = self.layout.split(plain)
        self._refuse_unseen(table, plain, codes)
        gaps = self._gaps(table)
        out = self.layout.join(*self._complete(numbers, self._without_flags(codes), gaps, rng))
        filled = self.model.view_.restore(out).set_axis(table.index)
        return pd.DataFrame({n: self._keeping(table[n], filled[n]) for n in filled})

    def _keeping(self, given: pd.Series, filled: pd.Series) -> pd.Series:
        """The filled column with what was given, whatever grid or range that lies on."""
        known = given[given.notna()]
        kept = known.astype(filled.dtype)
        if is_numerical(kept) and not (kept.to_numpy(object) == known.to_numpy(object)).all():
            at = int((kept.to_numpy(object) != known.to_numpy(object)).argmax())
            raise ValueError(f"{given.name}: {known.iloc[at]} does not fit {filled.dtype}")
        out = filled.copy()
        out.iloc[np.flatnonzero(given.notna())] = kept.array
        return out

    def _gaps(self, table: pd.DataFrame) -> pd.DataFrame:
        """Where plain columns are to be drawn; a truth that says what is missing never is."""
        missing, names = table.isna(), [c.name for c in self.layout.columns]
        return pd.DataFrame({n: missing[n] if n not in self.flags else False for n in names})

    def _refuse_unseen(self, table: pd.DataFrame, plain: pd.DataFrame, codes: np.ndarray) -> None:
        for c, code in zip(self.layout.categoricals, codes.T, strict=True):
            unseen = (code < 0) & plain[c.name].notna().to_numpy()
            if unseen.any():
                value = table[c.name].iloc[int(unseen.argmax())]
                raise ValueError(f"{c.name}: {value!r} was not seen in training")

    def _without_flags(self, codes: np.ndarray) -> np.ndarray:
        """Codes in which no number is said to be missing; a gap becomes the first category."""
        out = codes.clip(0)
        for j, c in enumerate(self.layout.categoricals):
            if c.name in self.flags:
                out[:, j] = c.categories.index(False)
        return out

    def _limits(self) -> Limits:
        """All categories but those that stand for a missing value."""
        kept = {
            j: tuple(k for k, v in enumerate(c.categories) if v != self.levels[c.name])
            for j, c in enumerate(self.layout.categoricals)
            if c.name in self.levels
        }
        return Limits.of(Given(kept), self.net.fields, self.model.bins_)

    @torch.no_grad()
    def _complete(
        self, numbers: np.ndarray, codes: np.ndarray, gaps: pd.DataFrame, rng: torch.Generator
    ) -> Rows:
        """Numbers and codes with gaps drawn, together for the rows that lack the same."""
        if not self.net:
            return self.model.from_rows(np.empty((len(gaps), 0), np.int64), numbers)
        numbers = np.where(np.isnan(numbers), 0.0, numbers)
        x = to_tensor(encode(self.net.fields, self.model.bins_, numbers, codes))
        hidden, limits = gaps[self._units()].to_numpy(), self._limits()
        for pattern in np.unique(hidden, axis=0):
            rows = np.flatnonzero((hidden == pattern).all(1))
            draw = self.model.no_fields(len(rows))
            draw.numbers[:] = numbers[rows]
            draw = reveal(draw, self.net, np.flatnonzero(~pattern), x[rows])
            lacking = np.flatnonzero(pattern)
            draw = draw_columns(draw, self.net, lacking, self.model.bins_, rng, limits)
            x[rows], numbers[rows] = draw.x, draw.numbers
        return self.model.from_rows(to_array(x), numbers)

    def _units(self) -> list[str]:
        """Names of the columns of the network, in their order."""
        first = [self.net.fields[unit.drawn[0]] for unit in self.net.units]
        kinds = {True: self.layout.categoricals, False: self.layout.numericals}
        return [kinds[f.kind == "category"][f.column].name for f in first]
