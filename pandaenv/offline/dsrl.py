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

MOST_PACKED = 1_100
"""Bytes of an array for each of its file; gzip packs 1,032 into one at most."""
FORMAT = "pandaenv offline 1, DSRL layout"
EPISODES = "episodes"
FLAT = ("rewards", "costs", "terminals", "timeouts", EPISODES)
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
    try:
        decoded = {k: json.loads(found[k]) for k in JSON_ATTRIBUTES if k in found}
    except (TypeError, ValueError):
        raise ValueError(f"{path}: its attributes must be JSON where those of a set are") from None
    mix = decoded.get("policy_mix", ["any"])
    if not (isinstance(mix, list) and mix and all(isinstance(name, str) for name in mix)):
        raise ValueError(f"{path}: policy_mix must be a list of names of policies, got {mix!r}")
    return found | decoded


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
        known = [key for key in file if _is_own_array(h5py, file, key, path)]
        for column in columns or ():
            if column not in known:
                raise ValueError(f"{path} lacks {column}; it has {', '.join(known)}")
        try:
            return {key: file[key][rows] for key in columns or known}
        except OSError:
            raise ValueError(f"{path}: the HDF5 file is damaged") from None


def _is_own_array(h5py: ModuleType, file: Any, key: str, path: Path) -> bool:
    """Whether a key is an array that lies in the file, as large as the file can hold.

    Raises: ValueError for arrays that HDF5 would read from other files or make of nothing.
    """
    if not isinstance(file.get(key, getlink=True), h5py.HardLink):
        raise ValueError(f"{path}: arrays must lie in the file itself, {key} is a link")
    array = file[key]
    if not isinstance(array, h5py.Dataset) or not array.shape:
        return False
    if array.external or array.is_virtual:
        raise ValueError(f"{path}: arrays must lie in the file itself, {key} lies in another")
    if array.nbytes > MOST_PACKED * path.stat().st_size:
        raise ValueError(
            f"{path}: {key} claims {array.nbytes:,} bytes, more than its file of "
            f"{path.stat().st_size:,} bytes can hold"
        )
    return True


def _check_whole(whole: dict[str, np.ndarray], path: Path) -> None:
    missing = [key for key in REQUIRED if key not in whole]
    if missing:
        raise ValueError(f"{path}: not in the DSRL layout, it lacks {', '.join(missing)}")
    n = {key: len(values) for key, values in whole.items()}
    if len(set(n.values())) != 1:
        raise ValueError(f"{path}: every array needs one row a step, got {n}")
    if not n["rewards"]:
        raise ValueError(f"{path}: a data set needs at least one step, got none")
    _check_values(whole, path)
    if not (whole["terminals"] | whole["timeouts"])[-1]:
        raise ValueError(f"{path}: the last episode has no end, neither terminal nor timeout")


def _check_values(whole: dict[str, np.ndarray], path: Path) -> None:
    """Refuse arrays of a wrong shape, dtype or range."""
    for key, values in whole.items():
        if key in FLAT and values.ndim != 1:
            raise ValueError(f"{path}: {key} must have one value a step, got {values.shape}")
        if values.dtype.kind not in "biuf":
            raise ValueError(f"{path}: {key} must hold numbers, got dtype {values.dtype}")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"{path}: {key} must be finite")
    actions = whole["actions"]
    n_actions = whole["action_masks"].shape[1] if "action_masks" in whole else np.inf
    if actions.dtype.kind in "iu" and not ((actions >= 0) & (actions < n_actions)).all():
        low, high = actions.min(), actions.max()
        raise ValueError(f"{path}: actions must be in [0, {n_actions}), got {low} to {high}")


def _to_python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
