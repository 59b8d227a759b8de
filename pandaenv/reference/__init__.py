"""The reference workload: job records of an imaginary grid, simulated and calibrated.

In: days, seed and rate. Out: a record table (the nine columns of `schema`), its hidden truth (task,
data set, replicas) and a comparison with published quantiles. It replaces ATLAS's records, which
are not public; a number without a public source is called ASSUMED.

How a record comes about: users arrive and leave, each with an era of data, favourite formats, a way
to split work and a home cloud (`users`). Their tasks arrive by day, week, drift and campaign
(`arrivals`). A task reads a new data set or one used before (`formats`, `datasets`), is cut into
jobs of whole files (`sizes`), belongs to one of three classes of work (`work`) and is submitted in
batches (`arrivals`). PanDA's analysis rule sends it to a queue that holds its data, against a light
model of what runs and waits (`background`). Jobs finish, fail, or go down with their task
(`outcomes`). `python -m benchmarks.calibration` says how near all this comes, and where not.
"""

from functools import lru_cache

import numpy as np
import pandas as pd

from foundations import checks
from pandaenv import schema, sites

from . import arrivals, background, datasets, formats, outcomes, sizes, tables, users, work
from .published import calibration
from .tables import Tasks

__all__ = ["RATE", "Tasks", "calibration", "records", "tasks"]

RATE = 11_000
"""Jobs a day: 1.65 M records in 150 days (Park et al. 2024, section IV)."""


def records(
    days: int = 150, seed: int = 0, rate: float = RATE, *, groups: bool = False
) -> pd.DataFrame:
    """Record table of whole days from a Monday 00:00, exactly round(days x rate) rows by time.

    Same arguments and versions, same bytes.

    Args:
        days: 1 to 3650.
        seed: a whole number of at least 0.
        rate: jobs a day, 10 to 1e7.
        groups: add the columns of `schema.GROUPS`, the true task and data set of each row.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> records(days=1, rate=500).shape
        (500, 9)
    """
    table, truth = _generate(*_checked(days, seed, rate))
    return table.assign(**truth.jobs[list(schema.GROUPS)]) if groups else table.copy()


def tasks(days: int = 150, seed: int = 0, rate: float = RATE) -> Tasks:
    """The hidden truth of `records(days, seed, rate)`, row by row."""
    truth = _generate(*_checked(days, seed, rate))[1]
    return Tasks(truth.jobs.copy(), truth.replicas.copy(), truth.sites)


def _checked(days: int, seed: int, rate: float) -> tuple[int, int, float]:
    is_whole = checks.is_number(days) and days % 1 == 0 and 1 <= days <= 3_650
    checks.require(is_whole, "days", "a whole number between 1 and 3650", days)
    checks.seed(seed)
    is_rate = checks.is_number(rate) and 10 <= rate <= 1e7
    checks.require(is_rate, "rate", "between 10 and 1e7 jobs a day", rate)
    return int(days), int(seed), float(rate)


@lru_cache(maxsize=1)
def _generate(days: int, seed: int, rate: float) -> tuple[pd.DataFrame, Tasks]:
    """Records and truth, from independent random streams for each step."""
    streams = np.random.default_rng(seed).spawn(9)
    grid, physics = sites.catalogue("all"), formats.table()
    task = arrivals.draw(streams[0], days, rate)
    user = users.draw(streams[1], days, physics)
    users.choose(streams[2], task, user)
    formats.choose(streams[3], task, user, physics)
    dataset = datasets.draw(streams[4], task, user, physics, grid)
    sizes.choose(streams[5], task, user, dataset)
    work.draw(streams[6], task, user, physics, dataset)
    job = arrivals.submit(streams[7], task, days, round(days * rate))
    rng = streams[8]
    job["nfiles"], job["nbytes"] = sizes.cut(task, dataset, job)
    job["site"] = background.broker(rng, task, dataset, job, grid)
    outcomes.draw(rng, task, job, grid)
    return tables.records(task, job, physics, grid), tables.truth(task, dataset, job, grid)
