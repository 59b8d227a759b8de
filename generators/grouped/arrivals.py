"""When groups begin: an intensity over hour, weekday and slow drift, with bursts.

In: starts in days since a Monday 00:00. Out: `Arrivals`, which draws starts of any span.

    intensity(t) = rate x hour(t) x weekday(t) x exp(drift(t))

The drift is a line between the middles of weeks, each week's log shrunk by its own noise. On the
clock on which the intensity is 1 everywhere (time rescaling, Brown et al. 2002) starts are one of
three point processes, whichever gave the held-out weeks (every third) the highest likelihood:

| process | parameters | |
|---|---|---|
| Poisson | | |
| renewal | shape of gamma gaps with mean 1; below 1 they clump | Cox & Lewis 1966 |
| self-exciting | share of starts that others excite, how fast that decays | Hawkes 1971 |

Stationarity: inside the days learned from, drift is the one that was seen. Beyond them it is an
autoregression over weeks that begins at the last week and returns to the mean with the
autocorrelation and the spread that were seen; hours, weekdays and bursts stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lgamma, log

import numpy as np

PROCESSES = ("poisson", "renewal", "hawkes")
HELD_OUT = 3  # one week of so many
PSEUDO = 5.0  # starts as on average, added to those of each hour and weekday
SHAPES = np.exp(np.linspace(np.log(0.2), np.log(3.0), 41))
EXCITED = np.linspace(0.02, 0.9, 23)
DECAYS = np.exp(np.linspace(np.log(0.002), np.log(20.0), 22))  # a start of the rescaled clock
MAX_DRIFT = 0.5  # of the log rate in a week


@dataclass(frozen=True)
class Arrivals:
    """What is known of starts; `begin` and `end` are the whole days learned from."""

    begin: float
    end: float
    rate: float
    """Starts a day."""
    hour: np.ndarray
    """(24,) over the mean."""
    weekday: np.ndarray
    """(7,) over the mean."""
    drift: np.ndarray
    """(W,) log rate of each week from `begin` on, over the mean."""
    memory: float
    """Autocorrelation of the drift from week to week."""
    spread: float
    """Standard deviation of the drift."""
    process: int
    """Place in PROCESSES."""
    parameters: np.ndarray
    """(2,) of the process, unused ones 0."""
    held_out: np.ndarray
    """(3,) log likelihood of a start of the held-out weeks by each process, less Poisson's."""

    @classmethod
    def fit(cls, start: np.ndarray, begin: float, end: float) -> Arrivals:
        """Learn from sorted starts (G,) in [begin, end), both whole days."""
        n_weeks = max(1, int(np.ceil((end - begin) / 7)))
        every = np.ones(n_weeks, bool)
        held = np.arange(n_weeks) % HELD_OUT == HELD_OUT - 1
        found = _fit_profile(start, begin, end, every)
        if not held.any():
            return replace(found, held_out=np.zeros(3))
        rough = _fit_profile(start, begin, end, ~held)
        scores, fitted = _compare(rough, start, held)
        process = int(np.argmax(scores))
        parameters = fitted[process]
        if process:
            parameters = _best(found, start, every, process)
        return replace(found, process=process, parameters=parameters, held_out=scores)

    def draw(
        self, rng: np.random.Generator, begin: float, end: float, factor: float = 1.0
    ) -> np.ndarray:
        """Sorted starts in [begin, end) days, `factor` times as many as learned."""
        hours, upto = self.clock(begin, end, rng)
        total = factor * upto[-1]
        u = _draw_process(rng, PROCESSES[self.process], self.parameters, total)
        return np.interp(u / factor, upto, hours)

    def clock(
        self, begin: float, end: float, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ends of hours from begin to end (H + 1,), and the starts expected up to each."""
        edges = np.arange(np.floor(begin * 24), np.ceil(end * 24) + 1) / 24
        middle = edges[:-1] + 0.5 / 24
        hour = np.floor(middle % 1 * 24).astype(np.int64) % 24
        weekday = np.floor(middle % 7).astype(np.int64)
        log_drift = np.interp(middle, *self._drift_until(end, rng))
        rates = self.rate * self.hour[hour] * self.weekday[weekday] * np.exp(log_drift) / 24
        edges[[0, -1]] = begin, end
        return edges, np.append(0.0, np.cumsum(rates * np.diff(edges) * 24))

    def _drift_until(
        self, end: float, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Middles of weeks and the drift of each, seen and then drawn on."""
        n = max(0, int(np.ceil((end - self.begin) / 7)) - len(self.drift))
        drift = list(self.drift)
        for noise in rng.standard_normal(n) if rng is not None else np.zeros(n):
            news = self.spread * np.sqrt(1 - self.memory**2) * noise
            drift.append(float(np.clip(self.memory * drift[-1] + news, -MAX_DRIFT, MAX_DRIFT)))
        return self.begin + 7 * (np.arange(len(drift)) + 0.5), np.array(drift)


def _fit_profile(start: np.ndarray, begin: float, end: float, kept: np.ndarray) -> Arrivals:
    """Rate, hours, weekdays and drift from the weeks kept (W,); others get a drift between."""
    week = ((start - begin) // 7).astype(np.int64).clip(0, len(kept) - 1)
    inside = start[kept[week]]
    days = np.arange(begin, end)
    days = days[kept[((days - begin) // 7).astype(np.int64)]]
    rate = max(len(inside), 1) / max(len(days), 1)
    hour = _shares(np.floor(inside % 1 * 24).astype(np.int64) % 24, np.full(24, 1 / 24))
    exposed = np.bincount(days.astype(np.int64) % 7, minlength=7) / max(len(days), 1)
    weekday = _shares(np.floor(inside % 7).astype(np.int64) % 7, exposed)
    nothing = (0, np.zeros(2), np.zeros(3))
    flat = Arrivals(begin, end, rate, hour, weekday, np.zeros(len(kept)), 0.0, 0.0, *nothing)
    edges, upto = flat.clock(begin, end)
    expected = np.diff(
        np.interp(np.minimum(begin + 7.0 * np.arange(len(kept) + 1), end), edges, upto)
    )
    drift, memory, spread = _fit_drift(np.bincount(week, minlength=len(kept)), expected, kept)
    found = replace(flat, drift=drift, memory=memory, spread=spread)
    edges, upto = found.clock(begin, end)
    at = np.interp(np.minimum(begin + 7.0 * np.arange(len(kept) + 1), end), edges, upto)
    return replace(found, rate=rate * len(inside) / max(np.diff(at)[kept].sum(), 1e-9))


def _shares(code: np.ndarray, exposed: np.ndarray) -> np.ndarray:
    """Relative rate of each class, from counts over the share of time it was seen for."""
    count = np.bincount(code, minlength=len(exposed))
    pseudo = PSEUDO * len(exposed) * exposed + 1e-9
    found = (count + PSEUDO) / (count.sum() * exposed + pseudo + PSEUDO * (exposed == 0))
    found = np.where(exposed > 0, found, 1.0)
    return found / np.average(found, weights=exposed)


def _fit_drift(
    count: np.ndarray, expected: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Log drift of each week, its autocorrelation and its spread."""
    noise = 1 / np.maximum(expected, 0.5)
    raw = np.log((count + 0.5) / (expected + 0.5))
    spread2 = max(float(np.mean((raw**2 - noise)[kept])), 0.0)
    drift = (raw * spread2 / (spread2 + noise)).clip(-MAX_DRIFT, MAX_DRIFT)
    drift = np.interp(np.arange(len(kept)), np.flatnonzero(kept), drift[kept])
    memory = 0.0
    if kept.all() and len(drift) >= 4 and drift.std() > 0:
        memory = float(np.clip(np.corrcoef(drift[:-1], drift[1:])[0, 1], 0.0, 0.95))
    return drift, memory, min(spread2**0.5, MAX_DRIFT)


# --- bursts ---------------------------------------------------------------------------------------


def _compare(
    arrivals: Arrivals, start: np.ndarray, held: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Score of each process on the weeks held out, and its parameters from the others."""
    fitted = [np.zeros(2)] + [_best(arrivals, start, ~held, k) for k in (1, 2)]
    terms = _terms(arrivals, start, held)
    n = max(int(terms.is_inside.sum()), 1)
    scores = [
        float(_log_likelihood(PROCESSES[k], p[None], terms)[0]) / n for k, p in enumerate(fitted)
    ]
    return np.array(scores) - scores[0], fitted


def _best(arrivals: Arrivals, start: np.ndarray, weeks: np.ndarray, k: int) -> np.ndarray:
    """The parameters of a process, on a grid, that make the weeks likeliest."""
    shapes = np.column_stack([SHAPES, np.zeros(len(SHAPES))])
    grid = [shapes[:1], shapes, np.stack(np.meshgrid(EXCITED, DECAYS), -1).reshape(-1, 2)][k]
    scores = _log_likelihood(PROCESSES[k], grid, _terms(arrivals, start, weeks))
    return grid[int(np.argmax(scores))]


@dataclass(frozen=True)
class Terms:
    """Rescaled starts (G,), the gap before each (G,), and which lie in the weeks asked for."""

    at: np.ndarray
    gap: np.ndarray
    is_inside: np.ndarray


def _terms(arrivals: Arrivals, start: np.ndarray, weeks: np.ndarray) -> Terms:
    edges, upto = arrivals.clock(arrivals.begin, arrivals.end)
    at = np.interp(start, edges, upto)
    week = ((start - arrivals.begin) // 7).astype(np.int64).clip(0, len(weeks) - 1)
    return Terms(at, np.diff(at, prepend=0.0), weeks[week])


def _log_likelihood(process: str, grid: np.ndarray, terms: Terms) -> np.ndarray:
    """(K,) log likelihood of the starts inside, given all before each, by parameters (K, 2)."""
    gap = np.maximum(terms.gap, 1e-6)  # starts of one second
    if process == "poisson":
        return np.full(len(grid), -gap[terms.is_inside].sum())
    if process == "renewal":
        k, x = grid[:, :1], gap[terms.is_inside]
        constant = np.array([s * log(s) - lgamma(s) for s in grid[:, 0]])
        return (constant[:, None] + (k - 1) * np.log(x) - k * x).sum(1)
    share, decay = grid.T
    excited, total = np.zeros(len(grid)), np.zeros(len(grid))
    for x, is_inside in zip(gap.tolist(), terms.is_inside.tolist(), strict=True):
        left = excited * np.exp(-decay * x)
        if is_inside:
            total += np.log(1 - share + decay * left) - (1 - share) * x - (excited - left)
        excited = left + share
    return total


def _draw_process(
    rng: np.random.Generator, process: str, parameters: np.ndarray, total: float
) -> np.ndarray:
    """Sorted points of a process of mean rate 1 on [0, total)."""
    if process == "poisson":
        return np.sort(rng.random(rng.poisson(total)) * total)
    if process == "renewal":
        shape = parameters[0]
        n = int(total + 20 * np.sqrt(total / shape) + 20)
        u = np.cumsum(rng.gamma(shape, 1 / shape, n)) - rng.gamma(shape, 1 / shape) * rng.random()
        return u[(u >= 0) & (u < total)]
    share, decay = parameters
    early = min(10 / (decay * (1 - share)), 1e5)  # until excitement is as usual
    n = rng.poisson((1 - share) * (total + early))
    generation = rng.random(n) * (total + early) - early
    points = [generation]
    while len(generation):
        children = rng.poisson(share, len(generation))
        generation = np.repeat(generation, children)
        generation = generation + rng.exponential(1 / decay, len(generation))
        generation = generation[generation < total]
        points.append(generation)
    u = np.sort(np.concatenate(points))
    return u[u >= 0]
