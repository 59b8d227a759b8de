"""A replay of 150 days: how long 1.65 M recorded jobs take through the simulated grid.

The plain restatement of the rules (`heapq` and lists, as in the tests' twin) is not run beside it:
it would take hours. Rates are per job placed.
"""

import time

from pandaenv import reference, sites
from pandaenv.replay import RULES, replay

DAYS = 150


def measure(seed: int, days: int = DAYS) -> dict:
    """Seconds to draw the records and to replay them with a stage log, by who places the jobs."""
    replay(reference.records(days=8, rate=500, seed=seed), "tier1")  # kernels compile
    replay(reference.records(days=8, rate=500, seed=seed), "tier1", placed_by="panda_analysis")
    began = time.perf_counter()
    table = reference.records(days=days, seed=seed)
    drawn = time.perf_counter() - began
    rows = []
    for rule in RULES:
        began = time.perf_counter()
        log = replay(table, seed=seed, placed_by=rule)
        seconds = time.perf_counter() - began
        rows.append(
            {"placed_by": rule, "n": len(log), "seconds": seconds, "jobs_per_s": len(log) / seconds}
        )
    return {"records_s": drawn, "days": days, "n_sites": sites.catalogue().n_sites, "replay": rows}
