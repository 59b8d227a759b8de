"""Episodes of one task side by side: n worlds begin, step and are observed in one kernel call.

In: a `PreparedTask`, a scenario, rules of reward and cost, a site for each waiting job. Out:
rewards, costs, observations and masks, one row a world. The single, the vector and the native SB3
environment all stand on this, so they agree bit for bit.
"""

import copy
from typing import Any, NamedTuple

import numpy as np
from gymnasium.error import ResetNeeded
from numba import get_num_threads, prange, set_num_threads, types
from numba.experimental import structref

from foundations import checks
from foundations.forks import is_forked
from pandaenv.kernel_cache import cached_njit
from pandaenv.kernels import kernel, part
from pandaenv.policies.readings import begin_reading, take_reading
from pandaenv.scenarios import Scenario
from pandaenv.simulator.arrivals import advance_to_arrival, decay_counts, next_arrival
from pandaenv.simulator.bookings import rebook_all
from pandaenv.simulator.forecast import STALE, make_plans
from pandaenv.simulator.motion import advance, handle_events
from pandaenv.simulator.outages import apply_troubles
from pandaenv.simulator.prefetch import AHEAD, prefetch_ahead
from pandaenv.simulator.state import NONE, Worlds, make_worlds

from .candidates import N_CANDIDATE, least_finish, show_candidates
from .config import TaskConfig
from .decisions import jobs_back, place_followers
from .measures import ACCRUED, MEASURES, RELATIVE
from .observation import N_GRID, N_JOB, make_view, observe, update_view
from .prepared import PreparedTask
from .reward import COSTS, accrued_reward, price_placement
from .rules import Rules


