"""Small grids and streams for the tests of simulator, reward and environment."""

import numpy as np
import pandas as pd

from pandaenv.scenarios import Troubles
from pandaenv.schema import STATUSES
from pandaenv.simulator import Simulator
from pandaenv.simulator.others import AHEAD, HELD, Others
from pandaenv.sites import Catalogue
from pandaenv.workload.jobs import JobArrays


def sites(cores, power, *, failure_rate=0.0, ingress=8e9, closeness=None, disk=0.0) -> Catalogue:
    """A catalogue of len(cores) sites, one step from each other unless said otherwise.

    Without disk nothing that was moved is kept.
    """
    n = len(cores)
    return Catalogue(
        names=tuple(f"site{i}" for i in range(n)),
        tier=np.full(n, 2),
        cloud=("XX",) * n,
        cores=np.asarray(cores),
        power=np.asarray(power, float),
        disk=np.broadcast_to(np.asarray(disk, float), n).copy(),
        ingress=np.broadcast_to(np.asarray(ingress, float), n).copy(),
        failure_rate=np.broadcast_to(np.asarray(failure_rate, float), n).copy(),
        closeness=1 - np.eye(n, dtype=int) if closeness is None else closeness,
    )


def jobs(time, work, replicas, *, cores=1, nbytes=0.0, dataset=0, status=0) -> JobArrays:
    """A stream; numbers stand for all jobs."""
    n = len(time)
    whole = {"cores": cores, "dataset": dataset, "status": status, "nfiles": 1, "format": 0}
    whole["site"] = 0
    columns = {name: np.broadcast_to(np.asarray(v), n) for name, v in whole.items()}
    sizes = np.broadcast_to(np.asarray(nbytes, float), n)
    time, work = np.asarray(time, float), np.asarray(work, float)
    return JobArrays(time=time, work=work, nbytes=sizes, replicas=np.asarray(replicas), **columns)


def tiny_grid() -> tuple[Catalogue, JobArrays]:
    """Two sites, four jobs; test_simulator works their schedule out by hand.

    Site 0 has 1 core of 10 GFLOP/s and 100 bytes/s a channel, site 1 has 2 cores of 5 GFLOP/s and
    1000 bytes/s a channel. Data set 0 lies at site 0, data set 1 at site 1.
    """
    grid = sites([1, 2], [10, 5], ingress=[800, 8000])
    stream = jobs(
        [0, 10, 20, 30],
        [1000, 400, 200, 600],
        [[True, False], [False, True]],
        cores=[1, 1, 1, 2],
        nbytes=[500, 3000, 100, 5000],
        dataset=[0, 1, 0, 0],
    )
    return grid, stream


def random_grid(rng, n_sites: int, n_jobs: int, *, failures=True, every_s=15.0, caches=True):
    """A crowded grid where all happens at once: (catalogue, jobs, outages (S, 8) s).

    Times are whole and powers few, so events often coincide.
    """
    rate = rng.choice([0.0, 0.3, 0.8], n_sites) if failures else 0.0
    closeness = rng.integers(1, 7, (n_sites, n_sites))
    closeness = np.triu(closeness, 1) + np.triu(closeness, 1).T
    ingress = rng.choice([8e6, 8e7], n_sites)
    grid = sites(
        rng.integers(1, 7, n_sites), rng.choice([5.0, 10.0], n_sites),
        failure_rate=rate, ingress=ingress, closeness=closeness,
        disk=rng.choice([0.0, 5e9, 1.2e10, 1e12], n_sites) if caches else 0.0,
    )  # fmt: skip
    replicas = rng.random((6, n_sites)) < 0.4
    replicas[np.arange(6), rng.integers(0, n_sites, 6)] = True
    stream = jobs(
        np.sort(rng.integers(0, int(n_jobs * every_s) + 1, n_jobs)),
        rng.choice([100.0, 1000.0, 3333.0, 9999.0], n_jobs),
        replicas,
        cores=rng.choice([1, 1, 1, 2, 4], n_jobs),
        nbytes=rng.choice([0.0, 1e8, 1e9], n_jobs),
        dataset=rng.integers(0, 6, n_jobs),
        status=rng.choice(4, n_jobs, p=[0.8, 0.1, 0.05, 0.05]) if failures else 0,
    )
    outages = np.cumsum(rng.integers(1, int(n_jobs * every_s) + 2, (n_sites, 8)), axis=1)
    return grid, stream, outages.astype(float)


