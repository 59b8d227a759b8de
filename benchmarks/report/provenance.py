"""Provenance of a published number: command, seed, versions, commit and processor.

In: the command's arguments and a result. Out: a JSON file that carries its provenance, without the
name of the host and without paths of the machine.
"""

import json
import os
import platform
import shlex
import subprocess
from pathlib import Path

from benchmarks.inputs.engines import cores
from benchmarks.inputs.places import ROOT
from foundations import files
from foundations import versions as installed

PACKAGES = (
    "pandaenv",
    "gymnasium",
    "torch",
    "numpy",
    "pandas",
    "scikit-learn",
    "catboost",
    "stable-baselines3",
    "numba",
    "scipy",
    "pyarrow",
)


def versions() -> dict[str, str]:
    """Python's version and those of the installed packages that results depend on."""
    return installed.versions(PACKAGES)


def provenance(module: str, arguments: list[str], seed: int | list[int]) -> dict:
    """The block that stands in every results file: how to make this number again.

    Args:
        module: what follows `python -m`, e.g. `benchmarks.fidelity`.
        arguments: the command line behind it; a path is cut to its last part.
    """
    words = [Path(word).name if os.path.isabs(word) else word for word in arguments]
    return {
        "command": shlex.join(["python", "-m", module, *words]),
        "seed": seed,
        "versions": versions(),
        "commit": commit(),
        "cpu": cpu_model(),
        "cores": cores(),
    }


def commit() -> str | None:
    """The commit of the checkout these benchmarks lie in, None outside one."""
    git = ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def write_json(path: Path | str, result: dict) -> Path:
    """Write `result` whole or not at all; parents are made. NaN is refused, JSON has none."""
    text = json.dumps(result, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    return write_text(path, text)


def write_text(path: Path | str, text: str) -> Path:
    """Write `text` whole or not at all; parents are made."""
    return files.write(path, text)
