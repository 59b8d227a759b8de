"""Policies that choose a site for the next job, and the mask of sites they may choose.

A policy is any object with

    reset(seed: int) -> None    before an episode; the policy's own randomness starts anew
    act(env) -> int             the site for the job that waits in `env`

where `env` is a `PandaSiteAllocationEnv`, wrapped or not, between steps. It may read whatever a
broker could know: `env.unwrapped.grid`, `.worlds` (world 0), `.mask` (S,) int8, `.cap_floor`, and
never draws from the environment's random numbers, so that all policies meet the same world. One
that reads only what an agent sees takes `env.unwrapped.observation`.

Those made by name act on many worlds too: `reset(seeds)` takes a seed for each, and `act_all(envs)`
gives a site for each, int64 (n,), in one kernel call. `envs` is a vector environment or a
`PandaVecEnv`; world i gets what the single policy of seed i chooses.

Kernels (numba) take (grid, worlds, w): one code for one world or many.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from pandaenv.brokerage import CAP_FLOOR, N_BEST, nearest, pick_analysis, pick_production
from pandaenv.kernel_cache import cached_njit
from pandaenv.kernels import kernel, part
from pandaenv.simulator import arrive, place
from pandaenv.simulator.caches import closest, holders
from pandaenv.simulator.draws import uniform
from pandaenv.simulator.state import NONE, RUNNING

BROKER = 3
"""What the analysis rule asks of the hash while it warms a window up; 0-2 are the simulator's."""
N_DRAWN = 256
"""Random numbers drawn at a time for each world."""

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


class Policy(Protocol):
    """What a policy offers, see the top of this file."""

    def reset(self, seed: int) -> None: ...

    def act(self, env) -> int: ...


class Rule:
    """A policy by name; it never chooses a masked site.

    | name | the site it takes, among those allowed; ties go to the larger |
    |---|---|
    | random | any, all alike |
    | round_robin | the next one in order |
    | least_loaded | fewest jobs per slot, this one counted |
    | data_local | the same among those that hold the input, else that of the fastest transfer |
    | panda_analysis | by PanDA's rule for user analysis, see `pandaenv.brokerage` |
    | panda_production | by its rule for production |
    | recorded | where the record says it ran; if not allowed, that of the fastest link from there |
    | greedy | earliest finish, by what a broker expects of the jobs it has placed (see `reveal`) |
    | greedy_true | the same by the true work of all jobs, which no broker knows |
    """

    def __init__(self, name: str):
        self.name, self._which = name, RULES.index(name)
        self._rngs: list[np.random.Generator] = []

    def __repr__(self) -> str:
        return f"Rule({self.name!r})"

    def reset(self, seed: int | Sequence[int]) -> None:
        """Start anew, for one world or, with a seed for each, for many."""
        each = [seed] if np.ndim(seed) == 0 else seed
        try:
            self._rngs = [np.random.default_rng(s) for s in each]
        except (TypeError, ValueError):
            raise ValueError(
                f"seed must be a whole number of at least 0, or one a world, got {seed!r}"
            ) from None
        self._drawn = np.empty((N_DRAWN, len(self._rngs)))
        self._last = np.full(len(self._rngs), NONE)
        self._n_acts = 0

    def act(self, env) -> int:
        return int(self.act_all(env)[0])

    def act_all(self, envs) -> np.ndarray:
        """A site for the waiting job of each world, int64 (n,); 0 where none waits."""
        episodes = envs.unwrapped.episodes
        if episodes.n != len(self._rngs):
            n = f"{episodes.n}, got {len(self._rngs)}"
            raise ValueError(f"a policy must be reset with one seed a world ({n})")
        if self._n_acts % N_DRAWN == 0:
            for i, rng in enumerate(self._rngs):
                self._drawn[:, i] = rng.random(N_DRAWN)
        u = self._drawn[self._n_acts % N_DRAWN]
        self._n_acts += 1
        known = known_of(episodes.setting.stream)
        choose_all(episodes.bound, self._which, known, u, self._last)
        return self._last.copy()


def make(name: str) -> Rule:
    """Make a policy by name; call its `reset` before the first `act`."""
    if name not in RULES:
        raise ValueError(f"unknown policy {name!r}; known: {', '.join(RULES)}")
    return Rule(name)


def names() -> tuple[str, ...]:
    """Names that `make` knows."""
    return RULES


class Known(NamedTuple):
    """What some rules ask of a stream beyond what the simulator needs."""

    closeness: np.ndarray  # (S, S) int64
    nfiles: np.ndarray  # (J,) int64
    site: np.ndarray  # (J,) int64, where the record says the job ran


