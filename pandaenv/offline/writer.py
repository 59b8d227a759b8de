"""Writing an offline data set, episode by episode, so that a killed run loses little.

In: episodes as dicts of arrays, see `pandaenv.offline.trajectories`, and the attributes of the
file. Out: a file as `pandaenv.offline.dsrl` describes it, and its card beside it.
"""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from foundations import files
from foundations.pages import write_card

from .cards import beside, data_set_card
from .dsrl import EPISODES, finished_parts, import_h5py, open_file, parts_of
from .trajectories import check_episode

CHUNK_ROWS = 1024


class Writer:
    """Writes one episode at a time: memory holds one, and a kill loses only unfinished ones.

    Each episode becomes a file of its own, moved into place when complete; `close` joins them into
    the data set's file and removes them. The bytes of that file depend on the episodes and the
    attributes alone.
    """

    def __init__(self, path: str | os.PathLike, attributes: dict[str, Any]):
        import_h5py()
        self.path = Path(path)
        self.parts = parts_of(self.path)
        self.attributes = attributes
        if self.path.exists():
            raise ValueError(f"a data set is never overwritten; {self.path} exists")
        self._check_parts()

    def finished(self) -> set[int]:
        """Numbers of the episodes that are on disk."""
        return {int(part.stem) for part in finished_parts(self.parts)}

    def write(self, i: int, episode: dict[str, np.ndarray]) -> None:
        """Write episode i; afterwards it is on disk and readable."""
        check_episode(episode)
        numbered = episode | {EPISODES: np.full(len(episode["rewards"]), i, np.int64)}
        with files.whole(self._part(i)) as draft, _new_file(draft) as file:
            file.attrs.update(self.attributes | _scores(episode))
            for key, values in numbered.items():
                _create_array(file, key, values)

    def close(self, episodes: int) -> Path:
        """Join episodes 0 to episodes - 1, in order, into the data set's file."""
        parts = [self._part(i) for i in range(episodes)]
        with files.whole(self.path) as draft:
            with _new_file(draft) as file:
                scores = [_append_episode(file, part) for part in parts]
                made = self.attributes | _summary(scores)
                file.attrs.update(made)
                card = data_set_card(self.path.name, made, file)
            write_card(beside(self.path), card)
        shutil.rmtree(self.parts)
        return self.path

    def _check_parts(self) -> None:
        for part in finished_parts(self.parts):
            with open_file(part) as file:
                other = [k for k, v in self.attributes.items() if file.attrs.get(k) != v]
            if other:
                raise ValueError(
                    f"a run can only be resumed with the same attributes; {self.parts} holds "
                    f"episodes made with another {', '.join(other)}: remove it, or choose another "
                    "name"
                )

    def _part(self, i: int) -> Path:
        return self.parts / f"{i:06d}.hdf5"


class _Unfailing(io.FileIO):
    """A file that keeps its first error to itself, as `error`.

    HDF5 tries to write what it could not write again and again, when it closes a file and when the
    process ends, and there it crashes.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        try:
            while len(rest) and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)

    def check(self) -> None:
        if self.error is not None:
            raise self.error


@contextmanager
def _new_file(path: Path) -> Iterator[Any]:
    """An HDF5 file to be written.

    Raises: OSError of the system where it cannot be, when it is closed or an episode is appended.
    """
    with _Unfailing(path, "w+") as disk:
        try:
            with import_h5py().File(disk, "w") as file:
                yield file
        finally:
            disk.check()


def _create_array(file: Any, key: str, values: np.ndarray) -> None:
    """A compressed array that can grow along the steps."""
    shape = values.shape[1:]
    file.create_dataset(
        key,
        data=values,
        maxshape=(None, *shape),
        chunks=(CHUNK_ROWS, *shape),
        compression="gzip",
        compression_opts=4,
        shuffle=True,
        track_times=False,
    )


def _append_episode(file: Any, part: Path) -> dict[str, float]:
    """Add the episode in `part` to an open file; returns its scores."""
    with open_file(part) as episode:
        for key, values in episode.items():
            if key not in file:
                _create_array(file, key, values[:])
                continue
            n = len(file[key])
            file[key].resize(n + len(values), axis=0)
            file[key][n:] = values[:]
        return {key: float(episode.attrs[key]) for key in ("return", "cost")}


def _scores(episode: dict[str, np.ndarray]) -> dict[str, float]:
    return {"return": float(episode["rewards"].sum()), "cost": float(episode["costs"].sum())}


def _summary(scores: list[dict[str, float]]) -> dict[str, float]:
    """Attributes of the data set: number of episodes, least and largest return and cost of one."""
    numbers: dict[str, float] = {"n_episodes": len(scores)}
    for key in ("return", "cost"):
        values = [score[key] for score in scores]
        numbers |= {f"min_{key}": min(values), f"max_{key}": max(values)}
    return numbers
