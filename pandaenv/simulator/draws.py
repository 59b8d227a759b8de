"""What chance decides of a job: numbers from a counter hash, not from a stream that is drawn from.

In: a seed, a job, an attempt, what is asked. Out: a number in [0, 1), the same whatever else has
been asked, so that all policies meet the same world.
"""

import numpy as np

from pandaenv.kernels import part
from pandaenv.schema import STATUSES

PAYLOAD_SHARE = 0.5
"""Share of recorded `failed` jobs whose own payload failed; ASSUMED. Their site failed the rest."""
SITE_FAILS, FAILS_AT, PAYLOAD_FAILS = range(3)
"""Independent questions one may ask of the hash."""
STATUS_FAILED = STATUSES.index("failed")
STATUS_FINISHED = STATUSES.index("finished")


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