def known_of(stream) -> Known:
    return Known(stream.catalogue.closeness, stream.jobs.nfiles, stream.jobs.site)


class Room(NamedTuple):
    """What some rules need to work with, for S sites."""

    held: np.ndarray  # (S,) bool
    candidate: np.ndarray  # (S,) bool
    available: np.ndarray  # (S,) float64
    missing: np.ndarray  # (S,) float64
    closeness: np.ndarray  # (S,) int64
    sites: np.ndarray  # (N_BEST,) int64
    weights: np.ndarray  # (N_BEST,) float64


@cached_njit
def room_of(n_sites):
    return Room(
        np.empty(n_sites, np.bool_),
        np.empty(n_sites, np.bool_),
        np.empty(n_sites),
        np.empty(n_sites),
        np.empty(n_sites, np.int64),
        np.empty(N_BEST, np.int64),
        np.empty(N_BEST),
    )


def broker_floor(scale: float) -> float:
    """The broker's cap floor on a grid of `scale` times the slots, never below 1."""
    return max(1.0, CAP_FLOOR * scale)


@kernel
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


@part
def is_short(site, cap_floor):
    """Whether the waiting jobs of a site, inputs moving included, are within the broker's cap."""
    return site.queued + site.moving <= 2.0 * max(cap_floor, np.float64(site.running))


@cached_njit
def choose_all(bound, which, known, u, chosen):
    """Replace the site last chosen for each world, int64 (n,), by that of its waiting job.

    Args:
        bound: worlds and masks, a `pandaenv.env.episodes.Bound`.
        which: number of a rule.
        u: a uniform random number for each world, float64 (n,).
    """
    grid, masks, cap_floor = bound.grid, bound.sight.mask, bound.rules.cap_floor
    room = room_of(len(grid.sites))
    choose_each(grid, bound.worlds, which, masks, cap_floor, known, u, chosen, room)


@kernel
def choose_each(grid, worlds, which, masks, cap_floor, known, u, chosen, room):
    """The same, given the allowed sites, int8 (n, S), and room for S sites."""
    for w in range(len(chosen)):
        world = worlds.world[w]
        if world.next == world.n_rows:
            chosen[w] = 0
        else:
            chosen[w] = choose(
                grid, worlds, w, which, masks[w], cap_floor, known, u[w], chosen[w], room
            )


@part
def choose(grid, worlds, w, which, mask, cap_floor, known, u, last, room):
    """Site of the next job of world w by rule `which`; `last` is the one chosen before."""
    if which == RANDOM:
        return any_site(mask, u)
    if which == ROUND_ROBIN:
        return next_site(mask, last)
    if which == LEAST_LOADED:
        return least_loaded(grid, worlds, w, mask)
    if which == DATA_LOCAL:
        return data_local(grid, worlds, w, mask, room)
    if which == PANDA_ANALYSIS:
        return analysis(grid, worlds, w, mask, cap_floor, u, room)
    if which == PANDA_PRODUCTION:
        return production(grid, worlds, w, mask, cap_floor, known, u, room)
    if which == RECORDED:
        return recorded(grid, worlds, w, mask, known)
    return earliest(grid, worlds, w, mask, which == GREEDY_TRUE)


@part
def any_site(mask, u):
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
        load = (jobs + 1.0) / grid.sites[s].cores
        if mask[s] and load < least:
            best, least = s, load
    return best


@kernel
def data_local(grid, worlds, w, mask, room):
    """Least loaded allowed site that holds the input, else the allowed one it reaches first."""
    local, n_local = room.held, 0
    holders(grid, worlds, w, worlds.world[w].next, local)
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


@part
def transfer_time(grid, worlds, w, s):
    """Seconds until the input of the next job would be at site s; 0 where it is."""
    world = worlds.world[w]
    job = grid.stream[worlds.job[w, world.next].index]
    source = closest(grid, worlds, w, world.next, s)
    if source == s or job.nbytes == 0:
        return 0.0
    rate = min(grid.link[s, source], grid.sites[s].channel)
    free_at = worlds.channel[w, s, 0]
    for k in range(1, worlds.channel.shape[2]):
        free_at = min(free_at, worlds.channel[w, s, k])
    return max(0.0, free_at - world.now) + job.nbytes / rate


@kernel
def recorded(grid, worlds, w, mask, known):
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
def earliest(grid, worlds, w, mask, is_true):
    """Allowed site where the next job ends first, by expected or true work.

    Expected failures stretch its run.
    """
    best, least = 0, np.inf
    for s in range(len(mask)):
        end = finish(grid, worlds, w, s, is_true, least) if mask[s] else np.inf
        if end < least:
            best, least = s, end
    return best


