"""Copies of input data in the caches of sites: found, pinned, evicted.

In: a world and what happens to its jobs. Out: where input can be read, and the copies as they come
and go.

A site keeps what was moved to it in a cache, CACHE_SHARE of its disk; original replicas lie
elsewhere and stay. Jobs that read one data set read nested parts of it (ASSUMED): a copy of n bytes
serves every job that reads at most n, and a job that reads more brings a larger one in its place.
A copy comes when its transfer ends, if it fits beside those in use; then those unused for longest
are evicted until it does. One that does not fit is used by the job that brought it and not kept. In
use is what a job reads: at its site from the moment it is there until the job has left, at another
from the placement until the transfer has ended.

What a job will read is decided when it is placed, and the job pins it until it is done. So no copy
that comes or goes later changes when a placed job starts or ends, and projections need no caches.

A world has a row of copies for each data set its jobs read, with a place in it for each site, so
that one look along it tells where the data are; and at each site a list of the copies nobody uses,
from the one unused for longest.
"""

import numpy as np

from pandaenv.kernels import part

from .state import NONE, copy_row


@part
def has_caches(worlds, w):
    """Whether world w keeps caches."""
    return w < len(worlds.copy)


@part
def least_bytes(traits):
    """Bytes of a copy that serves a job: whole bytes, and none of no bytes."""
    return max(traits.nbytes, 1.0)


@part
def nearest_source(grid, worlds, w, row, s):
    """Site from which a job, put on site s, would read its input.

    s itself if the data are there, else that of the fastest link, the first of these.
    """
    traits = grid.stream[worlds.job[w, row].index]
    held = grid.replicas[traits.dataset]
    if held[s]:
        return s
    if not has_caches(worlds, w):
        for source in grid.nearest[s]:
            if held[source]:
                return source
        return NONE
    stored, needed = worlds.stored[w, worlds.job[w, row].slot], least_bytes(traits)
    if stored[s] >= needed:
        return s
    for source in grid.nearest[s]:
        if held[source] | (stored[source] >= needed):
            return source
    return NONE


@part
def mark_holders(grid, worlds, w, row, out):
    """Mark in out, (S,), the sites where a job finds its input."""
    traits = grid.stream[worlds.job[w, row].index]
    held = grid.replicas[traits.dataset]
    if not has_caches(worlds, w):
        for s in range(len(held)):
            out[s] = held[s]
        return
    stored, needed = worlds.stored[w, worlds.job[w, row].slot], least_bytes(traits)
    for s in range(len(held)):
        out[s] = held[s] | (stored[s] >= needed)


@part
def pin_source(grid, worlds, w, row, source):
    """Pin the copy at the site a job reads from, unless that is an original."""
    job = worlds.job[w, row]
    if not grid.replicas[grid.stream[job.index].dataset, source]:
        pin(worlds, w, row, copy_row(worlds, job.slot, source))


@part
def pin(worlds, w, row, i):
    """Pin copy i for a job."""
    copy = worlds.copy[w, i]
    if copy.users == 0:
        unlink(worlds, w, i)
    copy.users += 1
    worlds.job[w, row].held = i


@part
def unpin(worlds, w, row):
    """The job no longer uses its copy, if it has one; without users a copy may be evicted."""
    job = worlds.job[w, row]
    if job.held == NONE:
        return
    copy = worlds.copy[w, job.held]
    copy.users -= 1
    if copy.users == 0:
        link_last(worlds, w, job.held)
    job.held = NONE


@part
def store_input(grid, worlds, w, row):
    """The input of the job has come: unpin its source, cache and pin the copy here if it fits."""
    unpin(worlds, w, row)
    if not has_caches(worlds, w):
        return
    job = worlds.job[w, row]
    s = job.site
    site, traits, capacity = worlds.site[w, s], grid.stream[job.index], grid.sites[s].cache
    if traits.nbytes > capacity:
        return
    i, stored = copy_row(worlds, job.slot, s), worlds.stored[w, job.slot]
    size, had = np.int64(np.ceil(traits.nbytes)), np.int64(stored[s])
    in_use = site.cached - site.unused
    if had > 0 and worlds.copy[w, i].users > 0:
        in_use -= had
    if size > had and size > capacity - in_use:
        return
    if had == 0:
        add_copy(worlds, w, i)
    pin(worlds, w, row, i)
    if size > had:
        make_room(worlds, w, s, capacity - (size - had))
        stored[s] = size
        site.cached += size - had


@part
def make_room(worlds, w, s, limit):
    """Evict copies nobody uses, the one unused for longest first, until `limit` bytes are left."""
    site = worlds.site[w, s]
    while site.cached > limit:
        evict(worlds, w, site.oldest)


@part
def add_copy(worlds, w, i):
    """Make an entry for copy i, unused and of no bytes yet."""
    worlds.copy[w, i].users = 0
    link_last(worlds, w, i)


@part
def evict(worlds, w, i):
    """Remove an unused copy."""
    n_sites = worlds.site.shape[1]
    slot, s = i // n_sites, i % n_sites
    unlink(worlds, w, i)
    worlds.site[w, s].cached -= np.int64(worlds.stored[w, slot, s])
    worlds.stored[w, slot, s] = 0.0


@part
def link_last(worlds, w, i):
    """Put a copy at the end of those nobody uses at its site."""
    n_sites = worlds.site.shape[1]
    copy, site = worlds.copy[w, i], worlds.site[w, i % n_sites]
    copy.older, copy.newer = site.newest, NONE
    if site.newest == NONE:
        site.oldest = i
    else:
        worlds.copy[w, site.newest].newer = i
    site.newest = i
    site.unused += np.int64(worlds.stored[w, i // n_sites, i % n_sites])


@part
def unlink(worlds, w, i):
    """Take a copy out of those nobody uses."""
    n_sites = worlds.site.shape[1]
    copy, site = worlds.copy[w, i], worlds.site[w, i % n_sites]
    if copy.older == NONE:
        site.oldest = copy.newer
    else:
        worlds.copy[w, copy.older].newer = copy.newer
    if copy.newer == NONE:
        site.newest = copy.older
    else:
        worlds.copy[w, copy.newer].older = copy.older
    site.unused -= np.int64(worlds.stored[w, i // n_sites, i % n_sites])