class Episodes:
    """n worlds of one task.

    Args:
        prepared: stream, grid and windows.
        config: the task: scenario, reward and limits are read from it.
        n: worlds.
        n_threads: threads that step them; results do not depend on it.

    Attributes:
        view: what is seen of each, see `pandaenv.env.observation.View`.
        cost: limits the last placement broke, float64 (n, 4), as `pandaenv.env.reward.COSTS`.
        reward: of the last step, float64 (n,).
        n_left: decisions still to be made, one a step, int64 (n,).
        window: of the present episode, int64 (n,).
    """

    def __init__(
        self,
        prepared: PreparedTask,
        config: TaskConfig,
        n: int = 1,
        n_threads: int = 1,
    ):
        self.prepared, self.config, self.n, self.n_threads = prepared, config, n, n_threads
        self.rules = Rules(
            MEASURES[config.reward],
            prepared.unit,
            float(config.wait_limit),
            float(config.byte_limit),
            prepared.cap_floor,
            prepared.features,
            config.reward == RELATIVE,
        )
        self.n_sites = len(prepared.grid.sites)
        self.scenario.check_sites(self.n_sites)
        self.n_candidates = int(
            checks.whole("candidates", config.candidates or 0, most=self.n_sites)
        )
        n_shown = N_JOB + N_CANDIDATE * self.n_candidates + N_GRID if self.n_candidates else 0
        n_followed = config.episode_jobs if config.decide == "task" else 0
        self.view = make_view(
            n, self.n_sites, n_shown, self.n_candidates, config.information_delay, n_followed
        )
        self.plans = make_plans(n, prepared.grid.sites["most"], n_threads)
        self.cost = np.zeros((n, len(COSTS)))
        self.reward = np.zeros(n)
        self.n_left, self.window = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._rows, self._any = np.arange(n), np.ones((n, self.n_candidates), np.int8)
        self.worlds: Worlds | None = None
        self._bound = None

    @property
    def n_actions(self) -> int:
        """Places a job may be sent to: candidates where there are some, else sites."""
        return self.n_candidates or self.n_sites

    @property
    def seen(self) -> np.ndarray:
        """What agents see, float32 (n, d): of the candidates where there are some."""
        return self.view.shown if self.n_candidates else self.view.flat

    @property
    def masks(self) -> np.ndarray:
        """1 where an action is allowed, int8 (n, n_actions); every candidate is. Not a copy."""
        return self._any if self.n_candidates else self.view.mask

    @property
    def extras(self) -> dict[str, np.ndarray]:
        """What infos say on top, a row a world: sites of the candidates, the exact reward."""
        told = {"candidates": self.view.order} if self.n_candidates else {}
        return told | ({"flow_time": self.view.flow} if self.rules.is_relative else {})

    def extra(self, w: int) -> dict[str, Any]:
        """The same of world w alone."""
        return {
            name: part[w].copy() if part.ndim > 1 else float(part[w])
            for name, part in self.extras.items()
        }

    def sites(self, actions: np.ndarray) -> np.ndarray:
        """The sites of actions, int64 (n,)."""
        return self.view.order[self._rows, actions] if self.n_candidates else actions

    @property
    def scenario(self) -> Scenario:
        """What troubles are drawn."""
        return self.config.scenario

    def begin(self, w: int, rng: np.random.Generator, window: int | None = None) -> None:
        """Begin an episode in world w, in the window given or else drawn.

        All that is drawn follows from one number of rng, so that worlds of one seed are alike
        whatever was done in them.
        """
        root = np.random.SeedSequence(int(rng.integers(2**63)))
        windows, failures, troubles = (np.random.default_rng(s) for s in root.spawn(3))
        any_window = int(windows.integers(len(self.prepared.windows)))
        self.window[w] = any_window if window is None else window
        self._restore(w, self.prepared.snapshot(int(self.window[w])))
        world = self.worlds.world[w]
        world["seed"] = failures.integers(2**64, dtype=np.uint64)
        apply_troubles(
            self.worlds, w, self.scenario.draw(self.n_sites, float(world["now"]), troubles)
        )
        rebook_all(self.prepared.grid, self.worlds, w)
        self.n_left[w] = self._n_decisions(w)
        self.cost[w], self.reward[w], self.plans.site["count"][w] = 0.0, 0.0, STALE
        self.view.flow[w] = 0.0
        first_observation(self.bound, w)

    def _n_decisions(self, w: int) -> int:
        """How many jobs of the episode ask for a site; where not all, notes which."""
        window, back = self.prepared.windows[int(self.window[w])], self.view.decisions.back
        if back.shape[1] == 0:
            return window.stop - window.start
        jobs, own = self.prepared.stream.jobs, slice(window.start, window.stop)
        back[w] = jobs_back(jobs.task[own], jobs.cores[own])
        return int((back[w] == 0).sum())

    def step(self, sites: np.ndarray, skip: np.ndarray) -> None:
        """Place the waiting job of each world on its site, int64 (n,); not where skip, bool (n,).

        A masked site rejects the job. Where none is left it must be skipped.
        """
        if self.n_threads == 1 or self.n == 1 or is_forked():
            step_range(self.bound, sites, skip, self.reward, self.cost, 0, self.n, self.n)
        else:
            before = get_num_threads()
            set_num_threads(min(self.n_threads, before))
            step_all(self.bound, sites, skip, self.reward, self.cost, self.n, self.n_threads)
            set_num_threads(before)
        self.n_left -= ~skip

    @property
    def bound(self):
        """All arrays in one, so that a kernel call takes a microsecond, not five."""
        if self.worlds is None:
            raise ResetNeeded("there is no job to place: call reset() of the environment first")
        if self._bound is None:
            self._bound = bind(self.prepared.grid, self.worlds, self.plans, self.view, self.rules)
        return self._bound

    def _restore(self, w: int, snapshot: Worlds) -> None:
        """Copy a snapshot into world w, after making room if its jobs are too many."""
        n_jobs, n_events = snapshot.job.shape[1], int(snapshot.world[0]["n_events"])
        n_datasets, n_copies = snapshot.dataset.shape[1], snapshot.copy.shape[1]
        if not self._has_room(n_jobs, n_datasets):
            self._make_room(n_jobs + n_jobs // 16, n_datasets + n_datasets // 16)
        worlds = self.worlds
        worlds.world[w], worlds.site[w] = snapshot.world[0], snapshot.site[0]
        worlds.channel[w], worlds.slow[w] = snapshot.channel[0], snapshot.slow[0]
        worlds.job[w, :n_jobs] = snapshot.job[0]
        worlds.heap[w, :n_events] = snapshot.heap[0, :n_events]
        worlds.stored[w, :n_datasets] = snapshot.stored[0]
        worlds.copy[w, :n_copies] = snapshot.copy[0]
        worlds.dataset[w, :n_datasets] = snapshot.dataset[0]

    def _has_room(self, n_jobs: int, n_datasets: int) -> bool:
        if self.worlds is None:
            return False
        most_jobs, most_datasets = self.worlds.job.shape[1], self.worlds.dataset.shape[1]
        return n_jobs <= most_jobs and n_datasets <= most_datasets

    def _make_room(self, n_jobs: int, n_datasets: int) -> None:
        """n worlds and one scratch world a thread, for n_jobs jobs each; what runs is kept."""
        old, n = self.worlds, self.n + self.n_threads
        n_switches = 2 * self.scenario.n_outages
        if old is not None:
            n_jobs = max(n_jobs, old.job.shape[1])
            n_datasets = max(n_datasets, old.dataset.shape[1])
        self.worlds = make_worlds(n, self.n_sites, n_jobs, n_switches, self.n, n_datasets)
        self._bound = None
        if old is not None:
            for name, array in zip(Worlds._fields, self.worlds, strict=True):
                before = getattr(old, name)
                array[tuple(slice(size) for size in before.shape)] = before

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_bound": None}

    def __deepcopy__(self, memo) -> "Episodes":
        twin = copy.copy(self)
        twin.__dict__ |= {
            name: copy.deepcopy(value, memo)
            for name, value in self.__getstate__().items()
            if name not in ("prepared", "config", "rules")
        }
        return twin


# --- all arrays in one ----------------------------------------------------------------------------


@structref.register
class BoundType(types.StructRef):
    """Numba's type of `Bound`."""

    def preprocess_fields(self, fields):
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


class Bound(structref.StructRefProxy):
    """Arrays and rules of a set of worlds as one object that kernels take apart for nothing."""


structref.define_proxy(Bound, BoundType, ["grid", "worlds", "plans", "views", "rules"])


@cached_njit
def bind(grid, worlds, plans, views, rules):
    return Bound(grid, worlds, plans, views, rules)


# --- kernels --------------------------------------------------------------------------------------


@cached_njit
def first_observation(bound, w):
    """Go to the first job of world w and observe."""
    advance_to_arrival(bound.grid, bound.worlds, w)
    if bound.views.readings.delay > 0.0:
        begin_reading(bound.grid, bound.worlds, w, bound.views.readings)
    observe(bound.grid, bound.worlds, w, bound.rules, bound.views)
    show_candidates(bound.grid, bound.worlds, w, bound.rules.unit, bound.views)


@cached_njit
def step_world(bound, w, scratch, s, cost):
    """One step of world w: place its job, go on to the next one, observe. Returns the reward."""
    grid, worlds, view, rules = bound.grid, bound.worlds, bound.views, bound.rules
    return place_and_observe(grid, worlds, bound.plans, view, rules, w, scratch, s, cost)


@cached_njit(nogil=True)
def step_range(bound, sites, skip, reward, cost, first, stop, scratch):
    """Step the worlds first to stop - 1."""
    step_each(
        bound.grid,
        bound.worlds,
        bound.plans,
        bound.views,
        bound.rules,
        Batch(sites, skip, reward, cost),
        first,
        stop,
        scratch,
    )


@cached_njit(parallel=True)
def step_all(bound, sites, skip, reward, cost, n, n_parts):
    """Step n worlds in n_parts equal parts, each with a scratch world of its own."""
    for k in prange(n_parts):
        first, stop = k * n // n_parts, (k + 1) * n // n_parts
        step_range(bound, sites, skip, reward, cost, first, stop, n + k)


class Batch(NamedTuple):
    """One step of n worlds: what to do, and what comes of it."""

    sites: np.ndarray  # (n,) int64
    skip: np.ndarray  # (n,) bool
    reward: np.ndarray  # (n,) float64, overwritten
    cost: np.ndarray  # (n, 4) float64, overwritten


@kernel
def step_each(grid, worlds, plans, view, rules, batch, first, stop, scratch):
    """The same, prefetching what the next worlds will need."""
    for w in range(first - AHEAD, stop):
        prefetch_ahead(grid, worlds, plans, view, batch.sites, w, first, stop)
        if w < first:
            continue
        cost = batch.cost[w]
        if batch.skip[w]:
            batch.reward[w] = 0.0
            cost[:] = 0.0
        else:
            batch.reward[w] = place_and_observe(
                grid, worlds, plans, view, rules, w, scratch, batch.sites[w], cost
            )


@part
def place_and_observe(grid, worlds, plans, view, rules, w, scratch, s, cost):
    """Place the job of world w on site s, or reject it where masked; the reward."""
    world = worlds.world[w]
    integral, lost = world.integral, world.own_lost
    site = s if view.mask[w, s] else NONE
    least = least_finish(grid, worlds, w, view.mask[w]) if rules.is_relative else 0.0
    reward = price_placement(grid, worlds, plans, w, scratch, site, rules, cost)
    if world.next < world.n_rows:
        handle_events(grid, worlds, w, next_arrival(grid, worlds, w))
        decay_counts(worlds, w)
    elif rules.measure == ACCRUED:
        advance(grid, worlds, w, np.inf)
    if view.readings.delay > 0.0 and world.next < world.n_rows:
        take_reading(grid, worlds, w, view.readings)
    if view.decisions.back.shape[1] > 0:
        reward += place_followers(grid, worlds, plans, view, rules, w, scratch, site, cost)
    update_view(grid, worlds, w, rules, view)
    show_candidates(grid, worlds, w, rules.unit, view)
    if rules.measure == ACCRUED:
        return accrued_reward(world, integral, lost, rules.unit)
    if rules.is_relative:
        view.flow[w] = reward
        reward += least / rules.unit
    return reward
