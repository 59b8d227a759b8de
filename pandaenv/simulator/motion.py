"""The motion of a world: a job is placed, events are handled, time passes.

In: a world and a site for the next job, or a time. Out: the world after that.
`pandaenv.simulator.simulator` states the rules.
"""

import numpy as np

from pandaenv.kernels import kernel, part

from .bookings import book_attempts
from .caches import nearest_source, pin_source, store_input
from .events import pop
from .outages import switch_outage
from .prefetch import prefetch_copy, prefetch_job, prefetch_next_event
from .queues import enqueue, start_waiting
from .site_jobs import add_to_site, end_attempt
from .state import MOVING, NONE, REJECTED
from .transfers import start_transfer


@part
def place(grid, worlds, w, s):
    """Put the next job on site s at the present time; returns its row. NONE rejects it."""
    world = worlds.world[w]
    row = world.next
    world.next += 1
    if s != NONE:
        worlds.touched[w, s] = True
    job = worlds.job[w, row]
    traits = grid.stream[job.index]
    job.submit = world.now
    job.site, job.cores = s, traits.cores
    if s == NONE or traits.cores > grid.sites[s].cores:
        job.state = REJECTED
        job.end = world.now
        world.own_lost += row >= world.first_own
        return row
    source = nearest_source(grid, worlds, w, row, s) if traits.nbytes > 0 else np.int64(s)
    prefetch_copy(worlds, w, row, source)
    add_to_site(worlds, w, row)
    book_attempts(grid, worlds, w, row, 0)
    if traits.nbytes > 0:
        pin_source(grid, worlds, w, row, source)
    if source == s:
        enqueue(grid, worlds, w, row)
        start_waiting(grid, worlds, w, s)
    else:
        start_transfer(grid, worlds, w, row, source)
    return row


@kernel
def advance(grid, worlds, w, until):
    """Handle every event up to and including `until`, in seconds; infinity drains the world."""
    handle_events(grid, worlds, w, until)


@part
def handle_events(grid, worlds, w, until):
    """The same, inlined into its caller: a sixth of a step faster, and slower to compile."""
    world = worlds.world[w]
    heap = worlds.heap[w]
    while world.n_events > 0 and heap[0].time <= until:
        time, what = heap[0].time, heap[0].what
        pop(heap, world)
        prefetch_next_event(worlds, w)
        advance_clock(world, time)
        if what < 0:
            handle_site(grid, worlds, w, -1 - what)
        else:
            finish_stage(grid, worlds, w, what)
    if until < np.inf:
        advance_clock(world, until)


@part
def handle_site(grid, worlds, w, k):
    """An outage begins or ends at site k of S; from S on the queue of site k - S is looked at."""
    if k < len(grid.sites):
        switch_outage(grid, worlds, w, k)
    else:
        look_at_queue(grid, worlds, w, k - len(grid.sites))


@kernel
def look_at_queue(grid, worlds, w, s):
    """Start what need no longer wait for others."""
    worlds.touched[w, s] = True
    start_waiting(grid, worlds, w, s)


@part
def advance_clock(world, time):
    """Let time pass until `time`, s."""
    time = max(time, world.now)  # an outage may have begun before the first arrival
    world.integral += world.own_in_system * (time - world.now)
    world.now = time


@part
def finish_stage(grid, worlds, w, row):
    """The transfer or the attempt of a job has ended: the job goes on to its next stage."""
    job = worlds.job[w, row]
    s = job.site
    worlds.touched[w, s] = True
    prefetch_job(worlds, w, worlds.site[w, s].head)  # which may start
    if job.state == MOVING:
        worlds.site[w, s].moving -= 1
        store_input(grid, worlds, w, row)
        enqueue(grid, worlds, w, row)
    else:
        end_attempt(grid, worlds, w, row, job.outcome)
    start_waiting(grid, worlds, w, s)
