"""Offline data in one HDF5 file: the layout of DSRL, written episode by episode and read back.

In: episodes as dicts of arrays, see `pandaenv.offline.trajectories`. Out: a file of N steps,
episode after episode, each ending with a terminal or a timeout (Liu et al., 2023, arXiv
2306.09303).

| data set | shape | dtype | meaning |
|---|---|---|---|
| observations, next_observations | (N, d) | float32 | before and after the step |
| actions | (N,) | int64 | discrete actions; (N, k) float32 for a box of actions |
| rewards, costs | (N,) | float64 | `info["cost"]`, 0 where the environment has none |
| terminals, timeouts | (N,) | bool | `terminated`, `truncated` |
| episodes | (N,) | int64 | number i of the episode; its seed is the file's `seed` + i |
| action_masks | (N, S) | int8 | mask the action obeyed; if the environment tells it |
| cost_* | (N,) | float64 | parts of the cost, by the names in `info` |

Attributes of the file say how it was made: `metadata` reads them. While a file is being written
every finished episode lies beside it, in `FILE.parts/`, as a whole file of the same layout; a run
that was killed loses the episodes it was in, readers find the others, and the next run goes on.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .trajectories import REQUIRED, check_episode

FORMAT = "pandaenv offline 1, DSRL layout"
EPISODES = "episodes"
CHUNK_ROWS = 1024
SPOKEN = ("env_arguments", "versions", "policy_mix", "reference")
"""Attributes that are JSON."""


# --- write ---------------------------------------------------------------------------------------


class Writer:
    """Writes episodes one by one: memory for one episode, and a kill costs only those that run.

    Each episode becomes a file of its own, moved into place when whole; `close` joins them into
    the data set's file and removes them. What `close` writes depends on the episodes and the
    attributes alone, byte for byte.
    """

    def __init__(self, path: str | os.PathLike, attributes: dict[str, object]):
        import_h5py()
        self.path = Path(path)
        self.parts = parts_of(self.path)
        self.attributes = attributes
        if self.path.exists():
            raise ValueError(f"a data set is never overwritten; {self.path} exists")
        for part in self.parts.glob("*.part"):
            part.unlink()
        self._check_parts()

    def finished(self) -> set[int]:
        """Numbers of the episodes that are on disk."""
        return {int(part.stem) for part in _finished(self.parts)}

    def write(self, i: int, episode: dict[str, np.ndarray]) -> None:
        """Write episode i whole: afterwards it is on disk and readable."""
        check_episode(episode)
        self.parts.mkdir(parents=True, exist_ok=True)
        draft = self._part(i).with_suffix(".part")
        numbered = episode | {EPISODES: np.full(len(episode["rewards"]), i, np.int64)}
        with import_h5py().File(draft, "w") as file:
            file.attrs.update(self.attributes | _scores(episode))
            for key, values in numbered.items():
                _create(file, key, values)
        os.replace(draft, self._part(i))

    def close(self, episodes: int) -> Path:
        """Join episodes 0 to episodes - 1 into the data set's file, in order."""
        draft = self.path.with_name(self.path.name + ".part")
        parts = [self._part(i) for i in range(episodes)]
        with import_h5py().File(draft, "w") as file:
            scores = [_append(file, part) for part in parts]
            file.attrs.update(self.attributes | _summary(scores))
        os.replace(draft, self.path)
        shutil.rmtree(self.parts)
        return self.path

    def _part(self, i: int) -> Path:
        return self.parts / f"{i:06d}.hdf5"

    def _check_parts(self) -> None:
        for part in _finished(self.parts):
            with _open(part) as file:
                other = [k for k, v in self.attributes.items() if file.attrs.get(k) != v]
            if other:
                raise ValueError(
                    f"a run goes on only with what it began with; {self.parts} holds episodes made "
                    f"with another {', '.join(other)}: remove it, or choose another name"
                )


def parts_of(path: str | os.PathLike) -> Path:
    """The folder of finished episodes of a data set that is still being collected."""
    path = Path(path)
    return path.with_name(path.name + ".parts")


def _finished(parts: Path) -> list[Path]:
    """Files of finished episodes, in order."""
    return sorted(p for p in parts.glob("*.hdf5") if re.fullmatch(r"\d{6,}", p.stem))


