"""Offline data sets for safe reinforcement learning: collected, written, read back.

In: an environment, a policy, seeds. Out: one HDF5 file in the layout of DSRL (Liu et al., 2023,
arXiv 2306.09303): N steps, episode after episode, each ending with a terminal or a timeout.

| data set | shape | dtype | meaning |
|---|---|---|---|
| observations, next_observations | (N, d) | float32 | before and after the step |
| actions | (N,) | int64 | discrete actions; (N, k) float32 for a box of actions |
| rewards, costs | (N,) | float64 | `info["cost"]`, 0 where the environment has none |
| terminals, timeouts | (N,) | bool | `terminated`, `truncated` |
| action_masks | (N, S) | int8 | mask the action obeyed; if the environment tells it |
| cost_* | (N,) | float64 | parts of the cost, by the names in `info` |

Attributes of the file say how it was made: `metadata` reads them. While a file is being collected
every finished episode lies beside it, in `FILE.parts/`, as a whole file of the same layout; a run
that was killed loses the episode it was in, `load` reads the others, and the next run goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import gymnasium as gym
import numpy as np

REQUIRED = (
    "observations", "next_observations", "actions", "rewards", "costs", "terminals", "timeouts",
)  # fmt: skip
FORMAT = "pandaenv offline 1, DSRL layout"
PACKAGES = ("pandaenv", "gymnasium", "numpy", "numba", "h5py")
CHUNK_ROWS = 1024


# --- collect -------------------------------------------------------------------------------------


def collect(
    env: gym.Env,
    policy,
    path: str | os.PathLike,
    *,
    episodes: int,
    seed: int = 0,
    name: str = "",
    notify: Callable[[int], object] | None = None,
) -> Path:
    """Play episodes with seeds seed, seed + 1, ... and write them to one HDF5 file.

    Args:
        env: its observations must be a Box.
        policy: has `reset(seed)` and `act(env)`, see `pandaenv.policies`.
        path: of the file to be; episodes found in `path.parts/` are kept if made alike.
        name: of the data set and of the policy, for the metadata.
        notify: called with the number of finished episodes after each.

    Returns the path. Raises `ValueError` if the file exists or its parts were made otherwise.
    """
    _check_env(env)
    if not isinstance(episodes, int | np.integer) or episodes < 1:
        raise ValueError(f"episodes must be a whole number of at least 1, got {episodes!r}")
    writer = Writer(path, describe(env, policy, name) | {"seed": int(seed)})
    for i in range(episodes):
        if not writer.has(i):
            writer.write(i, play(env, policy, seed + i))
        if notify is not None:
            notify(i + 1)
    return writer.close(episodes)


def play(env: gym.Env, policy, seed: int) -> dict[str, np.ndarray]:
    """One episode as arrays of T rows, keyed and typed as the file's data sets."""
    observation, info = env.reset(seed=seed)
    policy.reset(seed)
    rows, observations, over = [], [observation], False
    while not over:
        mask = info.get("action_mask")
        action = policy.act(env)
        observation, reward, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        parts = {k: float(v) for k, v in info.items() if k.startswith("cost_")}
        masks = {} if mask is None else {"action_masks": mask}
        rows.append(
            {"actions": action, "rewards": float(reward), "costs": float(info.get("cost", 0.0)),
             "terminals": terminated, "timeouts": truncated} | masks | parts
        )  # fmt: skip
        observations.append(observation)
    seen = np.asarray(observations, dtype=np.float32)
    episode = {"observations": seen[:-1], "next_observations": seen[1:]}
    columns = {key: _typed(key, [row[key] for row in rows], env) for key in rows[0]}
    return episode | columns


def _typed(key: str, values: list, env: gym.Env) -> np.ndarray:
    if key == "actions":
        is_discrete = isinstance(env.action_space, gym.spaces.Discrete)
        return np.asarray(values, dtype=np.int64 if is_discrete else np.float32)
    if key in ("terminals", "timeouts"):
        return np.asarray(values, dtype=bool)
    return np.asarray(values, dtype=np.int8 if key == "action_masks" else np.float64)


def _check_env(env: gym.Env) -> None:
    space = env.observation_space
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        kind = type(space).__name__
        raise ValueError(
            f"offline data need flat Box observations, got {kind}; make the environment with "
            'observation="flat" or wrap it in FlattenObservation'
        )
    if not isinstance(env.action_space, gym.spaces.Discrete | gym.spaces.Box):
        kind = type(env.action_space).__name__
        raise ValueError(f"offline data need Discrete or Box actions, got {kind}")


def describe(env: gym.Env, policy, name: str = "") -> dict[str, object]:
    """What a data set's file says of its making: environment, policy, versions, workload."""
    spec = env.spec
    arguments = {} if spec is None else {k: _plain(v) for k, v in spec.kwargs.items()}
    return {
        "format": FORMAT,
        "name": name,
        "env_id": "" if spec is None else spec.id,
        "env_arguments": json.dumps(arguments, sort_keys=True),
        "env_stream_sha256": _fingerprint(env),
        "policy": getattr(policy, "name", type(policy).__name__),
        "versions": json.dumps(_versions()),
    }


