"""The brokering problem as a Gymnasium environment: one step, one arriving job, one site.

In: a workload, sites, a rate and a load. Out: `PandaSiteAllocationEnv`; its docstring is the card
of the task. What the episodes of one configuration share (the stream, the scaled grid, the windows
warmed up) is a `Setting`, kept for the next environment of the same configuration.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import gymnasium as gym
import numpy as np
import pandas as pd
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.spaces import Discrete
from numba import njit

from . import reward as rewards
from . import workload as workloads
from .observation import DAY_S, N_GRID, N_JOB, N_SITE, describe, expect, see, space
from .policies import broker_floor, warm_up
from .schema import STATUSES
from .simulator import Scenario, arrive, schedule_outages
from .sites import Catalogue, catalogue
from .worlds import (
    FINISHED,
    LOST,
    NONE,
    REJECTED,
    Grid,
    Worlds,
    carry,
    clear,
    grid_of,
    stages,
    worlds_of,
)

SCENARIOS = {"normal": Scenario()}
WAIT_LIMIT_S = 24 * 3_600.0
BYTE_LIMIT = 2e10
"""Limits on queue wait and on bytes moved, set so that PanDA's analysis rule breaks one of them in
2-5 % of steps (3.7 % on 40 sites, 3.2 % on the Tier-1 sites, reference workload, 24 windows)."""


class PandaSiteAllocationEnv(gym.Env):
    """
    ## Description

    A broker places ATLAS user-analysis jobs on the sites of the grid, one job a step, in the order
    in which they arrive. A job whose input is not at its site has it copied from the closest
    replica through the site's ingress; it then queues first come, first served for its cores,
    runs, and finishes or fails. Sites differ in size, speed, ingress and reliability, replicas lie
    at a few sites only, arrivals come in bursts with the rhythm of day and week. The event model
    is that of `pandaenv.simulator`; sites are illustrative (`pandaenv.sites`). The broker moves
    jobs and copies; it plans no replicas.

    ## Action Space

    `Discrete(S)`: the site for the waiting job. Sites are sorted by size, largest first.

    A site is masked while it is down, where it has fewer cores than the job needs, and while its
    waiting jobs exceed the broker's cap (twice the running ones, or a floor). If that leaves none,
    the cap is lifted, then the outages, so a mask is never all zero. A job placed on a masked site
    is rejected and lost. `info["action_mask"]` and `action_masks()` give the mask, int8 (S,).

    ## Observation Space

    `observation="flat"`: `Box(-1, 1, (12 + 8 S + 6,), float32)`, the three blocks below one after
    the other, sites in rows. `observation="dict"`: the blocks by name, `sites` as (S, 8). Only what
    a broker knows at submission is shown; workload and final state stay hidden. f(x) stands for
    x / (1 + x), m for the mean service time (see Rewards). Everything is in [0, 1] but sines and
    cosines in [-1, 1].

    | job | meaning |
    |---|---|
    | 0 | log1p(input bytes) / log1p(1e12), at most 1 |
    | 1 | log1p(input files) / log1p(1e5), at most 1 |
    | 2 | log2(cores) / 8, at most 1 |
    | 3 | f(expected service time / m), from past jobs of this format, size and number of cores |
    | 4 | square root of the format's share of past jobs |
    | 5 | f(mean service time of past jobs of this format / m) |
    | 6 | f(mean input bytes of past jobs of this format / their mean over all) |
    | 7 | share of past jobs of this format that did not finish |
    | 8, 9 | sine and cosine of the hour (UTC) |
    | 10, 11 | sine and cosine of the time in the week |

    | sites | meaning |
    |---|---|
    | 0 | free share of the cores; 0 while down |
    | 1 | log1p(jobs waiting, inputs moving included) / log1p(3000), at most 1 |
    | 2 | f(expected work queued / (cores x power) / m) |
    | 3 | running jobs / cores |
    | 4 | f(mean time until an ingress channel is free / 1 h) |
    | 5 | 1 if a replica of the job's input is there |
    | 6 | power / power of the fastest site |
    | 7 | recent failed attempts / (recent attempts + 1); counts halve every 6 h |

    | grid | meaning |
    |---|---|
    | 0 | n / (n + cores of the grid), n jobs in the system |
    | 1 | share of the episode still to come |
    | 2 | free share of all cores |
    | 3 | queued jobs / (queued + running + 1) |
    | 4 | jobs with moving input / (moving + running + 1) |
    | 5 | share of sites that are up |

    After the last job the job block and the column `data there` are zero and the mask is all one.

    ## Rewards

    m, the unit, is the workload's mean service time on the grid's mean core. `reward=`

    - `"flow_time"` (default): minus the increase this placement causes in the projected total flow
      time (end - submission) of the agent's jobs, over m. The projection is the simulator itself,
      with failures and outages as drawn and no further arrivals. The rewards of an episode add up
      to minus the total flow time, over m, that its jobs have once all have ended.
    - `"slowdown"`: the same with flow time over run time, runs of less than 600 s taken as 600 s.
    - `"wait"`: the same with the time before the last start, over m.
    - `"accrued"`: minus the time the agent's jobs spent in the system since the last step, over m.

    A job lost or rejected counts 10 beside the time it spent, so failing fast never pays.

    Costs: `info["cost"]` counts the limits that this placement breaks, by the same projection, and
    `cost_wait` (queue wait beyond `wait_limit`, s), `cost_transfer` (over `byte_limit` bytes to
    move), `cost_failure` (lost after 3 attempts), `cost_rejected` are its parts, plain floats.
    `cost="binary"` clips the sum to 1.

    ## Starting State

    A window of the stream is drawn, 24 for `split="train"`, 8 for `split="test"` from other weeks.
    The grid has been through the three days before it under PanDA's analysis rule, without outages.
    Outages and failures are drawn from the episode's seed and do not depend on actions: policies
    meet the same world under one seed. `reset(options={"window": i})` chooses the window.

    ## Episode Termination

    `reward="accrued"`: after the last of `episode_jobs` jobs, once all have ended (the last step
    drains the grid).

    ## Episode Truncation

    All other rewards: after the last of `episode_jobs` jobs; what is still in the grid has been
    accounted for by the projection.

    ## Arguments

    | name | default | meaning |
    |---|---|---|
    | `workload` | `"tabddpm"` | the bundled surrogate's jobs; or whatever `workload.make` takes |
    | `sites` | 40 | the n largest sites, `"tier1"`, `"all"`, names, a CSV file or a `Catalogue` |
    | `rate` | 5500 | jobs a day |
    | `load` | 0.6 | offered work over the grid's capacity, which is scaled to it |
    | `episode_jobs` | 5500 | jobs an episode |
    | `split` | `"train"` | or `"test"`: which weeks |
    | `observation` | `"flat"` | or `"dict"` |
    | `reward` | `"flow_time"` | or `"slowdown"`, `"wait"`, `"accrued"` |
    | `cost` | `"count"` | or `"binary"` |
    | `scenario` | `"normal"` | or a `pandaenv.simulator.Scenario` |
    | `wait_limit` | 86400 | seconds |
    | `byte_limit` | 2e10 | bytes |
    | `warmup_days` | 3 | length of the warm-up |
    | `workload_seed` | 0 | of what records do not tell: bursts kept, replicas, core counts |

    `workload` may be `"reference"`, a table of records, a file or saved generator by its path, a
    generator, or a workload of `pandaenv.workload`.

    `PandaSiteAllocationTier1-v0` is the small sister: the Tier-0 and Tier-1 sites, 2,000 jobs a
    day, 2,000 jobs an episode.

    ```python
    import gymnasium as gym
    import pandaenv

    env = gym.make("PandaSiteAllocation-v0")
    observation, info = env.reset(seed=0)
    action = env.action_space.sample(info["action_mask"])
    observation, reward, terminated, truncated, info = env.step(action)
    ```

    ## Version History

    * v0: initial version
    """

    metadata = {"render_modes": []}

    def __init__(
        self,
        workload="tabddpm",
        sites: int | str | Iterable[str] | Catalogue = 40,
        rate: float = 5_500,
        load: float = 0.6,
        episode_jobs: int = 5_500,
        split: str = "train",
        observation: str = "flat",
        reward: str = "flow_time",
        cost: str = "count",
        scenario: str | Scenario = "normal",
        wait_limit: float = WAIT_LIMIT_S,
        byte_limit: float = BYTE_LIMIT,
        warmup_days: float = 3.0,
        workload_seed: int = 0,
        render_mode: str | None = None,
    ):
        _known("observation", observation, ("flat", "dict"))
        _known("cost", cost, ("count", "binary"))
        _known("render_mode", render_mode, (None,))
        self.measure = rewards.MEASURES[_known("reward", reward, rewards.MEASURES)]
        self.scenario = scenario
        if not isinstance(scenario, Scenario):
            self.scenario = SCENARIOS[_known("scenario", scenario, SCENARIOS)]
        self.render_mode = render_mode
        self.is_flat, self.is_binary = observation == "flat", cost == "binary"
        self.limits = _not_negative(wait_limit=wait_limit), _not_negative(byte_limit=byte_limit)
        self.setting = setting(
            workload, sites, rate, load, episode_jobs, split, warmup_days, workload_seed
        )
        self.stream, self.grid = self.setting.stream, self.setting.grid
        self.unit, self.cap_floor = self.setting.unit, self.setting.cap_floor
        n_sites = self.stream.catalogue.n_sites
        self.action_space = Discrete(n_sites)
        self.observation_space = space(n_sites, self.is_flat)
        self.mask = np.ones(n_sites, np.int8)
        self._flat = np.zeros(N_JOB + N_SITE * n_sites + N_GRID, np.float32)
        self._cost = np.zeros(len(rewards.COSTS))
        self.worlds: Worlds | None = None
        self.window = 0
        self._n_left = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        root = np.random.SeedSequence(int(self.np_random.integers(2**63)))
        windows, failures, outages = (np.random.default_rng(s) for s in root.spawn(3))
        n_windows = len(self.setting.windows)
        self.window = _chosen_window(options, n_windows, int(windows.integers(n_windows)))
        snapshot = self.setting.snapshot(self.window)
        self.worlds = _restored(snapshot, self.worlds, 2 * self.scenario.n_outages)
        world = self.worlds.world[0]
        world["seed"] = failures.integers(2**64, dtype=np.uint64)
        n_sites = len(self.mask)
        schedule_outages(
            self.worlds, 0, self.scenario.outages(n_sites, float(world["now"]), outages)
        )
        self._n_left = int(world["n_rows"] - world["next"])
        self._cost[:] = 0.0
        look(self.grid, self.worlds, 0, *self.setting.constants, self.mask, self._flat)
        return self.observation, self._info()

    def step(self, action):
        site = self._checked(action)
        reward = turn(
            self.grid, self.worlds, 0, 1, site, self.measure, *self.limits,
            *self.setting.constants, self.mask, self._cost, self._flat,
        )  # fmt: skip
        self._n_left -= 1
        is_over = self._n_left == 0
        is_accrued = self.measure == rewards.ACCRUED
        terminated, truncated = is_over and is_accrued, is_over and not is_accrued
        return self.observation, reward, terminated, truncated, self._info()

    @property
    def observation(self):
        """A fresh copy of the present observation."""
        if self.is_flat:
            return self._flat.copy()
        n = len(self._flat)
        job, sites, grid = np.split(self._flat.copy(), [N_JOB, n - N_GRID])
        return {"job": job, "sites": sites.reshape(-1, N_SITE), "grid": grid}

    def action_masks(self) -> np.ndarray:
        """1 where the waiting job may go, int8 (S,); never all zero."""
        return self.mask.copy()

    def log(self) -> pd.DataFrame:
        """Every job of the episode so far as a record, and the times of its stages.

        Record columns carry PanDA's names; `jobstatus` is the simulated end (None before it),
        `computingsite` the chosen site. Stage columns as in `pandaenv.simulator.stages`.
        """
        if self.worlds is None:
            raise ResetNeeded("log() needs an episode: call reset() first")
        world = self.worlds.world[0]
        rows = slice(int(world["first_own"]), int(world["next"]))
        table = stages(self.worlds.job[0, rows], self.stream.catalogue.names)
        records = _records(self.stream, self.worlds.job[0, rows])
        return pd.concat([records, table.drop(columns="site")], axis=1)

    def _checked(self, action) -> int:
        if self._n_left == 0:
            raise ResetNeeded("step() needs a job to place: call reset() first")
        is_whole = isinstance(action, (int, np.integer)) and not isinstance(action, bool)
        if isinstance(action, np.ndarray) and action.shape == ():
            is_whole = np.issubdtype(action.dtype, np.integer)
        if not is_whole or not 0 <= action < len(self.mask):
            raise InvalidAction(
                f"an action must be a whole number in [0, {len(self.mask)}), got {action!r}"
            )
        return int(action)

    def _info(self) -> dict:
        wait, transfer, failure, rejected = self._cost.tolist()
        cost = wait + transfer + failure + rejected
        return {
            "action_mask": self.mask.copy(),
            "cost": min(cost, 1.0) if self.is_binary else cost,
            "cost_wait": wait,
            "cost_transfer": transfer,
            "cost_failure": failure,
            "cost_rejected": rejected,
            "realised_load": self.setting.realised_load,
        }


# --- what episodes share --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Setting:
    """Stream, grid and windows of one configuration, with its warmed-up windows as they come."""

    stream: workloads.Stream
    grid: Grid
    windows: tuple[workloads.Window, ...]
    unit: float
    """m, mean service time of the stream's jobs on the mean core, s."""
    cap_floor: float
    features: np.ndarray
    """(J, N_JOB) float32, the job block of each job of the stream."""
    realised_load: float
    _snapshots: dict = field(default_factory=dict)

    @property
    def constants(self) -> tuple:
        """(unit, cap_floor, features), as the kernels take them."""
        return self.unit, self.cap_floor, self.features

    def snapshot(self, i: int) -> Worlds:
        """The grid as the episode of window i finds it; warmed up when first asked for."""
        if i not in self._snapshots:
            self._snapshots[i] = self._warmed(self.windows[i])
        return self._snapshots[i]

    def _warmed(self, window: workloads.Window) -> Worlds:
        n_sites, n_jobs = len(self.grid.sites), window.stop - window.first
        n_warm = window.start - window.first
        worlds = worlds_of(1, n_sites, n_jobs, 0)
        # the job's place in the stream seeds the warm-up, so it is the same for every episode
        clear(self.grid, worlds, 0, window.first, n_jobs, n_jobs, np.uint64(window.start))
        warm_up(self.grid, worlds, 0, n_warm, self.cap_floor)
        n_new = window.stop - window.start
        snapshot = worlds_of(1, n_sites, int(worlds.world[0]["in_system"]) + n_new, 0)
        carry(worlds, 0, snapshot, 0, n_new)
        return snapshot