@part
def finish(grid, worlds, w, s, is_true, enough):
    """Seconds until the next job would end at site s; an estimate.

    It starts once its input is there and, where cores are wanting, the queue has been worked off
    and a running job has ended. What turns out to be `enough` or more is not worked out further.
    """
    job = grid.stream[worlds.job[w, worlds.world[w].next].index]
    site, power = worlds.site[w, s], grid.sites[s].power
    failing = site.failed / (site.failed + site.finished + 1.0)
    work = job.work if is_true else job.estimate * 1e-3
    run = work / (job.cores * power) / (1.0 - failing)
    moved = transfer_time(grid, worlds, w, s)
    if moved + run >= enough:
        return moved + run
    return max(moved, wait(grid, worlds, w, s, job.cores, is_true, enough - run)) + run


@cached_njit
def rank(grid, worlds, w, mask, out):
    """Sites in order of their promise, into out, int64 (k,).

    Allowed ones first, the earliest expected `finish` first among them, ties to the larger site.
    After the last job they come as they are.
    """
    n, has_job = len(mask), worlds.world[w].next < worlds.world[w].n_rows
    end = np.empty(n)
    for s in range(n):
        end[s] = finish(grid, worlds, w, s, False, np.inf) if has_job else 0.0
    for i in range(len(out)):
        best = NONE
        for s in range(n):
            if not np.isnan(end[s]) and (
                best == NONE or (mask[s], -end[s]) > (mask[best], -end[best])
            ):
                best = s
        out[i] = best
        end[best] = np.nan


@kernel
def wait(grid, worlds, w, s, cores, is_true, enough):
    """Seconds until site s would have cores free for a job that queued now; an estimate.

    Jobs are added up from the last one on, and no further than what makes it `enough`.
    """
    site, traits, now = worlds.site[w, s], grid.sites[s], worlds.world[w].now
    if site.queued == 0 and cores <= site.free:
        return 0.0
    capacity = traits.cores * traits.power
    most = enough * capacity * (1.0 + 1e-9)  # so that rounding never takes it for less
    waiting = running = 0.0
    row = site.last
    while row != NONE and waiting < most:
        job = worlds.job[w, row]
        its = grid.stream[job.index]
        if job.state == RUNNING:
            expected = its.estimate * 1e-3 - (now - job.start) * its.cores * traits.power
            left = (job.end - now) * its.cores * traits.power if is_true else max(expected, 0.0)
            running += left
        else:
            waiting += its.work if is_true else its.estimate * 1e-3
        row = job.previous
    return (waiting + running / max(site.running, 1)) / capacity


@part
def analysis(grid, worlds, w, mask, cap_floor, u, room):
    """Site of the next job by PanDA's analysis rule; u in [0, 1) decides its draw."""
    sites = worlds.site[w]
    holders(grid, worlds, w, worlds.world[w].next, room.held)
    state = sites.running, sites.queued, sites.moving, sites.finished, sites.failed
    return pick_analysis(room.held, mask, state, cap_floor, u, (room.sites, room.weights))


@kernel
def production(grid, worlds, w, mask, cap_floor, known, u, room):
    """Site of the next job by PanDA's production rule; u in [0, 1) decides its draw."""
    sites, row = worlds.site[w], worlds.world[w].next
    index = worlds.job[w, row].index
    total, held = grid.stream[index].nbytes, room.held
    holders(grid, worlds, w, row, held)
    nearest(known.closeness, held, room.closeness)
    for s in range(len(mask)):
        room.available[s] = total if held[s] else 0.0
        room.missing[s] = 0.0 if held[s] else known.nfiles[index]
    state = sites.running, sites.queued, sites.moving, sites.finished, sites.failed
    return pick_production(
        room.available,
        room.missing,
        total,
        room.closeness,
        mask,
        state,
        cap_floor,
        u,
        (room.candidate, room.sites, room.weights),
    )


@cached_njit
def warm_up(grid, worlds, w, n, cap_floor):
    """Let PanDA's analysis rule place the next n jobs of world w."""
    n_sites = len(grid.sites)
    place_by_analysis(grid, worlds, w, n, cap_floor, np.ones(n_sites, np.int8), room_of(n_sites))


@kernel
def place_by_analysis(grid, worlds, w, n, cap_floor, mask, room):
    world = worlds.world[w]
    for _ in range(n):
        arrive(grid, worlds, w)
        allow(grid, worlds, w, cap_floor, mask)
        u = uniform(world.seed, worlds.job[w, world.next].index, 0, BROKER)
        place(grid, worlds, w, analysis(grid, worlds, w, mask, cap_floor, u, room))
