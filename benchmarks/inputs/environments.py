"""Virtual environments of other people's tools, so that none of them becomes a dependency of ours.

In: a folder and the names of packages. Out: the interpreter of an environment that holds them, made
once, and the versions that were found.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

TORCH = ("torch==2.13.0",)
"""As tested; installed first, so that no tool brings a build for other machines."""
VISION = ("torchvision", "torchaudio")
"""Brought by tools in a build for another torch, of which an import dies; few tools need them."""


def install(
    venv: Path,
    packages: Iterable[str],
    limit: float,
    torch: tuple[str, ...] = TORCH,
    more: Iterable[Iterable[str]] = (),
) -> Path:
    """A virtual environment with torch and the packages; its interpreter.

    Args:
        torch: the requirement of torch, and of torchvision where a tool needs it.
        limit: seconds that each of pip's commands may take.
        more: arguments of further calls of `pip install`.

    Raises: subprocess.CalledProcessError, subprocess.TimeoutExpired.
    """
    python = venv / "bin" / "python"
    if (venv / "made").exists():
        return python
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    unfit = [name for name in VISION if not any(r.startswith(name) for r in torch)]
    for words in (
        [sys.executable, "-m", "venv", str(venv)],
        [*pip, *torch],
        [*pip, *torch, *packages],
        [str(python), "-m", "pip", "uninstall", "--quiet", "--yes", *unfit],
        *([*pip, *arguments] for arguments in more),
    ):
        subprocess.run(words, check=True, timeout=limit, capture_output=True, text=True)
    (venv / "made").touch()
    return python


def installed(python: Path, names: Iterable[str]) -> dict[str, str]:
    """Versions of the packages of an interpreter, of those that it has."""
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True
    )
    wanted = {name.lower().replace("_", "-") for name in names}
    found = {p["name"]: p["version"] for p in json.loads(listed.stdout)}
    return {n: v for n, v in found.items() if n.lower().replace("_", "-") in wanted}
