"""Rows drawn field by field, freely or so that they hold a condition.

In: logits of a field, a random number. Out: its value; and of a whole row its numbers, drawn inside
the bins. Under a condition a field is drawn among its allowed values, and the probability of these
enters the row's weight; rows are then kept with a chance in proportion to their weights, before
what is not asked for is drawn. So kept rows follow the model's distribution given the condition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .bins import Bins
from .conditions import Given
from .devices import to_array, to_tensor
from .fields import Field, clock

TRIES, POOL = 400, 8192  # batches of beginnings of rows, rows each, before a condition is given up
HOPELESS = 20  # the same where none of them can hold it
LEAST = -600.0  # log weight of what cannot be


class PartialRows:
    """Rows some of whose fields are drawn.

    Shapes: x (n, F), s (n, d), numbers (n, numericals), log_weight (n,).
    """

    def __init__(self, n: int, n_fields: int, d: int, n_numbers: int):
        self.x = torch.zeros((n, n_fields), dtype=torch.long)
        self.s = torch.zeros((n, d))
        self.numbers = np.zeros((n, n_numbers))
        self.log_weight = torch.zeros(n, dtype=torch.float64)

    def keep(self, rows: Tensor) -> PartialRows:
        """Only the rows (n,) that are True."""
        self.x, self.s, self.log_weight = self.x[rows], self.s[rows], self.log_weight[rows]
        self.numbers = self.numbers[to_array(rows)]
        return self


@dataclass(frozen=True)
class Limits:
    """A condition on fields.

    factor: of some fields, what their probabilities are multiplied with, (K,) or, of a fine bin,
    (coarse bins, K); inside: of some numericals, the shares of each cell's rows between which the
    range lies.
    """

    factor: dict[int, Tensor] = field(default_factory=dict)
    inside: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        given: Given,
        fields: list[Field],
        bins: list[Bins],
        resolutions: Sequence[float] | None = None,
    ) -> Limits:
        """The limits of a condition; resolutions (numericals,) are those of `Bins.inside`."""
        limits = cls()
        for j, (low, high) in given.ranges.items():
            limits.inside[j] = bins[j].inside(low, high, resolutions[j] if resolutions else 0.0)
        for i, f in enumerate(fields):
            if f.kind == "category" and f.column in given.codes:
                limits.factor[i] = torch.zeros(f.size)
                limits.factor[i][list(given.codes[f.column])] = 1.0
            elif f.kind in ("coarse", "fine") and f.column in given.ranges:
                share = limits._share(f, bins[f.column])
                limits.factor[i] = to_tensor(share).float()
        return limits

    def _share(self, f: Field, bins: Bins) -> np.ndarray:
        """Share of rows inside the range: of each coarse bin (K,), or of each cell (K, fine)."""
        begin, end = self.inside[f.column]
        n_coarse, n_fine = bins.sizes
        if f.kind == "fine":
            cells = np.zeros((n_coarse, n_fine))
            cells[bins.coarse, bins.fine] = end - begin
            return cells
        rows = bins.rows()
        inside = np.bincount(bins.coarse, rows * (end - begin), n_coarse)
        return inside / np.bincount(bins.coarse, rows, n_coarse)

    def draw(
        self, draw: PartialRows, i: int, f: Field, logits: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Values (n,) of a field among those allowed; their probability enters the weights."""
        u = torch.rand((len(logits), 1), generator=rng)
        odds = (logits - logits.amax(1, keepdim=True)).exp_()
        factor, before = self.factor[i], draw.x[:, i - 1]
        allowed = odds * (factor[before] if f.kind == "fine" else factor)
        mass = allowed.sum(1).double() / odds.sum(1).double()
        draw.log_weight += mass.log()
        if f.kind == "fine":  # the coarse bin was drawn as if all its rows were like the training's
            draw.log_weight -= self.factor[i - 1][before].double().log()
        return inverse_cdf(allowed.cumsum(1), u).clamp(max=f.size - 1)

    def place(self, column: int, cell: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Shares u (n,) of the cells' rows, brought into the range of a numerical."""
        if column not in self.inside:
            return u
        begin, end = self.inside[column]
        return begin[cell] + u * (end - begin)[cell]


FREE = Limits()


def draw_number(
    draw: PartialRows, fields: list[Field], i: int, bins: Bins, limits: Limits, rng: torch.Generator
) -> None:
    """Draw the numbers of a numerical whose last drawn field is i."""
    f = fields[i]
    n, x = len(draw.x), to_array(draw.x)
    coarse, fine = (x[:, i - 1], x[:, i]) if f.kind == "fine" else (x[:, i], np.zeros(n, np.int64))
    u = to_array(torch.rand(n, generator=rng, dtype=torch.float64))
    u = limits.place(f.column, bins.cell(coarse, fine), u)
    draw.numbers[:, f.column] = bins.decode(coarse, fine, u)


def derive(draw: PartialRows, fields: list[Field], i: int) -> None:
    """Set a field that follows from those of its column before it."""
    f = fields[i]
    if f.kind == "cell":
        draw.x[:, i] = draw.x[:, i - 2] * fields[i - 1].size + draw.x[:, i - 1]
    else:
        draw.x[:, i] = to_tensor(clock(f.kind, draw.numbers[:, f.column]))


def draw_given(
    n: int,
    begin: Callable[[int], PartialRows],
    end: Callable[[PartialRows], PartialRows],
    rng: torch.Generator,
) -> list[PartialRows]:
    """Rows that hold a condition, at least n of them in all.

    A beginning is kept with its weight over the largest seen so far.

    Args:
        begin: number -> rows with all fields drawn that the condition is on.
        end: draws the rest.

    Raises:
        ValueError: hardly any beginning holds the condition.
    """
    pool: list[PartialRows] = []
    best, found = -torch.inf, 0
    for attempt in range(TRIES + 4 * n // POOL):
        draw = begin(POOL)
        draw.log_weight = draw.log_weight.nan_to_num(nan=-torch.inf)  # odds too small to tell
        best = max(best, float(draw.log_weight.max()))
        chances = torch.rand(POOL, generator=rng, dtype=torch.float64)
        draw.log_weight -= chances.log()  # from here on: the largest weight a row is kept beside
        pool = [part.keep(part.log_weight >= max(best, LEAST)) for part in [*pool, draw]]
        pool = [part for part in pool if len(part.x)]
        found = sum(len(part.x) for part in pool)
        if found >= n or (not found and attempt >= HOPELESS):
            break
    if found < n:
        raise ValueError(
            f"where: {found} of {(attempt + 1) * POOL} drawn rows hold the condition and are kept, "
            f"too few for n={n}"
        )
    return [end(part) for part in pool]


def draw_index(logits: Tensor, u: Tensor) -> Tensor:
    """Index (n,) drawn from softmax(logits) (n, K) at u (n, 1) in [0, 1)."""
    return inverse_cdf((logits - logits.amax(1, keepdim=True)).exp_().cumsum(1), u)


def inverse_cdf(upto: Tensor, u: Tensor) -> Tensor:
    """First index (n,) where the sums upto (n or 1, K) exceed u (n, 1) of the whole."""
    u = u * (1 - 2.0**-20) * upto[:, -1:]  # strictly below the whole after rounding
    if len(upto) == 1:
        return torch.searchsorted(upto[0], u[:, 0], right=True)
    return torch.searchsorted(upto, u, right=True)[:, 0]
