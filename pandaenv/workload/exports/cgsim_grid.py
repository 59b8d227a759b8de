"""The grid of a stream for CGSim: its sites, their connections, and the file that starts a run.

In: a `Stream`, the path of its job CSV. Out: three JSON files beside it, in the keys that CGSim's
parser reads.
Source: Vatsavai et al. (2025), arXiv 2510.00822, and the parser of CGSim's main branch.

Speeds are in the unit of the site's property GFLOPS, a whole number, because the floating-point
operations of a job are GFLOPS x CPU seconds x cores there. A data set is one file, as large as the
largest input that a job reads of it, at each site that holds it. Links are those of the catalogue.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pandaenv.sites import THROUGHPUT, Catalogue

from ..stream import Stream

HOST_CORES = 64
BANDWIDTH, LATENCY, DISK_BANDWIDTH, CORE_GB = "10Gbps", "1ms", "1GBps", 2
"""Of a host: its link, its disk, GB of memory a core; ASSUMED, no part of a job's run time."""
LINK_LATENCY = "10ms"  # between sites; ASSUMED
PLUGIN = "libPolicyPlugin.so"
"""Path of the user's own policy library in the run file: to be replaced."""


def gflops(catalogue: Catalogue) -> np.ndarray:
    """GFLOP/s per core of each site as CGSim reads it, int64 (S,), at least 1."""
    return np.maximum(np.round(catalogue.power), 1).astype(np.int64)


def files_beside(stream: Stream, path: Path) -> dict[Path, str]:
    """The paths and the texts of the three files."""
    names = {part: path.with_name(f"{path.stem}.{part}.json") for part in _PARTS}
    run = {
        "Grid_Name": "pandaenv",
        "Sites_Information": str(names["sites"]),
        "Sites_Connection_Information": str(names["connections"]),
        "Plugin": PLUGIN,
        "Limited_Sites": [],
        "Custom_Parameters": {"jobs_file": str(path), "Num_of_Jobs": str(len(stream.jobs))},
    }
    content = {"sites": _sites(stream), "connections": _connections(stream.catalogue), "run": run}
    return {names[part]: json.dumps(content[part], indent=1) + "\n" for part in _PARTS}


_PARTS = ("sites", "connections", "run")


def _sites(stream: Stream) -> dict[str, Any]:
    catalogue, jobs = stream.catalogue, stream.jobs
    size = np.zeros(len(jobs.replicas))
    np.maximum.at(size, jobs.dataset, jobs.nbytes)
    return {
        name: {
            "SITE_PROPERTIES": {
                "GFLOPS": str(speed),
                "storage_capacity_bytes": str(int(disk)),
                "storage_capacity": str(int(disk)),
            },
            "CPUInfo": _hosts(int(cores), int(speed)),
            "files": [[f"dataset_{d}", int(size[d])] for d in np.flatnonzero(held).tolist()],
        }
        for name, speed, disk, cores, held in zip(
            catalogue.names,
            gflops(catalogue).tolist(),
            catalogue.disk.tolist(),
            catalogue.cores.tolist(),
            jobs.replicas.T,
            strict=True,
        )
    }


def _hosts(cores: int, speed: int) -> list[dict[str, Any]]:
    """Hosts of `HOST_CORES` cores, and one with the rest."""
    whole, rest = divmod(cores, HOST_CORES)
    groups = [("whole", whole, HOST_CORES), ("rest", int(rest > 0), rest)]
    return [
        {
            "name": name,
            "units": units,
            "cores": n,
            "speed": speed,
            "BW_CPU": BANDWIDTH,
            "LAT_CPU": LATENCY,
            "ram": f"{CORE_GB * n}GB",
            "properties": [{"ram": f"{CORE_GB * n}GB"}],
            "disks": [{"name": "DATADISK", "read_bw": DISK_BANDWIDTH, "write_bw": DISK_BANDWIDTH}],
        }
        for name, units, n in groups
        if units
    ]


def _connections(catalogue: Catalogue) -> dict[str, dict[str, str]]:
    """A link for each two sites, at the throughput of their closeness."""
    speed = THROUGHPUT[catalogue.closeness] * catalogue.link_scale
    names = catalogue.names
    return {
        f"{a}:{b}": {"bandwidth": f"{speed[i, j]:.0f}Bps", "latency": LINK_LATENCY}
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if i < j
    }
