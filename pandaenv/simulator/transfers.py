"""Transfers of input into a site, through the channel that is free first.

In: a job that has been placed and the site its input comes from. Out: the job while its input
moves, and the event at which it will be there.
"""

from pandaenv.kernels import part

from .events import push
from .state import MOVING


@part
def start_transfer(grid, worlds, w, row, source):
    """Move the input from `source` through the channel that is free first."""
    job = worlds.job[w, row]
    free_at, k = worlds.channel[w, job.site], 0
    for i in range(1, len(free_at)):
        k = i if free_at[i] < free_at[k] else k
    rate = min(grid.link[job.site, source], grid.sites[job.site].channel)  # links are symmetric
    begin = max(worlds.world[w].now, free_at[k])
    seconds = grid.stream[job.index].nbytes / rate
    job.end = free_at[k] = end_of_transfer(worlds.slow[w, job.site], begin, seconds)
    job.source = source
    job.state = MOVING
    worlds.site[w, job.site].moving += 1
    job.count = push(worlds.heap[w], worlds.world[w], job.end, row)


@part
def end_of_transfer(slow, begin, seconds):
    """When a transfer ends, s, that takes `seconds` while the links are not degraded."""
    if begin >= slow.end or begin + seconds <= slow.begin:
        return begin + seconds
    left = seconds - max(0.0, slow.begin - begin)
    begin = max(begin, slow.begin)
    end = begin + left / slow.factor
    if end <= slow.end:
        return end
    return slow.end + (left - (slow.end - begin) * slow.factor)
