"""Policies that choose a site for the next job, and the mask of sites they may choose.

A policy is any object with

    reset(seed: int) -> None    before an episode; the policy's own randomness starts anew
    act(env) -> int             the site for the job that waits in `env`

where `env` is a `PandaSiteAllocationEnv`, wrapped or not, between steps. It may read whatever a
broker could know: `env.unwrapped.grid`, `.worlds` (world 0), `.mask` (S,) int8, `.cap_floor`, and
never draws from the environment's random numbers, so that all policies meet the same world. One
that reads only what an agent sees takes `env.unwrapped.observation`.

Kernels (numba) take (grid, worlds, w): one code for one world or many.
"""

from typing import Protocol

import numpy as np
from numba import njit

from .brokerage import CAP_FLOOR, analysis_site
from .simulator import arrive, place, uniform

BROKER = 3
"""What the analysis rule asks of the hash while it warms a window up; 0-2 are the simulator's."""


class Policy(Protocol):
    """What a policy offers, see the top of this file."""

    def reset(self, seed: int) -> None: ...

    def act(self, env) -> int: ...


class Random:
    """Any allowed site, all alike."""

    def reset(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def act(self, env) -> int:
        allowed = np.flatnonzero(env.unwrapped.mask)
        return int(allowed[int(self.rng.random() * len(allowed))])


class LeastLoaded:
    """The allowed site with the fewest jobs per slot, this one counted; ties to the larger site."""

    def reset(self, seed: int) -> None:
        pass

    def act(self, env) -> int:
        env = env.unwrapped
        return least_loaded(env.grid, env.worlds, 0, env.mask)


class PandaAnalysis:
    """PanDA's rule for user-analysis jobs, see `pandaenv.brokerage.analysis_site`."""

    def reset(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def act(self, env) -> int:
        env = env.unwrapped
        return analysis(env.grid, env.worlds, 0, env.mask, env.cap_floor, self.rng.random())


_POLICIES = {"random": Random, "least_loaded": LeastLoaded, "panda_analysis": PandaAnalysis}


def make(name: str) -> Policy:
    """Make a policy by name; call its `reset` before the first `act`."""
    if name not in _POLICIES:
        raise ValueError(f"unknown policy {name!r}; known: {', '.join(_POLICIES)}")
    return _POLICIES[name]()


def names() -> tuple[str, ...]:
    """Names that `make` knows."""
    return tuple(_POLICIES)


def broker_floor(scale: float) -> float:
    """The broker's cap floor on a grid of `scale` times the slots, never below 1."""
    return max(1.0, CAP_FLOOR * scale)


@njit(cache=True)
def allow(grid, worlds, w, cap_floor, mask):
    """Mark the sites that may take the next job of world w, into mask (S,) int8.

    A site is out when it has too few cores, is down, or has more jobs waiting (inputs moving
    included) than the broker's cap, 2 max(cap_floor, running). Where nothing is left, first the cap
    is lifted, then the outage, at last everything. After the last job all sites are marked.
    """
    world = worlds.world[w]
    mask[:] = 1
    if world.next == world.n_rows:
        return
    cores = grid.stream[worlds.job[w, world.next].index].cores
    for rules in range(3, 0, -1):
        n_allowed = 0
        for s in range(len(mask)):
            site = worlds.site[w, s]
            fits = cores <= grid.sites[s].cores
            up = rules < 2 or site.n_switches % 2 == 0
            mask[s] = fits and up and (rules < 3 or is_short(site, cap_floor))
            n_allowed += mask[s]
        if n_allowed:
            return
    mask[:] = 1


@njit(cache=True)
def is_short(site, cap_floor):
    """Whether the waiting jobs of a site, inputs moving included, are within the broker's cap."""
    return site.queued + site.moving <= 2.0 * max(cap_floor, np.float64(site.running))


@njit(cache=True)
def least_loaded(grid, worlds, w, mask):
    """Allowed site with the least (jobs there + 1) / slots; ties to the lower row."""
    best, least = 0, np.inf
    for s in range(len(mask)):
        site = worlds.site[w, s]
        jobs = site.moving + site.queued + site.running
        load = (jobs + 1.0) / grid.sites[s].cores
        if mask[s] and load < least:
            best, least = s, load
    return best


@njit(cache=True)
def analysis(grid, worlds, w, mask, cap_floor, u):
    """Site of the next job by PanDA's analysis rule; u in [0, 1) decides its draw."""
    world, sites = worlds.world[w], worlds.site[w]
    n = len(mask)
    running, queued = np.empty(n), np.empty(n)
    finished, failed = np.empty(n), np.empty(n)
    for s in range(n):
        running[s] = sites[s].running
        queued[s] = sites[s].queued + sites[s].moving
        finished[s], failed[s] = sites[s].finished, sites[s].failed
    has_data = grid.replicas[grid.stream[worlds.job[w, world.next].index].dataset]
    allowed = mask > 0
    return analysis_site(has_data, allowed, running, queued, finished, failed, cap_floor, u)


@njit(cache=True)
def warm_up(grid, worlds, w, n, cap_floor):
    """Let PanDA's analysis rule place the next n jobs of world w."""
    world = worlds.world[w]
    mask = np.ones(len(grid.sites), np.int8)
    for _ in range(n):
        arrive(grid, worlds, w)
        allow(grid, worlds, w, cap_floor, mask)
        u = uniform(world.seed, worlds.job[w, world.next].index, 0, BROKER)
        place(grid, worlds, w, analysis(grid, worlds, w, mask, cap_floor, u))
