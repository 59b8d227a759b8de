"""Grouped: streams of groups of rows, such as tasks and their jobs.

Ours; its kin: parent-child models of relational tables (Patki et al. 2016, "The Synthetic Data
Vault"; Gueye et al. 2022, arXiv 2210.06239, "Row Conditional-TGAN"). A table with a column of
groups and one of times is learned in four parts:

| part | what it says | learned by |
|---|---|---|
| `arrivals` | when groups begin | an intensity with bursts |
| `reuse` | which data set a group reads | a choice among those read before |
| `parent` | what the rows of a group share, how many and how long, and their spread | a submodel |
| `child` | the next row of a group: the gap before it and what changes | a submodel |

The submodels are masked TabDDPM or TabAR with columns that are only given (`generators.fielded`).
The parent draws what kind of group begins at a time; then the data set is chosen among those of its
kind; then the rest is drawn, given what the last group that read this data set was like. Numbers
are normal scores (`scale`): a group has the median of its rows' scores and their spread about it, a
row its distance from that median over the spread.

Stationarity: see `arrivals` for when groups begin. What they are like depends on when they begin;
beyond the days learned from it stays as in the last RECENT weeks of them.

DIFF: the kin draw children independently given their parent; ours see the row before, because gaps
inside a group are far from independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from foundations import checks
from generators import conditions
from generators.base import Generator
from generators.conditions import Rows
from generators.fields import time_column
from generators.layout import Layout, check_frame
from generators.options import Config, choice, positive, whole
from generators.plan import Plan

from .arrivals import Arrivals
from .children import given_columns, new_columns
from .groups import Groups, Names, numbered
from .reuse import Reuse
from .rows import Shape, describe_groups, describe_rows, find_shape
from .storage import pack, unpack
from .stream import (
    Learned,
    Stream,
    draw_n,
    draw_stream,
    number_kinds,
    rest_of_parent,
    told,
    usual,
)
from .submodels import Columns, Submodel

MAX_STREAMS, LEAST, STEP = 200, 1_024, 1_000_000_007
"""Streams drawn for a condition before it is given up, rows of each, steps between their seeds."""


@dataclass(frozen=True)
class GroupedConfig(Config):
    """Which columns say what, and how the two submodels are learned."""

    group: str = "task"
    time: str | None = None  # in days since a Monday; None: as in `generators.fields`
    dataset: str | None = "dataset"  # None, or a column that is not there: groups read none
    model: str = choice("tabddpm", "tabar")
    d_trunk: int = whole(128, least=1)
    d_head: int = whole(128, least=1)
    batch_size: int = whole(512, least=1)
    epochs: float = positive(10.0)  # of the rows, without budget or steps
    least_steps: int = whole(2_000, least=1)  # of either submodel, without budget or steps
    child_rows: int = whole(400_000, least=1)  # that the child learns from at most


class Grouped(Generator):
    """A generator of streams for any table with a column of groups and one of times.

    Args:
        config: a `GroupedConfig`; the default one if None.
        options: fields of it to change.

    Example:
        >>> import numpy as np, pandas as pd
        >>> t = np.sort(np.random.default_rng(0).random(200)) * 14
        >>> table = pd.DataFrame({"time": t, "x": t % 3, "task": np.arange(200) // 8})
        >>> model = Grouped(d_trunk=8, d_head=8).fit(table, steps=5, progress=False)
        >>> list(model.sample(50).columns), bool(model.sample(days=2, start=30)["time"].min() >= 30)
        (['time', 'x', 'task'], True)
    """

    name = "grouped"
    Config = GroupedConfig
    names_: Names
    learned_: Learned

    # --- learning ---------------------------------------------------------------------------------

    def fit(self, table: pd.DataFrame, **options: Any) -> Self:
        """Learn the table; see `Generator.fit`, whose arguments it takes.

        Rows may stand in any order: those of a group are taken in order of time. The seconds of a
        budget go to parent and child as 1 to 2; steps are those of each, and a callback is told
        those of the parent, then from 1 on those of the child.

        Raises:
            ValueError: also for no column of groups, or missing values in it, in the data sets'
                column or in the times.
        """
        check_frame(table)
        names = Names.of(table, self.config.group, self.config.dataset)
        rest = table.drop(columns=list(names.dtypes))
        if not len(rest.columns):
            raise ValueError(f"a grouped table needs a column of times, got {list(table.columns)}")
        self._found = names, [numbered(table, name) for name in names.dtypes], rest.isna().any()
        try:
            return super().fit(rest, **options)
        finally:
            del self._found

    def _fit(self, layout: Layout, numbers: np.ndarray, codes: np.ndarray, plan: Plan) -> None:
        names, ids, gaps = self._found
        when = _find_time(layout, self.config.time, gaps)
        groups = Groups.of(numbers[:, when], ids[0], ids[1] if len(ids) > 1 else None)
        numbers, codes = numbers[groups.rows], codes[groups.rows]
        shape, time = find_shape(when, groups, numbers, codes), numbers[:, when]
        scores = shape.scored(numbers)
        parents = describe_groups(shape, groups, time, scores, codes)
        rows = describe_rows(shape, groups, parents, time, scores, codes)
        begin, end = float(np.floor(time.min())), float(np.floor(time.max()) + 1)
        arrivals = Arrivals.fit(parents["start"], begin, end)
        reuse = None
        if len(ids) > 1:
            kind = number_kinds(shape, parents, len(groups.size))
            reuse = Reuse.fit(parents["start"], kind, groups.dataset)
        parents = told(shape, parents, groups.before(), reuse is not None)
        parent, child = self._submodels(shape, reuse is not None)
        self._fit_submodels(plan, parent, parents, child, rows)
        self.names_ = names
        self.learned_ = Learned(shape, arrivals, reuse, parent, child, len(time) / (end - begin))

    def _submodels(self, shape: Shape, reads: bool) -> tuple[Submodel, Submodel]:
        """Untrained ones of parent and child; `reads`: groups read data sets."""
        names = ("d_trunk", "d_head", "batch_size", "epochs")
        options = {name: getattr(self.config, name) for name in names}
        rest = rest_of_parent(shape)
        before = ["is new", *(f"before {name}" for name in rest)] if reads else []
        of_parent = ["start", *usual(shape.kinds), *before, *rest]
        given = given_columns(shape, [*usual(shape.kinds), *rest])
        of_child = [*given, *new_columns(shape)]
        kind = self.config.model
        return (
            Submodel.make(kind, of_parent, ["start", *before], time="start", **options),
            Submodel.make(kind, of_child, given, **options),
        )

    def _fit_submodels(
        self, plan: Plan, parent: Submodel, parents: Columns, child: Submodel, rows: Columns
    ) -> None:
        least = self.config.least_steps
        n = len(rows["rank"])
        if n > self.config.child_rows:
            chosen = np.random.default_rng(plan.seed).permutation(n)[: self.config.child_rows]
            rows = {name: x[np.sort(chosen)] for name, x in rows.items()}
        device = self.device
        parent.fit(parents, _part(plan, 1 / 3), least, "parent", device)
        child.fit(rows, _part(plan, 2 / 3), least, "child", device)
        models = [parent.model, child.model]
        self.n_steps_ = sum(model.n_steps_ for model in models)
        self.seconds_ = sum(model.seconds_ for model in models)
        losses = [model.losses_.assign(child=float(i)) for i, model in enumerate(models)]
        self.losses_ = pd.concat(losses, ignore_index=True)

    # --- sampling ---------------------------------------------------------------------------------

    def sample(
        self,
        n: int | None = None,
        *,
        days: float | None = None,
        rate: float | None = None,
        start: Any = None,
        seed: int = 0,
        where: dict[str, Any] | None = None,
        device: str | None = None,
    ) -> pd.DataFrame:
        """Draw a stream in order of time, or n rows of one; same seed and device, same bytes.

        Groups and data sets are numbered from 0 by their first rows. A group is cut at the end.

        Args:
            n: rows: as many whole groups of the days learned from as make n rows, the last of them
                cut. More rows are more groups at once, not larger ones.
            days, rate: length of a stream, and rows a day on average, met by the number of groups;
                those learned from by default.
            start: when it begins, as times are given, not before the first day learned from.
            seed, where, device: see `Generator.sample`. Of a stream the rows that hold `where` are
                left; n of them are taken from as many streams as it takes.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: a wrong argument, n together with days, rate or start, or a condition that
                hardly any row holds.
        """
        self._check_fitted()
        seed = int(checks.seed(seed))
        if not isinstance(where, Mapping | None):
            raise ValueError(f"where must be a dict from columns to values, got {where!r}")
        given = conditions.parse(self.layout_, self.view_.plain_where(where or {}))
        span = self._span(n, days, rate, start)
        if device is not None:
            self.to(device)
        with self.here():
            if n is None:
                found = self._settled(draw_stream(self.learned_, *span, seed))
                held = given.held_by(found.numbers, found.codes)
                found = found.take(np.flatnonzero(held))
            else:
                found = self._n_rows(n, span, seed, given)
        return self._as_table(found)

    def _span(
        self, n: int | None, days: float | None, rate: float | None, start: Any
    ) -> tuple[float, float, float]:
        """First and last day of a stream and the factor on its groups, checked."""
        seen, learned = self.learned_.arrivals, self.learned_
        if n is not None:
            checks.whole("n", n)
            if not (days is None and rate is None and start is None):
                raise ValueError("sample takes n, or days, rate and start of a stream, not both")
            self._check_room(n)
            return seen.begin, seen.end, 1.0
        days = seen.end - seen.begin if days is None else checks.positive("days", days)
        factor = 1.0 if rate is None else checks.positive("rate", rate) / learned.rows_a_day
        self._check_room(int(days * factor * learned.rows_a_day))
        when = self.layout_.numericals[learned.shape.when].name
        begin = seen.begin
        if start is not None:
            begin = self.view_.plain_where({when: start})[when]
            checks.require(checks.is_number(begin) and abs(begin) < np.inf, "start", "a day", start)
        if begin < seen.begin:
            raise ValueError(
                f"start must not be before the first day learned from, {seen.begin:g} days since "
                f"a Monday, got {start!r}"
            )
        return float(begin), float(begin + days), factor

    def _n_rows(
        self, n: int, span: tuple[float, float, float], seed: int, given: conditions.Given
    ) -> Stream:
        """n rows that hold a condition, of as many streams as it takes."""
        asked, parts, found, drawn = max(n, 1), [], 0, 0
        for attempt in range(MAX_STREAMS):
            each = conditions.later_seed(seed, attempt * STEP)
            stream = self._settled(draw_n(self.learned_, asked, *span[:2], each))
            held = np.flatnonzero(given.held_by(stream.numbers, stream.codes))
            part = stream.take(held[: n - found])
            parts.append(part)
            drawn += len(stream)
            found += len(part)
            if found >= n:
                return Stream.joined(parts, self.learned_.shape.when)
            asked = max(asked, LEAST)
        raise ValueError(f"where: {found} of {drawn} drawn rows hold it, too few for n={n}")

    def _settled(self, stream: Stream) -> Stream:
        """The stream with its numbers as a table holds them, its times as they are."""
        if not len(stream):
            return stream
        when = self.learned_.shape.when
        numbers = self.settle(stream.numbers, stream.codes)
        numbers[:, when] = stream.numbers[:, when]
        return replace(stream, numbers=numbers)

    def _as_table(self, stream: Stream) -> pd.DataFrame:
        """The learned table's columns; times may lie outside the range seen."""
        when = self.layout_.numericals[self.learned_.shape.when].name
        columns = tuple(
            replace(c, low=-np.inf, high=np.inf, decimals=None) if c.name == when else c
            for c in self.layout_.columns
        )
        plain = Layout(columns).join(stream.numbers, stream.codes)
        table = self.view_.unbounded(when).restore(plain)
        return self.names_.added(table, stream.group, stream.dataset)

    # --- saving -----------------------------------------------------------------------------------

    def more_columns(self) -> dict[str, str]:
        """The columns of groups and data sets."""
        return {name: "number of a group" for name in self.names_.dtypes}

    def to(self, device: str) -> Self:
        """Move the fitted model to a device; see `Generator.to`."""
        self._check_fitted()
        for part in (self.learned_.parent, self.learned_.child):
            part.model.to(device)
        self._device = self.learned_.parent.model._device
        return self

    def _sample(self, n: int, seed: int, given: dict[int, int]) -> Rows:
        rows = {j: (k,) for j, k in given.items()}
        span = self._span(n, None, None, None)
        stream = self._n_rows(n, span, seed, conditions.Given(rows))
        return stream.numbers, stream.codes

    def _to_arrays(self) -> dict[str, np.ndarray]:
        return pack(self.names_, self.learned_)

    def _from_arrays(self, layout: Layout, arrays: dict[str, np.ndarray]) -> None:
        self.names_, self.learned_ = unpack(layout, arrays, self._submodels)


def _find_time(layout: Layout, name: str | None, gaps: pd.Series) -> int:
    """Which numerical column holds the times."""
    when = time_column(layout, name)
    numericals = [c.name for c in layout.numericals]
    if when is None:
        raise ValueError(f"a grouped table needs a column of times, none of {numericals} is one")
    if gaps[numericals[when]]:
        raise ValueError(f"{numericals[when]}: every row must have a time, some are missing")
    return when


def _part(plan: Plan, share: float) -> Plan:
    """The plan of one of the submodels, with a share of the budget."""
    budget = None if plan.budget is None else plan.budget * share
    return replace(plan, budget=budget, began=None)
