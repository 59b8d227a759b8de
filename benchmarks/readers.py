"""Other libraries on our files and environment ids, each in a virtual environment of its own.

Installs Minari, d3rlpy, RLlib and RL Baselines3 Zoo and runs a small program with each. Writes what
was installed, what ran and what it returned to results/readers.json. Each step has a time limit; a
step that fails is recorded as failed.

    python -m benchmarks.readers --folder readers/ [--only minari d3rlpy rllib zoo]
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs.arguments import command_parser
from benchmarks.inputs.environments import install, installed
from benchmarks.inputs.places import RESULTS, ROOT
from benchmarks.report.provenance import provenance, write_json

from . import offline

OUT = RESULTS / "readers.json"
NAME = "panda-tier1-mixed-v0"
OURS = ("numba", "pandas", "pyarrow", "scipy", "matplotlib", "scikit-learn", "tqdm", "h5py")
"""What `pandaenv` itself needs, put beside tools that pin another Gymnasium than it asks for."""
SHOWN = ("d3rlpy", "minari", "ray", "rl_zoo3", "gymnasium", "numpy", "torch", "h5py")
"""Packages whose versions are told."""

MINARI = """
import json, sys, h5py, minari, numpy as np
path, name = sys.argv[1:]
data = minari.load_dataset(name)
with h5py.File(path) as file:
    columns = {k: file[k][:] for k in ("observations", "actions", "rewards", "costs")}
first = 0
for episode in data:
    rows = slice(first, first + len(episode))
    assert np.array_equal(episode.observations[:-1], columns["observations"][rows])
    assert np.array_equal(episode.actions, columns["actions"][rows])
    assert np.array_equal(episode.rewards, columns["rewards"][rows])
    assert np.array_equal(episode.infos["cost"][1:, 0], columns["costs"][rows])
    first = rows.stop
env = data.recover_environment()
print(json.dumps({"episodes": int(data.total_episodes), "steps": int(data.total_steps),
                  "equal_to_our_file": first == len(columns["rewards"]), "env": env.spec.id}))
"""

D3RLPY = """
import json, sys, d3rlpy, h5py, numpy as np
path, name = sys.argv[1:]
with h5py.File(path) as file:
    keys = ("observations", "actions", "rewards", "terminals", "timeouts")
    columns = {k: file[k][:] for k in keys}
data = d3rlpy.dataset.MDPDataset(**columns)
starts = np.flatnonzero(np.r_[True, (columns["terminals"] | columns["timeouts"])[:-1]])
for episode, first in zip(data.episodes, starts):
    rows = slice(first, first + episode.size())
    assert np.array_equal(episode.observations, columns["observations"][rows])
    assert np.array_equal(episode.actions[:, 0], columns["actions"][rows])
learner = d3rlpy.algos.DiscreteCQLConfig(batch_size=64).create(device=False)
quiet = {"show_progress": False, "logger_adapter": d3rlpy.logging.NoopAdapterFactory()}
learner.fit(data, n_steps=50, n_steps_per_epoch=50, **quiet)
chosen = learner.predict(columns["observations"][:4])
try:
    theirs = len(d3rlpy.datasets.get_minari(name)[0].episodes)
except AssertionError as error:  # it wants a time limit in the environment's spec
    theirs = str(error)
print(json.dumps({
    "episodes": len(data.episodes), "steps": int(data.transition_count),
    "action_space": data.dataset_info.action_space.name, "sites": data.dataset_info.action_size,
    "equal_to_our_file": len(data.episodes) == len(starts), "discrete_cql_steps": 50,
    "chosen": chosen.tolist(), "get_minari": theirs,
}))
"""

ZOO = """
import json, subprocess, sys, gymnasium as gym
from stable_baselines3.common.env_util import make_vec_env
env = gym.make("pandaenv:PandaSiteAllocation-v0", episode_jobs=50)
envs = make_vec_env("pandaenv:PandaSiteAllocation-v0", 2, env_kwargs={"episode_jobs": 50})
text = open(sys.argv[1]).read()
recipe = text.split("```yaml\\n")[1].split("```")[0]
open("ppo.yml", "w").write(recipe)
words = text.split("    python ")[-1].split("\\n\\n")[0].replace("\\\\\\n", " ").split()
run = subprocess.run([sys.executable, *words], capture_output=True, text=True)
assert run.returncode == 0, run.stderr[-2000:]
steps = [line for line in run.stdout.splitlines() if "total_timesteps" in line]
print(json.dumps({"gym.make": env.spec.id, "make_vec_env": envs.num_envs,
                  "command": " ".join(["python", *words]), "last": steps[-1].split()[-2]}))
