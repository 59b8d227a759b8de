"""The rules by which named policies choose a site, compiled.

In: worlds, the allowed sites, the number of a rule, a random number for each world. Out: the site
of each waiting job. `pandaenv.policies.Rule` describes the rules. Kernels take (grid, worlds, w):
one code for one world or many.
"""

from typing import NamedTuple

import numpy as np

from pandaenv.brokerage import (
    N_BEST,
    Counts,
    Inputs,
    Shortlist,
    nearest,
    pick_analysis,
    pick_production,
)
from pandaenv.kernel_cache import cached_njit
from pandaenv.kernels import kernel, part
from pandaenv.simulator.arrivals import advance_to_arrival
from pandaenv.simulator.caches import mark_holders
from pandaenv.simulator.draws import uniform
from pandaenv.simulator.motion import place
from pandaenv.simulator.state import NONE

from .estimates import expected_finish, transfer_time
from .mask import mark_allowed
from .readings import earliest_as_known, known_worlds

BROKER = 3
"""The warm-up's question to the hash of `pandaenv.simulator.draws`; 0-2 are the simulator's."""

RULES = (
    "random",
    "round_robin",
    "least_loaded",
    "data_local",
    "panda_analysis",
    "panda_production",
    "recorded",
    "greedy",
    "greedy_true",
)
(
    RANDOM,
    ROUND_ROBIN,
    LEAST_LOADED,
    DATA_LOCAL,
    PANDA_ANALYSIS,
    PANDA_PRODUCTION,
    RECORDED,
    GREEDY,
    GREEDY_TRUE,
) = range(len(RULES))


class Known(NamedTuple):
    """What some rules ask of a stream beyond what the simulator needs."""

    closeness: np.ndarray  # (S, S) int64
    nfiles: np.ndarray  # (J,) int64
    site: np.ndarray  # (J,) int64, where the record says the job ran


def known_of(stream) -> Known:
    """What rules ask of this stream."""
    return Known(stream.catalogue.closeness, stream.jobs.nfiles, stream.jobs.site)


class Workspace(NamedTuple):
    """Arrays in which rules work, for S sites."""

    held: np.ndarray  # (S,) bool
    candidate: np.ndarray  # (S,) bool
    available: np.ndarray  # (S,) float64
    missing: np.ndarray  # (S,) float64
    closeness: np.ndarray  # (S,) int64
    shortlist: Shortlist


class Broker(NamedTuple):
    """A rule, by its number in RULES, and what it uses besides the world."""

    which: int
    cap_floor: float
    known: Known
    workspace: Workspace


@cached_njit
def make_workspace(n_sites):
    """A workspace for n sites."""
    return Workspace(
        np.empty(n_sites, np.bool_),
        np.empty(n_sites, np.bool_),
        np.empty(n_sites),
        np.empty(n_sites),
        np.empty(n_sites, np.int64),
        Shortlist(np.empty(N_BEST, np.int64), np.empty(N_BEST)),
    )


@cached_njit
def choose_all(bound, which, known, u, chosen):
    """Replace the site last chosen for each world, int64 (n,), by that of its waiting job.

    Args:
        bound: worlds and masks, a `pandaenv.env.episodes.Bound`.
        which: number of a rule.
        u: a uniform random number for each world, float64 (n,).
    """
    grid, worlds, readings = bound.grid, bound.worlds, bound.views.readings
    workspace = make_workspace(len(grid.sites))
    broker = Broker(which, bound.rules.cap_floor, known, workspace)
    if readings.delay > 0.0 and which != GREEDY_TRUE:
        choose_as_known(grid, worlds, readings, broker, bound.views.mask, u, chosen)
    else:
        choose_each(grid, worlds, broker, bound.views.mask, u, chosen)


@kernel
def choose_as_known(grid, worlds, readings, broker, masks, u, chosen):
    """The same by what is known of the sites, where news takes time."""
    if broker.which != GREEDY:  # a kernel counts no references, so the tuple may be made here only
        choose_each(grid, known_worlds(worlds, readings), broker, masks, u, chosen)
        return
    for w in range(len(chosen)):
        world = worlds.world[w]
        is_over = world.next == world.n_rows
        chosen[w] = 0 if is_over else earliest_as_known(grid, worlds, w, masks[w], readings)


@kernel
def choose_each(grid, worlds, broker, masks, u, chosen):
    """The same, given the broker and the allowed sites, int8 (n, S)."""
    for w in range(len(chosen)):
        world = worlds.world[w]
        if world.next == world.n_rows:
            chosen[w] = 0
        else:
            chosen[w] = choose(grid, worlds, w, broker, masks[w], u[w], chosen[w])


@part
def choose(grid, worlds, w, broker, mask, u, last):
    """The broker's site for the next job of world w; `last` is the one chosen before."""
    which = broker.which
    if which == RANDOM:
        return random_site(mask, u)
    if which == ROUND_ROBIN:
        return next_site(mask, last)
    if which == LEAST_LOADED:
        return least_loaded(grid, worlds, w, mask)
    if which == DATA_LOCAL:
        return data_local(grid, worlds, w, mask, broker.workspace)
    if which == PANDA_ANALYSIS:
        return analysis_choice(grid, worlds, w, mask, broker.cap_floor, u, broker.workspace)
    if which == PANDA_PRODUCTION:
        return production_choice(grid, worlds, w, mask, broker, u)
    if which == RECORDED:
        return recorded_choice(grid, worlds, w, mask, broker.known)
    return earliest_finish(grid, worlds, w, mask, which == GREEDY_TRUE)


