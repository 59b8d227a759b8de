"""Tables of groups whose law is known, small enough to be learned in a second."""

import numpy as np
import pandas as pd


def grouped(n_groups=120, days=28, seed=0, reuse=0.3):
    """Groups at random times: a colour and a level each, rows seconds apart with a state.

    A blue group has about 20 rows and a red one 5; the level is normal over groups with rows .1
    about it; a group reads a new data set or the last one of its colour.
    """
    rng = np.random.default_rng(seed)
    start = np.sort(rng.random(n_groups)) * days
    parts, last, n_sets = [], {}, 0
    for g, begin in enumerate(start):
        colour = rng.choice(["red", "blue"])
        n = 1 + rng.poisson(19 if colour == "blue" else 4)
        if colour not in last or rng.random() > reuse:
            last[colour], n_sets = n_sets, n_sets + 1
        second = np.floor(begin * 86_400) + np.cumsum(np.r_[0, rng.geometric(0.02, n - 1)])
        parts.append(
            pd.DataFrame(
                {
                    "time": second / 86_400,
                    "colour": colour,
                    "level": rng.normal() + 0.1 * rng.normal(size=n),
                    "count": rng.integers(1, 4, n),
                    "state": rng.choice(["good", "bad"], n, p=[0.8, 0.2]),
                    "task": g,
                    "dataset": last[colour],
                }
            )
        )
    table = pd.concat(parts).sort_values("time", kind="stable", ignore_index=True)
    return table[table["time"] < days].reset_index(drop=True)