"""


@dataclass(frozen=True)
class Reader:
    """A tool: what is installed for it, and the program that tries it."""

    packages: tuple[str, ...]
    program: str
    needs: str
    """What the program is given: the data set, or the page of the docs."""


READERS = {
    "minari": Reader(("minari[hdf5]",), MINARI, "data"),
    "d3rlpy": Reader(("d3rlpy==2.8.1", "minari[hdf5]"), D3RLPY, "data"),
    "rllib": Reader(("ray[rllib]",), "", "docs"),
    "zoo": Reader(("rl_zoo3",), ZOO, "docs"),
}
PAGE = ROOT / "docs" / "rllib.md"


def run(name: str, folder: Path, data: Path, limit: float) -> dict:
    """Install a tool, run its program, and say what came of it."""
    return install_and_try(READERS[name], folder / f"venv-{name}", data, limit)


def install_and_try(reader: Reader, venv: Path, data: Path, limit: float) -> dict:
    """What came of one tool, with the packages asked for and the versions found."""
    said = {"packages": list(reader.packages)}
    try:
        ours = (*reader.packages, *OURS)
        python = install(venv, ours, limit, more=[["--no-deps", "-e", str(ROOT)]])
        said["versions"] = installed(python, SHOWN)
    except subprocess.TimeoutExpired:
        return said | {"ran": False, "why": f"not installed in {limit:g} s"}
    except subprocess.CalledProcessError as error:
        return said | {"ran": False, "why": (error.stderr or "").strip()[-600:]}
    return said | tried(reader, python, data, limit)


def tried(reader: Reader, python: str | Path, data: Path, limit: float) -> dict:
    """Run the program of a tool with an interpreter that has the tool; what came of it."""
    program = reader.program or _block(PAGE.read_text())
    given = [data, NAME] if reader.needs == "data" else [PAGE]
    try:
        with tempfile.TemporaryDirectory() as work:
            done = subprocess.run(
                [python, "-c", program, *map(str, given)],
                cwd=work,
                timeout=limit,
                check=True,
                capture_output=True,
                text=True,
                env=os.environ | {"PYTHONWARNINGS": "ignore"},
            )
    except subprocess.TimeoutExpired:
        return {"ran": False, "why": f"not done in {limit:g} s"}
    except subprocess.CalledProcessError as error:
        return {"ran": False, "why": (error.stderr or "").strip()[-600:]}
    return {"ran": True, "said": _said(done.stdout.strip().splitlines())}


def _said(lines: list[str]):
    """The JSON a program ended with, or its lines as numbers."""
    try:
        return json.loads(lines[-1]) if lines[-1].startswith("{") else [float(x) for x in lines]
    except ValueError:
        return lines[-3:]


def _block(page: str) -> str:
    """The first block of Python of a page."""
    return re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)


def main(argv: list[str] | None = None) -> int:
    """Try the tools; 0 if all of them ran."""
    argv = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(argv)
    folder = options.folder.absolute()
    os.environ["MINARI_DATASETS_PATH"] = str(folder / "minari")
    made = ["--name", NAME, "--episodes", "10", "--episode-jobs", "200", "--out", str(folder)]
    data = folder / f"{NAME}.hdf5"
    if not data.exists() and offline.main(made) != 0:
        return 1
    results = {}
    for name in options.only:
        results[name] = run(name, folder, data, options.limit)
        print(f"{name}: {results[name]}", file=sys.stderr)
    print(write_json(options.out, {"readers": results} | provenance("benchmarks.readers", argv, 0)))
    return 0 if all(found["ran"] for found in results.values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("readers", __doc__)
    parser.add_argument(
        "--folder", type=Path, required=True, help="folder of the virtual environments and data"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=READERS,
        default=list(READERS),
        help="libraries to try (default: all)",
    )
    parser.add_argument("--limit", type=float, default=900, help="seconds of each step")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
