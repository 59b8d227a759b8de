"""The companion of an exported file, `FILE.json`: what a job format has no place for.

In: a `Stream`, and the text of the file. Out: a dict of sites (slots, power, disk, ingress,
closeness), sites of each data set's replicas, names of the data formats, project and production
step of each job, duration and scale of the stream, the properties of jobs that the format cannot
hold, and the hash of the file, so that the two cannot be mixed up.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pandaenv.sites import Catalogue

from ..jobs import JobArrays
from ..stream import LABELS, Stream


def companion_path(path: Path) -> Path:
    """Where the companion of a file lies."""
    return path.with_name(path.name + ".json")


def describe_stream(stream: Stream, kind: str, text: bytes, jobs: dict[str, Any]) -> dict[str, Any]:
    """The content of the companion; `jobs` is what the format cannot hold of each job."""
    return {"kind": kind, "sha256": _hash(text), **_describe_grid(stream), "jobs": jobs}


def read_companion(path: Path, text: bytes) -> dict[str, Any]:
    """The companion of a file with this text.

    Raises: ValueError where it is missing, damaged or was written with another file.
    """
    beside = companion_path(path)
    try:
        companion = json.loads(read_bytes(beside))
    except ValueError as error:
        raise ValueError(f"{path} needs the JSON file written with it: {error}") from error
    if not isinstance(companion, dict) or "sha256" not in companion:
        raise ValueError(f"{beside} must be the JSON file written with {path}, got another")
    if companion["sha256"] != _hash(text):
        raise ValueError(f"{beside} must have been written with {path}, got another's")
    return companion


def rebuild_stream(companion: dict[str, Any], jobs: dict[str, Any], catalogue: Catalogue) -> Stream:
    """The stream of the properties of its jobs and of the companion."""
    labels = {name: pd.Categorical.from_codes(**companion["labels"][name]) for name in LABELS}
    return Stream(
        JobArrays(**jobs, replicas=_rebuild_replicas(companion["replicas"], catalogue.n_sites)),
        catalogue,
        companion["duration"],
        companion["scale"],
        tuple(companion["formats"]),
        pd.DataFrame(labels),
        companion.get("gathered", False),
    )


def rebuild_catalogue(companion: dict[str, Any]) -> Catalogue:
    """The scaled sites of the stream."""
    sites = {
        name: np.array(part) if isinstance(part, list) and name not in ("names", "cloud") else part
        for name, part in companion["sites"].items()
    }
    return Catalogue(**sites)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; a ValueError names one that cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} must be a readable file: {error}") from error


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _describe_grid(stream: Stream) -> dict[str, Any]:
    """Sites, replicas and what else belongs to the stream rather than to one job."""
    catalogue = stream.catalogue
    sites = {f.name: getattr(catalogue, f.name) for f in fields(Catalogue)}
    row, site = np.nonzero(stream.jobs.replicas)
    first = np.searchsorted(row, np.arange(1, len(stream.jobs.replicas)))
    return {
        "duration": stream.duration,
        "scale": stream.scale,
        "gathered": stream.gathered,
        "formats": list(stream.formats),
        "labels": {
            name: {"codes": column.codes.tolist(), "categories": column.categories.tolist()}
            for name, column in ((name, stream.labels[name].cat) for name in LABELS)
        },
        "sites": {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in sites.items()},
        "replicas": [part.tolist() for part in np.split(site, first)],
    }


def _rebuild_replicas(holders: list[list[int]], n_sites: int) -> np.ndarray:
    """Which sites hold each data set, bool (D, S)."""
    replicas = np.zeros((len(holders), n_sites), bool)
    row = np.repeat(np.arange(len(holders)), [len(sites) for sites in holders])
    replicas[row, np.concatenate([np.array(sites, int) for sites in holders])] = True
    return replicas
