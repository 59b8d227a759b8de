"""Prices of cores, and the cheapest start of each job under them: a bound by Lagrangian duality.

In: the earliest starts of jobs, the cores left to them, a price for each site and slot of time.
Out: a number that no placement can beat, and the use of cores that jobs would make at these prices.

A job costs its flow time over m, or LOSS if it is rejected. Let it pay besides for the cores it
holds: then each job may choose its site and its start alone, and the sum of what they pay at least,
less what all cores left are worth, is at most the cost of any schedule that fits the cores. This
holds for every price of 0 or more. The best prices are those of the linear program in which every
job is spread over its possible starts (Dyer and Wolsey, Discrete Applied Mathematics 26, 1990);
they are approached by steps along the subgradient, the cores wanted less the cores left.
"""

from typing import NamedTuple

import numpy as np

from pandaenv.env.measures import LOSS
from pandaenv.kernels import kernel, part
from pandaenv.simulator.state import NONE, Grid, Worlds

from .carried import Left, Slots, take
from .starts import Starts, next_up

MEAN, SQUARE = 0.9, 0.99
"""What one step keeps of the mean subgradient and of its mean square, as Adam does."""
STEP = 0.3
"""First change of a price, in 1/m; steps shrink to nothing."""


class Market(NamedTuple):
    """Prices at S sites in T slots, and what n jobs make of them."""

    slots: Slots
    unit: float  # m, s
    paid: np.ndarray  # (S, T + 1) for a core from the first slot to each edge
    wanted: np.ndarray  # (S, T) minus core-seconds
    site: np.ndarray  # (n,) int64, where each job costs least; NONE: it is rejected
    start: np.ndarray  # (n,) float64 s


class Priced(NamedTuple):
    """Prices, and what they show."""

    total: float
    """No placement has a smaller total of flow times over m, with LOSS for each job lost."""
    price: np.ndarray
    """(S, T) of a core, in 1/m."""
    site: np.ndarray
    """(n,) int64, where each job costs least at these prices; NONE: it is rejected."""


def best_prices(
    grid: Grid, worlds: Worlds, w: int, starts: Starts, left: Left, unit: float, n_steps: int
) -> list[Priced]:
    """No prices, and then the best of n steps from there; m in s."""
    market = make_market(left, unit, len(starts.cores))
    price = np.zeros_like(left.room)
    mean, square = np.zeros_like(price), np.zeros_like(price)
    found = best = price_all(grid, worlds, w, starts, left, market, price)
    for step in range(1, n_steps + 1):
        gradient = -(market.wanted + left.room) / left.slots.width
        mean += (1 - MEAN) * (gradient - mean)
        square += (1 - SQUARE) * (gradient**2 - square)
        way = mean / (1 - MEAN**step) / (np.sqrt(square / (1 - SQUARE**step)) + 1e-3)
        price = np.maximum(price + STEP * (1 - step / (n_steps + 1)) * way, 0.0)
        now = price_all(grid, worlds, w, starts, left, market, price)
        best = now if now.total > best.total else best
    return [found, best]


def make_market(left: Left, unit: float, n: int) -> Market:
    """A market without prices for n jobs that have chosen nothing."""
    n_sites, n_slots = left.room.shape
    paid, wanted = np.zeros((n_sites, n_slots + 1)), np.zeros((n_sites, n_slots))
    return Market(left.slots, unit, paid, wanted, np.full(n, NONE), np.zeros(n))


def price_all(
    grid: Grid,
    worlds: Worlds,
    w: int,
    starts: Starts,
    left: Left,
    market: Market,
    price: np.ndarray,
) -> Priced:
    """What prices (S, T) in 1/m show."""
    market.paid[:, 1:] = np.cumsum(price * (market.slots.width / market.unit), axis=1)
    market.wanted[:] = 0.0
    cost = choose_starts(grid, worlds, w, starts, market)
    worth = float((price * left.room).sum()) / market.unit
    return Priced(cost - worth, price, market.site.copy())


# --- kernels --------------------------------------------------------------------------------------


@kernel
def choose_starts(grid, worlds, w, starts, market):
    """Let each job choose where and when it costs least; the sum of their costs, in m.

    What was chosen before is tried first, as it often is the best again.
    """
    total = 0.0
    for j in range(len(starts.cores)):
        site, start, least = NONE, 0.0, LOSS
        if market.site[j] != NONE:
            cost = cost_of(starts, market, j, market.site[j], market.start[j])
            if cost < least:
                site, start, least = market.site[j], market.start[j], cost
        for s in range(len(grid.sites)):
            if starts.start[j, s] < np.inf:
                time, cost = cheapest_start(worlds, w, starts, market, j, s, least)
                if cost < least:
                    site, start, least = s, time, cost
        market.site[j], market.start[j] = site, start
        total += least
        if site != NONE:
            end = start + starts.length[j, site]
            take(market.wanted[site], market.slots, starts.cores[j], start, end)
    return total


@kernel
def cheapest_start(worlds, w, starts, market, j, s, least):
    """When job j costs less than `least` at site s, and how much; `least` where it never does.

    Between outages a cost is piecewise linear in the start, so it is least at one end, or where the
    start or the end falls on an edge of slots.
    """
    best, length = 0.0, starts.length[j, s]
    time, k = next_up(worlds, w, s, starts.start[j, s])
    while flow_of(starts, market, j, s, time) < least:
        outage = worlds.switch[w, s, k] if k < worlds.switch.shape[2] else np.inf
        last = outage - length
        if time <= last:
            for when in (time, last):
                if when < np.inf:
                    cost = cost_of(starts, market, j, s, when)
                    if cost < least:
                        best, least = when, cost
            for ahead in (0.0, length):
                best, least = cheapest_edge(starts, market, j, s, time, last, ahead, best, least)
        if outage == np.inf:
            break
        time, k = next_up(worlds, w, s, outage)
    return best, least


@part
def cheapest_edge(starts, market, j, s, first, last, ahead, best, least):
    """The same of starts from first to last that come `ahead`, s, of an edge; else as given."""
    slots = market.slots
    i = int((first + ahead - slots.begin) / slots.width) + 1
    while i < market.paid.shape[1]:
        time = slots.begin + i * slots.width - ahead
        if time > last or flow_of(starts, market, j, s, time) >= least:
            break
        if time >= first:
            cost = cost_of(starts, market, j, s, time)
            if cost < least:
                best, least = time, cost
        i += 1
    return best, least


@part
def flow_of(starts, market, j, s, time):
    """Flow time over m of job j if its last attempt starts at site s at a time, s."""
    return (time + starts.length[j, s] - starts.submit[j]) / market.unit


@part
def cost_of(starts, market, j, s, time):
    """The same with what it pays."""
    end = time + starts.length[j, s]
    paid = paid_until(market, s, end) - paid_until(market, s, time)
    return flow_of(starts, market, j, s, time) + starts.cores[j] * paid


@part
def paid_until(market, s, time):
    """What a core of site s costs from the first slot to a time, s."""
    paid = market.paid[s]
    x = (time - market.slots.begin) / market.slots.width
    if x <= 0.0:
        return 0.0
    if x >= len(paid) - 1:
        return paid[len(paid) - 1]
    i = int(x)
    return paid[i] + (x - i) * (paid[i + 1] - paid[i])
