"""Layers point one way: every import of the four packages is held against the rules."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("pandaenv", "generators", "metrics", "benchmarks")

# What stands inside pandaenv, left to right: nothing imports to its right.
ORDER = (
    "drafts",
    "seeds",
    "specs",
    "schema",
    "nomenclature",
    "wlcg",
    "links",
    "sites",
    "drawing",
    "cascade",
    "dumps",
    "records",
    "kernel_cache",
    "kernels",
    "brokerage",
    "jobs",
    "worlds",
    "caches",
    "chance",
    "events",
    "ahead",
    "queues",
    "scenarios",
    "simulator",
    "calibration",
    "bursts",
    "reference",
    "stream",
    "folding",
    "tasks",
    "workload",
    "exports",
    "schedule",
    "reward",
    "policies",
    "replay",
    "observation",
    "setting",
    "episodes",
    "rendering",
    "env",
    "vector",
    "sb3",
    "scoring",
    "agents",
    "wrappers",
    "behaviours",
    "trajectories",
    "dsrl",
    "layouts",
    "offline",
    "cli",
)
IN_REFERENCE = (
    "arrivals",
    "formats",
    "sizes",
    "users",
    "datasets",
    "work",
    "outcomes",
    "background",
    "tables",
    "__init__",
)


def imports(path: Path) -> list[tuple[str, bool]]:
    """Every module `path` imports, absolute, with whether the import runs when the file loads."""
    tree = ast.parse(path.read_text())
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        at_load = id(node) not in inside
        if isinstance(node, ast.Import):
            found += [(alias.name, at_load) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package if node.level else ""
            name = ".".join(part for part in (base, node.module) if part)
            found += [(name, at_load)] + [(f"{name}.{a.name}", at_load) for a in node.names]
    return found


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def named(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def ours(path: Path) -> set[str]:
    return {name for name, _ in imports(path) if name.split(".")[0] in PACKAGES}


def test_every_package_has_modules_to_check():
    assert all(modules(package) for package in PACKAGES)


@pytest.mark.parametrize("path", modules("metrics"), ids=named)
def test_metrics_imports_nothing_of_ours(path):
    assert {name for name in ours(path) if not name.startswith("metrics")} == set()


@pytest.mark.parametrize("path", modules("generators"), ids=named)
def test_generators_import_only_the_neighbour_search(path):
    strangers = {name for name in ours(path) if not name.startswith("generators")}
    assert {name for name in strangers if not name.startswith("metrics.neighbours")} <= {"metrics"}
    assert not strangers or path.stem == "smote"


def to_the_right(path: Path, package: Path, order: tuple[str, ...]) -> set[str]:
    """What a file of a package imports of the package that stands right of it in the order."""
    dots = ".".join(package.relative_to(ROOT).parts) + "."
    place = path.relative_to(package).with_suffix("").parts[0]
    assert place in order, f"{place} has no place in the order of {package.name}'s modules"
    own = {name.removeprefix(dots).split(".")[0] for name in ours(path) if name.startswith(dots)}
    return {name for name in own & set(order) if order.index(name) > order.index(place)}


@pytest.mark.parametrize("path", modules("pandaenv"), ids=named)
def test_pandaenv_imports_nothing_to_its_right(path):
    if path != ROOT / "pandaenv" / "__init__.py":
        assert to_the_right(path, ROOT / "pandaenv", ORDER) == set()


@pytest.mark.parametrize("path", modules("pandaenv/reference"), ids=named)
def test_the_reference_imports_nothing_to_its_right(path):
    assert to_the_right(path, ROOT / "pandaenv" / "reference", IN_REFERENCE) == set()


@pytest.mark.parametrize("path", modules("pandaenv"), ids=named)
def test_pandaenv_reaches_generators_only_lazily_and_in_two_places(path):
    found = [(n, load) for n, load in imports(path) if n.split(".")[0] in ("generators", "metrics")]
    if path.stem not in ("workload", "cli"):
        assert found == []
    assert not any(at_load for _, at_load in found)


@pytest.mark.parametrize("path", modules("pandaenv"), ids=named)
def test_no_core_package_knows_the_benchmarks(path):
    assert not any(name.startswith("benchmarks") for name in ours(path))


@pytest.mark.parametrize(
    "path", modules("pandaenv") + modules("generators") + modules("metrics"), ids=named
)
def test_no_file_is_a_bag(path):
    assert path.stem not in ("utils", "util", "common", "helpers", "core", "misc")


def test_importing_pandaenv_brings_no_heavy_library():
    code = "import sys, pandaenv; print(' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ},
    )
    loaded = set(run.stdout.split())
    assert not loaded & {"torch", "catboost", "stable_baselines3", "numba", "sklearn", "matplotlib"}
