"""Conversions: an offline data set in the layouts of Minari and of OmniSafe.

In: a file of `pandaenv.offline.dsrl`. Out: the same steps, written episode by episode in constant
memory, completely or not at all, and byte for byte the same each time. Source: minari 0.5
(`create_dataset_from_buffers`); OmniSafe 0.5 (`omnisafe.common.offline`).
"""

import os
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np

from foundations.files import whole

from .dsrl import EPISODES, metadata, read, read_episodes
from .trajectories import MASKS

MINARI_ROOT = "MINARI_DATASETS_PATH"
"""Environment variable that names the folder of Minari's data sets."""


# --- Minari --------------------------------------------------------------------------------------


def to_minari(path: str | os.PathLike, env: gym.Env, name: str = "") -> str:
    """Write a data set into Minari's own folder, for `minari.load_dataset`; returns its id.

    `infos` have T + 1 rows, the first for the reset: `cost` and its parts, (T + 1, 1), 0 at the
    reset; `action_mask`, (T + 1, S), ones after the last step. Row t + 1 has the costs of step t.

    Args:
        path: of a file of `pandaenv.offline.dsrl`.
        env: the environment it was collected in. It can be recovered from the data set unless its
            arguments are objects or files, which other machines lack.
        name: the id, ending with a version; the name in the file if empty.

    Raises:
        ValueError: Minari has a data set of this id.
        ImportError: minari is missing; the message says how to install it.
    """
    minari = _import_minari()
    made = metadata(path)
    name = name or str(made["name"])
    target = _minari_path(name)
    if target.exists():
        raise ValueError(f"a data set is never overwritten; Minari has {name} at {target}")
    draft = _minari_path() / f".draft-{name.replace('/', '_')}"
    shutil.rmtree(draft, ignore_errors=True)  # of a killed run
    with _minari_root(draft), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no author, no link: the data are made, not hosted
        minari.create_dataset_from_buffers(
            name,
            _buffers(path, int(made["seed"])),
            data_format="hdf5",
            algorithm_name=", ".join(made["policy_mix"]),
            description=_description(made),
            **_environment(env),
            **_scores(made, env),
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(draft / name, target)
    shutil.rmtree(draft)
    return name


def is_in_minari(path: str | os.PathLike, name: str = "") -> bool:
    """Whether `to_minari` has written this very data set.

    Raises:
        ValueError: Minari has another one of this id: other episodes, arguments, seed or versions.
    """
    minari = _import_minari()
    made = metadata(path)
    name = name or str(made["name"])
    target = _minari_path(name)
    if not target.exists():
        return False
    if minari.load_dataset(name).storage.metadata.get("description") != _description(made):
        raise ValueError(f"a data set is never overwritten; Minari has another {name} at {target}")
    return True


def _minari_path(name: str = "") -> Path:
    """Minari's folder of a data set, or of all."""
    from minari.storage import get_dataset_path

    return Path(get_dataset_path(name))


def _buffers(path: str | os.PathLike, seed: int) -> Iterator:
    """Each episode as Minari takes it."""
    from minari.data_collector import EpisodeBuffer

    for number, episode in enumerate(read_episodes(path)):
        costs = {k: episode[k] for k in sorted(episode) if k.startswith("cost_")}
        infos = {k: np.r_[0.0, v][:, None] for k, v in {"cost": episode["costs"], **costs}.items()}
        if MASKS in episode:
            last = np.ones_like(episode[MASKS][:1])
            infos["action_mask"] = np.concatenate([episode[MASKS], last])
        yield EpisodeBuffer(
            id=number,
            seed=seed + int(episode[EPISODES][0]),
            actions=episode["actions"],
            observations=_all_observations(episode),
            rewards=episode["rewards"],
            infos=infos,
            terminations=episode["terminals"],
            truncations=episode["timeouts"],
        )


def _all_observations(episode: dict) -> np.ndarray:
    """Observations before each step and after the last one, (T + 1, d)."""
    return np.concatenate([episode["observations"], episode["next_observations"][-1:]])


def _environment(env: gym.Env) -> dict[str, Any]:
    """The environment, if another machine could make it, and its spaces."""
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    values = [] if env.spec is None else env.spec.kwargs.values()
    plain = all(isinstance(v, (int, float, bool, str, type(None))) for v in values)
    files = any(isinstance(v, str) and os.path.exists(v) for v in values)
    is_portable = env.spec is not None and plain and not files
    return spaces | ({"env": env} if is_portable else {})


def _scores(made: dict, env: gym.Env) -> dict[str, Any]:
    """Reference returns by Minari's names; it takes them only with an environment."""
    reference = made.get("reference")
    if not reference or "env" not in _environment(env):
        return {}
    return {
        "ref_min_score": reference["random"]["return"],
        "ref_max_score": reference["expert"]["return"],
        "num_episodes_average_score": len(reference["seeds"]),
    }


def _description(made: dict) -> str:
    return (
        f"{made['name']}: {made['n_episodes']} episodes of {made['env_id']} with "
        f"{made['env_arguments']}, jobs {made.get('env_stream_sha256', 'unknown')}, played by "
        f"{made['policy_mix']}, seeds from {made['seed']}, versions {made['versions']}"
    )


@contextmanager
def _minari_root(folder: Path) -> Iterator[None]:
    """Let Minari write into a folder meanwhile."""
    before = os.environ.get(MINARI_ROOT)
    os.environ[MINARI_ROOT] = str(folder)
    try:
        yield
    finally:
        del os.environ[MINARI_ROOT]
        if before is not None:
            os.environ[MINARI_ROOT] = before


def _import_minari() -> ModuleType:
    try:
        import minari
    except ImportError as error:
        raise ImportError("this layout needs minari: pip install 'pandaenv[offline]'") from error
    return minari


# --- OmniSafe ------------------------------------------------------------------------------------


def to_omnisafe(path: str | os.PathLike, target: str | os.PathLike) -> Path:
    """Write a data set as the npz that OmniSafe's offline algorithms read; returns its path.

    All are float32: obs, next_obs, init_obs (N, d), where init_obs is the first observation of the
    episode; action (N, k), a discrete one as (N, 1); reward, cost, done (N, 1), where done marks a
    terminal or a timeout.
    """
    target = Path(target)
    if target.exists():
        raise ValueError(f"a data set is never overwritten; {target} exists")
    n = len(read(path, ("rewards",))["rewards"])
    with whole(target) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for field, column in OMNISAFE.items():
            _write_member(archive, field, n, map(column, read_episodes(path)))
    return target


OMNISAFE = {
    "obs": lambda e: e["observations"],
    "action": lambda e: e["actions"].reshape(len(e["actions"]), -1),
    "reward": lambda e: e["rewards"][:, None],
    "cost": lambda e: e["costs"][:, None],
    "next_obs": lambda e: e["next_observations"],
    "done": lambda e: (e["terminals"] | e["timeouts"])[:, None],
    "init_obs": lambda e: np.broadcast_to(e["observations"][:1], e["observations"].shape),
}
"""Field of the npz -> its rows for one episode."""


def _write_member(archive: zipfile.ZipFile, field: str, n: int, blocks: Iterator) -> None:
    """One array of n rows, block after block; without a date, so that bytes repeat."""
    member = zipfile.ZipInfo(f"{field}.npy")
    member.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(member, "w", force_zip64=True) as file:
        for number, block in enumerate(blocks):
            if number == 0:
                shape = (n, *block.shape[1:])
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(block, "<f4").tobytes())
