"""PanDA's own brokerage: the public rules by which analysis and production jobs get their site.

In: what the broker knows at submission, one number per site (arrays of length S). Out: the chosen
site's row, or -1 where no site is allowed. Kernels compiled by numba, to be called from Python or
from other kernels; the caller brings the random number, so a choice is a pure function.
Source: the public documentation of PanDA's analysis and production job brokerage.
"""

from typing import NamedTuple

import numpy as np

from pandaenv.kernel_cache import cached_njit
from pandaenv.kernels import kernel, part

N_BEST = 10
"""The draw is among this many sites of the largest weights."""
CAP_FLOOR = 20.0
"""Sites running fewer jobs than this are treated as if they ran so many when their queue is judged;
also the least number of failed and closed jobs that can exclude a site (ASSUMED for the latter, the
documentation names no value)."""


class Counts(NamedTuple):
    """Jobs at each of S sites; arrays (S,)."""

    running: np.ndarray
    queued: np.ndarray
    moving: np.ndarray  # queued too, but for their input
    finished: np.ndarray  # recently
    failed: np.ndarray  # recently


class Inputs(NamedTuple):
    """The input of a job as each of S sites has it."""

    available: np.ndarray  # (S,) bytes
    missing: np.ndarray  # (S,) files
    total: float  # bytes
    closeness: np.ndarray  # (S,)


class Shortlist(NamedTuple):
    """Room for the best sites, in falling weight."""

    sites: np.ndarray  # (N_BEST,) int64
    weights: np.ndarray  # (N_BEST,) float64


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
    counts = Counts(running, queued, np.zeros(len(running)), finished, failed)
    shortlist = Shortlist(np.empty(N_BEST, np.int64), np.empty(N_BEST))
    return pick_analysis(has_data, allowed, counts, cap_floor, u, shortlist)


@kernel
def pick_analysis(has_data, allowed, counts, cap_floor, u, shortlist):
    """The same from `Counts`, with room for a `Shortlist`."""
    for attempt in range(4):
        n_best = 0
        for s in range(len(counts.running)):
            if not allowed[s] or (attempt % 2 == 0 and not has_data[s]):
                continue
            if attempt < 2 and not is_healthy_site(counts, s, cap_floor):
                continue
            n_best = keep_best(shortlist, n_best, s, free_weight(counts, s))
        if n_best:
            return draw(shortlist, n_best, u)
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
    counts = Counts(running, queued, np.zeros(n), finished, failed)
    inputs = Inputs(available, missing, total, closeness)
    candidate, shortlist = (
        np.empty(n, np.bool_),
        Shortlist(np.empty(N_BEST, np.int64), np.empty(N_BEST)),
    )
    return pick_production(inputs, allowed, counts, cap_floor, u, candidate, shortlist)


@kernel
def pick_production(inputs, allowed, counts, cap_floor, u, candidate, shortlist):
    """The same from `Inputs` and `Counts`, with room for candidates, bool (S,), and a shortlist."""
    n, closeness = len(counts.running), inputs.closeness
    for attempt in range(2):
        n_best, low, high = 0, np.inf, -np.inf
        for s in range(n):
            candidate[s] = allowed[s] != 0 and (
                attempt == 1 or is_healthy_site(counts, s, cap_floor)
            )
            if candidate[s]:
                low, high = min(low, closeness[s]), max(high, closeness[s])
        for s in range(n):
            if candidate[s]:
                weight = data_weight(inputs, s, free_weight(counts, s))
                if high > low:
                    weight *= 1.0 + (high - closeness[s]) / (high - low)
                n_best = keep_best(shortlist, n_best, s, weight)
        if n_best:
            return draw(shortlist, n_best, u)
    return -1


@part
def is_healthy_site(counts, s, cap_floor):
    """Whether site s is healthy, by `Counts`."""
    queued = counts.queued[s] + counts.moving[s]
    return is_healthy(counts.running[s], queued, counts.finished[s], counts.failed[s], cap_floor)


@part
def is_healthy(running, queued, finished, failed, cap_floor):
    """Whether a site's queue and recent failures let the broker consider it (scalars).

    The queue may be at most 2 max(cap_floor, running), and failed (with closed) must stay below
    max(2 finished, cap_floor).
    """
    return queued <= 2.0 * max(cap_floor, running) and failed < max(2.0 * finished, cap_floor)


@part
def free_weight(counts, s):
    """The weight of site s by its running and queued jobs."""
    return (counts.running[s] + 1.0) / (counts.queued[s] + counts.moving[s] + 1.0)


@part
def data_weight(inputs, s, weight):
    """That weight times the term that favours sites with the data."""
    if inputs.total > 0.0:
        total, missing = inputs.total, inputs.missing[s]
        weight *= (inputs.available[s] + total) / (total * (missing / 100.0 + 1.0))
    return weight


@kernel
def nearest(closeness, has_data, out):
    """Closeness of each site to its nearest replica, into out (S,); 11 everywhere without one."""
    for s in range(len(out)):
        out[s] = 11
        for r in range(len(out)):
            if has_data[r] and closeness[s, r] < out[s]:
                out[s] = closeness[s, r]


@part
def keep_best(shortlist, n_best, site, weight):
    """Insert a site into the shortlist; returns its new length."""
    sites, weights = shortlist
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
def draw(shortlist, n_best, u):
    """One of the first n_best sites with probability proportional to its weight."""
    sites, weights = shortlist
    total = 0.0
    for i in range(n_best):
        total += weights[i]
    left = u * total
    for i in range(n_best - 1):
        left -= weights[i]
        if left < 0.0:
            return sites[i]
    return sites[n_best - 1]
