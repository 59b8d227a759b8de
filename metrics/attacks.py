"""Three attacks on people behind records: singling out, linkability and inference.

In: a synthetic table, rows it was learned from and as many unseen ones of the same origin. Out: the
risk of each attack, 0 where the table helps against those it was learned from no more than against
others, 1 where it gives all of them away.

Source: Giomi et al. (2023), "A unified framework for quantifying privacy risk in synthetic data",
arXiv 2211.10459: the three attacks are those named by the European Data Protection Board. Every
attack is made on members and, alike, on a control of unseen rows, and

    risk = (rate on members - rate on control) / (1 - rate on control), at least 0,

where a rate of s successes in n tries is the centre of Wilson's interval, (s + z^2 / 2) / (n +
z^2), so that no rate is 1 and the risk is finite on a perfect copy, too.

- Singling out: the attacker guesses a predicate, that of a few columns of a synthetic row which no
  other synthetic row has. Success: it holds for exactly one row of the people asked.
- Linkability: two others hold one half of the columns each. Success: the k synthetic rows nearest
  to a person by the one half and by the other have one in common.
- Inference: the attacker knows all columns of a person but one, each in turn. Success: the nearest
  synthetic row has the secret, within 5 % for a number (and within a twentieth of the spread of the
  middle half of its column, so that a year is not told by its century). Over all columns the rates
  are pooled; the worst column is that of the highest lower end of a 95 % interval (Newcombe 1998,
  method 10), for among many columns the highest risk is one by chance.

Distances are those of `metrics.privacy`, numbers over their range in the synthetic table, for the
attacker holds no other. Members and control are of one size, because how many rows a predicate
holds for depends on how many are asked. Where train is larger, members are a random part of it, and
the singling-out risk is that of a copy diluted by the rest: it shrinks with that part.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import pandas as pd

from foundations.forks import Forkable

from . import frames, privacy
from .comparisons import Comparison
from .grades import Rule, above
from .measures import SHARE, Measure, Number
from .membership import attack_rows
from .neighbours import NeighbourIndex
from .scores import Score

CAP = 50_000  # rows of each table
TRIES = 2_000  # people or predicates of an attack
Z2 = 1.959963984540054**2  # of a 95 % interval
CANDIDATES = 20  # predicates for each that is to hold for one row alone
N_COLUMNS = 3  # of a predicate
N_NEIGHBOURS = 10  # of a person in either half of the columns
TOLERANCE = 0.05  # of an inferred number, relative, and of the spread of its column
NAMES = ("singling-out risk", "linkability risk", "inference risk", "worst inference risk")


class People(NamedTuple):
    """A synthetic table, and members and control of one size, as arrays over the same codes."""

    synthetic: frames.Coded
    members: frames.Coded
    control: frames.Coded


def people(synthetic: pd.DataFrame, members: pd.DataFrame, control: pd.DataFrame) -> People:
    """The tables as the attacker sees them, numbers over their range in the synthetic one."""
    members, synthetic, control = frames.seen(members, synthetic, control)
    levels = frames.levels(synthetic, members, control)
    scale = privacy.ranges(synthetic)
    coded = [frames.encode(table, levels) for table in (synthetic, members, control)]
    return People(*(frames.Coded(each.numbers / scale, each.codes) for each in coded))


def risk(on_members: np.ndarray, on_control: np.ndarray) -> float:
    """The risk of an attack from its successes, bool (n,) each; NaN without tries."""
    if not (len(on_members) and len(on_control)):
        return float("nan")
    rate, control = ((hits.sum() + Z2 / 2) / (len(hits) + Z2) for hits in (on_members, on_control))
    return max(0.0, float((rate - control) / (1 - control)))


def risk_at_least(on_members: np.ndarray, on_control: np.ndarray) -> float:
    """The lower end of a 95 % interval of the risk, at least 0; NaN without tries."""
    if not (len(on_members) and len(on_control)):
        return float("nan")
    p, low, _ = wilson(on_members)
    q, _, high = wilson(on_control)
    gap = p - q - np.hypot(p - low, high - q)
    return max(0.0, float(gap / (1 - q))) if q < 1 else 0.0


def wilson(hits: np.ndarray) -> tuple[float, float, float]:
    """Share of successes (n,), and the ends of its 95 % interval (Wilson 1927)."""
    n, p = len(hits), float(hits.mean())
    centre = (p + Z2 / (2 * n)) / (1 + Z2 / n)
    half = np.sqrt(Z2 * (p * (1 - p) / n + Z2 / (4 * n * n))) / (1 + Z2 / n)
    return p, max(0.0, centre - half), min(1.0, centre + half)


def singling_out(who: People, rng: np.random.Generator) -> float:
    """Risk of predicates over a few columns that hold for one synthetic row; 0 if none does."""
    table = np.hstack(who.synthetic)
    predicates = _predicates(table, who.synthetic.numbers.shape[1], rng)
    alone = np.flatnonzero(count_matches(table, *predicates) == 1)[:TRIES]
    if not len(alone):
        return 0.0
    chosen = _distinct([part[alone] for part in predicates])
    asked = (np.hstack(each) for each in (who.members, who.control))
    return risk(*(count_matches(rows, *chosen) == 1 for rows in asked))


def _distinct(predicates: list[np.ndarray]) -> list[np.ndarray]:
    """Each predicate once, whatever the order of its columns."""
    order = predicates[0].argsort(1)
    by_column = [np.take_along_axis(part, order, 1) for part in predicates]
    first = np.unique(np.hstack(by_column), axis=0, return_index=True)[1]
    return [part[first] for part in by_column]


def _predicates(
    table: np.ndarray, n_numbers: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, values and sides (m, k) of predicates that hold for a random row (n, c) each.

    A side is 0 for a category, which must be equal; of a number 1, at least, where it is above the
    median of its column, else -1, at most.
    """
    n = CANDIDATES * TRIES
    rows = table[rng.integers(len(table), size=n)]
    chosen = rng.permuted(np.tile(np.arange(table.shape[1]), (n, 1)), axis=1)[:, :N_COLUMNS]
    is_above = np.take_along_axis(rows > np.median(table, axis=0), chosen, 1)
    sides = np.where(chosen < n_numbers, np.where(is_above, 1, -1), 0)
    return chosen, np.take_along_axis(rows, chosen, 1), sides


