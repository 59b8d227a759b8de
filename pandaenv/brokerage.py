"""PanDA's own brokerage: the public rules by which analysis and production jobs get their site.

In: what the broker knows at submission, one number per site (arrays of length S). Out: the chosen
site's row, or -1 where no site is allowed. Kernels compiled by numba, to be called from Python or
from other kernels; the caller brings the random number, so a choice is a pure function.
Source: the public documentation of PanDA's analysis and production job brokerage.
"""

from __future__ import annotations

import numpy as np

from pandaenv.kernel_cache import cached_njit
from pandaenv.kernels import kernel, part

N_BEST = 10
"""The draw is among this many sites of the largest weights."""
CAP_FLOOR = 20.0
"""Sites running fewer jobs than this are treated as if they ran so many when their queue is judged;
also the least number of failed and closed jobs that can exclude a site (ASSUMED for the latter, the
documentation names no value)."""


@part
def is_healthy(running, queued, finished, failed, cap_floor):
    """Whether a site's queue and recent failures let the broker consider it (scalars).

    The queue may be at most 2 max(cap_floor, running), and failed (with closed) must stay below
    max(2 finished, cap_floor).
    """
    return queued <= 2.0 * max(cap_floor, running) and failed < max(2.0 * finished, cap_floor)


@cached_njit
def analysis_site(has_data, allowed, running, queued, finished, failed, cap_floor, u):
    """Site of a user-analysis job by PanDA's rule.

    Candidates are the allowed, healthy sites that hold the input data. If there is none the data
    filter is lifted; if there is still none (the real broker would wait) health is ignored, first
    among the sites with the data, then among all allowed ones. Among the N_BEST candidates of
    largest weight (running + 1) / (queued + 1), ties to the lower row, one is drawn with
    probability proportional to its weight.

    Args:
        has_data: where a complete replica of the input is, bool (S,).
        allowed: where the job may go at all, bool (S,).
        running, queued: jobs there now; queued = defined + activated + assigned + starting, (S,).
        finished, failed: jobs that ended there recently; failed includes closed, (S,).
        cap_floor: 20 in PanDA; smaller on a scaled-down grid.
        u: uniform number in [0, 1) that decides the draw.
    """
    room = np.empty(N_BEST, np.int64), np.empty(N_BEST)
    state = running, queued, np.zeros(len(running)), finished, failed
    return pick_analysis(has_data, allowed, state, cap_floor, u, room)


@kernel
def pick_analysis(has_data, allowed, state, cap_floor, u, room):
    """The same where those queued are the sum of two.

    Args:
        state: running, queued, also queued, finished, failed.
        room: for the sites and weights of the best, int64 and float64 (N_BEST,).
    """
    running, queued, moving, finished, failed = state
    n = len(running)
    sites, weights = room
    for attempt in range(4):
        n_best = 0
        for s in range(n):
            if not allowed[s] or (attempt % 2 == 0 and not has_data[s]):
                continue
            if attempt < 2 and not is_healthy(
                running[s], queued[s] + moving[s], finished[s], failed[s], cap_floor
            ):
                continue
            weight = (running[s] + 1.0) / (queued[s] + moving[s] + 1.0)
            n_best = keep_best(sites, weights, n_best, s, weight)
        if n_best:
            return draw(sites, weights, n_best, u)
    return -1


@cached_njit
def production_site(
    available, missing, total, closeness, allowed, running, queued, finished, failed, cap_floor, u
):
    """Site of a production job by PanDA's rule.

    Candidates are the allowed, healthy sites, or all allowed ones if none is healthy. The weight of
    analysis is multiplied by (available + total) / (total (missing / 100 + 1)), which favours sites
    with the data, and by the network term 1 + (max - closeness) / (max - min), with max and min
    over the candidates. The draw is that of `analysis_site`.

    Args:
        available: bytes of the input already there, (S,).
        missing: files of the input not yet there, (S,).
        total: bytes of the whole input.
        closeness: of each site to the nearest source of the input, 0 (there) to 11, (S,).
        allowed, running, queued, finished, failed, cap_floor, u: as in `analysis_site`.
    """
    n = len(running)
    room = np.empty(n, np.bool_), np.empty(N_BEST, np.int64), np.empty(N_BEST)
    state = running, queued, np.zeros(n), finished, failed
    return pick_production(available, missing, total, closeness, allowed, state, cap_floor, u, room)


@kernel
def pick_production(available, missing, total, closeness, allowed, state, cap_floor, u, room):
    """The same, arguments as in `pick_analysis`; in the room come first candidates, bool (S,)."""
    running, queued, moving, finished, failed = state
    n = len(running)
    candidate, sites, weights = room
    for attempt in range(2):
        n_best, low, high = 0, np.inf, -np.inf
        for s in range(n):
            candidate[s] = allowed[s] != 0 and (
                attempt == 1
                or is_healthy(running[s], queued[s] + moving[s], finished[s], failed[s], cap_floor)
            )
            if candidate[s]:
                low, high = min(low, closeness[s]), max(high, closeness[s])
        for s in range(n):
            if candidate[s]:
                weight = (running[s] + 1.0) / (queued[s] + moving[s] + 1.0)
                if total > 0.0:
                    weight *= (available[s] + total) / (total * (missing[s] / 100.0 + 1.0))
                if high > low:
                    weight *= 1.0 + (high - closeness[s]) / (high - low)
                n_best = keep_best(sites, weights, n_best, s, weight)
        if n_best:
            return draw(sites, weights, n_best, u)
    return -1


@kernel
def nearest(closeness, has_data, out):
    """Closeness of each site to its nearest replica, into out (S,); 11 everywhere without one."""
    for s in range(len(out)):
        out[s] = 11
        for r in range(len(out)):
            if has_data[r] and closeness[s, r] < out[s]:
                out[s] = closeness[s, r]


@part
def keep_best(sites, weights, n_best, site, weight):
    """Insert a site into the list of the best, kept in falling weight; returns its new length."""
    size = len(sites)
    if n_best == size and weight <= weights[size - 1]:
        return n_best
    i = n_best if n_best < size else size - 1
    while i > 0 and weights[i - 1] < weight:
        sites[i], weights[i] = sites[i - 1], weights[i - 1]
        i -= 1
    sites[i], weights[i] = site, weight
    return n_best + 1 if n_best < size else n_best


@part
def draw(sites, weights, n_best, u):
    """One of the first n_best sites with probability proportional to its weight."""
    total = 0.0
    for i in range(n_best):
        total += weights[i]
    left = u * total
    for i in range(n_best - 1):
        left -= weights[i]
        if left < 0.0:
            return sites[i]
    return sites[n_best - 1]