@part
def random_site(mask, u):
    """Any allowed site, all alike; u in [0, 1)."""
    n_allowed = 0
    for s in range(len(mask)):
        n_allowed += mask[s]
    left = np.int64(u * n_allowed)
    for s in range(len(mask)):
        if mask[s]:
            if left == 0:
                return s
            left -= 1
    return 0


@part
def next_site(mask, last):
    """The allowed site after the last one chosen, in order."""
    for step in range(1, len(mask) + 1):
        s = (last + step) % len(mask)
        if mask[s]:
            return s
    return 0


@kernel
def least_loaded(grid, worlds, w, mask):
    """Allowed site with the least (jobs there + 1) / slots; ties to the lower row."""
    best, least = 0, np.inf
    for s in range(len(mask)):
        site = worlds.site[w, s]
        jobs = site.moving + site.queued + site.running
        load = (jobs + 1.0) / grid.sites[s].usual
        if mask[s] and load < least:
            best, least = s, load
    return best


@kernel
def data_local(grid, worlds, w, mask, workspace):
    """Least loaded allowed site that holds the input, else the allowed one it reaches first."""
    local, n_local = workspace.held, 0
    mark_holders(grid, worlds, w, worlds.world[w].next, local)
    for s in range(len(mask)):
        local[s] = local[s] and mask[s] > 0
        n_local += local[s]
    if n_local:
        return least_loaded(grid, worlds, w, local)
    best, least = 0, np.inf
    for s in range(len(mask)):
        time = transfer_time(grid, worlds, w, s)
        if mask[s] and time < least:
            best, least = s, time
    return best


@kernel
def recorded_choice(grid, worlds, w, mask, known):
    """The recorded site, else the allowed one of the fastest link from it."""
    site = known.site[worlds.job[w, worlds.world[w].next].index]
    if mask[site]:
        return site
    best = NONE
    for s in range(len(mask)):
        if mask[s] and (best == NONE or grid.link[site, s] > grid.link[site, best]):
            best = s
    return max(best, 0)


@kernel
def earliest_finish(grid, worlds, w, mask, is_true):
    """Allowed site where the next job ends first, by expected or true work.

    Expected failures stretch its run.
    """
    best, least = 0, np.inf
    for s in range(len(mask)):
        end = expected_finish(grid, worlds, w, s, is_true, least) if mask[s] else np.inf
        if end < least:
            best, least = s, end
    return best


@part
def analysis_choice(grid, worlds, w, mask, cap_floor, u, workspace):
    """Site of the next job by PanDA's analysis rule; u in [0, 1) decides its draw."""
    mark_holders(grid, worlds, w, worlds.world[w].next, workspace.held)
    counts = counts_of(worlds.site[w])
    return pick_analysis(workspace.held, mask, counts, cap_floor, u, workspace.shortlist)


@kernel
def production_choice(grid, worlds, w, mask, broker, u):
    """Site of the next job by PanDA's production rule; u in [0, 1) decides its draw."""
    known, workspace, row = broker.known, broker.workspace, worlds.world[w].next
    index = worlds.job[w, row].index
    total, held = grid.stream[index].nbytes, workspace.held
    mark_holders(grid, worlds, w, row, held)
    nearest(known.closeness, held, workspace.closeness)
    for s in range(len(mask)):
        workspace.available[s] = total if held[s] else 0.0
        workspace.missing[s] = 0.0 if held[s] else known.nfiles[index]
    inputs = Inputs(workspace.available, workspace.missing, total, workspace.closeness)
    counts, candidate = counts_of(worlds.site[w]), workspace.candidate
    return pick_production(
        inputs, mask, counts, broker.cap_floor, u, candidate, workspace.shortlist
    )


@part
def counts_of(sites):
    """Jobs at the sites of a world, from their SITE_STATE (S,)."""
    return Counts(sites.running, sites.queued, sites.moving, sites.finished, sites.failed)


@cached_njit
def warm_up(grid, worlds, w, n, cap_floor):
    """Let PanDA's analysis rule place the next n jobs of world w."""
    n_sites = len(grid.sites)
    mask, workspace = np.ones(n_sites, np.int8), make_workspace(n_sites)
    place_by_analysis(grid, worlds, w, n, cap_floor, mask, workspace)


@kernel
def place_by_analysis(grid, worlds, w, n, cap_floor, mask, workspace):
    """The same, given arrays to work in."""
    world = worlds.world[w]
    for _ in range(n):
        advance_to_arrival(grid, worlds, w)
        mark_allowed(grid, worlds, w, cap_floor, mask)
        u = uniform(world.seed, worlds.job[w, world.next].index, 0, BROKER)
        place(grid, worlds, w, analysis_choice(grid, worlds, w, mask, cap_floor, u, workspace))
