"""Recorded jobs played through the simulated grid, from the first to the last.

In: a record table, sites, a load, and who places the jobs. Out: the same records as the simulated
grid would have left them (`computingsite` and `jobstatus` are the simulated ones), and beside them
the time of every stage of every job, so that what scores records scores a simulation too.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from foundations import checks
from pandaenv.policies import broker_floor, warm_up
from pandaenv.scenarios import Scenario
from pandaenv.simulator import Simulator
from pandaenv.simulator.log import status_codes
from pandaenv.sites import Catalogue, catalogue
from pandaenv.workload import Trace

from . import scenarios, schema

RULES = ("recorded", "panda_analysis")
STAGES = ("source", "state", "attempts", "submit", "ready", "first_start", "start", "end")


def replay(
    records: pd.DataFrame,
    sites: int | str | Iterable[str] | Catalogue = 40,
    *,
    load: float | None = 0.6,
    placed_by: str = "recorded",
    scenario: str | Scenario | Mapping | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Play every record at its own time; 1.65 M records take some ten seconds.

    Args:
        records: a record table, see `pandaenv.schema`.
        sites: as for `pandaenv.sites.catalogue`; the grid is scaled to the load.
        load: offered work over capacity; None takes the sites as they are.
        placed_by: "recorded", each job at its recorded site (one unknown here is drawn by disk), or
            "panda_analysis", PanDA's rule for user analysis.
        scenario: what goes wrong, as for the environment: a name, a `Scenario` or a dict of its
            fields; None for nothing. In a surge jobs arrive earlier than recorded.
        seed: of failures and outages, and of what the records do not contain.

    Returns:
        One row a record, in order of arrival: the nine record columns, then source (site the input
        came from, missing if it was there), state, attempts, and submit, ready, first_start, start,
        end in seconds on the clock of `creationtime`. `metrics.evaluate` takes it as it is;
        `schema.check` of it is the record table alone.

    Raises:
        ValueError: an unknown rule or scenario, a load that is not positive, a broken table.
    """
    checks.known("rule", placed_by, RULES)
    trace = Trace(records)
    stream = trace.stream(catalogue(sites), rate=None, load=load, seed=seed)
    troubles = None
    if scenario is not None:
        start, rng = float(stream.jobs.time[0]), np.random.default_rng(seed)
        troubles = scenarios.make(scenario).draw(stream.catalogue.n_sites, start, rng)
    simulator = Simulator(stream.catalogue, stream.jobs, seed=seed, troubles=troubles)
    if placed_by == "recorded":
        simulator.replay(stream.jobs.site)
    else:
        floor = broker_floor(stream.scale)
        warm_up(simulator.grid, simulator.worlds, 0, len(stream.jobs), floor)
    return _log(trace.records, simulator.drain())


def _log(records: pd.DataFrame, simulator: Simulator) -> pd.DataFrame:
    """Records in order of arrival with what became of them, and their stages."""
    order = np.argsort(records["creationtime"].to_numpy(), kind="stable")  # as the stream's
    job, names = simulator.worlds.job[0], simulator.catalogue.names
    status = status_codes(job["state"], simulator.jobs.status)
    log = records.iloc[order].reset_index(drop=True)
    log["computingsite"] = pd.Categorical.from_codes(job["site"], categories=names)
    log["jobstatus"] = pd.Categorical.from_codes(status, categories=schema.STATUSES)
    return pd.concat([schema.check(log), simulator.log()[list(STAGES)]], axis=1)