def setting(workload, sites, rate, load, episode_jobs, split, warmup_days, seed) -> Setting:
    """The setting of a configuration, from the last few made where its parts can be compared.

    A file that has been written anew is another part.
    """
    if isinstance(sites, list):
        sites = tuple(sites)
    written = workloads.stamp(workload), workloads.stamp(sites)
    key = (workload, sites, rate, load, episode_jobs, split, warmup_days, seed, written)
    try:
        hash(key)
    except TypeError:
        return _make_setting(*key)
    return _kept_setting(*key)


def _make_setting(
    workload, sites, rate, load, episode_jobs, split, warmup_days, seed, written
) -> Setting:
    stream = _stream(workload, sites, rate, load, seed, written)
    lengths = {"episode_jobs": episode_jobs, "warmup_days": warmup_days}
    windows = stream.windows(split, **lengths)
    past = slice(0, max(window.stop for window in stream.windows("train", **lengths)))
    mean_power = workloads.capacity(stream.catalogue) / stream.catalogue.cores.sum()
    service = stream.jobs.work / stream.jobs.cores / mean_power
    unit = float(service.mean())
    expected = expect(stream.jobs, stream.jobs.work, past)
    return Setting(
        stream,
        grid_of(stream.catalogue, stream.jobs, expected),
        windows,
        unit,
        broker_floor(stream.scale),
        describe(stream.jobs, expected / stream.jobs.cores / mean_power, service, unit, past),
        float(stream.realised_load),
    )


