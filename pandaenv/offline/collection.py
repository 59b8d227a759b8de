"""Collecting an offline data set: policies play episodes, which one HDF5 file keeps.

In: an environment, a policy or a `Mixture` of them, seeds. Out: a file in the layout of DSRL, see
`pandaenv.offline.dsrl`; `pandaenv.offline.layouts` converts it for Minari and OmniSafe.

    env = gym.make("PandaSiteAllocationTier1-v0")
    path = collect(env, policies.make("greedy"), "greedy.hdf5", episodes=20)
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import gymnasium as gym
import numpy as np

from foundations import checks
from foundations.versions import version
from pandaenv.env import TaskConfig
from pandaenv.policies import Policy, VectorPolicy

from .dsrl import FORMAT
from .mixtures import Mixture
from .trajectories import check_spaces, play, play_many
from .writer import Writer

LIBRARIES = ("pandaenv", "gymnasium", "numpy", "numba", "h5py")
"""Libraries whose versions the file names."""


def collect(
    env: gym.Env,
    policy: Policy | VectorPolicy | Mixture,
    path: str | os.PathLike,
    *,
    episodes: int,
    seed: int = 0,
    name: str = "",
    n_envs: int = 1,
    extra: dict[str, object] | None = None,
    notify: Callable[[int], object] | None = None,
    only: Sequence[int] | None = None,
) -> Path:
    """Play episodes with seeds seed, seed + 1, ... into one HDF5 file, with its card beside it.

    Args:
        env: its observations must be a flat Box.
        policy: has `reset(seed)` and `act(env)`, see `pandaenv.policies`; or a `Mixture`.
        path: of the new file; finished episodes of an interrupted run, in `path.parts/`, are kept.
        name: of the data set, for the metadata.
        n_envs: episodes played at once in the vector environment of `env`. Above 1 the policies
            need `act_all`. The file does not depend on it.
        extra: further attributes of the file.
        notify: called with the number of finished episodes whenever it grows.
        only: numbers of the episodes to play now, so that several processes can share the work; the
            file is then left to a call without it.

    Returns the path. Raises `ValueError` if the file exists, or if the finished episodes were made
    with other attributes.
    """
    check_spaces(env)
    checks.whole("episodes", episodes, least=1)
    checks.whole("n_envs", n_envs, least=1)
    checks.seed(seed)
    mixture = _as_mixture(policy)
    attributes = file_attributes(env, mixture, name) | {"seed": int(seed)} | (extra or {})
    writer = Writer(path, attributes)
    finished = writer.finished()
    missing = [i for i in (range(episodes) if only is None else only) if i not in finished]
    for n_new, (i, episode) in enumerate(_played(env, mixture, missing, seed, n_envs), 1):
        writer.write(i, episode)
        if notify is not None:
            notify(len(finished) + n_new)
    return writer.close(episodes) if only is None else writer.path


def file_attributes(
    env: gym.Env, policy: Policy | VectorPolicy | Mixture, name: str = ""
) -> dict[str, object]:
    """What the file says of its making: environment, policies, versions, stream of jobs."""
    spec, names = env.spec, _as_mixture(policy).names
    arguments = {name: _as_json(value) for name, value in _arguments(env).items()}
    versions = {library: found for library in LIBRARIES if (found := version(library))}
    return {
        "format": FORMAT,
        "name": name,
        "env_id": "" if spec is None else spec.id,
        "env_arguments": json.dumps(arguments, sort_keys=True),
        "env_stream_sha256": _stream_digest(env),
        "policy": names[0] if len(names) == 1 else f"mixture of {len(names)}",
        "policy_mix": json.dumps(names),
        "versions": json.dumps(versions),
    }


def _as_mixture(policy: Policy | VectorPolicy | Mixture) -> Mixture:
    return policy if isinstance(policy, Mixture) else Mixture((policy,))


def _arguments(env: gym.Env) -> dict[str, object]:
    """What makes the environment again: of a placement task its `TaskConfig`, else its spec's."""
    config = getattr(env.unwrapped, "config", None)
    if isinstance(config, TaskConfig):
        return config.arguments()
    return {} if env.spec is None else env.spec.kwargs


def _as_json(value: object) -> object:
    """A value that JSON can hold: a file by its name without folders, an object by its type."""
    if isinstance(value, Path) or (isinstance(value, str) and os.path.isabs(value)):
        return Path(value).name
    try:
        json.dumps(value)
    except TypeError:
        return f"<{type(value).__name__}>"
    return value


def _stream_digest(env: gym.Env) -> str:
    """SHA-256 of the stream of jobs behind the environment; empty where it has none."""
    stream = getattr(env.unwrapped, "stream", None)
    if stream is None:
        return ""
    digest = hashlib.sha256()
    for column in fields(stream.jobs):
        digest.update(np.ascontiguousarray(getattr(stream.jobs, column.name)).tobytes())
    return digest.hexdigest()


def _played(
    env: gym.Env, mixture: Mixture, missing: list[int], seed: int, n_envs: int
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Each missing episode with its number, played alone or n_envs at once."""
    envs = None if n_envs == 1 or not missing else _vector_env(env, n_envs)
    for turn, batch in _batches(missing, mixture, n_envs):
        policy, seeds = mixture.policies[turn], [seed + i for i in batch]
        if envs is None:
            episodes = [play(env, policy, seeds[0])]
        else:
            episodes = play_many(envs, policy, seeds)
        yield from zip(batch, episodes, strict=True)


def _vector_env(env: gym.Env, n: int) -> gym.vector.VectorEnv:
    """The vector environment of `env`, n wide."""
    if env.spec is None or env.spec.vector_entry_point is None or env.spec.additional_wrappers:
        raise ValueError(
            f"n_envs > 1 needs an unwrapped environment that has a vector version, got {env}"
        )
    return gym.make_vec(env.spec, num_envs=n)


def _batches(missing: list[int], mixture: Mixture, n: int) -> Iterator[tuple[int, list[int]]]:
    """Number of a policy and up to n episodes that it plays, earlier ones first."""
    span = n * len(mixture.policies)
    for first in range(0, len(missing), span):
        turns: dict[int, list[int]] = {}
        for i in missing[first : first + span]:
            turns.setdefault(mixture.turn(i), []).append(i)
        for turn, batch in turns.items():
            for start in range(0, len(batch), n):
                yield turn, batch[start : start + n]
