"""The events of a world on a heap: earliest time first, ties in the order of scheduling.

In: a time and what happens then, see `pandaenv.simulator.state.EVENT`. Out: the next event.
"""

from pandaenv.kernels import part

ARITY = 4
"""Children of an entry: half as many levels as with two, and all of them on one memory line."""


@part
def push(heap, world, time, what):
    """Schedule an event; returns its tie-break."""
    count = world.counter
    world.counter += 1
    insert(heap, world, time, count, what)
    return count


@part
def insert(heap, world, time, count, what):
    """Put an event with a known tie-break on the heap."""
    i = world.n_events
    world.n_events += 1
    while i > 0:
        parent = (i - 1) // ARITY
        if not earlier(time, count, heap[parent].time, heap[parent].count):
            break
        heap[i] = heap[parent]
        i = parent
    heap[i].time = time
    heap[i].count = count
    heap[i].what = what


@part
def pop(heap, world):
    """Remove the first event."""
    world.n_events -= 1
    n = world.n_events
    time, count, what = heap[n].time, heap[n].count, heap[n].what
    i = 0
    while ARITY * i + 1 < n:
        child = ARITY * i + 1
        for k in range(child + 1, min(child + ARITY, n)):
            if precedes(heap, k, child):
                child = k
        if not earlier(heap[child].time, heap[child].count, time, count):
            break
        heap[i] = heap[child]
        i = child
    heap[i].time = time
    heap[i].count = count
    heap[i].what = what


@part
def precedes(heap, i, j):
    """Whether entry i comes before entry j."""
    return earlier(heap[i].time, heap[i].count, heap[j].time, heap[j].count)


@part
def earlier(time, count, other_time, other_count):
    """Whether one event comes before another."""
    # no branch where both ways are likely
    return (time < other_time) | ((time == other_time) & (count < other_count))
