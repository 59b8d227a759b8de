"""A grouped table as a stream: tasks, gaps, bursts, and the data sets that are used again.

In: tables with `creationtime` and the columns `task` and `dataset`, whose equal values mean one
task and one data set. Out: one number each for a stream against the train stream. Thinning changes
all of them, so the streams are first brought to one rate (rows a day): of the denser ones random
tasks are taken whole. The floor is another draw of the truth: the whole holdout, which ought to
hold other tasks of the same weeks (`records.split(by="task")`, or halves by task). Parted by weeks
instead, the drift from week to week and data sets cut off from their past would be in the floor.

Source: share of variance between groups, eta squared (Fisher 1925), for categories with the
variance of Gini (Light & Margolin 1971); counts by Fano (1947); popularity by rank (Zipf 1949);
reuse by stack distance (Mattson et al. 1970).
"""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from . import detection, frames
from .comparisons import Comparison
from .grades import Rule, factor, plain, times
from .measures import POSITIVE, ROOT_N, SHARE, Measure, Number
from .scores import Score
from .temporal import DAYS, SITE, WINDOWS, has_days, ks, ratio, whole_days

GROUPS = TASK, DATASET = "task", "dataset"
FORMAT = "datatype"
MOST_TASKS = 5_000  # of each stream, for the classifier
TOP = 12  # sites and formats whose rows are counted by hour


def is_grouped(table: Any) -> bool:
    """Whether a table tells the time, the task and the data set of its rows."""
    return has_days(table) and all(name in table.columns for name in GROUPS)


def without_groups(table: Any) -> Any:
    """A table without the columns of groups, which are names and not values."""
    if not is_grouped(table):
        return table
    names = [name for name in table.columns if name not in GROUPS]
    return table.select(names) if isinstance(table, frames.OnDisk) else table[names]


class Stream:
    """The rows of a grouped table in order of time.

    Attributes: time (n,) days; task and dataset (n,) numbered from 0 in the order first met; rest,
    the other columns.
    """

    def __init__(self, time: np.ndarray, task: np.ndarray, dataset: np.ndarray, rest: pd.DataFrame):
        order = np.argsort(time, kind="stable")
        self.time, self.rest = time[order], rest.iloc[order]
        self.task, self.dataset = (pd.factorize(part[order])[0] for part in (task, dataset))

    @classmethod
    def of(cls, table: Any, what: str) -> "Stream":
        """The stream of a grouped table.

        Raises: ValueError for a missing time, task or data set.
        """
        table = pd.DataFrame({name: table[name] for name in table.columns})
        for name in (DAYS, *GROUPS):
            frames.check_column(table[name], what)
        task, dataset = (pd.factorize(table[name])[0] for name in GROUPS)
        rest = table.drop(columns=[DAYS, *GROUPS])
        return cls(table[DAYS].to_numpy(np.float64), task, dataset, rest)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def groups(self) -> pd.DataFrame:
        """Time, task and data set of the rows."""
        return pd.DataFrame({DAYS: self.time, TASK: self.task, DATASET: self.dataset})

    @property
    def table(self) -> pd.DataFrame:
        """The grouped table in order of time."""
        return pd.concat([self.rest.reset_index(drop=True), self.groups], axis=1)

    @property
    def rate(self) -> float:
        """Rows a day, over the days from the first to the last row."""
        first, last = whole_days(self.time)
        return len(self) / (last - first)

    def thinned(self, rate: float, seed: int) -> "Stream":
        """Tasks drawn at random and kept whole, nearest to `rate` rows a day; itself if slower."""
        if self.rate <= rate:
            return self
        order = np.random.default_rng([seed, 11]).permutation(self.task.max() + 1)
        total = np.cumsum(self.size[order])
        n = int(np.abs(total - len(self) * rate / self.rate).argmin()) + 1
        at = np.flatnonzero(np.isin(self.task, order[:n]))
        return Stream(self.time[at], self.task[at], self.dataset[at], self.rest.iloc[at])

    @cached_property
    def size(self) -> np.ndarray:
        """(tasks,) rows of each."""
        return np.bincount(self.task)

    @cached_property
    def by_task(self) -> np.ndarray:
        """(n,) rows by task, then by time."""
        return np.argsort(self.task, kind="stable")

    @cached_property
    def first(self) -> np.ndarray:
        """(tasks,) the first row of each."""
        return self.by_task[np.cumsum(self.size) - self.size]

    @cached_property
    def last(self) -> np.ndarray:
        """(tasks,) the last row of each."""
        return self.by_task[np.cumsum(self.size) - 1]

    @cached_property
    def gaps_inside(self) -> np.ndarray:
        """(n - tasks,) days between consecutive rows of one task."""
        task, time = self.task[self.by_task], self.time[self.by_task]
        return np.diff(time)[task[1:] == task[:-1]]

    @cached_property
    def gaps_between(self) -> np.ndarray:
        """(tasks - 1,) days between the starts of consecutive tasks."""
        return np.diff(self.time[self.first])

    @cached_property
    def reads(self) -> np.ndarray:
        """(reads,) data sets in the order in which tasks first read them."""
        pair = self.task.astype(np.int64) * (self.dataset.max() + 1) + self.dataset
        return self.dataset[np.sort(np.unique(pair, return_index=True)[1])]

    @cached_property
    def reuse(self) -> np.ndarray:
        """(reads,) other data sets read since this one was; infinite for the first read of one."""
        return stack_distances(self.reads)

    @cached_property
    def popularity(self) -> "Popularity":
        return popularity(self.dataset)


