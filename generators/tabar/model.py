"""TabAR: an autoregressive surrogate, one column after the other.

Ours; its kin: TabularARGN (Tiwald et al. 2025, arXiv 2501.12012) and TabDAR (Zhang et al. 2024,
arXiv 2410.21523). A row becomes fields of few values, x_1 .. x_F: a category, or a number's coarse
and then fine bin (`bins`), and p(x) = prod_i p(x_i | x_1 .. x_{i-1}), each factor a small head.

| symbol | in code | shape |
|---|---|---|
| x | `x` | (batch, F) indices |
| K_i, values of field i | `Field.size` | |
| e_i(x_i), embedding | `Head.table` | (K_i, d_trunk) |
| s_i = sum_{j<i} e_j(x_j), all that is known before field i | `s` | (batch, d_trunk) |
| log p(x_i | s_i) = base_i + W'' relu(W' relu(g_i s_i + c_i)) | `Head.logits` | (batch, K_i) |

base is the log frequency of the field (a fine bin's within its coarse bin), so that learning
starts from independent columns; a head that does not beat its base on validation rows is not used.
The time column comes first and adds fields nobody has to predict: its hour, its weekday, and its
coarse and fine bin together, by which rows of one burst find each other.

Order, bins, rates and widths were chosen on tables that appear in no published comparison, by the
likelihood of held-out rows. Learning longer or faster brings samples nearer to the training rows
than to unseen ones, in step with that likelihood; dropout and weight decay move along the same
line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators import training
from generators.arrays import pack_columns, pack_weights, unpack_columns, unpack_weights
from generators.base import Generator
from generators.layout import Layout
from generators.options import Config, not_negative, positive, share_below_one, whole
from generators.plan import Plan
from generators.training import Pace

from .bins import Bins, fit_bins
from .network import CLOCKS, KINDS, Field, Net, clock, use
from .ordering import by_information

CHUNK = 8192  # rows sampled or judged at once: more gain nothing, fewer cost calls
TIME_NAMES = ("creationtime", "time")  # columns in days since a Monday, unless one is named
FEW = 20  # rows below which nothing but the columns' own distributions is learned
MAX_VALIDATION = 10_000
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
    validation: float = share_below_one(0.05)  # share of rows held back to stop and to choose heads


# Training ------------------------------------------------------------------------------------


class Watched(nn.Module):
    """A network, the running average of its weights, and the best average on validation rows."""

    def __init__(self, net: Net):
        super().__init__()
        self.net = net
        start = torch.cat([p.detach().flatten() for p in net.parameters()])
        self.register_buffer("average", start.clone())
        self.register_buffer("best", start.clone())
        self.register_buffer("best_nll", torch.tensor(math.inf, dtype=torch.float64))
        self.register_buffer("last_nll", torch.tensor(0.0, dtype=torch.float64))
        self.register_buffer("n", torch.tensor(0))


class Learner:
    """Descends on the likelihood and keeps the weights that do best on the validation rows.

    All it remembers is in the module's buffers, so that a checkpoint holds it.
    """

    def __init__(
        self, module: Watched, train: Tensor, held: Tensor, config: TabARConfig, every: int
    ):
        self.module, self.train, self.held = module, train, held
        self.config, self.every, self.n_rows = config, every, len(train)
        optimizer = torch.optim.AdamW(
            module.net.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.optimizers = [optimizer]

    def step(self, rows: Tensor, rng: torch.Generator) -> dict[str, float]:
        m = self.module
        nll = m.net.nll(self.train[rows], rng).sum(1).mean()
        self.optimizers[0].zero_grad(set_to_none=True)
        nll.backward()
        self.optimizers[0].step()
        m.n += 1
        keep = min(self.config.ema, (1 + int(m.n)) / (10 + int(m.n)))
        with torch.no_grad():
            now = torch.cat([p.flatten() for p in m.net.parameters()])
            m.average.lerp_(now, 1 - keep)
        if int(m.n) % self.every == 0 or int(m.n) == 1:
            self.check()
        return {"nll": float(nll.detach()), "validation": float(m.last_nll)}

    @torch.no_grad()
    def check(self) -> None:
        """Look at the validation rows with the averaged weights, and keep those if best."""
        m = self.module
        if not len(self.held):
            m.best.copy_(m.average)
            return
        now = put(m.net, m.average)
        m.last_nll.fill_(nll_of(m.net, self.held).sum(1).mean())
        put(m.net, now)
        if m.last_nll < m.best_nll:
            m.best_nll.copy_(m.last_nll)
            m.best.copy_(m.average)


@torch.no_grad()
def put(net: Net, weights: Tensor) -> Tensor:
    """Set all weights from one vector; returns those before."""
    parameters = list(net.parameters())
    before = torch.cat([p.flatten() for p in parameters])
    for p, part in zip(parameters, weights.split([p.numel() for p in parameters]), strict=True):
        p.copy_(part.view_as(p))
    return before


@torch.no_grad()
def nll_of(net: Net, x: Tensor) -> Tensor:
    """-log p (n, F) float64 in parts that fit in memory."""
    parts = [net.nll(part) for part in x.split(CHUNK)]
    return torch.cat(parts).double()


# Sampling ------------------------------------------------------------------------------------


class Draw:
    """Rows being drawn: x (n, F), s (n, d_trunk), numbers (n, numericals), log weights (n,)."""

    def __init__(self, n: int, net: Net, n_numbers: int):
        self.x = torch.zeros((n, len(net.fields)), dtype=torch.long)
        self.s = torch.zeros((n, net.d))
        self.numbers = np.zeros((n, n_numbers))
        self.log_weight = torch.zeros(n, dtype=torch.float64)

    def keep(self, rows: Tensor) -> Draw:
        """Only the rows (n,) that are True."""
        self.x, self.s, self.log_weight = self.x[rows], self.s[rows], self.log_weight[rows]
        self.numbers = self.numbers[rows.numpy()]
        return self


@torch.no_grad()
def walk(
    draw: Draw, net: Net, part: range, bins: list[Bins], given: dict[int, int], rng: torch.Generator
) -> Draw:
    """Draw the fields of `part` one after the other; given ones (field -> index) weigh the row."""
    n, kinds = len(draw.x), [f.kind for f in net.fields] + [""]
    for i in part:
        f, head, before = net.fields[i], net.heads[i], draw.x[:, i - 1]
        if f.kind == "cell":
            draw.x[:, i] = draw.x[:, i - 2] * net.fields[i - 1].size + before
        elif f.is_known:
            draw.x[:, i] = torch.from_numpy(clock(f.kind, draw.numbers[:, f.column]))
        elif i in given:
            draw.x[:, i] = given[i]
            draw.log_weight += head.logits(draw.s, before).log_softmax(1)[:, given[i]]
        else:
            draw.x[:, i] = head.draw(draw.s, before, torch.rand((n, 1), generator=rng))
        if f.kind == "fine" or (f.kind == "coarse" and kinds[i + 1] != "fine"):
            u = torch.rand(n, generator=rng, dtype=torch.float64).numpy()
            fine = draw.x[:, i].numpy() if f.kind == "fine" else np.zeros(n, np.int64)
            coarse = before if f.kind == "fine" else draw.x[:, i]
            draw.numbers[:, f.column] = bins[f.column].decode(coarse.numpy(), fine, u)
        if i + 1 < len(net.fields):
            draw.s += F.embedding(draw.x[:, i], head.table)
    return draw


# The table -----------------------------------------------------------------------------------


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
        self.bins_ = [cut(x, config, j == when) for j, x in enumerate(numbers.T)]
        fields = fields_of(layout, self.bins_, self._order(layout, numbers, codes, when), when)
        self.net_ = self._net(fields)
        if not fields:
            return
        x = encode(fields, self.bins_, numbers, codes)
        rng = torch.Generator().manual_seed(plan.seed)
        self.net_.start(x, rng)
        n_held = held_back(len(x), config.validation)
        shuffled = torch.randperm(len(x), generator=rng)
        held, train = x[shuffled[:n_held]], x[shuffled[n_held:]]
        if not self.net_.learns or len(x) < FEW:
            use(self.net_, torch.zeros(len(fields), dtype=torch.bool))
            return
        per_epoch = max(1, len(train) // config.batch_size)
        learner = Learner(Watched(self.net_), train, held, config, max(50, per_epoch // 2))
        steps = max(1, round(config.epochs * per_epoch))
        pace = Pace(config.batch_size, config.lr, steps, config.warmup, ema=0.0)
        self._train(learner, plan, pace)
        with training.steady_threads():
            learner.check()
            put(self.net_, learner.module.best)
            if len(held):
                select(self.net_, held)

    def _order(
        self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, when: int | None
    ) -> list[tuple[bool, int]]:
        """Columns as (is a number, which), in the order they are learned."""
        columns = layout.categoricals + layout.numericals
        names, order = [c.name for c in columns], self.config.order
        if order == "table":
            order = [c.name for c in layout.columns]
        if order != "information":
            if sorted(order) != sorted(names):
                raise ValueError(f"order must name all columns {names}, got {list(order)}")
            ranked = [names.index(name) for name in order]
        else:
            every = np.column_stack([codes, *(fit_bins(x, 16, 1).encode(x)[0] for x in numbers.T)])
            n_cats = codes.shape[1]
            first = [] if when is None else [n_cats + when]
            rest = [i for i in range(n_cats, len(names)) if i not in first]
            ranked = by_information(every, [first, list(range(n_cats)), rest])
        places = [(False, j) for j in range(codes.shape[1])]
        places += [(True, j) for j in range(numbers.shape[1])]
        return [places[i] for i in ranked]

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
                walk(self._blank(size), self.net_, every, self.bins_, {}, rng) for size in sizes
            ]
            return self._join(draws, n)

    def _net(self, fields: list[Field]) -> Net | None:
        config = self.config
        return Net(fields, config.d_trunk, config.d_head, config.dropout) if fields else None

    def _blank(self, n: int) -> Draw:
        return Draw(n, self.net_, len(self.bins_))

    def _draw_given(self, n: int, given: dict[int, int], rng: torch.Generator) -> list[Draw]:
        """Rows that hold the given fields, by rejecting beginnings of rows that speak against them.

        A prefix is kept with its probability of what is given, over the largest met so far.
        """
        net, fields = self.net_, len(self.net_.fields)
        until = max(given) + 1
        pool, chances = [], torch.empty(0, dtype=torch.float64)
        for _ in range(TRIES):
            pool.append(walk(self._blank(POOL), net, range(until), self.bins_, given, rng))
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
        return [walk(d.keep(rows), net, rest, self.bins_, {}, rng) for d, rows in parts]

    def _join(self, draws: list[Draw], n: int) -> tuple[np.ndarray, np.ndarray]:
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
        if not self._holds(layout, fields) or f"bins.{len(self.bins_)}.cut" in arrays:
            raise ValueError("its fields are of other columns")
        self.net_ = self._net(fields)
        unpack_weights("weights", self.net_, arrays)

    def _holds(self, layout: Layout, fields: list[Field]) -> bool:
        """The fields are those of the layout's columns that vary."""
        sizes = {("category", j): len(c.categories) for j, c in enumerate(layout.categoricals)}
        for j, bins in enumerate(self.bins_):
            sizes |= {(kind, j): size for kind, size in zip(KINDS[1:3], bins.sizes, strict=True)}
        varying = {place for place, size in sizes.items() if size > 1}
        return varying == {(f.kind, f.column) for f in fields if not f.is_known} and all(
            f.is_known or sizes[f.kind, f.column] == f.size for f in fields
        )