@Forkable
@numba.njit(parallel=True, cache=True)
def count_matches(
    table: np.ndarray, chosen: np.ndarray, values: np.ndarray, sides: np.ndarray
) -> np.ndarray:
    """How many rows of the table (n, c) each predicate (m, k) holds for, counted up to 2."""
    counts = np.zeros(len(chosen), np.int64)
    for i in numba.prange(len(chosen)):
        for r in range(len(table)):
            holds = True
            for k in range(chosen.shape[1]):
                x, side = table[r, chosen[i, k]], sides[i, k]
                gap = x - values[i, k]
                holds = gap == 0 if side == 0 else gap * side >= 0
                if not holds:
                    break
            counts[i] += holds
            if counts[i] == 2:
                break
    return counts


def linkability(who: People, rng: np.random.Generator) -> float:
    """Risk that halves of the columns of a person lead to the same synthetic row."""
    d, c = who.synthetic.numbers.shape[1], who.synthetic.codes.shape[1]
    if d + c < 2:
        return float("nan")
    order = rng.permutation(d + c)
    halves = order[: (d + c) // 2], order[(d + c) // 2 :]
    linked = []
    for asked in (who.members, who.control):
        one, other = (_nearest(who.synthetic, asked, half, N_NEIGHBOURS) for half in halves)
        linked.append((one[:, :, None] == other[:, None, :]).any((1, 2)))
    return risk(*linked)


def inference(who: People) -> tuple[float, float]:
    """Risk that a column is told by the row nearest in all others: of all columns, of the worst."""
    width = who.synthetic.numbers.shape[1] + who.synthetic.codes.shape[1]
    if width < 2:
        return float("nan"), float("nan")
    hits = [inferred(who, secret) for secret in range(width)]
    pooled = risk(*(np.concatenate(side) for side in zip(*hits, strict=True)))
    return pooled, max(risk_at_least(*each) for each in hits)


def inferred(who: People, secret: int) -> tuple[np.ndarray, np.ndarray]:
    """Of which members (n,) and control (n,) the nearest synthetic row tells a column."""
    d = who.synthetic.numbers.shape[1]
    known = np.delete(np.arange(d + who.synthetic.codes.shape[1]), secret)
    members, control = (
        _tells(who.synthetic, asked, secret, _nearest(who.synthetic, asked, known, 1)[:, 0])
        for asked in (who.members, who.control)
    )
    return members, control


def _tells(made: frames.Coded, asked: frames.Coded, secret: int, row: np.ndarray) -> np.ndarray:
    d = made.numbers.shape[1]
    if secret >= d:
        return asked.codes[:, secret - d] == made.codes[row, secret - d]
    truth, guess = asked.numbers[:, secret], made.numbers[row, secret]
    spread = np.subtract(*np.quantile(made.numbers[:, secret], [0.75, 0.25]))
    near = np.abs(truth) if spread == 0 else np.minimum(np.abs(truth), spread)
    return np.abs(guess - truth) <= TOLERANCE * near


def _nearest(table: frames.Coded, asked: frames.Coded, columns: np.ndarray, k: int) -> np.ndarray:
    """The k rows (m, k) of a table nearest to those asked, by some of the columns."""
    d = table.numbers.shape[1]
    numbers, codes = columns[columns < d], columns[columns >= d] - d
    index = NeighbourIndex(table.numbers[:, numbers], table.codes[:, codes])
    return index.query(asked.numbers[:, numbers], asked.codes[:, codes], k=min(k, len(table)))[1]


def score_attacks(comparison: Comparison) -> Score:
    """The measure "attacks"."""
    real, score = comparison.real, Score()
    made = real.subsample(comparison.large_rows, CAP)
    runs: dict[str, list[float]] = {name: [] for name in NAMES}
    for seed in real.seeds:
        members, control, _ = attack_rows(real.train_rows, real.test_rows, seed=seed, most=TRIES)
        if not len(members):
            return Score(dict.fromkeys(NAMES, float("nan")))
        who, rng = people(made, members, control), np.random.default_rng(seed)
        found = singling_out(who, rng), linkability(who, rng), *inference(who)
        for name, value in zip(NAMES, found, strict=True):
            runs[name].append(float(value))
    for name, values in runs.items():
        score.add_runs(name, values)
    return score


GIOMI = "Giomi et al. 2023, arXiv 2211.10459"
ATTACKS = Measure(
    "attacks",
    score_attacks,
    (
        Number(
            "singling-out risk", "floor", SHARE,
            "how much oftener a predicate that holds for one of its rows alone holds for one train "
            "record alone than for one unseen record",
            "near 0", GIOMI,
            Rule(above, 0.02, 0.1),
        ),
        Number(
            "linkability risk", "floor", SHARE,
            "how much oftener it links two halves of a train record than of an unseen one",
            "near 0", GIOMI,
            Rule(above, 0.02, 0.1),
        ),
        Number(
            "inference risk", "floor", SHARE,
            "how much oftener it tells one column of a train record from the others than of an "
            "unseen one, over all columns",
            "near 0", GIOMI,
            Rule(above, 0.02, 0.1),
        ),
        Number(
            "worst inference risk", "floor", SHARE,
            "the same, at least, of the column that is told best: lower end of a 95 % interval",
            "near 0", GIOMI,
            Rule(above, 0.05, 0.1),
        ),
    ),
    seconds=2.0,
    cap=CAP,
    rows="n_mlef",
    listed_after="membership",
)  # fmt: skip