def random_troubles(rng, outages) -> Troubles:
    """Everything that may go wrong, at whole seconds, beside the outages given."""
    n_sites, last = len(outages), int(outages.max()) + 1
    slow = np.sort(rng.integers(0, last, (n_sites, 2)), axis=1)
    factor = rng.choice([0.1, 0.5, 1.0], (n_sites, 1))
    fails_after = rng.choice([np.inf, 30.0], n_sites, p=[0.8, 0.2])
    surge = (*np.sort(rng.integers(0, last, 2)).astype(float), float(rng.integers(1, 6)))
    return Troubles(outages, np.concatenate([slow, factor], axis=1), fails_after, surge)


def random_others(rng, catalogue, stream, *, whole=True) -> Others:
    """Others at every site, in whole seconds or not: cores they hold, bursts of jobs, latencies."""
    n_sites, begin = catalogue.n_sites, stream.time[0]
    span = max(stream.time[-1] - begin, 1.0)
    held, ahead = np.zeros((n_sites, 12), HELD), np.zeros((n_sites, 9), AHEAD)
    held["time"][:, 1:] = np.sort(begin + 1.5 * span * rng.random((n_sites, 11)))
    held["time"][:, 0] = -np.inf
    least = np.minimum(catalogue.cores, stream.cores.max())
    held["cores"] = rng.integers(0, (catalogue.cores - least + 1)[:, None], (n_sites, 12))
    ahead["time"] = np.sort(begin + span * rng.random((n_sites, 9)))
    burst, latency = rng.exponential(span / 12, (n_sites, 9)), rng.choice([0.0, 7.5], n_sites)
    if whole:
        held["time"], ahead["time"] = np.rint(held["time"]), np.rint(ahead["time"])
        burst, latency = np.rint(burst), np.rint(latency)
    until = np.full(n_sites, -np.inf)
    for k in range(9):
        until = np.maximum(until, ahead["time"][:, k]) + burst[:, k]
        ahead["until"][:, k] = until
    return Others(held, ahead, latency)


def records(days: int = 14, n: int = 12_000, seed: int = 0) -> pd.DataFrame:
    """A record table in which tasks of 40 jobs arrive at random times."""
    rng = np.random.default_rng(seed)
    task = rng.integers(0, n // 40, n)
    begin = rng.random(n // 40) * days
    time = np.minimum(begin[task] + rng.exponential(0.02, n), days - 1e-6)
    site = rng.choice(["BNL-ATLAS", "MWT2", "CERN-PROD", "nowhere"], n // 40)
    datatype = rng.choice(["DAOD_PHYS", "DAOD_EXOT2"], n // 40)
    columns = {
        "creationtime": time,
        "ninputdatafiles": rng.integers(1, 20, n),
        "inputfilebytes": rng.lognormal(22, 1.5, n).astype(np.int64),
        "workload": rng.lognormal(10.5, 1.5, n),
        "computingsite": site[task],
        "project": np.repeat("mc20_13TeV", n),
        "prodstep": np.repeat("deriv", n),
        "datatype": datatype[task],
        "jobstatus": rng.choice(STATUSES, n, p=[0.83, 0.12, 0.03, 0.02]),
    }
    return pd.DataFrame(columns)


def crowded(n_running: int, n_waiting: int, *, outages=None, cores=1) -> Simulator:
    """Sites 0, 1 (n_running cores) and 2 (8 cores); site 0 busy, n_waiting more wait there."""
    n = n_running + n_waiting
    catalogue = sites([n_running, n_running, 8], [1.0] * 3)
    stream = jobs(np.arange(n + 1.0), np.full(n + 1, 1e6), [[True] * 3], cores=[1] * n + [cores])
    return Simulator(catalogue, stream, outages=outages).replay(np.zeros(n, int))