def time_column(layout: Layout, name: str | None) -> int | None:
    """Which numerical column is the time: the named one, else one called as in `TIME_NAMES`."""
    names = [c.name for c in layout.numericals]
    if name is not None and name not in names:
        raise ValueError(f"time must be one of the numerical columns {names}, got {name!r}")
    known = [n for n in ((name,) if name else TIME_NAMES) if n in names]
    return names.index(known[0]) if known else None


def cut(x: np.ndarray, config: TabARConfig, days: bool) -> Bins:
    """Bins of a column (n,), fewer where rows are few: about 24 rows a cell, sqrt(n) / 2 coarse."""
    n_coarse = min(config.n_coarse, max(4, int(math.sqrt(len(x)) / 2)))
    n_fine = min(config.n_fine, max(1, len(x) // (24 * n_coarse)))
    return fit_bins(x, n_coarse, n_fine, atom=config.atom, blur=config.blur, days=days)


def fields_of(
    layout: Layout, bins: list[Bins], order: list[tuple[bool, int]], when: int | None
) -> list[Field]:
    """Fields in order; a column with one value has none."""
    fields = []
    for is_number, j in order:
        if not is_number:
            fields += [Field("category", j, len(layout.categoricals[j].categories))]
            continue
        coarse, fine = bins[j].sizes
        fields += [Field("coarse", j, coarse)] + [Field("fine", j, fine)] * (fine > 1)
        if j == when and fine > 1:
            fields += [Field("cell", j, coarse * fine)]
        if j == when:
            fields += [Field(kind, j, size) for kind, size in CLOCKS.items() if coarse > 1]
    return [f for f in fields if f.size > 1]


def encode(fields: list[Field], bins: list[Bins], numbers: np.ndarray, codes: np.ndarray) -> Tensor:
    """Indices x (n, F) of rows."""
    places = [b.encode(x) for b, x in zip(bins, numbers.T, strict=True)]
    columns = []
    for f in fields:
        if f.kind == "category":
            columns.append(codes[:, f.column])
        elif f.kind == "cell":
            columns.append(columns[-2] * fields[len(columns) - 1].size + columns[-1])
        elif f.is_known:
            columns.append(clock(f.kind, numbers[:, f.column]))
        else:
            columns.append(places[f.column][f.kind == "fine"])
    return torch.from_numpy(np.column_stack(columns).astype(np.int64))


def held_back(n: int, share: float) -> int:
    """Validation rows of n: a share of them, more where that is few, none where rows are few."""
    return 0 if n < FEW else min(MAX_VALIDATION, max(int(share * n), min(n // 5, 200)))


def select(net: Net, held: Tensor) -> None:
    """Use a head only where it beats its base on the validation rows by more than chance."""
    with_heads = nll_of(net, held)
    used = torch.stack([head.used for head in net.heads])
    use(net, torch.zeros_like(used))
    gain = nll_of(net, held) - with_heads
    use(net, used & (gain.mean(0) > 2 * gain.std(0) / math.sqrt(len(held))))
