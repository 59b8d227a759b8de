"""Offline data in one HDF5 file: the layout of DSRL, and how it is read.

In: a file. Out: its arrays, all at once or episode by episode, and its attributes. The file holds N
steps, episode after episode, each ending with a terminal or a timeout (Liu et al., 2023, arXiv
2306.09303).

| array | shape | dtype | meaning |
|---|---|---|---|
| observations, next_observations | (N, d) | float32 | before and after the step |
| actions | (N,) | int64 | discrete actions; (N, k) float32 for a box of actions |
| rewards, costs | (N,) | float64 | `info["cost"]`, 0 where the environment has none |
| terminals, timeouts | (N,) | bool | `terminated`, `truncated` |
| episodes | (N,) | int64 | number i of the episode; its seed is the file's `seed` + i |
| action_masks | (N, S) | int8 | allowed actions before the step; if the environment gives them |
| cost_* | (N,) | float64 | parts of the cost, by the names in `info` |

Attributes of the file say how it was made: `metadata` reads them. While a data set is collected,
every finished episode is a file of the same layout in `FILE.parts/`, so that readers find it and a
killed run can be resumed, see `pandaenv.offline.writer`.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .trajectories import REQUIRED

FORMAT = "pandaenv offline 1, DSRL layout"
EPISODES = "episodes"
JSON_ATTRIBUTES = ("env_arguments", "versions", "policy_mix", "reference")


def read(path: str | os.PathLike, columns: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Read a file's arrays, all or the columns named.

    Where the file does not exist but finished episodes of it do (the run was killed, or is still
    running), those are read.

    Raises:
        FileNotFoundError: neither exists.
        ValueError: the file is damaged, has another layout, or lacks a column.
    """
    path = Path(path)
    episodes = [_read(p, columns) for p in _sources(path)]
    whole = {key: np.concatenate([e[key] for e in episodes]) for key in episodes[0]}
    if columns is None:
        _check_whole(whole, path)
    return whole


def read_episodes(path: str | os.PathLike) -> Iterator[dict[str, np.ndarray]]:
    """The episodes of a file one after the other; memory holds one."""
    for source in _sources(Path(path)):
        flags = _read(source, ("terminals", "timeouts"))
        ends = (np.flatnonzero(flags["terminals"] | flags["timeouts"]) + 1).tolist()
        for first, stop in zip([0, *ends[:-1]], ends, strict=True):
            yield _read(source, None, slice(first, stop))


def metadata(path: str | os.PathLike) -> dict[str, Any]:
    """How a data set was made: the attributes of its file, those in JSON decoded."""
    with open_file(_sources(Path(path))[0]) as file:
        found = {key: _to_python(value) for key, value in file.attrs.items()}
    return found | {k: json.loads(found[k]) for k in JSON_ATTRIBUTES if k in found}


def parts_of(path: str | os.PathLike) -> Path:
    """Folder of the finished episodes of a data set that is being collected."""
    path = Path(path)
    return path.with_name(path.name + ".parts")


def finished_parts(parts: Path) -> list[Path]:
    """Files of finished episodes, in order."""
    return sorted(p for p in parts.glob("*.hdf5") if re.fullmatch(r"\d{6,}", p.stem))


def open_file(path: Path) -> Any:
    """An HDF5 file open for reading."""
    try:
        return import_h5py().File(path, "r")
    except OSError:
        raise ValueError(f"{path}: damaged, or no HDF5 file") from None


def import_h5py() -> ModuleType:
    """The module h5py; where it is missing, an `ImportError` says how to install it."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("offline data need h5py: pip install 'pandaenv[offline]'") from error
    return h5py


def _sources(path: Path) -> list[Path]:
    """The file itself or, where it does not exist yet, its finished episodes."""
    if path.is_file():
        return [path]
    parts = finished_parts(parts_of(path))
    if not parts:
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"an offline data set must be an HDF5 file; {path} {what}")
    return parts


def _read(
    path: Path, columns: Sequence[str] | None, rows: slice = slice(None)
) -> dict[str, np.ndarray]:
    h5py = import_h5py()
    with open_file(path) as file:
        known = [k for k, v in file.items() if isinstance(v, h5py.Dataset) and v.shape]
        for column in columns or ():
            if column not in known:
                raise ValueError(f"{path} lacks {column}; it has {', '.join(known)}")
        try:
            return {key: file[key][rows] for key in columns or known}
        except OSError:
            raise ValueError(f"{path}: the HDF5 file is damaged") from None


def _check_whole(whole: dict[str, np.ndarray], path: Path) -> None:
    missing = [key for key in REQUIRED if key not in whole]
    if missing:
        raise ValueError(f"{path}: not in the DSRL layout, it lacks {', '.join(missing)}")
    n = {key: len(values) for key, values in whole.items()}
    if len(set(n.values())) != 1:
        raise ValueError(f"{path}: every array needs one row a step, got {n}")
    if n["rewards"] and not (whole["terminals"] | whole["timeouts"])[-1]:
        raise ValueError(f"{path}: the last episode has no end, neither terminal nor timeout")


def _to_python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
