"""What a broker expects of the next job at a site: when its input is there, and when it ends.

In: a world with a waiting job and a site. Out: seconds from now.
"""

from pandaenv.kernels import kernel, part
from pandaenv.simulator.caches import nearest_source
from pandaenv.simulator.others import has_others, held_cores
from pandaenv.simulator.state import NONE, RUNNING, recent_failure_share


@part
def transfer_time(grid, worlds, w, s):
    """Seconds until the input of the next job would be at site s; 0 where it is."""
    world = worlds.world[w]
    job = grid.stream[worlds.job[w, world.next].index]
    source = nearest_source(grid, worlds, w, world.next, s)
    if source == s or job.nbytes == 0:
        return 0.0
    rate = min(grid.link[s, source], grid.sites[s].channel)
    free_at = worlds.channel[w, s, 0]
    for k in range(1, worlds.channel.shape[2]):
        free_at = min(free_at, worlds.channel[w, s, k])
    return max(0.0, free_at - world.now) + job.nbytes / rate


@part
def expected_finish(grid, worlds, w, s, is_true, enough):
    """Seconds until the next job would end at site s; an estimate.

    It starts once its input is there and, where cores are wanting, the queue has been worked off
    and a running job has ended. What turns out to be `enough` or more is not worked out further.
    """
    job = grid.stream[worlds.job[w, worlds.world[w].next].index]
    site, power = worlds.site[w, s], grid.sites[s].power
    failing = recent_failure_share(site)
    work = job.work if is_true else job.estimate * 1e-3
    run = work / (job.cores * power) / (1.0 - failing)
    moved = transfer_time(grid, worlds, w, s)
    if moved + run >= enough:
        return moved + run
    return max(moved, expected_wait(grid, worlds, w, s, job.cores, is_true, enough - run)) + run


@kernel
def expected_wait(grid, worlds, w, s, cores, is_true, enough):
    """Seconds until site s would have cores free for a job that queued now; an estimate.

    Jobs are added up from the last one on, and no further than what makes it `enough`.
    """
    site, traits, now = worlds.site[w, s], grid.sites[s], worlds.world[w].now
    held = held_cores(grid, s, now) if has_others(grid) else 0
    if site.queued == 0 and cores <= site.free - held:
        return 0.0
    capacity = traits.usual * traits.power
    most = enough * capacity * (1.0 + 1e-9)  # so that rounding never takes it for less
    waiting = running = 0.0
    row = site.last
    while row != NONE and waiting < most:
        job = worlds.job[w, row]
        its = grid.stream[job.index]
        if job.state == RUNNING:
            expected = its.estimate * 1e-3 - (now - job.start) * its.cores * traits.power
            left = (job.end - now) * its.cores * traits.power if is_true else max(expected, 0.0)
            running += left
        else:
            waiting += its.work if is_true else its.estimate * 1e-3
        row = job.previous
    return (waiting + running / max(site.running, 1)) / capacity
