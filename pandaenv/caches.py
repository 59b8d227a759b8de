"""Copies of input data that sites keep: found, used, made room for, dropped.

In: a world and what happens to its jobs. Out: where input can be read, and the copies as they come
and go.

A site keeps what was moved to it in a cache, CACHE_SHARE of its disk; original replicas lie
elsewhere and stay. Jobs that read one data set read nested parts of it (ASSUMED): a copy of n bytes
serves every job that reads at most n, and a job that reads more brings a larger one in its place.
A copy comes when its transfer ends, if it fits beside those in use; then those unused for longest
go until it does. One that does not fit is used by the job that brought it and not kept. In use is
what a job reads: at its site from the moment it is there until the job has left, at another from
the placement until the transfer has ended.

What a job will read is settled when it is placed, and it holds it until it is done. So no copy that
comes or goes later changes when a placed job starts or ends, and projections need no caches.

A world has one pool of copies, two linked lists through it: the copies of some data sets that share
a bucket, and at each site those nobody uses, from the one unused for longest.
"""

import numpy as np

from .kernels import part
from .worlds import NONE, chain


@part
def find(worlds, w, dataset, s):
    """The copy of a data set at site s, or NONE; worlds beyond the pools have none."""
    if w >= len(worlds.copy):
        return NONE
    copies, buckets = worlds.copy[w], worlds.bucket[w]
    i = buckets[dataset & (len(buckets) - 1)]
    while i != NONE and (copies[i].dataset != dataset or copies[i].site != s):
        i = copies[i].chained
    return i


@part
def closest(grid, worlds, w, index, s):
    """Site from which a job of the stream, put on site s, would read its input.

    s itself if the data are there, else that of the fastest link, the first of these.
    """
    traits = grid.stream[index]
    held = grid.replicas[traits.dataset]
    if held[s]:
        return s
    best = NONE
    for source in range(len(held)):
        if held[source] and (best == NONE or grid.link[source, s] > grid.link[best, s]):
            best = source
    if w >= len(worlds.copy):
        return best
    copies, buckets = worlds.copy[w], worlds.bucket[w]
    i = buckets[traits.dataset & (len(buckets) - 1)]
    while i != NONE:
        if copies[i].dataset == traits.dataset and copies[i].nbytes >= traits.nbytes:
            source = copies[i].site
            if source == s:
                return s
            rate, best_rate = grid.link[source, s], grid.link[best, s]
            if rate > best_rate or (rate == best_rate and source < best):
                best = source
        i = copies[i].chained
    return best


@part
def holders(grid, worlds, w, index, out):
    """Mark in out, (S,), the sites where a job of the stream finds its input."""
    traits = grid.stream[index]
    held = grid.replicas[traits.dataset]
    for s in range(len(held)):
        out[s] = held[s]
    if w >= len(worlds.copy):
        return
    copies, buckets = worlds.copy[w], worlds.bucket[w]
    i = buckets[traits.dataset & (len(buckets) - 1)]
    while i != NONE:
        if copies[i].dataset == traits.dataset and copies[i].nbytes >= traits.nbytes:
            out[copies[i].site] = True
        i = copies[i].chained


@part
def hold(grid, worlds, w, row, source):
    """Let a job use the copy at the site it reads from, if it is none of the originals."""
    job = worlds.job[w, row]
    dataset = grid.stream[job.index].dataset
    if not grid.replicas[dataset, source]:
        use(worlds, w, row, find(worlds, w, dataset, source))


@part
def use(worlds, w, row, i):
    copy = worlds.copy[w, i]
    if copy.users == 0:
        unlink(worlds, w, i)
    copy.users += 1
    worlds.job[w, row].held = i


@part
def release(worlds, w, row):
    """The job is done with the copy it used, if any; the last of its users leaves it unused."""
    job = worlds.job[w, row]
    if job.held == NONE:
        return
    copy = worlds.copy[w, job.held]
    copy.users -= 1
    if copy.users == 0:
        link_last(worlds, w, job.held)
    job.held = NONE


@part
def keep(grid, worlds, w, row):
    """The input of the job has come: done with its source, the job uses the copy here if kept."""
    release(worlds, w, row)
    if w >= len(worlds.copy):
        return
    job = worlds.job[w, row]
    s = job.site
    site, traits, capacity = worlds.site[w, s], grid.stream[job.index], grid.sites[s].cache
    if traits.nbytes > capacity:
        return
    size, had, in_use = np.int64(np.ceil(traits.nbytes)), 0, site.cached - site.unused
    i = find(worlds, w, traits.dataset, s)
    if i != NONE:
        had = worlds.copy[w, i].nbytes
        if worlds.copy[w, i].users > 0:
            in_use -= had
    if size > had and size > capacity - in_use:
        return
    if i == NONE:
        i = new(worlds, w, traits.dataset, s)
    use(worlds, w, row, i)
    if size > had:
        make_room(worlds, w, s, capacity - (size - had))
        worlds.copy[w, i].nbytes = size
        site.cached += size - had


@part
def make_room(worlds, w, s, limit):
    """Drop copies nobody uses, the one unused for longest first, until `limit` bytes are left."""
    site = worlds.site[w, s]
    while site.cached > limit:
        drop(worlds, w, site.oldest)


@part
def drop(worlds, w, i):
    """Take an unused copy out of the world."""
    world, copies, buckets = worlds.world[w], worlds.copy[w], worlds.bucket[w]
    copy = copies[i]
    unlink(worlds, w, i)
    worlds.site[w, copy.site].cached -= copy.nbytes
    k = copy.dataset & (len(buckets) - 1)
    if buckets[k] == i:
        buckets[k] = copy.chained
    else:
        before = buckets[k]
        while copies[before].chained != i:
            before = copies[before].chained
        copies[before].chained = copy.chained
    copy.site = NONE
    copy.chained = world.spare
    world.spare = i


@part
def new(worlds, w, dataset, s):
    """A copy of no bytes yet, unused."""
    world, copies = worlds.world[w], worlds.copy[w]
    i = world.spare
    if i == NONE:
        i = world.n_copies
        world.n_copies += 1
    else:
        world.spare = copies[i].chained
    copy = copies[i]
    copy.nbytes = copy.users = 0
    copy.dataset, copy.site = dataset, s
    chain(worlds, w, i)
    link_last(worlds, w, i)
    return i


@part
def link_last(worlds, w, i):
    """Put a copy at the end of those nobody uses at its site."""
    copy = worlds.copy[w, i]
    site = worlds.site[w, copy.site]
    copy.older, copy.newer = site.newest, NONE
    if site.newest == NONE:
        site.oldest = i
    else:
        worlds.copy[w, site.newest].newer = i
    site.newest = i
    site.unused += copy.nbytes


@part
def unlink(worlds, w, i):
    """Take a copy out of those nobody uses."""
    copy = worlds.copy[w, i]
    site = worlds.site[w, copy.site]
    if copy.older == NONE:
        site.oldest = copy.newer
    else:
        worlds.copy[w, copy.older].newer = copy.newer
    if copy.newer == NONE:
        site.newest = copy.older
    else:
        worlds.copy[w, copy.newer].older = copy.older
    site.unused -= copy.nbytes
