"""Records of tasks with a day and a week profile, as the tests of workloads use them."""

import numpy as np
import pandas as pd

from pandaenv import schema, sites

CATALOGUE = sites.catalogue("tier1")
HOUR_WEIGHT = 1 + 0.5 * np.sin(2 * np.pi * (np.arange(24) - 9) / 24)
DAY_WEIGHT = np.array([1.1, 1.2, 1.2, 1.1, 1.0, 0.7, 0.6])


def burst_records(days: int = 105, rate: float = 1_500, seed: int = 0) -> pd.DataFrame:
    """Records of tasks of about 20 jobs with a day and a week profile, and strange site names."""
    rng = np.random.default_rng(seed)
    profile = np.tile(np.outer(DAY_WEIGHT, HOUR_WEIGHT).ravel(), -(-days // 7))[: 24 * days]
    n_tasks = int(days * rate / 20)
    size = 1 + rng.geometric(1 / 19, n_tasks)
    task = np.repeat(np.arange(n_tasks), size)
    hour = rng.choice(24 * days, n_tasks, p=profile / profile.sum())[task]
    names = np.array([*CATALOGUE.names[:9], "ANALY_BNL_LONG", "MWT2", "Nowhere_T3"])
    site = rng.integers(len(names), size=n_tasks)[task]
    form = rng.geometric(0.3, n_tasks)[task]
    n = len(task)
    frame = pd.DataFrame(
        {
            "creationtime": (hour + rng.random(n)) / 24,
            "ninputdatafiles": rng.integers(1, 20, n),
            "inputfilebytes": rng.lognormal(22, 1.2, n).astype(np.int64),
            "workload": rng.lognormal(11, 1.5, n) * (rng.random(n) > 0.01),
            "computingsite": names[site],
            "project": "mc20_13TeV",
            "prodstep": "deriv",
            "datatype": np.array([f"DAOD_{k:02d}" for k in range(form.max() + 1)])[form],
            "jobstatus": np.array(schema.STATUSES)[rng.choice(4, n, p=[0.84, 0.11, 0.03, 0.02])],
        }
    )
    return schema.check(frame)


def same_bytes(one, two) -> bool:
    names = one.jobs.__dataclass_fields__
    jobs = all(np.array_equal(getattr(one.jobs, n), getattr(two.jobs, n)) for n in names)
    arrays = ("cores", "power", "disk", "ingress", "link")
    grid = all(np.array_equal(getattr(one.catalogue, n), getattr(two.catalogue, n)) for n in arrays)
    return jobs and grid and one.duration == two.duration