class Popularity(NamedTuple):
    """The slope of rows by rank over the first tenth of data sets, and the shares on the top."""

    slope: float
    top_1: float
    top_10: float


def popularity(dataset: np.ndarray) -> Popularity:
    """The popularity curve of data sets (n,) numbered from 0; the slope is that of the logs."""
    size = np.sort(np.bincount(dataset))[::-1]
    head = size[: max(2, len(size) // 10)]
    tops = (float(size[: max(1, len(size) * p // 100)].sum() / size.sum()) for p in (1, 10))
    if len(head) < 2:
        return Popularity(float("nan"), *tops)
    slope = np.polyfit(np.log(np.arange(1, len(head) + 1)), np.log(head), 1)[0]
    return Popularity(float(slope), *tops)


def stack_distances(reads: np.ndarray) -> np.ndarray:
    """(n,) distinct others since the last equal value; infinite where there was none.

    Of those after the last read, the ones to count are the first of their kind since then: their
    own last read is not later. All reads up to the last read are so, too, and are taken off.
    """
    n = len(reads)
    order = np.argsort(reads, kind="stable")
    before = np.full(n, -1)
    same = reads[order[1:]] == reads[order[:-1]]
    before[order[1:][same]] = order[:-1][same]
    distance = earlier_at_most(before) - (before + 1.0)
    return np.where(before < 0, np.inf, distance)


def earlier_at_most(values: np.ndarray) -> np.ndarray:
    """(n,) how many values before each are at most as large; values are whole and at least -1."""
    n = len(values)
    at, count = np.arange(n), np.zeros(n, np.int64)
    span = int(values.max(initial=0)) + 2
    width = 1
    while width < n:  # each pair of places meets in exactly one pair of neighbouring blocks
        block, is_right = at // (2 * width), at // width % 2 == 1
        key = block * span + values + 1
        left = np.sort(key[~is_right])
        found = np.searchsorted(left, key[is_right], "right")
        count[is_right] += found - np.searchsorted(left, block[is_right] * span, "left")
        width *= 2
    return count


# --- what a stream is compared by -----------------------------------------------------------------


def compare(train: Stream, other: Stream) -> Score:
    """All numbers of this file but those of the classifiers, of two streams at one rate."""
    shares = pd.DataFrame({"real": task_shares(train), "made": task_shares(other)})
    apart = (shares["real"] - shares["made"]).abs()
    curve, true_curve = other.popularity, train.popularity
    values = {
        "task size KS": ks(train.size, other.size),
        "gap in tasks KS": ks(train.gaps_inside, other.gaps_inside),
        "gap of tasks KS": ks(train.gaps_between, other.gaps_between),
        **{f"counts {h}h": ratio(fano(other.time, h), fano(train.time, h)) for h in WINDOWS},
        "task share": float(apart.mean()),
        "sites a set KS": ks(levels_a_set(train, SITE), levels_a_set(other, SITE)),
        "formats a set": ratio(_mean_levels(other), _mean_levels(train)),
        "popularity slope": abs(curve.slope - true_curve.slope),
        "top 1 % share": abs(curve.top_1 - true_curve.top_1),
        "top 10 % share": abs(curve.top_10 - true_curve.top_10),
        "reuse KS": ks(train.reuse, other.reuse),
    }
    return Score(values, columns={"task share": apart.to_dict()})


def fano(days: np.ndarray, hours: float) -> float:
    """Variance over mean of the counts in windows of `hours` over the stream's own whole days.

    The variance with n - 1. NaN with fewer than two windows.
    """
    first, last = whole_days(days)
    n_windows = int((last - first) * 24 / hours + 1e-9)
    if n_windows < 2:
        return float("nan")
    count = np.bincount(np.floor((days - first) * 24 / hours).astype(np.int64))[:n_windows]
    count = np.append(count, np.zeros(n_windows - len(count)))
    return ratio(float(count.var(ddof=1)), float(count.mean()))


def task_shares(stream: Stream) -> dict[str, float]:
    """Share of the variance of each column that lies between tasks, 0..1; 0 if it has none.

    Numbers are taken as ranks, so that a few giants do not decide; the time is one of them.
    """
    numerical, _ = frames.split(stream.rest)
    found = {DAYS: _number_share(stream.time, stream)}
    for name, column in stream.rest.items():
        if name in numerical:
            found[name] = _number_share(column.to_numpy(np.float64), stream)
        else:
            found[name] = _category_share(_codes(column), stream)
    return found


def _number_share(values: np.ndarray, stream: Stream) -> float:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    rank -= rank.mean()
    total = np.bincount(stream.task, weights=rank)
    whole = float(np.sum(rank**2))
    return float(np.sum(total**2 / stream.size) / whole) if whole > 0 else 0.0


def _category_share(codes: np.ndarray, stream: Stream) -> float:
    n, width = len(codes), int(codes.max()) + 1
    whole = n - np.sum(np.bincount(codes).astype(float) ** 2) / n
    pair, count = np.unique(stream.task * width + codes, return_counts=True)
    inside = n - np.sum(count.astype(float) ** 2 / stream.size[pair // width])
    return float(1 - inside / whole) if whole > 0 else 0.0


def _codes(column: pd.Series) -> np.ndarray:
    return frames.encode(column.to_frame(), frames.levels(column.to_frame())).codes[:, 0]


def levels_a_set(stream: Stream, name: str) -> np.ndarray:
    """(data sets,) how many values of a column its rows have; empty without the column."""
    if name not in stream.rest:
        return np.empty(0)
    codes = _codes(stream.rest[name])
    width = int(codes.max()) + 1
    return np.bincount(np.unique(stream.dataset.astype(np.int64) * width + codes) // width)


def _mean_levels(stream: Stream) -> float:
    found = levels_a_set(stream, FORMAT)
    return float(found.mean()) if found.size else float("nan")


def tasks_apart(train: Stream, other: Stream, seed: int) -> float:
    """AUC of a classifier on the aggregates of tasks, at most `MOST_TASKS` of each stream."""
    tables = [aggregates(stream) for stream in (train, other)]
    rng = np.random.default_rng([seed, 12])
    drawn = [table.iloc[rng.permutation(len(table))[:MOST_TASKS]] for table in tables]
    return detection.c2st(*drawn, seed=seed)


def aggregates(stream: Stream) -> pd.DataFrame:
    """One row a task: start, size, length, level and spread of each number, values of categories.

    Of a category: the value of the first row, the share of rows that have it, and how many values
    there are. Of the data set: how many tasks read it before.
    """
    start, size = stream.time[stream.first], stream.size
    table = {
        "hour": start % 1 * 24,
        "weekday": np.floor(start % 7),
        "size": np.log(size),
        "days": np.log1p((stream.time[stream.last] - start) * 24),
        "reads before": np.log1p(_earlier_equal(stream.dataset[stream.first])),
    }
    numerical, categorical = frames.split(stream.rest)
    for name in numerical:
        value = np.log1p(np.maximum(stream.rest[name].to_numpy(np.float64), 0))
        mean, square = (np.bincount(stream.task, weights=v) / size for v in (value, value**2))
        spread = np.sqrt(np.maximum(square - mean**2, 0))
        table |= {name: mean, f"{name} spread": np.where(spread < 1e-6, 0, spread)}
    for name in categorical:
        code = _codes(stream.rest[name])
        is_first = code == code[stream.first][stream.task]
        pair = np.unique(stream.task * (int(code.max()) + 1) + code)
        table[name] = stream.rest[name].iloc[stream.first].array
        table[f"{name} share"] = np.bincount(stream.task, weights=is_first) / size
        table[f"{name} values"] = np.bincount(pair // (int(code.max()) + 1))
    return pd.DataFrame(table)


def _earlier_equal(values: np.ndarray) -> np.ndarray:
    """(n,) how often each value stood before."""
    return pd.Series(values).groupby(values).cumcount().to_numpy()


def hours_apart(train: Stream, other: Stream, seed: int) -> float:
    """AUC of a classifier on the hours of each stream: their counts by site and by format."""
    tops = {
        name: train.rest[name].value_counts().index[:TOP]
        for name in (SITE, FORMAT)
        if name in train.rest
    }
    tables = [hourly(stream, tops) for stream in (train, other)]
    return detection.two_sample_test(*tables, seed=seed, in_order=True).auc


def hourly(stream: Stream, tops: dict[str, pd.Index]) -> pd.DataFrame:
    """One row an hour: hour of the day, weekday, rows, and rows of each value of `tops`."""
    first, last = whole_days(stream.time)
    hour = np.floor((stream.time - first) * 24).astype(np.int64)
    n = int((last - first) * 24)
    table = {
        "hour": np.arange(n) % 24,
        "weekday": (first + np.arange(n) // 24) % 7,
        "rows": np.bincount(hour, minlength=n),
    }
    for name, values in tops.items():
        place = pd.Index(values).get_indexer(stream.rest[name])
        for k, value in enumerate(values):
            table[f"{name} {value}"] = np.bincount(hour[place == k], minlength=n)
    return pd.DataFrame(table).astype(np.float64)


def score_streams(comparison: Comparison) -> Score:
    """The measure "streams"; NaN for a table without groups."""
    pair, seed = comparison.once(at_one_rate), comparison.real.seed
    if pair is None:
        return Score({number.name: float("nan") for number in STREAMS.numbers})
    score = compare(*pair)
    score.values["task C2ST"] = tasks_apart(*pair, seed)
    score.values["hour C2ST"] = hours_apart(*pair, seed)
    return score


def at_one_rate(comparison: Comparison) -> tuple[Stream, Stream] | None:
    """The streams of train and of the table, thinned to one rate; None without groups."""
    real, stream = comparison.real, comparison.stream
    if stream is None or real.stream is None or real.other_stream is None:
        return None
    rate = min(one.rate for one in (real.stream, real.other_stream, stream))
    return real.stream.thinned(rate, real.seed), stream.thinned(rate, real.seed)


_FANO = "variance/mean of its rows per {} over that of train"
_NEAR = Rule(factor, 1.1, 1.3)


def _counts(hours: int, words: str) -> Number:
    return Number(
        f"counts {hours}h", "floor", POSITIVE, _FANO.format(words), "near 1", "Fano 1947", _NEAR
    )


STREAMS = Measure(
    "streams",
    score_streams,
    (
        Number(
            "task size KS", "lower", SHARE,
            "Kolmogorov-Smirnov distance of the rows a task",
            ROOT_N, "Smirnov 1948",
            Rule(times, 2, 10),
        ),
        Number(
            "gap in tasks KS", "lower", SHARE,
            "Kolmogorov-Smirnov distance of the times between consecutive rows of a task",
            ROOT_N, "Smirnov 1948",
            Rule(times, 2, 10),
        ),
        Number(
            "gap of tasks KS", "lower", SHARE,
            "Kolmogorov-Smirnov distance of the times between the starts of consecutive tasks",
            ROOT_N, "Smirnov 1948",
            Rule(times, 2, 10),
        ),
        _counts(1, "hour"),
        _counts(6, "6 hours"),
        _counts(24, "day"),
        _counts(168, "week"),
        Number(
            "task share", "lower", SHARE,
            "mean over the columns of the difference in the share of variance between tasks",
            "near 0", "Fisher 1925; Light & Margolin 1971",
            Rule(times, 2, 10),
        ),
        Number(
            "sites a set KS", "lower", SHARE,
            "Kolmogorov-Smirnov distance of the sites at which a data set is used",
            ROOT_N, "Smirnov 1948",
            Rule(times, 2, 10),
        ),
        Number(
            "formats a set", "floor", POSITIVE,
            "formats a data set has, over those of train",
            "1", "this project",
            _NEAR,
        ),
        Number(
            "popularity slope", "lower", POSITIVE,
            "difference in the slope of rows by rank of the data set, over the first tenth, in "
            "logs",
            "near 0", "Zipf 1949",
            Rule(times, 2, 10),
        ),
        Number(
            "top 1 % share", "lower", SHARE,
            "difference in the share of rows on the top 1 % of data sets",
            "near 0", "this project",
            Rule(times, 2, 10),
        ),
        Number(
            "top 10 % share", "lower", SHARE,
            "difference in the share of rows on the top 10 % of data sets",
            "near 0", "this project",
            Rule(times, 2, 10),
        ),
        Number(
            "reuse KS", "lower", SHARE,
            "Kolmogorov-Smirnov distance of the data sets read between two reads of one; first "
            "reads lie beyond all",
            ROOT_N, "Mattson et al. 1970",
            Rule(times, 2, 10),
        ),
        Number(
            "task C2ST", "lower", SHARE,
            "AUC of a classifier that separates its tasks, by their aggregates, from train's",
            "0.5", "Lopez-Paz & Oquab 2017, arXiv 1610.06545",
            Rule(plain, 0.6, 0.8),
        ),
        Number(
            "hour C2ST", "lower", SHARE,
            "AUC of a classifier that separates its hours, by rows of each site and format, from "
            "train's",
            "0.5", "Lopez-Paz & Oquab 2017, arXiv 1610.06545",
            Rule(plain, 0.6, 0.8),
        ),
    ),
    seconds=20.0,
    exact=True,
    needs="groups",
)  # fmt: skip
