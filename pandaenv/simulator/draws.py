"""Random outcomes of jobs, from a counter hash rather than from a stream of random numbers.

In: a seed, a job, an attempt, a question. Out: a number in [0, 1), or the length and end of an
attempt, the same whatever else has been asked, so that all policies meet the same world.
"""

import numpy as np

from pandaenv.kernels import part
from pandaenv.schema import STATUSES

from .state import FAILED, FINISHED, QUEUED

PAYLOAD_SHARE = 0.5
"""Share of recorded `failed` jobs whose own payload failed; ASSUMED. Their site failed the rest."""
SITE_FAILS, FAILS_AT, PAYLOAD_FAILS = range(3)
"""Independent questions to the hash."""
STATUS_FAILED = STATUSES.index("failed")
STATUS_FINISHED = STATUSES.index("finished")


@part
def attempt_outcome(grid, worlds, w, s, index, attempt):
    """How long an attempt of a job of the stream runs at site s, in s, and the state it ends in."""
    seed = worlds.world[w].seed
    length, breaks = attempt_length(grid, worlds, w, s, index, attempt)
    if breaks:
        return length, QUEUED
    return length, FAILED if payload_fails(seed, index, grid.stream[index].status) else FINISHED


@part
def attempt_length(grid, worlds, w, s, index, attempt):
    """How long an attempt of a job of the stream runs at site s, in s, and if the site fails it."""
    traits, seed = grid.stream[index], worlds.world[w].seed
    fails_after = worlds.site[w, s].fails_after
    length = traits.work / (traits.cores * grid.sites[s].power)
    if fails_after < np.inf:
        return min(length, fails_after), True
    if uniform(seed, index, attempt, SITE_FAILS) < grid.sites[s].failure_rate:
        return length * uniform(seed, index, attempt, FAILS_AT) ** 2, True
    return length, False


@part
def payload_fails(seed, index, status):
    """Whether the job's own payload fails it, anywhere.

    Its recorded work is what it had used when it stopped, so such a job is early without a cut.
    """
    if status == STATUS_FAILED:
        return uniform(seed, index, 0, PAYLOAD_FAILS) < PAYLOAD_SHARE
    return status != STATUS_FINISHED


@part
def uniform(seed, index, attempt, question):
    """A number in [0, 1) by job, attempt and question; splitmix64 chained over the four."""
    z = mix(np.uint64(seed))
    z = mix(z ^ np.uint64(index))
    z = mix(z ^ np.uint64(attempt))
    z = mix(z ^ np.uint64(question))
    return np.float64(z >> np.uint64(11)) * 2.0**-53


@part
def mix(z):
    """Splitmix64's step and finaliser (Steele, Lea and Flood, OOPSLA 2014)."""
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
