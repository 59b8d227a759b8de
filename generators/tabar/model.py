"""TabAR: an autoregressive surrogate, one column after the other.

Ours; its kin: TabularARGN (Tiwald et al. 2025, arXiv 2501.12012) and TabDAR (Zhang et al. 2024,
arXiv 2410.21523). A row becomes fields of few values, x_1 .. x_F: a category, or a number's coarse
and then fine bin (`bins`), and p(x) = prod_i p(x_i | x_1 .. x_{i-1}), each factor a small network,
the field's head.

| symbol | in code | shape |
|---|---|---|
| x | `x` | (batch, F) indices |
| K_i, values of field i | `Field.size` | |
| e_i(x_i), embedding | `Head.table` | (K_i, d_trunk) |
| s_i = sum_{j<i} e_j(x_j), all that is known before field i | `s` | (batch, d_trunk) |
| log p(x_i | s_i) = base_i + W'' relu(W' relu(g_i s_i + c_i)) | `Head.logits` | (batch, K_i) |

base is the log frequency of the field (a fine bin's within its coarse bin), so that learning
starts from independent columns; a head that does not beat its base on validation rows is not used.
The time column comes first and adds fields that follow from it: its hour, its weekday, and its
coarse and fine bin together, by which rows of one burst find each other.

Order, bins, rates and widths were chosen on tables that appear in no published comparison, by the
likelihood of held-out rows. Learning longer or faster brings samples nearer to the training rows
than to unseen ones, in step with that likelihood; dropout and weight decay move along the same
line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from generators import training
from generators.arrays import pack_columns, pack_weights, unpack_columns, unpack_weights
from generators.base import Generator
from generators.layout import Layout
from generators.options import Config, not_negative, positive, share_below_one, whole
from generators.plan import Plan
from generators.training import Pace

from .bins import Bins, fit_bins
from .fields import KINDS, Field, encode, fit_column, list_fields, time_column
from .network import Net, switch_heads
from .ordering import by_information
from .sampling import PartialRows, draw_fields
from .training import (
    FEW,
    AveragedNet,
    ValidatedDescent,
    n_validation_rows,
    select_heads,
    set_weights,
)

CHUNK = 8192  # rows sampled at once: more gain nothing, fewer cost calls
TRIES, POOL = 400, 8192  # of `where`: batches of prefixes, rows each


@dataclass(frozen=True)
class TabARConfig(Config):
    """Defaults as chosen on other tables than the published ones."""

    order: str | tuple[str, ...] = "information"  # "table", or the names of all columns
    time: str | None = None  # column in days since a Monday; None: one called creationtime or time
    n_coarse: int = whole(64, least=1)  # bins of a numerical at most, fewer for small tables
    n_fine: int = whole(32, least=1)  # bins of a coarse bin at most
    atom: int = whole(20, least=1)  # rows that make a value an atom
    blur: int = whole(8, least=1)  # rows whose ground is drawn from evenly
    d_trunk: int = whole(128, least=1)
    d_head: int = whole(64, least=1)
    dropout: float = share_below_one(0.1)  # chance that a head does not see a field, while learning
    batch_size: int = whole(512, least=1)
    lr: float = positive(6e-3)
    weight_decay: float = not_negative(0.01)
    warmup: int = whole(100, least=0)  # steps of rising rate
    epochs: float = positive(20.0)  # without budget or steps
    ema: float = share_below_one(0.998)  # of the weights
    validation: float = share_below_one(0.05)  # share of rows to stop and to choose heads by


class TabAR(Generator):
    """An autoregressive model of a mixed table.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"x": [0.1, 0.2, 0.9] * 50, "site": ["a", "a", "b"] * 50})
        >>> model = TabAR(d_trunk=16).fit(table, steps=20, progress=False)
        >>> model.sample(2, seed=0).shape
        (2, 2)
    """

    name = "tabar"
    Config = TabARConfig

    def _fit(self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, plan: Plan) -> None:
        config = self.config
        when = time_column(layout, config.time)
        self.bins_ = [fit_column(x, config, j == when) for j, x in enumerate(numbers.T)]
        fields = list_fields(layout, self.bins_, self._order(layout, numbers, codes, when), when)
        self.net_ = self._net(fields)
        if not fields:
            return
        x = encode(fields, self.bins_, numbers, codes)
        rng = torch.Generator().manual_seed(plan.seed)
        self.net_.start(x, rng)
        validation, train = self._split(x, rng)
        if not self.net_.learns or len(x) < FEW:
            switch_heads(self.net_, torch.zeros(len(fields), dtype=torch.bool))
        else:
            self._learn(train, validation, plan)

    def _split(self, x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Validation and training rows, at random."""
        n = n_validation_rows(len(x), self.config.validation)
        shuffled = torch.randperm(len(x), generator=rng)
        return x[shuffled[:n]], x[shuffled[n:]]

    def _learn(self, train: Tensor, validation: Tensor, plan: Plan) -> None:
        """Train, and keep the weights and the heads that do best on the validation rows."""
        config = self.config
        per_epoch = max(1, len(train) // config.batch_size)
        every = max(50, per_epoch // 2)
        learner = ValidatedDescent(AveragedNet(self.net_), train, validation, config, every)
        steps = max(1, round(config.epochs * per_epoch))
        pace = Pace(config.batch_size, config.lr, steps, config.warmup, ema=0.0)
        self._train(learner, plan, pace)
        with training.steady_threads():
            learner.check()
            set_weights(self.net_, learner.module.best)
            if len(validation):
                select_heads(self.net_, validation)

    def _order(
        self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, when: int | None
    ) -> list[tuple[bool, int]]:
        """Columns as (is it numerical, its number among its kind), in the order of the fields."""
        names = [c.name for c in layout.categoricals + layout.numericals]
        order = self.config.order
        if order == "information":
            ranked = self._order_by_information(numbers, codes, when)
        else:
            order = [c.name for c in layout.columns] if order == "table" else order
            if sorted(order) != sorted(names):
                raise ValueError(f"order must name all columns {names}, got {list(order)}")
            ranked = [names.index(name) for name in order]
        places = [(False, j) for j in range(codes.shape[1])]
        places += [(True, j) for j in range(numbers.shape[1])]
        return [places[i] for i in ranked]

    def _order_by_information(
        self, numbers: np.ndarray, codes: np.ndarray, when: int | None
    ) -> list[int]:
        """The time column, then categoricals, then numericals, each group by information."""
        coarse = [fit_bins(x, 16, 1).encode(x)[0] for x in numbers.T]
        every, n_cats = np.column_stack([codes, *coarse]), codes.shape[1]
        first = [] if when is None else [n_cats + when]
        rest = [i for i in range(n_cats, every.shape[1]) if i not in first]
        return by_information(every, [first, list(range(n_cats)), rest])

    def _sample(self, n: int, seed: int, given: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
        rng = torch.Generator().manual_seed(seed)
        if not self.net_:
            return self._join([], n)
        places = {f.column: i for i, f in enumerate(self.net_.fields) if f.kind == "category"}
        wanted = {places[j]: k for j, k in given.items() if j in places}
        with training.steady_threads():
            if wanted:
                return self._join(self._draw_given(n, wanted, rng), n)
            sizes = [min(CHUNK, n - a) for a in range(0, n, CHUNK)]
            every = range(len(self.net_.fields))
            draws = [
                draw_fields(self._empty_rows(size), self.net_, every, self.bins_, {}, rng)
                for size in sizes
            ]
            return self._join(draws, n)

    def _net(self, fields: list[Field]) -> Net | None:
        config = self.config
        return Net(fields, config.d_trunk, config.d_head, config.dropout) if fields else None

    def _empty_rows(self, n: int) -> PartialRows:
        return PartialRows(n, self.net_, len(self.bins_))

    def _draw_given(self, n: int, given: dict[int, int], rng: torch.Generator) -> list[PartialRows]:
        """Rows that hold the given fields, by rejecting row prefixes that make them unlikely.

        A prefix is kept with its probability of what is given, over the largest seen so far.
        """
        net, fields = self.net_, len(self.net_.fields)
        until = max(given) + 1
        pool, chances = [], torch.empty(0, dtype=torch.float64)
        for _ in range(TRIES):
            pool.append(
                draw_fields(self._empty_rows(POOL), net, range(until), self.bins_, given, rng)
            )
            chances = torch.cat([chances, torch.rand(POOL, generator=rng, dtype=torch.float64)])
            weight = torch.cat([d.log_weight for d in pool])
            kept = chances.log() + weight.max() <= weight
            if int(kept.sum()) >= n:
                break
        else:
            raise ValueError(
                f"where: {int(kept.sum())} of {len(kept)} drawn rows hold the condition, "
                f"too few for n={n}"
            )
        rest = range(until, fields)
        parts = zip(pool, kept.split(POOL), strict=True)
        return [draw_fields(d.keep(rows), net, rest, self.bins_, {}, rng) for d, rows in parts]

    def _join(self, draws: list[PartialRows], n: int) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.zeros((n, len(self.bins_)))
        codes = np.zeros((n, len(self.layout_.categoricals)), np.int64)
        for j, bins in enumerate(self.bins_):
            numbers[:, j] = bins.low[0]
        if draws:
            x = torch.cat([d.x for d in draws])[:n].numpy()
            drawn = np.concatenate([d.numbers for d in draws])[:n]
            for i, f in enumerate(self.net_.fields):
                if f.kind == "category":
                    codes[:, f.column] = x[:, i]
                elif f.kind == "coarse":
                    numbers[:, f.column] = drawn[:, f.column]
        return numbers, codes

    def _to_arrays(self) -> dict[str, np.ndarray]:
        arrays = pack_columns("bins", self.bins_)
        fields = self.net_.fields if self.net_ else []
        rows = [[KINDS.index(f.kind), f.column, f.size] for f in fields]
        arrays["fields"] = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return arrays | pack_weights("weights", self.net_)

    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        self.bins_ = list(unpack_columns(Bins, "bins", arrays, len(layout.numericals)))
        fields = [Field(KINDS[k], int(j), int(size)) for k, j, size in arrays["fields"]]
        if not self._fits(layout, fields) or f"bins.{len(self.bins_)}.cut" in arrays:
            raise ValueError("its fields are of other columns")
        self.net_ = self._net(fields)
        unpack_weights("weights", self.net_, arrays)

    def _fits(self, layout: Layout, fields: list[Field]) -> bool:
        """Whether the fields are those of the layout's columns that vary."""
        sizes = {("category", j): len(c.categories) for j, c in enumerate(layout.categoricals)}
        for j, bins in enumerate(self.bins_):
            sizes |= {(kind, j): size for kind, size in zip(KINDS[1:3], bins.sizes, strict=True)}
        varying = {place for place, size in sizes.items() if size > 1}
        return varying == {(f.kind, f.column) for f in fields if not f.is_known} and all(
            f.is_known or sizes[f.kind, f.column] == f.size for f in fields
        )
