"""A world carried over into another set of worlds, with the jobs in its system.

In: a world as it stands. Out: the same world with the jobs that have ended left behind.
"""

import numpy as np

from .state import JOB_STATE, MOVING, NONE, RUNNING, Worlds


def carry(source: Worlds, w: int, target: Worlds, v: int, n_new: int) -> int:
    """Copy world w as it stands into world v, its jobs in the system first, then n_new to come.

    Jobs that have ended are left behind, so rows are renumbered (in order), and data sets that no
    job and no copy names any more, so these too. Scheduled outages and data sets must fit the
    target.

    Returns:
        The number of jobs carried over; v's agent owns the rows after them.
    """
    world = source.world[w]
    rows = carried_rows(source, w, n_new)
    n_carried, n_rows = len(rows) - n_new, len(rows)
    renumber = np.full(source.job.shape[1] + 1, NONE)  # the last entry keeps NONE
    renumber[rows] = np.arange(n_rows)
    target.job[v, :n_rows] = source.job[w, rows]
    target.job[v, n_rows:] = np.zeros((), JOB_STATE)
    for name in ("behind", "previous", "following"):
        target.job[v, :n_rows][name] = renumber[target.job[v, :n_rows][name]]
    for name in ("site", "channel", "slow"):
        getattr(target, name)[v] = getattr(source, name)[w]
    for name in ("head", "tail", "first", "last"):
        target.site[v][name] = renumber[source.site[w][name]]
    n_events = int(world["n_events"])
    target.heap[v, :n_events] = source.heap[w, :n_events]
    what = target.heap[v, :n_events]["what"]
    target.heap[v, :n_events]["what"] = np.where(what < 0, what, renumber[what])
    target.switch[v] = np.inf
    target.switch[v, :, : source.switch.shape[2]] = source.switch[w]
    target.world[v] = world
    target.world[v]["n_rows"] = n_rows
    target.world[v]["next"] = target.world[v]["first_own"] = n_carried
    for name in ("integral", "own_in_system", "own_lost"):
        target.world[v][name] = 0
    carry_copies(source, w, target, v, rows)
    return n_carried


def carried_rows(source: Worlds, w: int, n_new: int) -> np.ndarray:
    """Rows of the jobs in the system of world w, then of the n_new to come."""
    state, coming = source.job[w]["state"], int(source.world[w]["next"])
    alive = np.flatnonzero((state >= MOVING) & (state <= RUNNING))
    return np.concatenate([alive, np.arange(coming, coming + n_new)])


def carried_slots(source: Worlds, w: int, rows: np.ndarray) -> np.ndarray:
    """Data sets that jobs in these rows of world w read or that have a copy, by row of copies."""
    is_named = (source.stored[w] > 0).any(axis=1)
    is_named[source.job[w, rows]["slot"]] = True
    return np.flatnonzero(is_named)


def carry_copies(source: Worlds, w: int, target: Worlds, v: int, rows: np.ndarray) -> None:
    """Copy the cached copies to world v, which already has the jobs of these rows and the sites."""
    job, site = target.job[v, : len(rows)], target.site[v]
    if w >= len(source.copy) or v >= len(target.copy):
        job["held"] = site["oldest"] = site["newest"] = NONE
        site["cached"] = site["unused"] = 0
        return
    slots, n_sites = carried_slots(source, w, rows), len(site)
    renumber = np.full(source.stored.shape[1] + 1, NONE)  # the last entry keeps NONE
    renumber[slots] = np.arange(len(slots))
    job["slot"] = renumber[job["slot"]]

    def number(i):
        return np.where(i == NONE, NONE, renumber[i // n_sites] * n_sites + i % n_sites)

    target.stored[v] = 0.0
    target.stored[v, : len(slots)] = source.stored[w, slots]
    target.dataset[v, : len(slots)] = source.dataset[w, slots]
    copy = target.copy[v, : len(slots) * n_sites]
    copy.reshape(len(slots), n_sites)[:] = source.copy[w].reshape(-1, n_sites)[slots]
    for array, names in ((job, ["held"]), (site, ["oldest", "newest"]), (copy, ["older", "newer"])):
        for name in names:
            array[name] = number(array[name])