def _plain(value: object) -> object:
    """As JSON can say it: a file by its name without folders, an object by its type."""
    if isinstance(value, Path) or (isinstance(value, str) and os.path.isabs(value)):
        return Path(value).name
    try:
        json.dumps(value)
    except TypeError:
        return f"<{type(value).__name__}>"
    return value


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _fingerprint(env: gym.Env) -> str:
    """SHA-256 of the stream of jobs behind the environment, '' where it has none."""
    stream = getattr(env.unwrapped, "stream", None)
    if stream is None:
        return ""
    digest = hashlib.sha256()
    for column in fields(stream.jobs):
        digest.update(np.ascontiguousarray(getattr(stream.jobs, column.name)).tobytes())
    return digest.hexdigest()


# --- write ---------------------------------------------------------------------------------------


class Writer:
    """Writes episodes one by one: memory for one episode, and a kill costs only the running one.

    Each episode becomes a file of its own, moved into place when whole; `close` joins them into
    the data set's file and removes them.
    """

    def __init__(self, path: str | os.PathLike, attributes: dict[str, object]):
        _import_h5py()
        self.path = Path(path)
        self.parts = parts_of(self.path)
        self.attributes = attributes
        if self.path.exists():
            raise ValueError(f"a data set is never overwritten; {self.path} exists")
        for part in self.parts.glob("*.part"):
            part.unlink()
        self._check_parts()

    def has(self, i: int) -> bool:
        """Whether episode i is finished."""
        return self._part(i).exists()

    def write(self, i: int, episode: dict[str, np.ndarray]) -> None:
        """Write episode i whole: afterwards it is on disk and readable."""
        _check_episode(episode)
        self.parts.mkdir(parents=True, exist_ok=True)
        draft = self._part(i).with_suffix(".part")
        with _import_h5py().File(draft, "w") as file:
            file.attrs.update(self.attributes | _scores(episode))
            for key, values in episode.items():
                _create(file, key, values)
        os.replace(draft, self._part(i))

    def close(self, episodes: int) -> Path:
        """Join episodes 0 to episodes - 1 into the data set's file, in order."""
        draft = self.path.with_name(self.path.name + ".part")
        parts = [self._part(i) for i in range(episodes)]
        with _import_h5py().File(draft, "w") as file:
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


def _check_episode(episode: dict[str, np.ndarray]) -> None:
    missing = [key for key in REQUIRED if key not in episode]
    if missing:
        raise ValueError(f"an episode needs {', '.join(REQUIRED)}; missing: {', '.join(missing)}")
    n = {key: len(values) for key, values in episode.items()}
    if len(set(n.values())) != 1 or not n["rewards"]:
        raise ValueError(f"an episode needs one row a step in every array, got {n}")
    is_end = episode["terminals"] | episode["timeouts"]
    if not is_end[-1] or is_end[:-1].any():
        raise ValueError(
            "an episode needs a terminal or a timeout at its last step and nowhere else, got "
            f"{int(is_end.sum())} in {len(is_end)} steps"
        )
    for key, values in episode.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise ValueError(f"an episode needs finite numbers, got another in {key}, step {row}")


def _create(file, key: str, values: np.ndarray):
    """A compressed data set that can grow along the steps."""
    shape = values.shape[1:]
    return file.create_dataset(
        key, data=values, maxshape=(None, *shape), chunks=(CHUNK_ROWS, *shape),
        compression="gzip", compression_opts=4, shuffle=True,
    )  # fmt: skip


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


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read a data set into arrays keyed as in the file.

    Where the file is not there but its parts are (a run that was killed or still runs), the
    finished episodes are read.

    Raises:
        FileNotFoundError: there is neither.
        ValueError: the file is damaged or no data set of this layout.
    """
    paths = _sources(Path(path))
    episodes = [_read(p) for p in paths]
    whole = {key: np.concatenate([e[key] for e in episodes]) for key in episodes[0]}
    _check_whole(whole, Path(path))
    return whole


def metadata(path: str | os.PathLike) -> dict[str, object]:
    """How a data set was made: the attributes of its file, JSON ones as objects."""
    with _open(_sources(Path(path))[0]) as file:
        found = {key: _python(value) for key, value in file.attrs.items()}
    return found | {k: json.loads(found[k]) for k in ("env_arguments", "versions") if k in found}


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


def _read(path: Path) -> dict[str, np.ndarray]:
    h5py = _import_h5py()
    with _open(path) as file:
        try:
            return {k: v[:] for k, v in file.items() if isinstance(v, h5py.Dataset) and v.shape}
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
        return _import_h5py().File(path, "r")
    except OSError:
        raise ValueError(f"{path}: damaged, or no HDF5 file") from None


def _import_h5py():
    try:
        import h5py
    except ImportError as error:
        raise ImportError("offline data need h5py: pip install 'pandaenv[offline]'") from error
    return h5py
