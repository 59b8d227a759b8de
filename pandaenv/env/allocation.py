"""The brokering problem as a Gymnasium environment: one step, one arriving job, one site.

In: a workload, sites, a rate and a load. Out: `PandaSiteAllocationEnv`; its docstring is the card
of the task. What the episodes of one configuration share is a `pandaenv.env.prepared.PreparedTask`;
how they run is `pandaenv.env.episodes`.
"""

import inspect
from dataclasses import fields
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete

from foundations import checks
from pandaenv.simulator import log
from pandaenv.simulator.state import Worlds

from . import rendering
from .actions import one_site
from .candidates import N_CANDIDATE
from .config import TaskConfig
from .episodes import Episodes, step_world
from .observation import N_GRID, N_JOB, N_SITE, space
from .prepared import prepare
from .spec import PlainSpec

Observation = np.ndarray | dict[str, np.ndarray]
"""Flat, or its blocks by name."""
Action = int | np.integer | np.ndarray
"""A site: a whole number, or an array () of one."""


class PandaSiteAllocationEnv(PlainSpec, gym.Env):
    """
    ## Description

    A broker places ATLAS user-analysis jobs on the sites of the grid, one job a step, in the order
    in which they arrive. A job whose input is not at its site has it copied from the closest
    replica or cached copy through the site's ingress, and the copy stays in the site's cache while
    there is room (`pandaenv.simulator.caches`); it then queues first come, first served for its
    cores, runs, and finishes or fails. Sites differ in size, speed, ingress and reliability,
    replicas lie at a few sites only, arrivals come in bursts with the rhythm of day and week. The
    event model is that of `pandaenv.simulator`; sites are illustrative (`pandaenv.sites`). The
    broker moves jobs and copies; it plans no replicas.

    ## Action Space

    `Discrete(S)`: the site for the waiting job. Sites are sorted by size, largest first.

    A site is masked while it is down, where it has fewer cores than the job needs, and while its
    waiting jobs exceed the broker's cap (twice the running ones, or a floor). If that leaves none,
    the cap is lifted, then the outages, so a mask is never all zero. A job placed on a masked site
    is rejected and lost. So is a job, wherever it goes, that needs more cores than any site has;
    its mask is all one. `info["action_mask"]` and `action_masks()` give the mask, int8 (S,).

    With `decide="task"` a step places up to 20 jobs (ASSUMED): the waiting one and the next of the
    same task and as many cores, each when it arrives, at the same site whatever its mask is by
    then; if that was masked all are lost. What the step earns and costs is the sum over all jobs
    placed until the next job asks, those of earlier decisions too. An episode has fewer steps then,
    and as many jobs.

    ## Observation Space

    `observation="flat"`: `Box((12 + 8 S + 6,), float32)`, the blocks job, sites and grid one after
    the other. `observation="dict"`: the same by name, `job` (12,), `sites` (8 S,) and `grid` (6,).
    `sites` comes site by site, so `.reshape(S, 8)` has a row a site; it is flat because libraries
    take a box of two dimensions for an image. Everything is in [0, 1] but sines and cosines in
    [-1, 1].

    Only what a broker knows at submission is shown; workload and final state stay hidden. What is
    expected of a job's work is the mean over past jobs of its format, size and number of cores;
    with `reveal="estimate"` it is the job's own work times lognormal noise of mean one, right
    within a factor of two in two cases of three (ASSUMED). f(x) stands for x / (1 + x), m for the
    mean service time (see Rewards).

    | job | meaning |
    |---|---|
    | 0 | log1p(input bytes) / log1p(1e12), at most 1 |
    | 1 | log1p(input files) / log1p(1e5), at most 1 |
    | 2 | log2(cores) / 8, at most 1 |
    | 3 | f(expected service time / m) |
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
    | 5 | 1 if the job's input is there, a replica or a cached copy |
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

    With `information_delay=d` the agent sees columns 0 to 3 and 7 of the sites, all of the grid but
    column 1, and the mask as they were d seconds ago: at the last of 32 readings a delay, each at
    an arrival; in the first d seconds of an episode as at its first arrival. So a site that is full
    or down by now may be allowed. The job, the clock, transfers asked for and where the input is
    are those of now. Rules of `pandaenv.policies` see the same, `greedy_true` the truth.

    With `candidates=k`, action i is the i-th best of the allowed sites by when a broker expects
    the job to end there, ties to the larger. `sites` has the blocks of those k, in that order and
    two numbers longer: f(seconds until the job would end there / m), and exp(-2 x), where it ends
    x m later than at the best. Where fewer than k sites are allowed the list goes round, so no
    action is refused, the mask is all one, and `info["candidates"]` names the sites, int64 (k,).

    ## Rewards

    m, the unit, is the workload's mean service time on the grid's mean core. `reward=`

    - `"flow_time"` (default): minus the increase this placement causes in the projected total flow
      time (end - submission) of the agent's jobs, over m. The projection is the simulator itself,
      with failures and troubles as drawn and no further arrivals. The rewards of an episode add up
      to minus the total flow time, over m, that its jobs have once all have ended.
    - `"slowdown"`: the same with flow time over run time, runs of less than 600 s taken as 600 s.
    - `"wait"`: the same with the time before the last start, over m.
    - `"accrued"`: minus the time the agent's jobs spent in the system since the last step, over m.
    - `"relative"`: the flow time's reward plus what the allowed site would cost, over m, that is
      best by the true work of all jobs (the choice of `greedy_true`). What no choice could change
      is gone from it, and so is most of the noise. It is no shaping that keeps the optimum: it
      asks for the best site now, and what a placement does to later jobs hardly counts.
      `info["flow_time"]` has the exact reward.

    A job lost or rejected counts 10 beside the time it spent, so failing fast never pays.

    ## Costs

    `info["cost"]`, a float, counts the limits that this placement breaks, known at once by the same
    projection; `cost="binary"` clips it to 1. Its parts, 0 or 1 for each job placed:

    | part | the limit |
    |---|---|
    | `cost_wait` | the job queues no longer than `wait_limit` before its first start |
    | `cost_transfer` | no more than `byte_limit` bytes are moved for it |
    | `cost_failure` | its site does not fail it 3 times, after which it is lost |
    | `cost_rejected` | it is not placed on a masked site |

    ## Starting State

    A window of the stream is drawn, 24 for `split="train"`, 8 for `split="test"` from other weeks.
    The grid has been through the `warmup_days` before it under PanDA's analysis rule, untroubled.
    Failures and the troubles of the scenario are drawn from the episode's seed and do not depend on
    actions: policies meet the same world under one seed. `reset(options={"window": i})` chooses the
    window.

    ## Episode Termination

    `reward="accrued"`: after the last of `episode_jobs` jobs, once all have ended (the last step
    drains the grid).

    ## Episode Truncation

    All other rewards: after the last of `episode_jobs` jobs; what is still in the grid has been
    accounted for by the projection.

    ## Info

    Beside the mask and the costs: `realised_load`, work offered per second over the grid's
    capacity, and `scale`, its slots over those of the sites asked for. With a `load` the slots,
    disks and ingress of sites shrink or grow to it; a warning says so where the sites are your own.

    ## Arguments

    | name | default | meaning |
    |---|---|---|
    | `workload` | `"tabddpm"` | a bundled surrogate's jobs; or whatever `workload.make` takes |
    | `sites` | 40 | the n largest sites, `"tier1"`, `"all"`, names, a CSV file or a `Catalogue` |
    | `rate` | 5500 | jobs a day; None replays the records as they are |
    | `load` | 0.6 | offered work over the grid's capacity, which is scaled to it; None: as it is |
    | `episode_jobs` | 5500 | jobs an episode |
    | `split` | `"train"` | or `"test"`: which weeks |
    | `observation` | `"flat"` | or `"dict"` |
    | `reward` | `"flow_time"` | or `"slowdown"`, `"wait"`, `"accrued"`, `"relative"` |
    | `cost` | `"count"` | or `"binary"` |
    | `scenario` | `"normal"` | or another of the scenarios, or your own |
    | `wait_limit` | 108000 | seconds |
    | `byte_limit` | 1.2e10 | bytes |
    | `warmup_days` | 3 | length of the warm-up |
    | `workload_seed` | 0 | of what records do not tell: tasks, replicas, core counts |
    | `reveal` | None | or `"estimate"`: of each job's work, noisy, in place of past means |
    | `backfill` | False | whether jobs may overtake the first of a queue that waits for cores |
    | `background` | `"none"` | or `"busy"`: what others do at the sites, or your own |
    | `candidates` | None | or how many sites are offered and shown, best first: 1 to S |
    | `windows` | None | another number of windows, as evenly spread over the weeks of the split |
    | `decide` | `"job"` | or `"task"`: one action for up to 20 jobs of a task |
    | `information_delay` | 0 | seconds by which what is seen of sites lags |
    | `render_mode` | None | or `"ansi"` (text), `"rgb_array"`, `"human"`: `env.rendering` |

    `workload` may be `"masked"` or `"tabar"` (the other bundled surrogates; the first is what the
    default generator learns), `"reference"`, a table of records, a file or saved generator by its
    path, a generator, or a workload of `pandaenv.workload`. Rows that have `task` and `dataset`
    keep them; others are gathered into tasks: `info["gathered"]`.

    `PandaSiteAllocationTier1-v0` is the small sister: the Tier-0 and Tier-1 sites, 2,000 jobs a
    day, 2,000 jobs an episode.

    All but `render_mode` are the fields of a `pandaenv.env.TaskConfig`, kept as `config`.

    Names, numbers, paths, lists, arrays and scenarios survive `spec.to_json()`; tables, catalogues
    and workloads that are objects do not: give them as files.

    ```python
    import gymnasium as gym
    import pandaenv

    env = gym.make("PandaSiteAllocation-v0")
    observation, info = env.reset(seed=0)
    action = env.action_space.sample(info["action_mask"])
    observation, reward, terminated, truncated, info = env.step(action)
    ```

    ## How to Learn It

    The settings learners come with do badly on the exact reward and on sites in a fixed order: most
    of a reward is the length of the job, and jobs on masked sites are lost. They do well where
    actions are the best sites in order and rewards are told from the best one:

    ```python
    from stable_baselines3 import PPO

    env = gym.make("PandaSiteAllocationTier1-v0", **pandaenv.recommended("ppo"))
    model = PPO("MlpPolicy", env).learn(100_000)
    ```

    Nine runs (PPO, MaskablePPO, DQN, three seeds, all settings as they come) took 1.125 to 1.224
    mean service times a job on test weeks after 50,000 placements, 4 to 24 s of one core
    (`least_loaded` 1.283), and 1.124 to 1.162 after 500,000 (`greedy` 1.129). Without the two
    options they ended at 1.555 to 6.354 (random 1.518). `python -m benchmarks.untouched` draws the
    curves, docs/agent.md shows them. `pandaenv.sb3.PandaVecEnv(8, ...)` steps many at once. Agents
    with settings of their own, masks and one network for all sites are those of `benchmarks.ppo`.

    ## Scenarios

    | name | what goes wrong beyond the failures every site has; strengths are ASSUMED |
    |---|---|
    | `normal` | sites are down 2 % of the time: 6 h every 14 days, each at its own |
    | `outage` | they are down 20 % of the time: 12 h every 2 days |
    | `degraded_network` | half of them fetch input at a tenth of the speed, hours 2 to 14 |
    | `surge` | jobs come three times as fast, hours 2 to 6 |
    | `black_hole_site` | one site fails all it gets within a minute and looks idle |

    All but `outage` have the outages of `normal`. Who is hit is drawn from the episode's seed.
    Your own is a `pandaenv.scenarios.Scenario` or a dict of its fields.

    ## Background

    With `background="busy"`, a `pandaenv.background.Background` or a dict of its fields, others
    hold most of each site's cores, 99 % on average, and sites have the size that asks for. What
    they leave varies from site to site, over day and week, and from hour to hour; they stop no
    running job but take cores first as these become free. Their own queued jobs come first, and
    then a pilot takes its time, so a wait begins at some minutes. Disk and ingress are left to the
    agent as cores are. All strengths are ASSUMED. They depend on `workload_seed`, not on the
    episode. `load` is over the cores left; so are columns 0, 2 and 3 of the sites and 0 and 2 of
    the grid, cut at 1, and no core is free while others come first. Rules count the agent's jobs
    only. `"none"` is a grid without others.

    ## Version History

    Version 0 is final: a change of behaviour is a new version, and the old ones stay.

    * v0: initial version
    """

    metadata = {"render_modes": list(rendering.MODES), "render_fps": 10}
    __signature__ = inspect.Signature(
        [
            *inspect.signature(TaskConfig).parameters.values(),
            inspect.Parameter("render_mode", inspect.Parameter.KEYWORD_ONLY, default=None),
        ]
    )

    def __init__(self, *, render_mode: str | None = None, **arguments: Any):
        self.config = task_config(arguments)
        self.render_mode = checks.known("render_mode", render_mode, (None, *rendering.MODES))
        self.is_flat = self.config.observation == "flat"
        self.is_binary = self.config.cost == "binary"
        self.episodes = Episodes(prepare(self.config), self.config)
        self.prepared = self.episodes.prepared
        self.stream, self.grid = self.prepared.stream, self.prepared.grid
        self.unit, self.cap_floor = self.prepared.unit, self.prepared.cap_floor
        self.action_space = Discrete(self.episodes.n_actions)
        features = N_CANDIDATE if self.episodes.n_candidates else N_SITE
        self.observation_space = space(self.episodes.n_actions, self.is_flat, features)
        self._is_accrued = self.episodes.config.reward == "accrued"
        self._n_left = 0

    def reset(
        self, *, seed: int | None = None, options: dict | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self.episodes.begin(0, self.np_random, chosen_window(options, len(self.prepared.windows)))
        self._n_left = int(self.episodes.n_left[0])
        if self.render_mode == "human":
            self.render()
        return self.observation, self._info()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        site = self._site(action)
        reward = step_world(self.episodes.bound, 0, 1, site, self.episodes.cost[0])
        self._n_left -= 1
        is_over = self._n_left == 0
        terminated = is_over and self._is_accrued
        if self.render_mode == "human":
            self.render()
        return self.observation, reward, terminated, is_over and not terminated, self._info()

    def render(self) -> str | np.ndarray | None:
        """The grid as it is now: text, an image, or None after showing it in a window.

        "human" shows itself after every reset and step; without a display nothing is shown.
        """
        return frame(self.episodes, 0, self.render_mode)

    def close(self) -> None:
        if self.render_mode == "human":
            rendering.close()

    @property
    def worlds(self) -> Worlds | None:
        """The simulated world (row 0; the other is scratch), None before the first reset."""
        return self.episodes.worlds

    @property
    def window(self) -> int:
        """The window of the present episode."""
        return int(self.episodes.window[0])

    @property
    def mask(self) -> np.ndarray:
        """1 for sites that may take the job, int8 (S,), as it is kept: do not write to it."""
        return self.episodes.view.mask[0]

    @property
    def observation(self) -> Observation:
        """A fresh copy of the present observation."""
        flat = self.episodes.seen[0].copy()
        return flat if self.is_flat else blocks(flat)

    def action_masks(self) -> np.ndarray:
        """1 where an action is allowed, int8 (S,), of candidates (k,); never all zero."""
        return self.episodes.masks[0].copy()

    def log(self) -> pd.DataFrame:
        """Every job of the episode so far as a record, and the times of its stages.

        The nine record columns carry PanDA's names; `jobstatus` is the simulated end (None before
        it), `computingsite` the chosen site. Stage columns as in `pandaenv.simulator.log.stages`.
        Once all jobs have ended `metrics.evaluate` takes it as it is.
        """
        if self.worlds is None:
            raise ResetNeeded("log() needs an episode: call reset() first")
        return job_log(self.episodes, 0)

    def _site(self, action: Action) -> int:
        if self._n_left == 0:
            raise ResetNeeded("step() needs a job to place: call reset() first")
        chosen = one_site(action, self.episodes.n_actions)
        return int(self.episodes.view.order[0, chosen]) if self.episodes.n_candidates else chosen

    def _info(self) -> dict[str, Any]:
        wait, transfer, failure, rejected = self.episodes.cost[0].tolist()
        cost = wait + transfer + failure + rejected
        return {
            "action_mask": self.action_masks(),
            "cost": min(cost, 1.0) if self.is_binary else cost,
            "cost_wait": wait,
            "cost_transfer": transfer,
            "cost_failure": failure,
            "cost_rejected": rejected,
            "realised_load": self.prepared.realised_load,
            "scale": self.prepared.stream.scale,
            "gathered": self.prepared.stream.gathered,
            **self.episodes.extra(0),
        }


ARGUMENTS = (*(field.name for field in fields(TaskConfig)), "render_mode")
"""What makes the task, by name."""


def task_config(arguments: dict[str, Any]) -> TaskConfig:
    """The task of arguments by name."""
    unknown = [name for name in arguments if name not in ARGUMENTS]
    if unknown:
        raise TypeError(f"unknown argument {unknown[0]!r}; known: {', '.join(ARGUMENTS)}")
    return TaskConfig(**arguments)


def frame(episodes: Episodes, w: int, mode: str | None) -> str | np.ndarray | None:
    """World w as it is now in a render mode; None where it is only shown, or warned of no mode."""
    if episodes.worlds is None:
        raise ResetNeeded("render() needs an episode: call reset() first")
    if mode is None:
        gym.logger.warn(f"render() needs gym.make(..., render_mode=one of {rendering.MODES})")
        return None
    prepared = episodes.prepared
    return rendering.render(mode, prepared.grid, episodes.worlds, w, prepared.stream.catalogue)


def blocks(flat: np.ndarray) -> dict[str, np.ndarray]:
    """The blocks of flat observations (..., d) by name."""
    job, sites, grid = np.split(flat, [N_JOB, flat.shape[-1] - N_GRID], axis=-1)
    return {"job": job, "sites": sites, "grid": grid}


# --- the log --------------------------------------------------------------------------------------


def job_log(episodes: Episodes, w: int) -> pd.DataFrame:
    """The log of world w, see `PandaSiteAllocationEnv.log`."""
    worlds: Any = episodes.worlds  # there are some after a reset
    world = worlds.world[w]
    job = worlds.job[w, int(world["first_own"]) : int(world["next"])]
    return log.job_log(episodes.prepared.stream, job)


# --- checks ---------------------------------------------------------------------------------------


def chosen_window(options: dict | None, n_windows: int) -> int | None:
    """The window asked for in reset options, None where none is."""
    options = options or {}
    unknown = [name for name in options if name != "window"]
    if unknown:
        raise ValueError(f"unknown reset option {unknown[0]!r}; known: window")
    window = options.get("window")
    if window is None:
        return None
    return int(checks.whole("window", window, most=n_windows - 1))
