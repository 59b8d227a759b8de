"""When each job of an episode may start at each site at the earliest, whoever places it and where.

In: a world before the first placement. Out: `Starts`.

A job reads its input where a replica lies, where a copy lies already, or where a job before it with
the same data could have brought one by then; elsewhere it moves the input from the nearest such
site, through the ingress channel that is free first now. It queues behind what queues now. An
attempt that its site fails takes the time drawn for it, if no outage cuts it short; what counts is
the last attempt, of full length. So each time is one that no placement of the other jobs can bring
forward.
"""

from typing import NamedTuple

import numpy as np

from pandaenv.kernels import kernel, part
from pandaenv.simulator.arrivals import surged
from pandaenv.simulator.caches import least_bytes
from pandaenv.simulator.draws import attempt_length
from pandaenv.simulator.state import MAX_ATTEMPTS, MOVING, NONE, Grid, Worlds
from pandaenv.simulator.transfers import end_of_transfer


class Starts(NamedTuple):
    """n jobs at S sites."""

    submit: np.ndarray  # (n,) float64 s
    cores: np.ndarray  # (n,) int64
    length: np.ndarray  # (n, S) float64 s, of an attempt that runs to its end
    start: np.ndarray  # (n, S) float64 s, of the last attempt; infinity: it cannot end well there


def earliest_starts(grid: Grid, worlds: Worlds, w: int, behind: np.ndarray) -> Starts:
    """The earliest starts of the agent's jobs in world w.

    Args:
        behind: (S,) float64 s, before which no job that queues from now on starts at a site.
    """
    world = worlds.world[w]
    rows = slice(int(world["first_own"]), int(world["n_rows"]))
    job = worlds.job[w, rows]
    traits, n, n_sites = grid.stream[job["index"]], len(job), len(grid.sites)
    starts = Starts(
        np.empty(n),
        traits["cores"].astype(np.int64),
        traits["work"][:, None] / (traits["cores"][:, None] * grid.sites["power"]),
        np.empty((n, n_sites)),
    )
    held = np.empty(n_sites, np.bool_)
    fill_ready(grid, worlds, w, same_data_before(job["slot"]), held, starts)
    np.maximum(starts.start, behind, out=starts.start)
    fill_starts(grid, worlds, w, starts)
    return starts


def same_data_before(slot: np.ndarray) -> np.ndarray:
    """For each job the last one before it that reads the same data set, NONE for the first."""
    order = np.argsort(slot, kind="stable")
    before = np.full(len(slot), NONE)
    is_same = slot[order[1:]] == slot[order[:-1]]
    before[order[1:][is_same]] = order[:-1][is_same]
    return before


# --- when the input is there ----------------------------------------------------------------------


@kernel
def fill_ready(grid, worlds, w, before, held, starts):
    """Fill in when jobs are submitted, and as start when their input can be at each site.

    Args:
        before: int64 (n,), see `same_data_before`.
        held: bool (S,), to work in.
    """
    world = worlds.world[w]
    for j in range(len(before)):
        traits = grid.stream[worlds.job[w, world.first_own + j].index]
        submit = max(surged(world, traits.time), world.now)
        starts.submit[j] = submit
        if traits.nbytes > 0:
            mark_possible(grid, worlds, w, j, before, starts, held)
        for s in range(len(held)):
            if traits.nbytes == 0 or held[s]:
                starts.start[j, s] = submit
            else:
                starts.start[j, s] = earliest_transfer(grid, worlds, w, s, traits, submit, held)


@part
def mark_possible(grid, worlds, w, j, before, starts, held):
    """Mark in held, (S,), the sites that may hold the input of job j when it is submitted."""
    first, submit = worlds.world[w].first_own, starts.submit[j]
    job = worlds.job[w, first + j]
    traits = grid.stream[job.index]
    needed = least_bytes(traits)
    for s in range(len(held)):
        held[s] = grid.replicas[traits.dataset, s] | (worlds.stored[w, job.slot, s] >= needed)
    i = before[j]
    while i != NONE:
        if grid.stream[worlds.job[w, first + i].index].nbytes >= traits.nbytes:
            for s in range(len(held)):
                held[s] |= starts.start[i, s] <= submit
        i = before[i]
    for row in range(first):
        moved = worlds.job[w, row]
        if moved.state == MOVING and moved.slot == job.slot and moved.end <= submit:
            held[moved.site] |= grid.stream[moved.index].nbytes >= traits.nbytes


@part
def earliest_transfer(grid, worlds, w, s, traits, submit, held):
    """When the input can be at site s, s, if it is moved there from one of those that hold it."""
    link = 0.0
    for source in range(len(held)):
        if held[source]:
            link = max(link, grid.link[s, source])
    free_at = worlds.channel[w, s, 0]
    for k in range(1, worlds.channel.shape[2]):
        free_at = min(free_at, worlds.channel[w, s, k])
    rate = min(link, grid.sites[s].channel)
    return end_of_transfer(worlds.slow[w, s], max(submit, free_at), traits.nbytes / rate)


# --- when the last attempt may start --------------------------------------------------------------


@kernel
def fill_starts(grid, worlds, w, starts):
    """Turn when jobs may first start into when their last attempt may; infinity if there is none.

    A job that always fails at a site, or does not fit there, cannot end well.
    """
    first = worlds.world[w].first_own
    for j in range(len(starts.cores)):
        index = worlds.job[w, first + j].index
        for s in range(starts.start.shape[1]):
            failing, is_lost = time_failing(grid, worlds, w, s, index)
            if is_lost or starts.cores[j] > grid.sites[s].cores:
                starts.start[j, s] = np.inf
                continue
            time, _ = next_up(worlds, w, s, starts.start[j, s])
            if failing > 0.0:
                cut = first_cut(worlds, w, s, starts.start[j, s])
                time, _ = next_up(worlds, w, s, min(time + failing, cut))
            starts.start[j, s] = time


@part
def time_failing(grid, worlds, w, s, index):
    """How long the attempts run that site s fails, s, and whether it fails all of them."""
    seconds = 0.0
    for attempt in range(MAX_ATTEMPTS):
        length, breaks = attempt_length(grid, worlds, w, s, index, attempt)
        if not breaks:
            return seconds, False
        seconds += length
    return seconds, True


@part
def next_up(worlds, w, s, time):
    """The first time from `time` on, s, when site s is up, and the row of the next outage."""
    switch = worlds.switch[w, s]
    k = 0
    while k < len(switch) and switch[k] <= time:
        time = max(time, switch[k + 1])
        k += 2
    return time, k


@part
def first_cut(worlds, w, s, time):
    """When the first outage ends, s, that may cut an attempt started at `time` or later."""
    switch = worlds.switch[w, s]
    k = 0
    while k < len(switch) and switch[k] < time:
        k += 2
    return switch[k + 1] if k < len(switch) else np.inf