def _create(file, key: str, values: np.ndarray):
    """A compressed data set that can grow along the steps."""
    shape = values.shape[1:]
    return file.create_dataset(
        key,
        data=values,
        maxshape=(None, *shape),
        chunks=(CHUNK_ROWS, *shape),
        compression="gzip",
        compression_opts=4,
        shuffle=True,
        track_times=False,
    )


def _append(file, part: Path) -> dict[str, float]:
    """Add the episode of `part` to an open file; returns its scores."""
    with _open(part) as episode:
        for key, values in episode.items():
            if key not in file:
                _create(file, key, values[:])
                continue
            n = len(file[key])
            file[key].resize(n + len(values), axis=0)
            file[key][n:] = values[:]
        return {key: float(episode.attrs[key]) for key in ("return", "cost")}


def _scores(episode: dict[str, np.ndarray]) -> dict[str, float]:
    return {"return": float(episode["rewards"].sum()), "cost": float(episode["costs"].sum())}


def _summary(scores: list[dict[str, float]]) -> dict[str, float]:
    """Attributes of the whole: number of episodes, least and largest return and cost of one."""
    numbers: dict[str, float] = {"n_episodes": len(scores)}
    for key in ("return", "cost"):
        values = [score[key] for score in scores]
        numbers |= {f"min_{key}": min(values), f"max_{key}": max(values)}
    return numbers


# --- read ----------------------------------------------------------------------------------------


def read(path: str | os.PathLike, columns=None) -> dict[str, np.ndarray]:
    """Read a file's arrays, all or the columns named.

    Where the file is not there but its parts are (a run that was killed or still runs), the
    finished episodes are read.

    Raises:
        FileNotFoundError: there is neither.
        ValueError: the file is damaged, no data set of this layout, or lacks a column.
    """
    path = Path(path)
    episodes = [_read(p, columns) for p in _sources(path)]
    whole = {key: np.concatenate([e[key] for e in episodes]) for key in episodes[0]}
    if columns is None:
        _check_whole(whole, path)
    return whole


def read_episodes(path: str | os.PathLike) -> Iterator[dict[str, np.ndarray]]:
    """The episodes of a file one after the other: memory for one."""
    for source in _sources(Path(path)):
        flags = _read(source, ("terminals", "timeouts"))
        ends = (np.flatnonzero(flags["terminals"] | flags["timeouts"]) + 1).tolist()
        for first, stop in zip([0, *ends[:-1]], ends, strict=True):
            yield _read(source, None, slice(first, stop))


def metadata(path: str | os.PathLike) -> dict[str, object]:
    """How a data set was made: the attributes of its file, JSON ones as objects."""
    with _open(_sources(Path(path))[0]) as file:
        found = {key: _python(value) for key, value in file.attrs.items()}
    return found | {k: json.loads(found[k]) for k in SPOKEN if k in found}


def _python(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _sources(path: Path) -> list[Path]:
    """The file itself, or the finished episodes of one that is not there yet."""
    if path.is_file():
        return [path]
    parts = _finished(parts_of(path))
    if not parts:
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"an offline data set must be an HDF5 file; {path} {what}")
    return parts


def _read(path: Path, columns, rows=slice(None)) -> dict[str, np.ndarray]:
    h5py = import_h5py()
    with _open(path) as file:
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
        raise ValueError(f"{path}: no data set of the DSRL layout, it lacks {', '.join(missing)}")
    n = {key: len(values) for key, values in whole.items()}
    if len(set(n.values())) != 1:
        raise ValueError(f"{path}: every array needs one row a step, got {n}")
    if n["rewards"] and not (whole["terminals"] | whole["timeouts"])[-1]:
        raise ValueError(f"{path}: the last episode has no end, neither terminal nor timeout")


def _open(path: Path):
    try:
        return import_h5py().File(path, "r")
    except OSError:
        raise ValueError(f"{path}: damaged, or no HDF5 file") from None


def import_h5py():
    """The module h5py; where it is missing, an error that names the line that brings it."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("offline data need h5py: pip install 'pandaenv[offline]'") from error
    return h5py
