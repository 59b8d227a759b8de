"""Prefetching of what the next worlds of a batch will need, while others are stepped.

In: worlds, and the sites where their waiting jobs will go. Out: nothing; the results of no step
depend on it.

Batches are larger than any cache, so without this a step would wait for memory most of its time.
Some addresses are known only once other data have arrived. A world is therefore prefetched in four
turns, each while another world is stepped: the world, its site and its plan; the jobs these name;
where their input is; what the first event will touch.
"""

from pandaenv.kernels import part, prefetch

from .caches import has_caches
from .events import ARITY, precedes
from .state import copy_row

AHEAD = 4
"""How many worlds before its own step a world is first prefetched."""
N_TOP = 1 + ARITY + ARITY**2 + ARITY**3
"""Events on the first four levels of a heap."""


@part
def prefetch_ahead(grid, worlds, plans, view, sites, w, first, stop):
    """Before a step of world w: one turn for each of the AHEAD worlds after it in [first, stop).

    Args:
        sites: where the waiting job of each world goes, int64 (n,).
    """
    if first <= w + AHEAD < stop:
        prefetch_places(worlds, plans, view, w + AHEAD, sites[w + AHEAD])
    if first <= w + 3 < stop:
        prefetch_jobs(worlds, plans, w + 3, sites[w + 3])
    if first <= w + 2 < stop:
        prefetch_input(grid, worlds, w + 2)
    if first <= w + 1 < stop:
        prefetch_first_event(grid, worlds, view, w + 1)


@part
def prefetch_places(worlds, plans, view, w, s):
    """The world, the site with its plan, what is to happen next."""
    prefetch(worlds.world, w)
    prefetch(worlds.site, w, s)
    prefetch(worlds.channel, w, s)
    prefetch(worlds.slow, w, s)
    prefetch(worlds.switch, w, s)
    prefetch(plans.site, w, s)
    prefetch(view.seen, w, s)
    prefetch(worlds.heap, w, 0)
    prefetch(worlds.heap, w, 1)


@part
def prefetch_jobs(worlds, plans, w, s):
    """The job that waits and the one after it, the plan's attempts, where an event will go."""
    world, place = worlds.world[w], plans.place[s]
    prefetch(worlds.job, w, world.next)
    prefetch(worlds.job, w, min(world.next + 1, world.n_rows - 1))
    prefetch(worlds.heap, w, world.n_events)
    prefetch(worlds.heap, w, max(world.n_events - 1, 0) // ARITY)
    prefetch(plans.busy, w, place[1])
    prefetch(plans.coming, w, place[0] + max(plans.site[w, s].count - 1, 0))


@part
def prefetch_input(grid, worlds, w):
    """Where the input of the job after the one that waits may be, and the first event's job."""
    world, heap = worlds.world[w], worlds.heap[w]
    if world.next + 1 < world.n_rows:
        slot = worlds.job[w, world.next + 1].slot
        for s in range(0, worlds.stored.shape[2], 8):
            prefetch(worlds.stored, w, slot, s)
    if world.n_events > 0 and heap[0].time <= next_due(grid, worlds, w):
        prefetch_job(worlds, w, heap[0].what)


@part
def prefetch_first_event(grid, worlds, view, w):
    """What the first event will touch, if it comes before that job."""
    heap = worlds.heap[w]
    if worlds.world[w].n_events > 0 and heap[0].time <= next_due(grid, worlds, w):
        what = heap[0].what
        if what >= 0:
            prefetch(worlds.site, w, worlds.job[w, what].site)
            prefetch(view.seen, w, worlds.job[w, what].site)
            prefetch_neighbours(worlds, w, what)


@part
def next_due(grid, worlds, w):
    """About when the job after the one that waits will arrive, s; surges are ignored."""
    world = worlds.world[w]
    row = min(world.next + 1, world.n_rows - 1)
    return grid.stream[worlds.job[w, row].index].time


@part
def prefetch_next_event(worlds, w):
    """While one event is handled: what the next will touch, and jobs of those that may follow.

    Jobs come in bursts, so most events are one of many between two of them.
    """
    world, heap = worlds.world[w], worlds.heap[w]
    if world.n_events <= N_TOP:
        return
    for i in range(1, 1 + ARITY):
        prefetch_job(worlds, w, heap[i].what)
    what = heap[0].what
    if what >= 0:
        prefetch(worlds.site, w, worlds.job[w, what].site)
        prefetch_neighbours(worlds, w, what)
    i = 0
    for _ in range(3):
        i = first_child(heap, i)
    prefetch(worlds.heap, w, ARITY * i + 1)
    for k in range(ARITY * (ARITY * i + 1) + 1, ARITY * (ARITY * i + 1 + ARITY) + 1, ARITY):
        prefetch(worlds.heap, w, k)


@part
def first_child(heap, i):
    """Which of the ARITY events below event i comes first."""
    first = ARITY * i + 1
    for k in range(ARITY * i + 2, ARITY * i + 1 + ARITY):
        first = k if precedes(heap, k, first) else first
    return first


@part
def prefetch_job(worlds, w, row):
    """A job, if there is one."""
    prefetch(worlds.job, w, max(row, 0))


@part
def prefetch_neighbours(worlds, w, row):
    """Jobs before and after one at its site, and the copy of input it reads."""
    job = worlds.job[w, row]
    prefetch_job(worlds, w, job.previous)
    prefetch_job(worlds, w, job.following)
    if has_caches(worlds, w):
        prefetch(worlds.copy, w, max(job.held, 0))


@part
def prefetch_copy(worlds, w, row, s):
    """The copy of its input that a job may read at site s."""
    if has_caches(worlds, w):
        prefetch(worlds.copy, w, copy_row(worlds, worlds.job[w, row].slot, s))
