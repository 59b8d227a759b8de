"""The users of the reference workload: they arrive and leave, with habits of their own.

In: days and formats. Out: users with an era of data, favourite formats, a way to split work and a
home cloud; the user of each task.
"""

import numpy as np

from pandaenv import sites

from .arrivals import phase
from .formats import Formats, choice
from .sizes import SPLITS

ERA_SHARE = np.array([0.50, 0.27, 0.20, 0.03])
"""Share of users by era of data (`formats.ERAS`); ASSUMED."""
ERA_SLOPE = np.array([0.0, 0.8, -0.9, 0.0])
"""Change of a log share over 150 days: Run 3 grows, the old release falls; ASSUMED."""
TASK_FAILURE = (0.12, 4.0)
"""Beta distribution of the failed share that the users' own code brings to a task; ASSUMED."""


def draw(rng: np.random.Generator, days: int, formats: Formats) -> dict[str, np.ndarray]:
    """Users of the time span, arrays (U,); numbers, stays and habits are ASSUMED."""
    n = 120 + 6 * days
    start = rng.uniform(-60, days, n)
    era = choice(rng, np.log(ERA_SHARE) + ERA_SLOPE * phase(start)[:, None])
    habit = formats.log_share[era] + formats.slope * phase(start)[:, None]
    return {
        "start": start,
        "end": start + 35 * np.exp(0.7 * rng.standard_normal(n)),
        "weight": np.exp(0.7 * rng.standard_normal(n)),
        "era": era,
        "first": choice(rng, habit),
        "second": choice(rng, habit),
        "cloud": rng.integers(0, len(sites.SITES), n),
        "work": rng.standard_normal(n),
        "split": choice(rng, np.log(SPLITS[:, 2]), n),
        "failure": rng.beta(*TASK_FAILURE, n),
    }


def choose(rng: np.random.Generator, task: dict, users: dict) -> None:
    """Give each task one of the users active on its day, by weight."""
    day = np.floor(task["start"]).astype(np.int64)
    u, user = rng.random(len(day)), np.empty(len(day), np.int64)
    for d in np.unique(day):
        is_active = (users["start"] <= d + 1) & (users["end"] > d)
        ladder = np.cumsum(users["weight"] * is_active)
        rows = day == d
        user[rows] = np.searchsorted(ladder, u[rows] * ladder[-1], side="right")
    task["user"] = np.minimum(user, len(users["weight"]) - 1)
    task["cloud"] = users["cloud"][task["user"]]