_kept_setting = lru_cache(maxsize=4, typed=True)(_make_setting)


@lru_cache(maxsize=2, typed=True)
def _kept_stream(workload, sites, rate, load, seed, written) -> workloads.Stream:
    return workloads.make(workload).stream(catalogue(sites), rate=rate, load=load, seed=seed)


def _stream(*key) -> workloads.Stream:
    """The stream, kept too: a train and a test environment share it."""
    try:
        hash(key)
    except TypeError:
        return _kept_stream.__wrapped__(*key)
    return _kept_stream(*key)


def _restored(snapshot: Worlds, worlds: Worlds | None, n_switches: int) -> Worlds:
    """Copy a snapshot into world 0 of two (the other is scratch), in new arrays if too small."""
    n_jobs, n_sites = snapshot.job.shape[1], snapshot.site.shape[1]
    if worlds is None or worlds.job.shape[1] < n_jobs:
        worlds = worlds_of(2, n_sites, n_jobs + n_jobs // 16, n_switches)
    n_events = int(snapshot.world[0]["n_events"])
    worlds.world[0], worlds.site[0] = snapshot.world[0], snapshot.site[0]
    worlds.channel[0] = snapshot.channel[0]
    worlds.job[0, :n_jobs] = snapshot.job[0]
    worlds.heap[0, :n_events] = snapshot.heap[0, :n_events]
    return worlds


def _records(stream: workloads.Stream, job: np.ndarray) -> pd.DataFrame:
    """Record columns of JOB_STATE rows (n,)."""
    jobs, index, state = stream.jobs, job["index"], job["state"]
    names = np.array([None, *stream.catalogue.names], dtype=object)
    recorded = np.array(STATUSES, dtype=object)[jobs.status[index]]
    end = {FINISHED: "finished", LOST: "failed", REJECTED: "closed"}
    status = [
        end.get(s, r if s > FINISHED else None)
        for s, r in zip(state.tolist(), recorded, strict=True)
    ]
    columns = {
        "creationtime": jobs.time[index] / DAY_S,
        "ninputdatafiles": jobs.nfiles[index],
        "inputfilebytes": jobs.nbytes[index].astype(np.int64),
        "workload": jobs.work[index],
        "computingsite": names[job["site"] + 1],
        "datatype": np.array(stream.formats, dtype=object)[jobs.format[index]],
        "jobstatus": np.array(status, dtype=object),
    }
    return pd.DataFrame(columns)


# --- kernels --------------------------------------------------------------------------------------


@njit(cache=True)
def turn(
    grid, worlds, w, scratch, s, measure, wait_limit, byte_limit, unit, cap_floor, features, mask,
    cost, out,
):  # fmt: skip
    """One step: place, settle, go on to the next job, and look. Returns the reward."""
    if not mask[s]:
        s = NONE
    reward = rewards.step(
        grid, worlds, w, scratch, s, measure, unit, wait_limit, byte_limit, cost
    )
    see(grid, worlds, w, unit, cap_floor, features, mask, out)
    return reward


@njit(cache=True)
def look(grid, worlds, w, unit, cap_floor, features, mask, out):
    """Go to the first job and look."""
    arrive(grid, worlds, w)
    see(grid, worlds, w, unit, cap_floor, features, mask, out)


# --- checks ---------------------------------------------------------------------------------------


def _known(name: str, value, known: Iterable):
    """Return a value that is among the known ones."""
    if not any(value is k or (isinstance(value, str) and value == k) for k in known):
        raise ValueError(
            f"unknown {name} {value!r}; known: {', '.join(str(option) for option in known)}"
        )
    return value


def _not_negative(**limit) -> float:
    ((name, value),) = limit.items()
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not value >= 0:
        raise ValueError(f"{name} must be at least 0, got {value!r}")
    return float(value)


def _chosen_window(options: dict | None, n_windows: int, drawn: int) -> int:
    """The window asked for, else the one drawn."""
    options = options or {}
    unknown = [name for name in options if name != "window"]
    if unknown:
        raise ValueError(f"unknown reset option {unknown[0]!r}; known: window")
    window = options.get("window", drawn)
    if not isinstance(window, (int, np.integer)) or not 0 <= window < n_windows:
        raise ValueError(f"window must be a whole number in [0, {n_windows}), got {window!r}")
    return int(window)
